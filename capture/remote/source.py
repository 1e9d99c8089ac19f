"""A microscope at another machine as a source: its frames, with times on this machine's clock.

The exposure of a frame is stamped as early as it can have been, the clock's error included: the age that is shown is
never less than the true one. A frame that was too long on its way is not handed on but counted as lost: nothing old is
shown as live. A link that is cut is made anew by itself; what was sent meanwhile is counted as lost.
"""

import re
import threading
from dataclasses import replace
from typing import Final, Literal, Self

import zmq

from capture.remote.clock_offset import ClockOffset, Exchange
from capture.remote.losses import RecentLosses
from capture.remote.messages import MAX_BYTES, Answer, Question, pack, unpack_answer
from capture.source import LONGEST_READ_S, Condition, Frame, Pending
from station.clock import NS_PER_MS, NS_PER_S, now_ns
from station.errors import InputError, MessageError
from station.same_source import require_same
from station.transport import machine_keys
from station.transport.buffers import Fifo, Received
from station.transport.control_messages import SourceInfo
from station.transport.endpoints import Endpoint
from station.transport.messages import STALE_S, FrameHeader
from station.transport.receivers import ThreadedReceiver

ADDRESS: Final = r"tcp://(?:([a-z0-9-]+)@)?(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})"
ANSWER_S: Final = 10.0
"""For the first answer."""
ASK_S: Final = 0.25
SILENT_NS: Final = NS_PER_S
"""After so long without a frame people are told."""
CUT_NS: Final = 2 * NS_PER_S
"""After so long without an answer the link counts as interrupted, and what is missing as lost by that."""
TOO_OLD_NS: Final = round(STALE_S * NS_PER_S)
"""A grade of a frame that comes later than that would be stale at once."""
WAITING_FRAMES: Final = 32
"""Frames that a packet held up come all at once."""
Context = zmq.Context[zmq.Socket[bytes]]


def endpoints(kind: str) -> tuple[Endpoint, Endpoint]:
    """Return where the frames of ``tcp://[NAME@]HOST:PORT`` come from and where questions go. Raises InputError."""
    found = re.fullmatch(ADDRESS, kind)
    if found is None or not 1 <= int(found[3]) < 65535:
        raise InputError(f"source {kind}: expected tcp://HOST:PORT, or tcp://NAME@HOST:PORT with an authorised name")
    server, address = machine_keys.public_key_of(found[1]), f"tcp://{found[2]}:{found[3]}"
    frames = Endpoint("frames", address, (machine_keys.own(),), server, far=True)
    return frames, replace(frames, link="control", address=f"tcp://{found[2]}:{int(found[3]) + 1}")


class RemoteMicroscope:
    """Open once the other machine has answered."""

    def __init__(self, kind: str) -> None:
        """``kind``: tcp://[NAME@]HOST:PORT. Raises InputError where nobody answers who has the key."""
        self._frames_at, questions_at = endpoints(kind)
        self._next_seq: int | None = None
        """After the last frame that was handed on."""
        self._heard_seq: int | None = None
        """Of the last one that came, too old or not."""
        self._context: Context = zmq.Context()
        self._link: ThreadedReceiver[Received] | None = None
        self._clocks = Clocks(self._context, questions_at)
        try:
            answer = self._clocks.wait(ANSWER_S)
            if answer is None:
                raise InputError(
                    f"source {kind}: no answer within {ANSWER_S:g} s; is `capture` running there, and is each "
                    "machine's key authorised on the other (`keys list` on both)?"
                )
            self._info = answer.source.model_copy(update={"name": f"{answer.source.name}, at another machine"})
            self._connect(answer.run)
        except BaseException:
            self.close()
            raise
        self._replaced = 0
        """Messages of this link that nobody fetched in time."""
        self._missed = 0
        """Frames that the other machine had lost itself, before those that came too old."""
        self._lost = 0
        """Frames lost since the last one that was handed on."""
        self._generation = 0
        self._base_ns = 0
        """What to add to the other machine's source time."""
        self._last: Frame | None = None
        self._received_ns = now_ns()
        self._breaks = 0
        self._losses = RecentLosses()

    @property
    def info(self) -> SourceInfo:
        """What the other machine says of its source."""
        return self._info

    @property
    def condition(self) -> Condition:
        """Whether frames come, how well its clock is known, and what that machine says of its source."""
        answer, error_ns = self._clocks.answer, self._clocks.error_ns
        silent_ns = now_ns() - self._received_ns
        lines = [*answer.notices] if answer is not None else []
        if silent_ns > SILENT_NS:
            why = (
                "though it answers: its camera stands still, or the network is too slow for its pictures"
                if self._clocks.silent_ns < SILENT_NS
                else "it goes on by itself"
            )
            lines.append(f"no frame from the other machine for {silent_ns // NS_PER_S} s: {why}")
        if slow := self._losses.notice(now_ns()):
            lines.append(slow)
        if self._breaks:
            lines.append(f"the link to the other machine was interrupted {self._breaks} times")
        return Condition(
            notices=tuple(lines),
            clock_error_ms=error_ns / NS_PER_MS if error_ns is not None else None,
            lost=self._lost,
        )

    def read(self) -> Frame | Literal[Pending.NOTHING_YET] | None:
        """Return the next frame; NOTHING_YET while none comes. It never ends by itself.

        Raises InputError once the other machine's source has another size, scale or rate than when this began.
        """
        answer = self._clocks.answer
        if answer is not None:
            require_same(self._info, answer.source, f"the microscope at {self._frames_at.address[6:]}")
            if answer.run != self._run:
                self._connect(answer.run)
        assert self._link is not None
        message = self._link.receive(LONGEST_READ_S)
        offset = self._clocks.offset
        if message is None or offset is None:
            return Pending.NOTHING_YET
        header, pixels = message.header, message.pixels
        if not isinstance(header, FrameHeader) or pixels is None:
            return Pending.NOTHING_YET
        if header.seq < (self._next_seq or 0):  # of a program that was started again and has not yet said what it sends
            return Pending.NOTHING_YET
        offset_ns, error_ns = offset
        t_exposure_ns = max(0, min(header.t_exposure_ns - offset_ns, message.t_received_ns) - error_ns)
        last = self._last
        if last is None and self._next_seq is None:
            self._next_seq = header.seq  # from here on what is missing has been lost
        lost = (header.seq - self._next_seq) * header.every if self._next_seq is not None else 0
        self._note_passage(message, header, offset_ns, error_ns)
        # Whatever the clock's error is, and wherever it has waited: here as well, while somebody was suspended.
        if now_ns() - t_exposure_ns - 2 * error_ns > TOO_OLD_NS:
            self._missed += header.lost_before
            self._lost = lost + header.every + self._missed
            return Pending.NOTHING_YET
        lost, self._missed, self._lost = lost + self._missed, 0, 0
        if last is None:
            self._base_ns = -header.t_source_ns
        elif self._next_seq is None:  # the program there was started again: its own time began anew
            passed_ns = max(1, t_exposure_ns - (last.t_exposure_ns or 0))
            self._base_ns = last.t_source_ns + passed_ns - header.t_source_ns
            lost = max(1, round(passed_ns * self._info.fps / NS_PER_S) - 1)
        self._next_seq = header.seq + 1
        self._last = Frame(
            pixels=pixels,
            t_source_ns=max(header.t_source_ns + self._base_ns, last.t_source_ns + 1 if last is not None else 0),
            t_exposure_ns=t_exposure_ns,
            lost_before=lost + header.lost_before,
            exposure_id=header.exposure_id + (self._generation << 32),
            exposure_us=header.exposure_us,
            gain=header.gain,
            every=header.every,
            arrived_ns=message.t_received_ns,
        )
        return replace(self._last)

    def close(self) -> None:
        """Cut the link; may be called more than once."""
        if self._link is not None:
            self._link.close()
        self._clocks.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _note_passage(self, message: Received, header: FrameHeader, offset_ns: int, error_ns: int) -> None:
        """Take note of what the network did to a frame, and to those between it and the one that came before it."""
        assert self._link is not None
        missing = (header.seq - self._heard_seq - 1) * header.every if self._heard_seq is not None else 0
        replaced = self._link.counters.replaced  # here, where nobody fetched them in time
        was_cut = self._clocks.cut_since(self._received_ns) and message.t_received_ns - self._received_ns > CUT_NS
        self._breaks += was_cut and self._last is not None
        on_its_way_ns = message.t_received_ns - (header.t_sent_ns - offset_ns) - error_ns
        self._losses.note(
            message.t_received_ns,
            0 if was_cut else max(0, missing - (replaced - self._replaced) * header.every),
            too_old=on_its_way_ns > TOO_OLD_NS,
        )
        self._heard_seq, self._replaced, self._received_ns = header.seq, replaced, message.t_received_ns

    def _connect(self, run: str) -> None:
        """Read the frames of the program that runs there now."""
        if self._link is not None:
            self._link.close()
            self._generation += 1
        self._run, self._next_seq, self._heard_seq = run, None, None
        self._replaced = self._missed = self._lost = 0
        self._link = ThreadedReceiver(self._context, self._frames_at, Fifo(WAITING_FRAMES))


class Clocks:
    """Asks the other machine for the time, four times a second, in a thread of its own."""

    def __init__(self, context: Context, endpoint: Endpoint) -> None:
        self.answer: Answer | None = None
        """The newest."""
        self._answered_ns = now_ns()
        self._cut_ns = 0
        """When an answer came after a long silence."""
        self._offset = ClockOffset()
        self._lock = threading.Lock()
        """Guards the offset."""
        self._first = threading.Event()
        self._closing = threading.Event()
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.maxmsgsize = MAX_BYTES
        self._socket.sndhwm = 4
        endpoint.connect(self._socket)
        self._thread = threading.Thread(target=self._ask_on, name="clocks")
        self._thread.start()

    @property
    def offset(self) -> tuple[int, int] | None:
        """The other clock less this one, and its largest error, ns; None before the first answer."""
        with self._lock:
            return self._offset.at(now_ns())

    @property
    def error_ns(self) -> int | None:
        """The largest error of the offset; None before the first answer."""
        offset = self.offset
        return offset[1] if offset is not None else None

    @property
    def silent_ns(self) -> int:
        """How long ago the last answer came."""
        return now_ns() - self._answered_ns

    def cut_since(self, t_ns: int) -> bool:
        """Return whether answers have stayed away for long since then, or do now."""
        return self._cut_ns > t_ns or self.silent_ns > CUT_NS

    def wait(self, seconds: float) -> Answer | None:
        """Wait for the first answer; None where none comes."""
        self._first.wait(seconds)
        return self.answer

    def close(self) -> None:
        """Ask no more; may be called more than once."""
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def _ask_on(self) -> None:
        while not self._closing.is_set():
            try:
                self._socket.send(pack(Question(asked_ns=now_ns())), zmq.DONTWAIT)
            except zmq.Again:
                self._closing.wait(ASK_S)
                continue
            end_ns = now_ns() + round(ASK_S * NS_PER_S)
            while (left_ms := (end_ns - now_ns()) // NS_PER_MS) > 0 and not self._closing.is_set():
                if self._socket.poll(min(50, left_ms), zmq.POLLIN):
                    self._take_in(self._socket.recv(), now_ns())

    def _take_in(self, raw: bytes, received_ns: int) -> None:
        try:
            answer = unpack_answer(raw)
        except MessageError:
            return
        with self._lock:
            if self.answer is not None and answer.run != self.answer.run:
                self._offset.forget()
            self._offset.add(Exchange(answer.asked_ns, answer.heard_ns, answer.answered_ns, received_ns))
        if received_ns - self._answered_ns > CUT_NS:
            self._cut_ns = received_ns
        self.answer, self._answered_ns = answer, received_ns
        self._first.set()
