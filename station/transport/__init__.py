"""How messages travel between processes: their types, their bytes, sockets, and link policies."""
