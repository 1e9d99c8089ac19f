"""The socket that a server for browsers listens on: at one named address, never at all of them."""

import socket

from station.errors import InputError


def listen(host: str, port: int, section: str) -> socket.socket:
    """Return a listening socket; ``section`` is where the configuration names host and port. Raises InputError."""
    if host in ("", "0.0.0.0", "::"):
        raise InputError(
            f"{section}: host {host!r} names no one address; give the name or address of this machine that others use"
        )
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # the address may be used at once: a connection waits until the server takes it
    except OSError as error:
        listener.close()
        raise InputError(
            f"{section}: cannot listen at {host} port {port} ({error.strerror or error}); "
            f"give another [{section}] host or port"
        ) from None
    return listener
