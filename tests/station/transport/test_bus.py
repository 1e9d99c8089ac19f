"""Links over real sockets: order, policy, counting of losses, and that live senders never wait."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zmq

from station.errors import StationError
from station.transport import bus
from station.transport.buffers import BriefFifo, Fifo, Received
from station.transport.bus import QUEUE_LIVE, Publisher
from station.transport.endpoints import Endpoint, private_endpoints
from station.transport.messages import EndHeader, FrameHeader, GradesHeader
from station.transport.receivers import LosslessReceiver, PolledReceiver, ThreadedReceiver, open_receiver
from station.transport.wire import decode

GOLDEN = json.loads((Path(__file__).parent / "golden_wire.json").read_text())
Context = zmq.Context[zmq.Socket[bytes]]


def frame(seq: int) -> FrameHeader:
    return FrameHeader(seq=seq, t_exposure_ns=seq, t_source_ns=seq, t_sent_ns=seq, height=2, width=3)


def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def forever() -> bool:
    return True


def test_fifo_drops_the_oldest_and_counts() -> None:
    fifo = Fifo(2)
    messages = [Received(frame(seq), None, 0) for seq in range(4)]
    assert [fifo.put(message) for message in messages] == [0, 0, 1, 1]
    assert [fifo.take(), fifo.take(), fifo.take()] == [messages[2], messages[3], None]


@pytest.mark.parametrize(
    ("interval_ms", "kept"),
    [(66, 8), (16, 9), (6, 22), (1, 32)],
    ids=["8 of a slow sender", "130 ms", "of a fast one", "32"],
)
def test_a_reader_that_is_held_up_finds_the_messages_of_a_moment(interval_ms: int, kept: int) -> None:
    fifo = BriefFifo(8, 130_000_000, 32)
    messages = [Received(frame(seq), None, seq * interval_ms * 1_000_000) for seq in range(100)]
    assert sum(fifo.put(message) for message in messages) == 100 - kept
    assert [fifo.take() for _ in range(kept + 1)] == [*messages[100 - kept :], None]


@pytest.mark.parametrize("lossless", [False, True], ids=["live", "lossless"])
def test_frames_arrive_whole_and_in_order(context: Context, tmp_path: Path, lossless: bool) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with (
        open_receiver(context, endpoint, Fifo(None), lossless=lossless) as receiver,
        Publisher(context, endpoint, lossless=lossless) as publisher,
    ):
        assert publisher.wait_for_readers(1, forever)
        got: list[Received | None] = []
        for seq in range(50):
            pixels = np.full((2, 3), seq, np.uint8)
            while not publisher.send(frame(publisher.next_seq), pixels):
                got.append(receiver.receive(0.01))
            if not lossless:
                got.append(receiver.receive(1.0))
        publisher.send(EndHeader(seq=publisher.next_seq), keep_waiting=forever)
        while message := receiver.receive(1.0):
            got.append(message)
        assert receiver.ended
        messages = [message for message in got if message]
        assert [message.header.seq for message in messages] == list(range(50))
        assert all(np.array_equal(message.pixels, np.full((2, 3), i)) for i, message in enumerate(messages))
        assert (
            receiver.counters.received,
            receiver.counters.replaced,
            receiver.counters.lost,
            receiver.counters.bad,
        ) == (50, 0, 0, 0)


def test_what_came_while_nobody_waited_does_not_end_a_later_wait(context: Context, tmp_path: Path) -> None:
    """A consumer that was busy finds all that came meanwhile, then waits for the next to the end of its patience."""
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with ThreadedReceiver(context, endpoint, Fifo(None)) as receiver, Publisher(context, endpoint) as publisher:
        assert publisher.wait_for_readers(1, forever)
        for _ in range(3):
            publisher.send(frame(publisher.next_seq), np.zeros((2, 3), np.uint8))
        until(lambda: receiver.counters.received == 3)
        got = [receiver.receive(5.0) for _ in range(3)]
        assert [item.header.seq for item in got if item is not None] == [0, 1, 2]
        start = time.monotonic()
        assert receiver.receive(0.2) is None
        assert time.monotonic() - start >= 0.19
        later = threading.Timer(0.1, lambda: publisher.send(frame(publisher.next_seq), np.zeros((2, 3), np.uint8)))
        later.start()
        item = receiver.receive(30.0)
        later.join()
        assert item is not None
        assert item.header.seq == 3
        assert receiver.receive(0.0) is None


def test_live_sender_never_waits_and_every_loss_is_counted(context: Context, tmp_path: Path) -> None:
    """A reader stalls: far more than all queues hold is sent without waiting, and the reader sees what is missing."""
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    sent = 4000
    with Publisher(context, endpoint) as publisher:
        slow = context.socket(zmq.SUB)
        slow.rcvhwm = 1
        slow.linger = 0
        slow.subscribe(b"")
        endpoint.connect(slow)
        assert publisher.wait_for_readers(1, forever)
        pixels = np.zeros((256, 256), np.uint8)
        header = frame(0).model_copy(update={"height": 256, "width": 256})
        start = time.monotonic()
        for _ in range(sent):
            assert publisher.send(header.model_copy(update={"seq": publisher.next_seq}), pixels)
        assert time.monotonic() - start < 5.0
        slow.close()
        assert publisher.next_seq == sent


def test_lossless_waits_for_all_readers_and_goes_on_without_one_that_leaves(context: Context, tmp_path: Path) -> None:
    """Two readers, one of them slow: both get everything. When one is gone, the sender no longer waits for it."""
    endpoint, pixels = Endpoint("frames", f"ipc://{tmp_path}/link"), np.zeros((2, 3), np.uint8)
    slow = LosslessReceiver(context, endpoint, Fifo(None))
    with (
        slow,
        ThreadedReceiver(context, endpoint, Fifo(None)) as fast,
        Publisher(context, endpoint, lossless=True) as publisher,
    ):
        assert publisher.wait_for_readers(2, forever)
        got: list[int] = []

        def read_slowly() -> bool:
            message = slow.receive(0.002)
            got.extend([message.header.seq] if message else [])
            return True

        for seq in range(60):
            assert publisher.send(frame(seq), pixels, read_slowly)
        until(lambda: read_slowly() and len(got) == 60)
        until(lambda: fast.counters.received == 60)
        assert got == list(range(60))
        assert (slow.counters.lost, fast.counters.lost, fast.counters.replaced) == (0, 0, 0)
        slow.close()
        until(lambda: publisher.send(frame(60), pixels, None))
        for seq in range(61, 120):
            assert publisher.send(frame(seq), pixels, forever)
        until(lambda: fast.counters.received == 120)


def test_a_reader_that_never_comes_is_not_waited_for_without_end(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "OTHERS_S", 0.1)
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with ThreadedReceiver(context, endpoint, Fifo(4)), Publisher(context, endpoint) as publisher:
        assert publisher.wait_for_readers(2, forever)


def test_policy_and_holes_are_counted_apart(context: Context, tmp_path: Path) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with ThreadedReceiver(context, endpoint, Fifo(4)) as receiver, Publisher(context, endpoint) as publisher:
        assert publisher.wait_for_readers(1, forever)
        pixels = np.zeros((2, 3), np.uint8)
        for seq in [0, 1, 2, 3, 4, 5, 9]:
            publisher.send(frame(seq), pixels)
        until(lambda: receiver.counters.received == 7)
        assert (receiver.counters.replaced, receiver.counters.lost) == (3, 3)
        newest = [message.header.seq for message in iter(lambda: receiver.receive(0), None) if message]
        assert newest == [3, 4, 5, 9]


def test_a_hello_takes_no_number_and_is_no_loss(context: Context, tmp_path: Path) -> None:
    hello = decode([bytes.fromhex(part) for part in GOLDEN["hello"]])[0]
    endpoint = Endpoint("grades", f"ipc://{tmp_path}/link")
    grades = GradesHeader(seq=0, grades=[])
    with open_receiver(context, endpoint, Fifo(None), lossless=False) as reader, Publisher(context, endpoint) as link:
        assert link.wait_for_readers(1, forever)
        for message in (hello, grades, hello, grades, hello):
            link.send(message.model_copy(update={"seq": link.next_seq}))
        got = [reader.receive(5.0) for _ in range(5)]
        assert [message.header.seq for message in got if message] == [0, 0, 1, 1, 2]
        assert (reader.counters.received, reader.counters.lost) == (2, 0)


def test_first_message_lost_counts_too(context: Context, tmp_path: Path) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with ThreadedReceiver(context, endpoint, Fifo(4)) as receiver, Publisher(context, endpoint) as publisher:
        assert publisher.wait_for_readers(1, forever)
        publisher.send(frame(2), np.zeros((2, 3), np.uint8))
        assert receiver.receive(2.0) is not None
        assert receiver.counters.lost == 2


def test_noise_is_counted_and_dropped(context: Context, tmp_path: Path) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with ThreadedReceiver(context, endpoint, Fifo(4)) as receiver:
        raw = context.socket(zmq.XPUB)
        raw.linger = 0
        raw.bind(endpoint.address)
        raw.recv()
        for parts in ([b""], [b"frame", b"\xc1"], [b"frame", b"{}", b"x" * 100]):
            raw.send_multipart(parts)
        until(lambda: receiver.counters.bad == 3)
        assert receiver.receive(0) is None
        raw.close()


def test_lossless_sender_waits_for_the_reader(context: Context, tmp_path: Path) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    count = 40
    pixels = np.zeros((1000, 1000), np.uint8)  # larger than what the kernel buffers for a socket
    header = frame(0).model_copy(update={"height": 1000, "width": 1000})
    with (
        LosslessReceiver(context, endpoint, Fifo(None)) as receiver,
        Publisher(context, endpoint, lossless=True) as publisher,
    ):
        assert publisher.wait_for_readers(1, forever)

        def send_all() -> None:
            for seq in range(count):
                publisher.send(header.model_copy(update={"seq": seq}), pixels, forever)

        sender = threading.Thread(target=send_all)
        sender.start()
        time.sleep(0.3)
        assert publisher.next_seq < QUEUE_LIVE // 2, "the sender ran ahead of a reader that reads nothing"
        seqs = [message.header.seq for message in iter(lambda: receiver.receive(1.0), None) if message]
        sender.join()
        assert seqs == list(range(count))


def test_lossless_sender_gives_up_when_told(context: Context, tmp_path: Path) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with (
        LosslessReceiver(context, endpoint, Fifo(None)),
        Publisher(context, endpoint, lossless=True) as publisher,
    ):
        assert publisher.wait_for_readers(1, forever)
        pixels = np.zeros((1000, 1000), np.uint8)
        header = frame(0).model_copy(update={"height": 1000, "width": 1000})
        asked = 0

        def for_a_while() -> bool:
            nonlocal asked
            asked += 1
            return asked % 50 != 0

        accepted = [publisher.send(header, pixels, for_a_while) for _ in range(20)]
        assert not accepted[-1], "a link that nobody reads took everything"


def test_endpoints_are_private_and_go_away() -> None:
    with private_endpoints() as endpoints:
        folder = endpoints.folder
        assert folder.stat().st_mode & 0o077 == 0
        assert len({endpoints.frames, endpoints.windows, endpoints.tracks, endpoints.grades, endpoints.control}) == 5
        (folder / "capture.log").write_text("x")
    assert not folder.exists()


def test_with_a_long_temporary_path_a_short_private_folder_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    for runtime in (None, str(tmp_path / "not there"), str(deep)):
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        if runtime is not None:
            monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        with private_endpoints() as endpoints:
            assert endpoints.frames.address.startswith("ipc:///tmp/rostfine-")
            assert endpoints.folder.stat().st_mode & 0o077 == 0
            assert endpoints.notice == ""
        assert not endpoints.folder.exists()


def test_a_temporary_folder_whose_name_is_no_text_holds_no_sockets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = tmp_path / "\udce4"  # as a name with an umlaut looks in a locale that has none
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with private_endpoints() as endpoints:
        assert endpoints.frames.address.startswith("ipc:///tmp/rostfine-")


def test_where_no_folder_has_room_for_sockets_tcp_is_used_with_keys_and_said(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    monkeypatch.setattr("station.transport.endpoints.MAX_IPC_PATH", 5)
    with private_endpoints() as endpoints:
        assert endpoints.frames.address.startswith("tcp://127.0.0.1:")
        assert "encrypted" in endpoints.notice
        with (
            ThreadedReceiver(context, endpoints.frames, Fifo(4)) as receiver,
            Publisher(context, endpoints.frames) as publisher,
        ):
            assert publisher.wait_for_readers(1, forever)
            publisher.send(frame(0), np.zeros((2, 3), np.uint8))
            assert receiver.receive(2.0) is not None


def test_tcp_without_keys_is_refused(context: Context) -> None:
    with pytest.raises(StationError, match="with keys only"):
        Publisher(context, Endpoint("frames", "tcp://127.0.0.1:45123"))
    with pytest.raises(StationError, match="with keys only"):
        ThreadedReceiver(context, Endpoint("frames", "tcp://127.0.0.1:45123"), Fifo(4))


def test_a_link_has_ended_only_once_everything_on_it_was_handed_out(context: Context, tmp_path: Path) -> None:
    """A reader finds nothing, and then the last message and the end arrive together."""
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with Publisher(context, endpoint) as publisher, ThreadedReceiver(context, endpoint, Fifo(None)) as receiver:
        assert publisher.wait_for_readers(1, forever)
        assert receiver.receive(0) is None
        publisher.send(frame(0), np.zeros((2, 3), np.uint8))
        publisher.send(EndHeader(seq=publisher.next_seq))
        until(lambda: receiver._link.end_seen)
        assert not receiver.ended
        assert receiver.receive(0) is not None
        assert receiver.receive(0) is None
        assert receiver.ended


def test_numbers_that_were_left_out_count_as_lost(context: Context, tmp_path: Path) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with Publisher(context, endpoint) as publisher, ThreadedReceiver(context, endpoint, Fifo(None)) as receiver:
        assert publisher.wait_for_readers(1, forever)
        for seq in (0, 3, 2, 4):
            publisher.skip_to(seq)
            publisher.send(frame(publisher.next_seq), np.zeros((2, 3), np.uint8))
        until(lambda: receiver.counters.received == 4)
        got = [receiver.receive(0) for _ in range(4)]
        assert [message.header.seq for message in got if message] == [0, 3, 4, 5]
        assert receiver.counters.lost == 2


def test_without_a_thread_messages_wait_in_the_socket_until_somebody_looks(context: Context, tmp_path: Path) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/link")
    with PolledReceiver(context, endpoint, Fifo(3), queue=100) as receiver, Publisher(context, endpoint) as publisher:
        assert publisher.wait_for_readers(1, forever)
        threads = threading.active_count()
        for _ in range(5):
            publisher.send(frame(publisher.next_seq), np.zeros((2, 3), np.uint8))
        publisher.send(EndHeader(seq=publisher.next_seq))
        time.sleep(0.05)
        assert receiver.counters.received == 0
        until(lambda: receiver.drain() is None and receiver.counters.received == 5)
        assert receiver.counters.replaced == 2, "the buffer's policy holds"
        got = [receiver.receive(1.0) for _ in range(3)]
        assert [message.header.seq for message in got if message] == [2, 3, 4]
        assert not receiver.ended
        assert receiver.receive(1.0) is None
        assert receiver.ended
        assert threading.active_count() == threads
