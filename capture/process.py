"""The capture process: reads the source, paces it, timestamps each frame, and sends it on without waiting for readers.

It knows the clock and the link, not what a frame shows.
"""

import math

import cv2

from capture.factory import open_source
from capture.lens import Lens
from capture.pacing import SLOWER, LateFrames, Pacer
from capture.playhead import Playhead
from capture.resumption import Resumption
from capture.source import Adjustable, ExposureChange, Frame, Pending, Source
from station.clock import NS_PER_S, ms_between, now_ns
from station.processes.control import Account
from station.processes.latency import LatencyRecorder
from station.processes.ledger import Place
from station.processes.memory import Tidying
from station.processes.process import ProcessContext
from station.thinning import thinned_notice
from station.transport.bus import Publisher
from station.transport.control_messages import CameraAdjustment, Command, ProcessState
from station.transport.counters import CaptureCounters
from station.transport.messages import CommandName, FrameHeader


def run(context: ProcessContext) -> None:
    """Send every frame of the configured source, then report its end until the supervisor says stop."""
    control, config = context.control, context.config
    cv2.setNumThreads(1)  # the other cores belong to the tracker and the network
    with (
        open_source(config, control.beat) as source,
        Publisher(
            context.zmq,
            context.endpoints.frames,
            lossless=context.lossless,
            number=control.ledger.number(Place.FRAMES),
        ) as frames,
    ):
        lens = Lens.of_config(config)
        control.account.source = lens.seen_through(source.info)
        counters = CaptureCounters(captured=0, lost_by_source=0, late=0)
        control.account.counters = counters
        control.account.sockets = (frames,)
        timing = FrameTiming(control.account, source.info.fps)
        resumption = Resumption(control.ledger, source.info.fps)
        resumption.prepare(source)
        frames.skip_to(resumption.next_seq)
        control.report(ProcessState.READY)
        start = context.wait_for(CommandName.START)
        if start is None or not context.await_readers(frames, start):
            return
        lens = lens.changed(start)
        control.report(ProcessState.RUNNING)
        live = config.speed == "live"
        interval_ns = round(NS_PER_S / source.info.fps)
        pacer = Pacer(live=live, interval_ns=interval_ns)
        playhead = None
        if live and config.replay_of is not None:
            from station.session.playback import recorded_length_s  # the first frame of others waits for no reader

            begin = config.replay
            playhead = Playhead(recorded_length_s(config.replay_of), begin.from_s, begin.pause_s, begin.pace)
        drops = live and not context.lossless
        late_frames = LateFrames(pacer, drops=drops, interval_ns=interval_ns, stride=start.stride or 1)
        longest_ns = math.inf if config.duration_s is None else config.duration_s * NS_PER_S
        first_ns = resumption.first_ns
        lost = 0
        tidying = Tidying()
        while context.carry_on():
            while control.commands:
                command = control.commands.popleft()
                if playhead is not None and command.name is CommandName.PLAY:
                    playhead.hear(command)
                lens = lens.changed(command)
                _carry_out(command, source, control.account, resumption)
            frame = source.read()
            _account_for(source, lens, control.account, counters, late_frames, lost)
            if frame is Pending.NOTHING_YET:
                continue
            if frame is None:
                break
            frame = resumption.continued(frame)
            if frame is None:
                continue
            lost += frame.lost_before + frame.every - 1
            counters.lost_by_source = lost
            first_ns = frame.t_source_ns if first_ns is None else first_ns
            if frame.t_source_ns - first_ns >= longest_ns:
                break
            t_exposure_ns = (playhead or pacer).wait(frame, context)
            frame = late_frames.judge(frame, t_exposure_ns, source, first_ns + longest_ns)
            counters.skipped, counters.thinned = late_frames.skipped, late_frames.thinned
            if frame is None:
                continue
            if frame.seq is not None:
                frames.skip_to(frame.seq)
            header = _header(frame, frames.next_seq, t_exposure_ns)
            resumption.note(header, first_ns)
            if control.stopped or not context.send(frames, "frames", header, frame.pixels):
                break
            counters.captured += 1 + frame.dropped_before
            here_ns = header.t_exposure_ns if frame.arrived_ns is None else frame.arrived_ns
            is_late = pacer.is_late(header.t_sent_ns - here_ns, header.every)
            counters.late += is_late
            tidying.attend(calm=not is_late)
            if live:
                timing.note(header)
        context.finish(frames)


def _carry_out(command: Command, source: Source, account: Account, resumption: Resumption) -> None:
    """Pass a change of exposure on to the camera; the account says what came of it."""
    if command.name is not CommandName.CAMERA:
        return

    def report(done: bool, text: str) -> None:
        account.adjustment = CameraAdjustment(command_seq=command.seq, done=done, text=text)

    if isinstance(source, Adjustable):
        change = ExposureChange(command.exposure_us, command.gain, command.trigger or None)
        resumption.note_change(change)
        source.adjust(change, report)
    else:
        report(False, f"{source.info.name} has no exposure, gain or trigger to set")


def _account_for(
    source: Source, lens: Lens, account: Account, counters: CaptureCounters, late_frames: LateFrames, lost: int
) -> None:
    """Report the source's condition, and what had to be done as the machine is too slow for it.

    ``lost``: by the source, up to the last frame that it handed over.
    """
    condition = source.condition
    counters.lost_by_source = lost + condition.lost
    account.source = lens.seen_through(source.info)
    account.notices = [*condition.notices, *([SLOWER] if late_frames.slowed else [])]
    if late_frames.every > 1:
        account.notices.append(thinned_notice(late_frames.every, source.info.fps, "sent"))
    if condition.faults is not None:
        counters.incomplete = condition.faults.incomplete
        counters.overrun = condition.faults.overrun
        counters.reconnects = condition.faults.reconnects
    if condition.clock_error_ms is not None:
        account.latency.setdefault("camera_clock_error", LatencyRecorder()).add(condition.clock_error_ms)


def _header(frame: Frame, seq: int, t_exposure_ns: int) -> FrameHeader:
    height, width = frame.pixels.shape
    return FrameHeader(
        seq=seq,
        t_exposure_ns=t_exposure_ns,
        t_source_ns=frame.t_source_ns,
        t_sent_ns=now_ns(),
        height=height,
        width=width,
        lost_before=frame.lost_before,
        exposure_id=frame.exposure_id,
        exposure_us=frame.exposure_us,
        gain=frame.gain,
        every=frame.every,
    )


class FrameTiming:
    """Measures the interval between exposures and its jitter: the deviation from the nominal interval."""

    def __init__(self, account: Account, fps: float) -> None:
        self._nominal_ms = 1000 / fps
        self._interval = account.latency["frame_interval"] = LatencyRecorder()
        self._jitter = account.latency["frame_jitter"] = LatencyRecorder()
        self._last_ns: int | None = None

    def note(self, header: FrameHeader) -> None:
        """Take in a frame. After a loss measuring starts again: a gap is counted as loss, not as jitter."""
        if self._last_ns is not None and not header.lost_before:
            interval_ms = ms_between(self._last_ns, header.t_exposure_ns)
            self._interval.add(interval_ms)
            self._jitter.add(abs(interval_ms - self._nominal_ms * header.every))
        self._last_ns = header.t_exposure_ns
