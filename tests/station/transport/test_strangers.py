"""Who is not of this run: what it says is not believed, what it connects to stays shut, what it sends fills nothing."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pytest
import zmq

from station.transport import bus
from station.transport.buffers import Fifo
from station.transport.bus import Publisher
from station.transport.control_messages import ProcessName, ProcessState, ProcessStatus
from station.transport.endpoints import Endpoint, Endpoints, private_endpoints
from station.transport.keys import GUEST, RunKeys
from station.transport.messages import EndHeader, FrameHeader, Header, Trace, TracksHeader
from station.transport.receivers import MOST_LOST, ThreadedReceiver
from station.transport.seal import Seal
from station.transport.wire import decode, encode

Context = zmq.Context[zmq.Socket[bytes]]
PIXELS = np.zeros((2, 3), np.uint8)


def frame(seq: int) -> FrameHeader:
    return FrameHeader(seq=seq, t_exposure_ns=seq, t_source_ns=seq, t_sent_ns=seq, height=2, width=3)


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


@pytest.fixture(params=["unix sockets", "tcp"])
def endpoints(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    if request.param == "tcp":
        monkeypatch.setattr("station.transport.endpoints.MAX_IPC_PATH", 5)
    with private_endpoints() as made:
        yield made


def as_guest(endpoint: Endpoint) -> Endpoint:
    """What the run's file tells other programs."""
    return replace(endpoint, passes=tuple(entry for entry in endpoint.passes if entry.name == GUEST), seal=b"")


def strangers(endpoint: Endpoint) -> dict[str, Endpoint | None]:
    """Ways to come without a pass; None: with no handshake at all."""
    others = RunKeys.new()
    wrong = replace(endpoint, passes=(others.pass_for("station"),))
    return {
        "no pass": None,
        "another run's pass": wrong,
        "another's name": replace(wrong, passes=(others.pass_for(GUEST),)),
    }


def test_without_a_pass_nothing_is_read_and_every_attempt_is_counted(context: Context, endpoints: Endpoints) -> None:
    with Publisher(context, endpoints.frames) as publisher:
        for count, (how, endpoint) in enumerate(strangers(endpoints.frames).items(), start=1):
            with context.socket(zmq.SUB) as socket:
                socket.subscribe(b"")
                socket.reconnect_ivl = -1
                if endpoint is None:
                    socket.connect(endpoints.frames.address)
                else:
                    endpoint.connect(socket)
                until(lambda count=count: publisher.turned_away >= count)
                publisher.send(frame(publisher.next_seq), PIXELS)
                assert not socket.poll(100), how
        with ThreadedReceiver(context, as_guest(endpoints.frames), Fifo(4)) as guest:
            until(lambda: publisher.send(frame(publisher.next_seq), PIXELS) and guest.receive(0.01) is not None)


def test_a_stranger_in_the_senders_place_is_not_believed(context: Context, tmp_path: Path) -> None:
    """Whatever comes without the seal of the run is dropped and counted, however well-formed it is."""
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link", seal=RunKeys.new().seal)
    with ThreadedReceiver(context, endpoint, Fifo(9)) as receiver, context.socket(zmq.XPUB) as raw:
        raw.linger = 0
        raw.bind(endpoint.address)
        raw.recv()
        good = encode(frame(0), PIXELS, Seal(endpoint.seal))
        forged = [
            encode(frame(0), PIXELS),
            encode(frame(0), PIXELS, Seal(RunKeys.new().seal)),
            [good[0], good[1][:-1] + bytes([good[1][-1] ^ 1]), good[2]],
            [b"end", good[1]],
            [b"frame"] * 20,
        ]
        for parts in forged:
            raw.send_multipart(parts)
        until(lambda: receiver.counters.bad == len(forged))
        assert receiver.counters.replayed == 0
        raw.send_multipart(good)
        assert receiver.receive(5.0) is not None


def test_what_is_out_of_place_is_counted_and_dropped(context: Context, tmp_path: Path) -> None:
    """Valid messages of the wrong kind, numbers that cannot be, and frames that were sent before."""
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link", seal=RunKeys.new().seal)
    seal = Seal(endpoint.seal)

    def send(header: Header, pixels: np.ndarray | None = None, by: Seal = seal) -> None:
        raw.send_multipart(encode(header, pixels, by))

    with ThreadedReceiver(context, endpoint, Fifo(99)) as receiver, context.socket(zmq.XPUB) as raw:
        raw.linger = 0
        raw.bind(endpoint.address)
        raw.recv()
        counters = receiver.counters
        trace = Trace(t_exposure_ns=1, t_sent_ns=2)
        send(frame(0), PIXELS)
        send(TracksHeader(seq=1, frame_seq=1, trace=trace, window_frames=16, tracks=[]))
        until(lambda: counters.bad == 1)
        raw.send_multipart([b"frame", seal.pack(b"frame", frame(1).model_dump() | {"seq": 1 << 63}), bytes(6)])
        raw.send_multipart([b"frame", seal.pack(b"frame", frame(1).model_dump() | {"t_source_ns": 1 << 63}), bytes(6)])
        send(frame(MOST_LOST + 2), PIXELS)
        until(lambda: counters.bad == 4)
        send(frame(1), PIXELS)
        for seq in (0, 1):
            send(frame(seq), PIXELS)
        until(lambda: counters.bad == 6)
        assert (counters.received, counters.replayed, counters.lost) == (2, 2, 0)
        send(EndHeader(seq=2))
        until(lambda: receiver.receive(0) is None and receiver.ended)
        # A sender that was started again counts from 0; what its predecessor sent is old from then on.
        heir = Seal(endpoint.seal)
        send(frame(0), PIXELS, heir)
        send(frame(1), PIXELS, heir)
        send(frame(3), PIXELS, seal)
        until(lambda: counters.received == 4 and counters.replayed == 3)
        assert receiver.receive(1.0) is not None
        assert (counters.lost, receiver.ended) == (0, False)


def test_readers_cannot_make_a_sender_grow(
    context: Context, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest sends messages, then subscribes without end: it is shut out, a process of the run reads on."""
    monkeypatch.setattr(bus, "MOST_SAID", 300)
    process = psutil.Process()
    with (
        Publisher(context, endpoints.frames) as publisher,
        ThreadedReceiver(context, endpoints.frames, Fifo(4)) as receiver,
        zmq.Context() as elsewhere,
        elsewhere.socket(zmq.XSUB) as guest,
    ):
        guest.linger = 0
        as_guest(endpoints.frames).connect(guest)
        guest.send(b"x" * 500)
        until(lambda: publisher.send(frame(publisher.next_seq), PIXELS) and publisher.bad_messages == 1)
        before = process.memory_info().rss
        slowest = 0.0
        end = time.monotonic() + 30.0
        while time.monotonic() < end and not publisher.shut_out:
            for _ in range(50):
                if guest.poll(0, zmq.POLLOUT):
                    guest.send(b"\x01" + os.urandom(200), zmq.DONTWAIT)
            start = time.monotonic()
            assert publisher.send(frame(publisher.next_seq), PIXELS)
            slowest = max(slowest, time.monotonic() - start)
        assert publisher.shut_out
        assert process.memory_info().rss - before < 50_000_000
        assert slowest < 5.0, "on a busy machine too"
        turned_away = publisher.turned_away
        until(lambda: publisher.send(frame(publisher.next_seq), PIXELS) and publisher.turned_away > turned_away)
        received = receiver.counters.received
        until(lambda: publisher.send(frame(publisher.next_seq), PIXELS) and receiver.counters.received > received + 3)


def test_what_is_too_long_ends_the_connection(context: Context, endpoints: Endpoints) -> None:
    with Publisher(context, endpoints.frames) as publisher, context.socket(zmq.XSUB) as guest:
        guest.linger = 0
        as_guest(endpoints.frames).connect(guest)
        guest.send(b"\x00" + bytes(100_000_000))
        guest.send(b"\x01")
        until(lambda: publisher.send(frame(publisher.next_seq), PIXELS) and bool(guest.poll(1)))
        assert publisher.bad_messages == 0


def test_the_seal_is_the_last_entry_of_a_header_that_others_can_read() -> None:
    topic, raw, _ = encode(frame(7), PIXELS, Seal(b"key"))
    fields = msgpack.unpackb(raw)
    assert list(fields)[-1] == "seal"
    assert len(fields.pop("seal")) == 24
    assert (topic, fields) == (b"frame", frame(7).model_dump())


def test_a_name_that_is_no_text_does_not_keep_an_error_from_being_sent() -> None:
    status = ProcessStatus(seq=0, process=ProcessName.ENGINE, state=ProcessState.FAILED, pid=1, t_ns=1, progress=0,
                           error="model \udcff: no such folder")  # fmt: skip
    for key in (b"", b"key"):
        sent = decode(encode(status, seal=Seal(key)))[0]
        assert isinstance(sent, ProcessStatus)
        assert sent.error == "model ?: no such folder"
