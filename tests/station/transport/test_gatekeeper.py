import threading
import time

import zmq

from station.transport.endpoints import private_endpoints
from station.transport.gatekeeper import Gatekeeper

Context = zmq.Context[zmq.Socket[bytes]]


class EndsBefore:
    """A socket that wakes the gatekeeper's thread and, when that has ended, is asked to wake it."""

    def __init__(self, wake: "zmq.Socket[bytes]", thread: threading.Thread) -> None:
        self._wake, self._thread = wake, thread
        wake.sndtimeo = 2000  # what waits without end waits for two seconds here, and raises
        self.close = wake.close

    def send(self, data: bytes, flags: int = 0) -> None:
        self._wake.send(b"")
        self._thread.join()
        while self._wake.poll(0, zmq.POLLOUT):
            time.sleep(0.01)  # until it is known that nobody is at the other end
        self._wake.send(data, flags)


def test_a_last_door_can_be_closed_though_the_thread_has_seen_it_before_it_is_woken(context: Context) -> None:
    """Somebody connects at that very moment: the thread looks up, sees that no door is left, and ends."""
    with private_endpoints() as endpoints, context.socket(zmq.ROUTER) as socket:
        socket.linger = 0
        door = endpoints.control.bind(context, socket)
        assert door is not None
        keeper = Gatekeeper._open[id(context)]
        keeper._wake = EndsBefore(keeper._wake, keeper._thread)  # type: ignore[assignment]
        door.close()
        assert not keeper._thread.is_alive()
        assert id(context) not in Gatekeeper._open
