"""Two machines in one: what TCP carries between them arrives whole, and is kept; a wire that is cut carries nothing."""

import hashlib
import socket
import time
from collections.abc import Iterator

import pytest

from bench.support.chaos.network import LossyNetwork

DELAY_S = 0.02
MESSAGE = hashlib.shake_128(b"a picture").digest(300_000)


@pytest.fixture
def network() -> Iterator[LossyNetwork]:
    try:
        made = LossyNetwork(delay_s=DELAY_S, lost=0.02, seed=1)
    except OSError as error:
        pytest.skip(f"there can be no network namespaces here: {error}")
    with made:
        yield made


def connected(network: LossyNetwork) -> tuple[socket.socket, socket.socket]:
    listener = network.far.do(lambda: socket.create_server((network.far.address, 5000)))
    with listener:
        near = network.near.do(lambda: socket.create_connection((network.far.address, 5000), timeout=20.0))
        return listener.accept()[0], near


def test_what_is_sent_arrives_late_and_whole_though_packets_are_lost(network: LossyNetwork) -> None:
    far, near = connected(network)
    with far, near:
        began_s = time.monotonic()
        far.sendall(b"x")
        assert near.recv(1) == b"x"
        assert time.monotonic() - began_s >= DELAY_S
        far.sendall(MESSAGE)
        got = b""
        while len(got) < len(MESSAGE):
            got += near.recv(1 << 16)
        assert got == MESSAGE
    assert network.packets_lost > 0
    assert MESSAGE[:1000] in network.carried


def test_nothing_comes_through_a_wire_that_is_cut_and_all_of_it_afterwards(network: LossyNetwork) -> None:
    far, near = connected(network)
    with far, near:
        network.cut()
        far.sendall(b"later")
        near.settimeout(0.3)
        with pytest.raises(TimeoutError):
            near.recv(5)
        network.restore()
        near.settimeout(20.0)
        assert near.recv(5) == b"later"


def test_neither_machine_sees_anything_else(network: LossyNetwork) -> None:
    outside = socket.create_server(("127.0.0.1", 0))
    with outside, pytest.raises(OSError, match=r"refused|unreachable"):
        network.near.do(lambda: socket.create_connection(outside.getsockname(), timeout=5.0))
