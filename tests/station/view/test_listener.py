import socket

import pytest

from station.errors import InputError
from station.view.listener import listen


def test_an_address_that_has_been_given_out_can_be_used_at_once() -> None:
    with (
        listen("127.0.0.1", 0, "view") as listener,
        socket.create_connection(listener.getsockname(), timeout=5) as asker,
    ):
        asker.sendall(b"hello")  # nothing serves yet: who connects waits, and is not refused
        served, _ = listener.accept()
        with served:
            assert served.recv(5) == b"hello"


def test_an_address_of_all_machines_or_of_another_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="names no one address"):
        listen("0.0.0.0", 0, "view")
    with pytest.raises(InputError, match=r"cannot listen at 192\.0\.2\.1"):  # TEST-NET-1: nobody has it
        listen("192.0.2.1", 0, "rating")
