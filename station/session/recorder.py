"""The recorder process: listens to all links and writes what comes into a session.

It only listens. Live, what it cannot take in time is lost to the record alone, counted and shown; offline the senders
wait for it. When recording stops before the run does, it goes on listening, so that nobody waits for it.
"""

import os
import time
import zlib
from collections import deque
from pathlib import Path
from typing import Final

from station.clock import AwakeClock
from station.errors import SessionError
from station.processes.control import ProcessControl
from station.processes.memory import Tidying
from station.processes.process import ProcessContext
from station.session.codec_choice import CodecChoice, Ffv1Trial, choose_codec, ffv1_trial
from station.session.continuation import Continuation, EndedSession, read_continuation
from station.session.layout import new_session, sessions_folder
from station.session.listening import only_listen
from station.session.provenance import begun, start_record
from station.session.pseudonym import Pseudonym
from station.session.recorder_links import LinkName, Links
from station.session.records import (
    ActionRecord,
    GradesRecord,
    HelloRecord,
    LossRecord,
    OpenedRecord,
    StatusRecord,
    TracksRecord,
    WindowsRecord,
)
from station.session.scheduling import lower_priority, work_in_spare_time
from station.session.session_writer import SessionWriter
from station.transport.buffers import Received
from station.transport.control_messages import (
    ActionHeader,
    Command,
    ProcessName,
    ProcessState,
    ProcessStatus,
    RecordingInfo,
)
from station.transport.counters import RecorderCounters
from station.transport.hello import HelloHeader
from station.transport.messages import CommandName, FrameHeader, GradesHeader, TracksHeader, WindowsHeader

WAIT_S: Final = 0.02
PATIENCE_S: Final = 15.0
"""A disk may hold this process up for long without being broken."""
ON_ITS_WAY_S: Final = 0.7
"""After being told to stop: for what the senders have sent and what has not arrived."""
DRAIN_S: Final = 6.0
"""The same where frames wait that did arrive: more than the two seconds of a usual end, for they would be lost."""
STATUS_S: Final = 10.0
REPORT_S: Final = 0.3
PRESSING, CALM = 0.1, 0.02
"""From the first share of the queue on, down to the second, frames are not left to spare time alone."""
TIDY_S: Final = 10.0
"""How often the memory of frames that waited is given back while few wait."""
UNMOVED_S, WARY_S = 1.0, 30.0
"""Nor are they after the first time without a step, for the second: then there is next to no spare time."""
BEHIND: Final = 0.5
"""Share of the queue from which on FFV1 counts as too slow."""
BEHIND_REASON: Final = "the recorder did not keep up"
KEEP: Final = ("key k", "keep")
"""Actions that ask for the pre-trigger buffer: the key, and the request."""


def run(context: ProcessContext) -> None:
    """Record from the first frame to the end of all links."""
    lower_priority()
    control, config = context.control, context.config
    control.patience_s = PATIENCE_S
    pseudonym = Pseudonym(config.source.kind)
    left = os.fsdecode(control.ledger.note)
    with Links(context) as links:
        before: Continuation | None = None
        found: Continuation | EndedSession | None = None
        second = ""
        try:
            found = read_continuation(Path(left), control.beat) if left else None
            if isinstance(found, EndedSession):
                control.report(ProcessState.READY)
                if context.wait_for(CommandName.START) is not None:
                    only_listen(context, links, found)
                    context.finish()
                return
            before = found
        except SessionError as error:
            second = f"a second session was begun: {error}"
        if before is not None:
            links.expect(before.next_seq)
        # While the others load: it asks git and reads the source.
        trial = ffv1_trial(config.record, live=not context.lossless)
        provenance = before.start if before is not None else start_record(config, pseudonym)
        control.account.sockets = tuple(links.all.values())
        control.report(ProcessState.READY)
        start = context.wait_for(CommandName.START)
        if start is None:
            return
        control.report(ProcessState.STARTING)  # what comes now takes long on a loaded machine
        folder = before.folder if before is not None else new_session(sessions_folder(config.record.folder))
        control.ledger.write_note(os.fsencode(folder))
        if before is None:
            provenance = begun(provenance, folder.name)
        try:
            writer = SessionWriter(folder, provenance, config.record, before)
        except OSError as error:
            raise SessionError(
                f"session {folder}: cannot be written ({error.strerror}); give another folder with --session, or "
                "--no-record"
            ) from error
        with writer:
            control.beat()
            recorder = Recorder(context, writer, links, pseudonym, start, before, trial)
            recorder.say(second)
            control.report(ProcessState.RUNNING)
            recorder.record()
        recorder.report()
        context.finish()


class Recorder:
    """Moves what arrives into a session."""

    def __init__(
        self,
        context: ProcessContext,
        writer: SessionWriter,
        links: Links,
        pseudonym: Pseudonym,
        start: Command,
        before: Continuation | None = None,
        trial: Ffv1Trial | None = None,
    ) -> None:
        """``before``: the session as a recorder before left it; ``trial``: what the choice of a codec rests on."""
        if start.source is None or start.model is None or start.stride is None:
            raise ValueError("the recorder was started without source, model and stride")
        self._control: ProcessControl = context.control
        self._context = context
        self._writer = writer
        self._links = links
        self._pseudonym = pseudonym
        self._missed: dict[LinkName, int] = {}
        self._said: dict[ProcessName, tuple[float, ProcessState, int]] = {}
        self._asked_ns: deque[int] = deque()
        """When the operator pressed "keep" while frames of before that still wait."""
        self._reported_s = 0.0
        self._tidying = Tidying(TIDY_S)
        self._kept_notice = self._begun_notice = ""
        self._next_action = before.next_action if before is not None else 0
        self._hello: HelloHeader | None = None
        self._stepped_s = time.monotonic()
        self._clock = AwakeClock()
        self._stop_s: float | None = None
        self._wary_until_s = 0.0
        self._is_pressing = self._came_forward = False
        source = start.source.model_copy(update={"name": pseudonym.clean(start.source.name)})
        settings, live = context.config.record, not context.lossless
        self._codec = choose_codec(
            settings, source.width, source.height, source.fps, trial=trial, beat=self._control.beat
        )
        self._may_fall_back = settings.codec == "auto" and live
        writer.use(self._codec)
        self._was_away = set(links.all) if before is not None else set()
        """Links whose losses are those of the time without a recorder, until a message has come."""
        if before is not None and settings.mode == "keep":
            self._kept_notice = "nothing to keep of before the recorder was started again"
        if before is not None and before.opened:
            return
        writer.event(OpenedRecord(source=source, model=start.model, stride=start.stride, tracker=start.parameters))

    def say(self, notice: str) -> None:
        """Let people know how the recording began; nothing where that is empty."""
        self._begun_notice = notice

    def record(self) -> None:
        """Record until all links have ended, or for a moment after being told to stop."""
        if self._context.lossless:  # then the others wait for this process
            while self._step():
                pass
        else:
            work_in_spare_time(self._step, self._pressing)
        self._note_reports()
        self._keep_up_to(None)
        self._note_losses()
        left = 0
        while self._links.frames.receive(0) is not None:
            left += 1
        if left:
            self._lose("frames", left, "the run ended before they could be coded")
        if self._control.told_by_signal and not self._control.told_to_stop:
            self._writer.leave_open()  # for the recorder that will be started
        else:
            self._writer.close()

    def _step(self) -> bool:
        """Take in what is there and do what time asks for; return whether there is more to come."""
        self._control.beat()
        if self._is_pressing and not self._came_forward and self._codec.name == "ffv1" and self._codec.threads > 1:
            self._writer.begin_chunk()  # the encoder's threads stand as far back as who began the chunk
        self._came_forward = self._is_pressing
        idle = self._take_in()
        self._stepped_s = now_s = time.monotonic()
        self._writer.tick(now_s)
        if now_s - self._reported_s >= REPORT_S:
            self._reported_s = now_s
            self.report()
        self._tidying.attend(calm=self._links.queue.fullness < CALM)
        if idle and self._links.ended:
            return False
        awake_s = self._clock.seconds()
        if not self._control.stopped:
            return True
        if self._stop_s is None:
            self._stop_s = awake_s
            self._hurry()
        return awake_s - self._stop_s <= (DRAIN_S if self._links.queue.bytes else ON_ITS_WAY_S)

    def _pressing(self) -> bool:
        """Look what has come, whatever the work is waiting for; return whether that may stand back no further."""
        links, now_s = self._links, time.monotonic()
        links.drain()
        if now_s - self._stepped_s > UNMOVED_S:
            self._wary_until_s = now_s + WARY_S
        limit = CALM if self._is_pressing else PRESSING
        wary = now_s < self._wary_until_s
        self._is_pressing = self._control.stopped or wary or links.queue.fullness > limit
        return self._is_pressing

    def _hurry(self) -> None:
        """Write what still waits uncompressed where that is allowed: better large than missing."""
        if self._may_fall_back and self._links.queue.bytes:
            self._writer.use(CodecChoice("raw", self._codec.threads, ""))

    def report(self) -> None:
        """Tell the supervisor how the recording is doing."""
        writer, account = self._writer, self._control.account
        counters, pre_trigger = writer.counters, writer.pre_trigger
        account.counters = RecorderCounters(recorded=counters.frames, lost=counters.lost, kept=counters.kept)
        head = writer.head
        account.recording = RecordingInfo(
            folder=str(writer.folder),
            mode="keep" if self._context.config.record.mode == "keep" else "all",
            codec=writer.codec,
            frames=counters.frames,
            lost=counters.lost,
            size_bytes=counters.bytes,
            left_s=writer.room.left_s,
            pre_trigger_s=pre_trigger.seconds if pre_trigger is not None else None,
            kept=counters.kept,
            stopped=writer.stopped,
            complete=writer.complete,
            chain=head.chain if head is not None else "",
        )
        account.notices = self._notices()

    def _notices(self) -> list[str]:
        writer = self._writer
        notices = [self._begun_notice, self._codec.why, self._kept_notice]
        missed = [f"{count} of {name}" for name, count in self._missed.items() if name != "frames"]
        if missed:
            notices.append(f"the record lacks messages: {', '.join(missed)}")
        if writer.room.scarce and not writer.stopped and writer.room.left_s is not None:
            notices.append(f"the disk has room for another {writer.room.left_s / 60:.0f} min; recording will stop then")
        if writer.pre_trigger is not None and writer.pre_trigger.short_of_memory:
            notices.append(
                f"the pre-trigger buffer holds {writer.pre_trigger.seconds:.0f} s of "
                f"{self._context.config.record.pre_trigger_s:g} ([record] pre_trigger_mb)"
            )
        if writer.lacks_tables:
            notices.append("the session has no tables yet: the command tables writes them")
        return [notice for notice in notices if notice]

    def _take_in(self) -> bool:
        """Take everything small that has arrived and at most one frame; return whether nothing had."""
        busy = self._note_reports()
        links, writer = self._links, self._writer
        for link in (links.tracks, links.windows, links.grades):
            while (message := link.receive(0)) is not None:
                busy = True
                self._note_message(message)
        frame = links.frames.receive(0 if busy else WAIT_S)
        if frame is not None:
            header, pixels = frame.header, frame.pixels
            if isinstance(header, FrameHeader) and pixels is not None:
                writer.frame(header, pixels)
                self._keep_up_to(header.t_exposure_ns)
        else:
            self._keep_up_to(None)
        self._note_losses()
        if self._may_fall_back and "raw" not in writer.codec and links.queue.fullness > BEHIND:
            why = "FFV1 fell behind on this machine: recording uncompressed from here on ([record] codec)"
            self._codec = CodecChoice("raw", self._codec.threads, why)
            writer.use(self._codec)
        return not busy and frame is None

    def _note_message(self, message: Received) -> None:
        header, pixels, writer = message.header, message.pixels, self._writer
        if isinstance(header, TracksHeader):
            writer.event(TracksRecord(header=header))
            newest = max((track.sperm_id for track in header.tracks), default=0)  # they are numbered from 1
            writer.counters.sperm = max(writer.counters.sperm, newest)
        elif isinstance(header, WindowsHeader) and pixels is not None:
            writer.event(WindowsRecord(header=header, crc32=[zlib.crc32(clip.data) for clip in pixels]))
        elif isinstance(header, GradesHeader):
            writer.event(GradesRecord(header=header))
        elif isinstance(header, HelloHeader):
            self._note_hello(header)

    def _note_hello(self, header: HelloHeader) -> None:
        """Record what is said again and again, on two links, where it is new."""
        source = header.source.model_copy(update={"name": self._pseudonym.clean(header.source.name)})
        said = header.model_copy(update={"seq": 0, "source": source})
        if said != self._hello:
            self._hello = said
            self._writer.event(HelloRecord(header=said))

    def _note_reports(self) -> bool:
        """Record what the other processes say and what the operator does."""
        reports = self._control.reports
        busy = bool(reports)
        while reports:
            header = reports.popleft()
            if isinstance(header, ProcessStatus):
                self._note_status(header)
                continue
            if header.seq < self._next_action:  # a recorder before this one has written it
                continue
            self._writer.event(ActionRecord(action=self._cleaned(header)))
            self._next_action = header.seq + 1
            if not self._writer.stopped:
                self._control.account.acted = self._next_action
            self._writer.counters.marks += header.name == "mark"
            self._writer.counters.notes += header.name == "note"
            if header.name in KEEP:
                self._asked_ns.append(header.t_ns)
        return busy

    def _cleaned(self, action: ActionHeader) -> ActionHeader:
        """Return what was done without the source's names; of a mark only the note can have any."""
        clean = self._pseudonym.clean
        if action.sperm_id is None:
            return action.model_copy(update={"details": clean(action.details)})
        note, details = clean(action.note), action.details
        if action.note:
            before, colon, after = details.partition(f": {action.note}")
            details = f"{before}: {note}{after}" if colon else clean(details)
        return action.model_copy(update={"details": details, "note": note})

    def _keep_up_to(self, exposed_ns: int | None) -> None:
        """Carry out what was asked for before the frame at hand was exposed; None: no frame waits any more."""
        while self._asked_ns and (exposed_ns is None or exposed_ns >= self._asked_ns[0]):
            self._asked_ns.popleft()
            self._keep()

    def _note_status(self, status: ProcessStatus) -> None:
        """Record a status where it says something new, and now and then."""
        said_s, state, notices = self._said.get(status.process, (-STATUS_S, None, 0))
        now_s = time.monotonic()
        if state is status.state and len(status.notices) == notices and now_s - said_s < STATUS_S:
            return
        self._said[status.process] = (now_s, status.state, len(status.notices))
        clean = self._pseudonym.clean
        source = status.source and status.source.model_copy(update={"name": clean(status.source.name)})
        cleaned = {
            "error": clean(status.error),
            "details": clean(status.details),
            "notices": [clean(notice) for notice in status.notices],
            "source": source,
        }
        self._writer.event(StatusRecord(status=status.model_copy(update=cleaned)))

    def _keep(self) -> None:
        record = self._writer.keep(self._control.beat)
        if record is None:
            why = "recording has stopped" if self._writer.stopped else "no frame has come since"
            self._kept_notice = f"nothing kept: {why}"
        else:
            self._kept_notice = (
                f"kept {record.seconds:.1f} s: frames {record.first_seq} to {record.last_seq}, {record.frames} in all"
            )

    def _note_losses(self) -> None:
        for name, link in self._links.all.items():
            counters = link.counters
            left_out = name == "frames" and self._context.config.replay_of is not None  # numbers with holes, on purpose
            missed = counters.replaced + (0 if left_out else counters.lost)
            new = missed - self._missed.get(name, 0)
            if new > 0:
                self._missed[name] = missed
                away = name in self._was_away
                self._lose(name, new, "there was no recorder: it was started again" if away else BEHIND_REASON)
            if counters.received:
                self._was_away.discard(name)

    def _lose(self, link: LinkName, count: int, reason: str) -> None:
        self._writer.event(LossRecord(link=link, count=count, reason=reason))
        if link == "frames" and not self._writer.stopped:
            self._writer.counters.lost += count
