"""The tracker process: frames in; tracks of every frame and complete windows out.

It knows links, times and commands; where each sperm is, the Tracker says.
"""

import math
from collections import deque
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_MS, NS_PER_S, ms_between, now_ns
from station.config import TrackerSettings
from station.errors import InputError
from station.processes.herald import Herald
from station.processes.latency import LatencyRecorder
from station.processes.ledger import Ledger, Place
from station.processes.memory import Tidying
from station.processes.process import ProcessContext
from station.thinning import thinned_notice
from station.transport.buffers import BriefFifo, Fifo, Received
from station.transport.bus import Publisher
from station.transport.control_messages import Command, ProcessState
from station.transport.counters import TrackerCounters
from station.transport.messages import (
    AppliedCommand,
    CommandName,
    FrameHeader,
    KinematicsInfo,
    Trace,
    TrackInfo,
    TracksHeader,
    WindowInfo,
    WindowsHeader,
)
from station.transport.receivers import open_receiver
from tracker.handover import Handover, HandoverWriter
from tracker.kinematics import Kinematics, Refusal
from tracker.params import DEFAULT_PARAMS
from tracker.patience import measured_patience_s
from tracker.replacement import Replacement
from tracker.replay import TracksComparison, recorded_tracks
from tracker.results import FrameResult
from tracker.spacing import Spacing, Step
from tracker.tracker import RESTARTED, Tracker
from tracker.window import WindowShape

if TYPE_CHECKING:
    from station.session.playback import RecordedTracks

FIFO_FRAMES, FIFO_NS, MOST_FIFO_FRAMES = 8, 130 * NS_PER_MS, 32
"""Matching wants neighbouring frames, and a missing one empties every window, so a few may queue: so many, or what
comes in so long (as eight do at 60 frames/s), but never more than the last. More would only age."""
WAIT_S = 0.02
CALM_MS = 3.0
"""A frame that was taken up so soon found the tracker idle."""
GAP = "gap"
"""What broke a window where neither field nor track says so."""
KINEMATICS_NS = NS_PER_S // 2


def run(context: ProcessContext) -> None:
    """Track from the first frame to the end of the link."""
    control, endpoints = context.control, context.endpoints
    buffer = Fifo(None) if context.lossless else BriefFifo(FIFO_FRAMES, FIFO_NS, MOST_FIFO_FRAMES)
    number = control.ledger.number
    left = left_behind(control.ledger, context.config.select_auto)
    if left is not None:
        number(Place.READ).value = left.frame_seq + 1  # what had only arrived was not tracked
    with (
        open_receiver(
            context.zmq, endpoints.frames, buffer, lossless=context.lossless, expected=number(Place.READ)
        ) as frames,
        Publisher(context.zmq, endpoints.windows, lossless=context.lossless, number=number(Place.WINDOWS)) as windows,
        Publisher(context.zmq, endpoints.tracks, number=number(Place.TRACKS)) as tracks,
    ):
        counters = TrackerCounters(tracked=0, dropped=0)
        control.account.counters = counters
        control.account.sockets = (frames, windows, tracks)
        latency = control.account.latency["tracker"] = LatencyRecorder()
        waiting = control.account.latency["tracker_waiting"] = LatencyRecorder()
        control.account.parameters = DEFAULT_PARAMS.flat()
        control.report(ProcessState.READY)
        start = context.wait_for(CommandName.START)
        control.account.parameters = {}
        if start is None:
            return
        if start.source is not None:
            control.report(ProcessState.STARTING)  # which may take long
            shape = _window_shape(context, start.stride or 1)
            size = start.source.height, start.source.width
            control.patience_s = measured_patience_s(context.config.tracker, shape, *size, context.carry_on)
        if not context.await_readers(windows, start):
            return
        control.report(ProcessState.RUNNING)
        herald = Herald(tracks, context.config, start)
        record = recorded_tracks(context)
        um_per_px = start.source.um_per_px if start.source else None
        feeder = FrameFeeder(context, start.stride or 1, record, um_per_px, left, start.marked)
        comparison = TracksComparison(control.account, counters, record)
        cautions: tuple[str, ...] = ()
        source_fps = start.source.fps if start.source else 0.0
        tidying = Tidying()
        while context.carry_on():
            herald.speak()
            message = frames.receive(WAIT_S)
            missed = frames.counters.replaced + frames.counters.lost
            left_out = message is not None and feeder.leaves_out(message, missed)
            counters.thinned = feeder.spacing.left_out
            counters.dropped = missed + counters.thinned
            if message is None:
                if frames.ended:
                    break
                continue
            if left_out:
                continue
            t_work_ns = now_ns()
            waited_ms = ms_between(message.t_received_ns, t_work_ns)
            waiting.add(waited_ms)
            result = feeder.feed(message)
            for command in feeder.applied_commands:
                if command.um_per_px is not None:
                    herald.rescale(command.objective or "", command.um_per_px)
            counters.tracked += 1
            found = result.cautions
            if feeder.spacing.of_sent > 1:
                found = (*found, thinned_notice(feeder.step.every, source_fps, "tracked"))
            if found != cautions:
                others = [notice for notice in control.account.notices if notice not in cautions]
                control.account.notices = [*found, *others]
                cautions = found
            trace = _trace(message)
            seq = message.header.seq
            feeder.note_breaks(result, seq)
            kinematics = feeder.kinematics(result, message)
            feeder.hand_over(message)
            header = _tracks_header(result, trace, seq, tracks.next_seq, feeder, kinematics)
            tracks.send(header)
            comparison.note(header)
            if result.windows:
                message_header, pixels = _windows_message(result, trace, seq, windows.next_seq)
                if not context.send(windows, "windows", message_header, pixels):
                    break
            latency.add(ms_between(t_work_ns, now_ns()))
            tidying.attend(calm=waited_ms < CALM_MS)
        context.finish(windows, tracks)


def left_behind(ledger: Ledger, wanted: int) -> Handover | None:
    """Return what a tracker of before has left; None where it had tracked nothing.

    Where its note says nothing, the numbers of frames and sperm go on all the same, and ``wanted`` sperm are to be
    selected anew.
    """
    tracked, next_id = ledger.number(Place.TRACKED).value, ledger.number(Place.NEXT_ID).value
    if not ledger.resumed or not tracked:
        return None
    nothing = Handover(frame_seq=0, t_source_ns=0, next_id=1, head_px=None, wanted=wanted, sperm=[])
    left = Handover.read(ledger.note) or nothing
    return left.model_copy(
        update={"frame_seq": max(left.frame_seq, tracked - 1), "next_id": max(left.next_id, next_id)}
    )


@dataclass(frozen=True, slots=True)
class Break:
    """When a window was broken last, and by what."""

    frame_seq: int = 0
    why: str = ""


class FrameFeeder:
    """Feeds frames and commands to a Tracker, which is made when the first frame tells the field's size."""

    def __init__(
        self,
        context: ProcessContext,
        stride: int,
        record: "RecordedTracks | None" = None,
        um_per_px: float | None = None,
        left: Handover | None = None,
        marked: Collection[int] = (),
    ) -> None:
        """``record``: of a replay, what is to be done before each frame. ``um_per_px``: of the source, if known.
        ``left``: by a tracker of before. ``marked``: as chosen, before this one was started.
        """
        self._um_per_px = um_per_px
        self._next_kinematics_ns = 0
        self.shape = _window_shape(context, stride)
        self._context = context
        self._record = record
        self._tracker: Tracker | None = None
        self._frame_shape: tuple[int, ...] = ()
        self.applied_commands: list[AppliedCommand] = []
        """What was done just before the latest frame."""
        self._latest: FrameResult | None = None
        self._latest_ns = 0
        self._replacement = Replacement(context.config.replace_lost_s)
        self._left = left
        self._marked = marked
        self._handover = HandoverWriter()
        self._next_seq = self._left.frame_seq + 1 if self._left is not None else 0
        self.spacing = Spacing(stride, self._next_seq)
        self.step = Step(1, 1, 0)
        """To the latest frame."""
        self._deferred: deque[Command] = deque()
        """Selections by rule that wait for the one before: so it is known whose a new sperm is."""
        self._auto_asked: int | None = None
        self.askers: dict[int, int | None] = {}
        """By sperm, the number of the command that selected it."""
        self._filled: dict[int, int] = {}
        self.breaks: dict[int, Break] = {}
        """By sperm, what last broke its window."""

    def note_breaks(self, result: FrameResult, frame_seq: int) -> None:
        """Take note of windows that this frame broke: they never shrink otherwise."""
        for track in result.tracks:
            if track.filled < self._filled.get(track.sperm_id, 1):
                self.breaks[track.sperm_id] = Break(frame_seq, result.disturbance or track.reason or GAP)
        self._filled = {track.sperm_id: track.filled for track in result.tracks}
        self.breaks = {s: found for s, found in self.breaks.items() if s in self._filled}

    def leaves_out(self, message: Received, missed: int) -> bool:
        """Return whether a frame is not to be tracked, as more come than can be. ``missed``: frames lost by now.

        A replay has the frames that were tracked, offline nothing is missed.
        """
        header = message.header
        if self._record is not None or not isinstance(header, FrameHeader):
            return False
        return not self.spacing.takes(header, missed, now_ns())

    def feed(self, message: Received) -> FrameResult:
        """Take one frame message to the tracker. Raises InputError where the frame size changes in mid-run."""
        header, pixels = message.header, message.pixels
        if not isinstance(header, FrameHeader) or pixels is None:
            raise TypeError(f"the frame link carried a {type(header).__name__}")
        tracker = self._tracker_for(pixels)
        self.applied_commands = []
        for asked in self._commands(tracker, header, pixels):
            if asked.name is CommandName.RESTART:
                tracker = self._begin_again(asked)
            command = self._apply(tracker, asked)
            if command is not None:
                self.applied_commands.append(command)
                self._replacement.note(command)
                if command.name is CommandName.TAKE_UP and command.sperm_id is not None:
                    self.breaks[command.sperm_id] = Break(header.seq, RESTARTED)
        self.step = self.spacing.step_to(header, self._record.of_sent(header.seq) if self._record is not None else None)
        self._next_seq = header.seq + 1
        self._latest = tracker.update(
            pixels,
            frame_seq=header.seq,
            t_source_ns=header.t_source_ns,
            lost_before=self.step.lost,
            exposure_id=header.exposure_id,
            every=self.step.every,
            of_sent=self.step.of_sent,
        )
        self._latest_ns = header.t_source_ns
        self._note_askers(self._latest)
        return self._latest

    def hand_over(self, message: Received) -> None:
        """Leave what a successor would need, should this process be killed after this frame."""
        header, pixels, tracker = message.header, message.pixels, self._tracker
        if tracker is None or self._latest is None or pixels is None or not isinstance(header, FrameHeader):
            return
        ledger = self._context.control.ledger
        ledger.number(Place.NEXT_ID).value = tracker.next_id
        ledger.number(Place.TRACKED).value = header.seq + 1
        note = self._handover.note(
            self._latest,
            pixels,
            frame_seq=header.seq,
            t_source_ns=header.t_source_ns,
            next_id=tracker.next_id,
            head_px=tracker.head_px,
            chosen=self._replacement.chosen,
            wanted=self._replacement.wanted,
        )
        if note is not None:
            ledger.write_note(note)

    def _note_askers(self, result: FrameResult) -> None:
        """Learn by whose command the sperm were selected that are new."""
        here = {track.sperm_id for track in result.tracks}
        self.askers = {number: asked for number, asked in self.askers.items() if number in here}
        for command in self.applied_commands:
            if command.name is CommandName.SELECT and command.sperm_id is not None:
                self.askers[command.sperm_id] = command.asked
            elif command.name is CommandName.SELECT_AUTO:
                self._auto_asked = command.asked
        for number in here - self.askers.keys():
            self.askers[number] = self._auto_asked

    def kinematics(self, result: FrameResult, message: Received) -> dict[int, KinematicsInfo]:
        """Return how each sperm swims, by its number; empty for most frames: twice a second of source time will do."""
        header = message.header
        assert isinstance(header, FrameHeader)
        if self._tracker is None or header.t_source_ns < self._next_kinematics_ns:
            return {}
        self._next_kinematics_ns = header.t_source_ns + KINEMATICS_NS
        tracker, ids = self._tracker, [track.sperm_id for track in result.tracks]
        return {sperm_id: _kinematics_info(tracker.kinematics(sperm_id, self._um_per_px)) for sperm_id in ids}

    def _tracker_for(self, pixels: NDArray[np.uint8]) -> Tracker:
        if self._tracker is not None:
            if pixels.shape != self._frame_shape:
                raise InputError(
                    f"source: frames of {_size(self._frame_shape)} px expected, got one of {_size(pixels.shape)}; "
                    "restart with a source of one frame size"
                )
            return self._tracker
        self._frame_shape = pixels.shape
        self._tracker = self._new_tracker(self._context.config.tracker)
        return self._tracker

    def _new_tracker(self, settings: TrackerSettings) -> Tracker:
        height, width = self._frame_shape
        return Tracker(settings, self.shape, height, width)

    def _begin_again(self, restart: AppliedCommand) -> Tracker:
        """Return the tracker to go on with where one was started again, live or in the recorded run."""
        settings = self._context.config.tracker.model_copy(update={"head_px": restart.head_px})
        self._tracker = self._new_tracker(settings)
        return self._tracker

    def _commands(self, tracker: Tracker, header: FrameHeader, pixels: NDArray[np.uint8]) -> list[AppliedCommand]:
        """Return what is to be done before this frame: with the first, what the configuration selects, or what follows
        from a tracker of before.

        What somebody asks for goes first; where nobody asks, lost sperm are replaced.
        """
        if self._record is not None:
            return self._record.applied_commands(header.seq)
        if self._left is not None:
            left, self._left = self._left, None
            chosen = {one.sperm_id for one in left.sperm if one.chosen}
            automatic = {one.sperm_id for one in left.sperm if not one.chosen}
            self._replacement.resume(chosen, automatic, left.wanted - left.unselected)  # which are asked for anew
            return left.resumption(pixels, header.t_source_ns, replaces=self._replacement.replaces, marked=self._marked)
        config, asked = self._context.config, self._context.control.commands
        commands: list[AppliedCommand] = []
        if self._next_seq == 0 and config.select:
            commands += [AppliedCommand(name=CommandName.SELECT, x=x, y=y) for x, y in config.select]
        elif self._next_seq == 0 and config.select_auto:
            commands.append(AppliedCommand(name=CommandName.SELECT_AUTO, count=config.select_auto))
        selecting = tracker.selecting or bool(commands)
        waiting, self._deferred = [*self._deferred, *asked], deque()
        asked.clear()
        for command in waiting:
            if command.name is CommandName.CANDIDATES:
                tracker.show_candidates()
                continue
            if command.name is CommandName.SELECT_AUTO and selecting:
                self._deferred.append(command)
                continue
            selecting |= command.name is CommandName.SELECT_AUTO
            fields = command.model_dump(include={"name", "x", "y", "sperm_id", "count", "um_per_px", "objective"})
            values = {key: value for key, value in fields.items() if value != ""}
            commands.append(AppliedCommand(**values, asked=command.seq))
        if not commands and self._latest is not None:
            return self._replacement.due(self._latest, self._latest_ns, selecting=tracker.selecting)
        return commands

    def _apply(self, tracker: Tracker, command: AppliedCommand) -> AppliedCommand | None:
        """Carry a command out; return what was done, None where it says nothing that can be. Raises InputError."""
        if command.name is CommandName.SELECT and command.x is not None and command.y is not None:
            return command.model_copy(update={"sperm_id": tracker.select(command.x, command.y)})
        count = command.count
        if command.name is CommandName.SELECT_AUTO and count is not None:
            if self._record is None:  # else as recorded, sessions of before as they were
                command = command.model_copy(update={"prompt": True, "unbroken": True})
            prompt, unbroken = command.prompt is True, command.unbroken is True
            tracker.select_auto(count, prompt=prompt, unbroken=unbroken)
            return command
        if command.name is CommandName.RESTART and command.sperm_id is not None:
            tracker.resume(command.sperm_id)
            return command
        if command.name in (CommandName.TAKE_UP, CommandName.MISS):
            if command.sperm_id is None or command.x is None or command.y is None:
                return None
            (tracker.take_up if command.name is CommandName.TAKE_UP else tracker.miss)(
                command.sperm_id, command.x, command.y
            )
            return command
        if command.name is CommandName.MARK and command.sperm_id is not None:
            return command  # the tracker follows it as before; it is not given up by itself any more
        if command.name is CommandName.SCALE and command.um_per_px is not None:
            self._um_per_px = command.um_per_px
            tracker.forget_motion()
            return command
        if command.name is CommandName.RELEASE and command.sperm_id is not None:
            tracker.release(command.sperm_id)
            return command
        return None


def _window_shape(context: ProcessContext, stride: int) -> WindowShape:
    window = context.config.window
    return WindowShape(frames=window.frames, size=window.size, stride=stride, spread=True)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _trace(message: Received) -> Trace:
    header = message.header
    assert isinstance(header, FrameHeader)
    return Trace(
        t_exposure_ns=header.t_exposure_ns,
        t_sent_ns=header.t_sent_ns,
        t_tracker_in_ns=message.t_received_ns,
        t_tracker_out_ns=now_ns(),
    )


def _tracks_header(
    result: FrameResult,
    trace: Trace,
    frame_seq: int,
    seq: int,
    feeder: FrameFeeder,
    kinematics: dict[int, KinematicsInfo],
) -> TracksHeader:
    tracks = [
        TrackInfo(
            sperm_id=track.sperm_id,
            x=track.x,
            y=track.y,
            state=track.state,
            score=track.score,
            reason=track.reason,
            filled=track.filled,
            unbroken_since=feeder.breaks.get(track.sperm_id, Break()).frame_seq,
            broken_by=feeder.breaks.get(track.sperm_id, Break()).why,
            kinematics=kinematics.get(track.sperm_id),
            asked=feeder.askers.get(track.sperm_id),
        )
        for track in result.tracks
    ]
    return TracksHeader(
        seq=seq,
        frame_seq=frame_seq,
        trace=trace,
        window_frames=feeder.shape.frames,
        tracks=tracks,
        disturbance=result.disturbance,
        applied_commands=feeder.applied_commands,
        of_sent=feeder.step.of_sent,
        candidates=None if result.candidates is None else [list(place) for place in result.candidates],
    )


def _kinematics_info(found: Kinematics | Refusal) -> KinematicsInfo:
    if isinstance(found, Refusal):
        return KinematicsInfo(refused=found.reason)
    values = {name.rstrip("_"): value for name, value in asdict(found).items()}
    numbers = {name: value for name, value in values.items() if isinstance(value, float) and math.isfinite(value)}
    return KinematicsInfo.model_validate(numbers | {"motility": found.motility.value})


def _windows_message(
    result: FrameResult, trace: Trace, frame_seq: int, seq: int
) -> tuple[WindowsHeader, NDArray[np.uint8]]:
    """Return header and pixels (N, T, H, W); the pixels are copied, as the tracker goes on writing to its buffers."""
    pixels = np.stack([window.pixels for window in result.windows])
    windows = [
        WindowInfo(
            sperm_id=window.sperm_id,
            x=window.x,
            y=window.y,
            frame_seqs=list(window.frame_seqs),
            t_source_ns=list(window.t_source_ns),
            padded=window.padded,
            measured=window.measured,
        )
        for window in result.windows
    ]
    header = WindowsHeader(seq=seq, frame_seq=frame_seq, trace=trace, shape=list(pixels.shape), windows=windows)
    return header, pixels
