"""Messages that nobody of ours has sent: damaged, out of place, replayed, far too large, far too many.

First every kind of socket by itself, over real sockets and with the right pass, so that each message is read: none may
be taken for what it is not, and all are counted. Then a whole run that graded, beside one that was left in peace: other
programs send what they like to every link, with the run's pass and without.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
import numpy as np
import psutil
import zmq

from bench.support.chaos.scenarios import Outcome, Setting
from bench.support.chaos.station import FOUR, ChaosStation
from station.commands.registry import RunningStation
from station.processes.control import ControlCentre, ProcessControl
from station.transport.buffers import Fifo
from station.transport.control_messages import Command, ProcessName, ProcessState, ProcessStatus
from station.transport.endpoints import Endpoint, Endpoints, private_endpoints
from station.transport.messages import (
    CommandName,
    EndHeader,
    FrameHeader,
    GradesHeader,
    Header,
    Trace,
    TracksHeader,
    WindowInfo,
    WindowsHeader,
)
from station.transport.receivers import ThreadedReceiver
from station.transport.seal import Seal
from station.transport.wire import encode

SUMMARY = "mutated, replayed and huge messages on every socket; floods from other programs"
PER_SOCKET: Final = 100_000
PER_SOCKET_QUICK: Final = 3_000
BURST: Final = 64
WAIT_S: Final = 60.0
HUGE_BYTES: Final = 400_000_000
RUN_S, RUN_QUICK_S = 60.0, 15.0
MORE_MEMORY, LATER = 1.10, 1.20
CONFIG: Final = "[simulated]\nwidth = 640\nheight = 480\nsperm = 12\ndebris = 20\n"
TRACE: Final = Trace(t_exposure_ns=1, t_sent_ns=2)
WINDOW: Final = WindowInfo(sperm_id=1, x=0.0, y=0.0, frame_seqs=[0], t_source_ns=[0], padded=False)
Context = zmq.Context[zmq.Socket[bytes]]
Parts = list[bytes]


def run(setting: Setting) -> Iterator[Outcome]:
    """Do it, and yield what came of it."""
    count = setting.repeats(full=PER_SOCKET, quick=PER_SOCKET_QUICK)
    for name, shoot in SOCKETS.items():
        with private_endpoints() as endpoints, zmq.Context() as context:
            start = time.monotonic()
            before = _memory_bytes([psutil.Process()])
            counted, taken = shoot(context, endpoints, Mutations(setting.seed), count)
            grown = _memory_bytes([psutil.Process()]) / before
        wrong = (f"{taken} were taken for messages of the run",) if taken else ()
        yield Outcome(
            f"{name}: mutated messages", count, counted, "counted, and none believed",
            f"{count / (time.monotonic() - start):.0f} a second, memory x {grown:.2f}", wrong,
        )  # fmt: skip
    yield _floods(setting)


class Mutations:
    """Messages that are not right, by seed: damaged, of another kind, with impossible numbers, or with no seal."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def of(self, parts: Sequence[Any], seal: Seal) -> Parts:
        """Return one wrong version of a message."""
        draw, topic, header, *pixels = self._random, *map(bytes, parts)
        way = draw.randrange(8)
        if way == 0:  # one bit somewhere
            raw = bytearray(header)
            raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
            return [topic, bytes(raw), *pixels]
        if way == 1:  # cut short, or with more behind
            at = draw.randrange(len(header))
            return [topic, header[:at] if draw.random() < 0.5 else header + draw.randbytes(at + 1), *pixels]
        if way == 2:  # noise
            return [draw.randbytes(draw.randrange(40)) for _ in range(draw.randrange(1, 20))]
        if way == 3:  # parts exchanged
            return [header, topic, *pixels]
        if way == 4:  # without the seal
            return [*encode(EndHeader(seq=draw.randrange(1 << 40)))]
        fields = msgpack.unpackb(header)
        fields.pop("seal", None)
        if way == 5:  # sealed as ours, a number that cannot be
            fields["seq"] = draw.choice([-1, 1 << 63, (1 << 64) - 1, 0.5, None, "1", [], True])
        elif way == 6:  # sealed as ours, a field too many, or of the wrong type
            fields[draw.choice([name for name in (*fields, "x") if name != "counters"])] = {
                "deep": [draw.randbytes(8)] * 3
            }
        else:  # sealed as ours, another topic
            topic = b"hullo"
        return [topic, seal.pack(topic, fields), *pixels]


def _status(seq: int) -> ProcessStatus:
    return ProcessStatus(seq=seq, process=ProcessName.ENGINE, state=ProcessState.RUNNING, pid=1, t_ns=1, progress=1)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.0005)


def _at_reader(link: str, header: Header, pixels: Any) -> Callable[..., tuple[int, int]]:
    def shoot(context: Context, endpoints: Endpoints, mutations: Mutations, count: int) -> tuple[int, int]:
        endpoint: Endpoint = getattr(endpoints, link)
        seal = Seal(endpoint.seal)
        right = encode(header, pixels, seal)
        with ThreadedReceiver(context, endpoint, Fifo(4)) as reader, context.socket(zmq.XPUB) as raw:
            raw.linger = 0
            door = endpoint.bind(context, raw)
            raw.recv()

            def arrived(number: int) -> bool:
                return reader.bad_messages + reader.counters.received >= number

            for number in range(1, count + 1):
                raw.send_multipart(mutations.of(right, seal))
                if number % BURST == 0 or number == count:
                    _until(partial(arrived, number))
            counted = reader.bad_messages, reader.counters.received
            if door is not None:
                door.close()
            return counted

    return shoot


def _at_centre(context: Context, endpoints: Endpoints, mutations: Mutations, count: int) -> tuple[int, int]:
    seal = Seal(endpoints.control.seal)
    right = encode(_status(0), None, seal)
    taken = 0
    with ControlCentre(context, endpoints.control) as centre, context.socket(zmq.DEALER) as raw:
        raw.identity, raw.linger = b"engine", 0
        endpoints.control.connect(raw, "engine")

        def heard(number: int) -> bool:
            nonlocal taken
            taken += len(centre.poll(0.01))
            return centre.bad_messages + taken >= number

        for number in range(1, count + 1):
            raw.send_multipart(mutations.of(right, seal))
            if number % BURST == 0 or number == count:
                _until(partial(heard, number))
        return centre.bad_messages, taken


def _at_process(context: Context, endpoints: Endpoints, mutations: Mutations, count: int) -> tuple[int, int]:
    seal = Seal(endpoints.control.seal)
    right = encode(Command(seq=0, name=CommandName.RELEASE, sperm_id=1), None, seal)
    with context.socket(zmq.ROUTER) as raw, ProcessControl(context, endpoints.control, ProcessName.ENGINE) as process:
        raw.linger = 0
        door = endpoints.control.bind(context, raw)
        process.report(ProcessState.RUNNING)
        raw.recv_multipart()

        def heard(number: int) -> bool:
            process.beat()
            while raw.poll(0):
                raw.recv_multipart()
            return process.bad_messages + len(process.commands) >= number

        for number in range(1, count + 1):
            raw.send_multipart([b"engine", *mutations.of(right, seal)])
            if number % BURST == 0 or number == count:
                _until(partial(heard, number))
        if door is not None:
            door.close()
        return process.bad_messages, len(process.commands)


SOCKETS: Final[dict[str, Callable[..., tuple[int, int]]]] = {
    "frames": _at_reader(
        "frames",
        FrameHeader(seq=0, t_exposure_ns=1, t_source_ns=1, t_sent_ns=1, height=2, width=3),
        np.zeros((2, 3), np.uint8),
    ),
    "windows": _at_reader(
        "windows",
        WindowsHeader(seq=0, frame_seq=0, trace=TRACE, shape=[1, 1, 2, 3], windows=[WINDOW]),
        np.zeros((1, 1, 2, 3), np.uint8),
    ),
    "tracks": _at_reader("tracks", TracksHeader(seq=0, frame_seq=0, trace=TRACE, window_frames=16, tracks=[]), None),
    "grades": _at_reader("grades", GradesHeader(seq=0, grades=[]), None),
    "control, at the supervisor": _at_centre,
    "control, at a process": _at_process,
}


def _floods(setting: Setting) -> Outcome:
    """A run in peace, then one under floods; the second may need little more memory and grade little later."""
    seconds = setting.seconds(full=RUN_S, quick=RUN_QUICK_S)
    peace = _graded(setting.folder / "peace", seconds, lambda _: contextlib.nullcontext(Attack(None)))
    war = _graded(setting.folder / "war", seconds, lambda entry: Attack(entry))
    memory, latency = war[0] / peace[0], war[1] / peace[1]
    wrong = []
    if memory > MORE_MEMORY:
        wrong.append(f"memory x {memory:.2f}")
    if latency > LATER:
        wrong.append(f"exposure to grade p95 x {latency:.2f}")
    return Outcome(
        "a run under floods, junk and 400 MB messages on every link", 1, int(not wrong),
        f"memory at most x {MORE_MEMORY:.2f}, p95 at most x {LATER:.2f} of a run in peace",
        f"memory x {memory:.2f}, exposure to grade p95 {peace[1]:.0f} and {war[1]:.0f} ms, {war[2]} things sent",
        tuple(wrong),
    )  # fmt: skip


def _graded(
    folder: Path, seconds: float, attack: Callable[[RunningStation], contextlib.AbstractContextManager["Attack"]]
) -> tuple[int, float, int]:
    """Run the station; return its memory in bytes, exposure to grade p95 in ms, and how much was sent to it."""
    folder.mkdir()
    with ChaosStation(folder, *FOUR, "--no-record", config=CONFIG) as station:
        listener = station.listener
        assert listener is not None
        station.wait_for(lambda: len(listener.grades(0)) > 0, 60.0, "the first grade")
        with attack(station.entry) as attacker:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.2)
            processes = [psutil.Process(pid) for pid in (station.pid, *station.pids().values())]
            memory = _memory_bytes(processes)
        summary = station.end()
    return memory, float(summary["latency_ms"]["exposure_to_grade"]["p95"]), attacker.sent


def _memory_bytes(processes: Sequence[psutil.Process]) -> int:
    return sum(process.memory_info().rss for process in processes)


class Attack:
    """Sends what a bad program would, from a thread, at about the pace of a script that never rests."""

    def __init__(self, entry: RunningStation | None) -> None:
        self.sent = 0
        self._entry = entry
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._send, name="attack")

    def __enter__(self) -> "Attack":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        self._thread.join()

    def _send(self) -> None:
        if self._entry is None:
            return
        entry = self._entry
        links = [entry.endpoint(link) for link in ("frames", "windows", "tracks", "grades")]
        commands = entry.endpoint("commands")
        nobody = [replace(endpoint, passes=()) for endpoint in (*links, commands)]
        nobody.append(replace(nobody[0], address=entry.frames.replace("/frames", "/control")))
        # No subscription: this end's own libzmq would keep it, at tens of bytes for each of its bytes.
        huge = b"x" + bytes(HUGE_BYTES)
        with zmq.Context() as context, contextlib.ExitStack() as stack:

            def open_socket(kind: int, endpoint: Endpoint) -> zmq.Socket[bytes]:
                socket = stack.enter_context(context.socket(kind))
                socket.linger, socket.sndhwm = 0, 100
                endpoint.connect(socket)
                return socket

            readers = [open_socket(zmq.XSUB, endpoint) for endpoint in links]
            askers = [open_socket(zmq.DEALER, endpoint) for endpoint in (commands, *nobody)]
            next_huge_s = 0.0
            while not self._closing.is_set():
                for socket in readers:
                    self._try(socket, [b"\x01" + os.urandom(200)])
                    self._try(socket, [b"x" * 500])
                for socket in askers:
                    self._try(socket, [b"request", os.urandom(300)])
                    self._try(socket, [b""] * 50)
                if time.monotonic() >= next_huge_s:
                    next_huge_s = time.monotonic() + 5.0
                    for socket in (*readers, *askers):
                        self._try(socket, [huge])
                time.sleep(0.001)

    def _try(self, socket: "zmq.Socket[bytes]", parts: list[bytes]) -> None:
        with contextlib.suppress(zmq.ZMQError):
            socket.send_multipart(parts, zmq.DONTWAIT, copy=False)  # the large one is in memory once
            self.sent += 1
