"""How the station's processes are started, supervised, told what to do, and ended."""
