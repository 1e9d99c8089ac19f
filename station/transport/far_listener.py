"""The listening TCP socket of a link between machines: one on which frames don't grow old in the system's own queue.

ZeroMQ's own would do on a good network. On a bad one the system takes megabytes that it can't send yet, where nothing
knows of them any more, and TCP's usual control (CUBIC, RFC 9438) takes every lost packet for a sign that it sends too
fast: at 2 % lost and 40 ms there and back it lets 0.3 MB/s through, whatever the line could carry. BBR (Cardwell et
al., ACM Queue 14(5), 2016) goes by the rate that arrives.
"""

import contextlib
import re
import socket
import sys
from typing import Final

ADDRESS: Final = re.compile(r"tcp://([\d.]+):(\d{1,5})")
MOST_UNSENT_BYTES: Final = 1 << 17
"""So much waits in the system for its turn; the rest stays in ZeroMQ's queue, which holds few frames."""
CONTROL: Final = b"bbr"
BACKLOG: Final = 100
"""ZeroMQ's own (ZMQ_BACKLOG)."""


def listening_socket(address: str) -> int | None:
    """Return a socket that listens there, for ZMQ_USE_FD; on Linux the connections that it accepts send as it would.

    None on another system, or where the address is no IPv4 address in numbers: then ZeroMQ listens itself. Raises
    OSError for an address that cannot be listened at. BBR is used where the system lets this user choose it.
    """
    found = ADDRESS.fullmatch(address)
    if found is None or sys.platform != "linux":
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES)
        with contextlib.suppress(OSError):  # not built in, or not allowed to this user
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONTROL)
        listener.bind((found[1], int(found[2])))
        listener.listen(BACKLOG)
        return listener.detach()
