"""The listening socket of a link between machines: what it accepts inherits how it sends."""

import socket
import sys
from pathlib import Path

import pytest

from station.transport.far_listener import CONTROL, MOST_UNSENT_BYTES, listening_socket

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ZeroMQ listens itself")
ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


def listen() -> socket.socket:
    number = listening_socket("tcp://127.0.0.1:0")
    assert number is not None
    return socket.socket(fileno=number)


def test_a_connection_leaves_little_unsent_in_the_system_and_goes_by_what_arrives() -> None:
    with listen() as listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == MOST_UNSENT_BYTES
        control = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
        allowed = ALLOWED.read_bytes().split() if ALLOWED.is_file() else []
        assert control == CONTROL or CONTROL not in allowed


def test_what_is_left_to_zeromq() -> None:
    for address in ("tcp://*:5570", "tcp://eth0:5570", "tcp://microscope.lab:5570", "tcp://[::]:5570"):
        assert listening_socket(address) is None


def test_an_address_that_is_taken_or_somebody_elses_is_an_error() -> None:
    with listen() as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listening_socket(f"tcp://127.0.0.1:{port}")
    with pytest.raises(OSError, match="assign"):
        listening_socket("tcp://192.0.2.1:5570")
