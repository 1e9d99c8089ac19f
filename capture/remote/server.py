"""The command ``capture``: frames of this machine's microscope for a station on another machine, and for nobody else.

Frames go out as they come, over TCP with CURVE, to the machines that are authorised here; the next port answers
questions about the clock. It never waits for the other side, and needs nobody there. It keeps no frame and grades none.
"""

import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final, Self

import cv2
import zmq

from capture.factory import open_source
from capture.remote.messages import MAX_BYTES, Answer, pack, unpack_question
from capture.source import Pending, Source
from station.clock import NS_PER_MS, NS_PER_S, now_ns
from station.command_line import Parser, invocation
from station.config import Config, build_config, load_config
from station.errors import InputError, MessageError
from station.notice import NOTICE
from station.output import say
from station.transport import machine_keys
from station.transport.bus import Publisher
from station.transport.control_messages import SourceInfo
from station.transport.endpoints import Endpoint
from station.transport.inbox import Inbox
from station.transport.messages import FrameHeader

ADDRESS: Final = r"tcp://(\[[0-9a-fA-F:]+\]|[\w.-]+|\*):(\d{1,5})"
FEWEST_WAITING, MOST_WAITING = 4, 8
WAITING_S: Final = 0.25
"""Frames of so long a time may wait, as a packet that TCP sends again holds up all behind it; but few, since on a link
that is too slow each waits for those before it. The newer are lost."""
MOST_QUESTIONS: Final = 64
POLL_MS: Final = 100
SAY_S: Final = 10.0
BEHIND_NS: Final = 400 * NS_PER_MS
"""A film that is later than that goes on from where it is."""
DESCRIPTION: Final = """Sends the frames of this machine's microscope to a station on another machine (there: --source
tcp://HOST:PORT), encrypted, and only to machines that are authorised here with `keys authorise`."""


def serve(argv: Sequence[str]) -> int:
    """Send frames until the source ends or somebody ends the program."""
    parser = Parser(prog=f"{invocation()} capture", description=f"{DESCRIPTION} {NOTICE}")
    parser.add_argument(
        "--bind", metavar="tcp://ADDRESS:PORT", default="tcp://0.0.0.0:5570",
        help="where to listen (default tcp://0.0.0.0:5570, all addresses); the next port is used too",
    )  # fmt: skip
    parser.add_argument("--source", metavar="KIND", help="as of a run: simulated, a file, basler[:SERIAL]")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    given = parser.parse_args(argv)
    config = load_config(given.config) if given.config else Config()
    data = config.model_dump()
    data["source"]["kind"] = given.source or data["source"]["kind"]
    config = build_config(data, "command line")
    if config.speed != "live" or config.replay_of is not None:
        raise InputError("capture sends live frames; a recorded session is replayed on the machine that has it")
    frames_at, questions_at = endpoints(given.bind)
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    cv2.setNumThreads(1)
    with (
        zmq.Context() as context,
        open_source(config) as source,
        Publisher(context, frames_at, queue=frames_waiting(source.info.fps)) as frames,
        Questions(context, questions_at, source) as questions,
    ):
        info = source.info
        say(f"source  {info.name}, {info.width} x {info.height} px, {info.fps:g} frames/s")
        say(f"at      {frames_at.address}, encrypted, for {', '.join(entry.name for entry in frames_at.passes)}")
        say(NOTICE, flush=True)
        send(source, frames, questions, ended.is_set)
    return 0


def endpoints(address: str) -> tuple[Endpoint, Endpoint]:
    """Return where frames go out and where questions are answered. Raises InputError for an address or keys."""
    found = re.fullmatch(ADDRESS, address)
    if found is None or not 1 <= int(found[2]) < 65535:
        raise InputError(f"--bind {address}: expected tcp://ADDRESS:PORT, such as tcp://0.0.0.0:5570")
    first = Endpoint(
        "frames", address, machine_keys.passes(), machine_keys.own().pair, far=True
    )  # nothing here is under a seal: both ends have proved who they are
    return first, replace(first, link="control", address=f"tcp://{found[1]}:{int(found[2]) + 1}")


def frames_waiting(fps: float) -> int:
    """Return how many frames may wait for the network."""
    return max(FEWEST_WAITING, min(MOST_WAITING, round(WAITING_S * fps)))


def send(source: Source, frames: Publisher, questions: "Questions", ended: Callable[[], bool]) -> None:
    """Send every frame of a source, those of a film or a simulation when they are due."""
    zero_ns: int | None = None
    say_s = time.monotonic() + SAY_S
    while not ended():
        frame = source.read()
        questions.note(source)
        if frame is None:
            return
        if time.monotonic() >= say_s:
            say_s = time.monotonic() + SAY_S
            refused = frames.turned_away + questions.turned_away
            say(f"{frames.next_seq} frames" + (f", {refused} connections refused" if refused else ""), flush=True)
        if frame is Pending.NOTHING_YET:
            continue
        t_exposure_ns = frame.t_exposure_ns
        if t_exposure_ns is None:
            if zero_ns is None or now_ns() - zero_ns - frame.t_source_ns > BEHIND_NS:
                zero_ns = now_ns() - frame.t_source_ns
            t_exposure_ns = zero_ns + frame.t_source_ns
            while (left_s := (t_exposure_ns - now_ns()) / NS_PER_S) > 0 and not ended():
                time.sleep(min(left_s, 0.05))
        height, width = frame.pixels.shape
        header = FrameHeader(
            seq=frames.next_seq, t_exposure_ns=t_exposure_ns, t_source_ns=frame.t_source_ns, t_sent_ns=now_ns(),
            height=height, width=width, lost_before=frame.lost_before, exposure_id=frame.exposure_id,
            exposure_us=frame.exposure_us, gain=frame.gain, every=frame.every,
        )  # fmt: skip
        frames.send(header, frame.pixels)


class Questions:
    """Answers questions in a thread of its own, as soon as they come: what they wait is error of the clock."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: Endpoint, source: Source) -> None:
        self._run = secrets.token_hex(8)
        self._about: tuple[SourceInfo, list[str]] = (source.info, [])
        self._closing = False
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.maxmsgsize = MAX_BYTES
        self._socket.rcvhwm = self._socket.sndhwm = MOST_QUESTIONS
        self._door = endpoint.bind(context, self._socket)
        self._thread = threading.Thread(target=self._answer_all, name="questions")
        self._thread.start()

    @property
    def turned_away(self) -> int:
        """Connections that were refused."""
        return self._door.turned_away if self._door is not None else 0

    def note(self, source: Source) -> None:
        """Know how the source is."""
        self._about = (source.info, [notice[:500] for notice in source.condition.notices[:32]])

    def close(self) -> None:
        """Answer no more; may be called more than once."""
        self._closing = True
        self._thread.join()
        if self._door is not None:
            self._door.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _answer_all(self) -> None:
        inbox = Inbox(self._socket)
        while not self._closing:
            if not self._socket.poll(POLL_MS, zmq.POLLIN):
                continue
            for parts in inbox.round(MOST_QUESTIONS):
                heard_ns = now_ns()
                try:
                    question = unpack_question(parts[-1].bytes)
                except MessageError:
                    continue
                info, notices = self._about
                answer = Answer(
                    asked_ns=question.asked_ns, heard_ns=heard_ns, answered_ns=now_ns(), run=self._run,
                    source=info, notices=notices,
                )  # fmt: skip
                self._socket.send_multipart([parts[0].bytes, pack(answer)], zmq.DONTWAIT)
