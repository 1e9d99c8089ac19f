"""Carries out what is asked of a running station, and finds out what came of it.

Nothing here waits: a request is passed on, and answered once tracker or recorder has confirmed it, or after
``PATIENCE_S`` with what is known by then. It knows requests and the run; it knows no sockets.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from station.clock import NS_PER_S, now_ns
from station.commands.going_back import Place, one_frame_back, seconds_back
from station.commands.requests import (
    PLAYS,
    BackRequest,
    BlindRequest,
    CalibrateRequest,
    CameraRequest,
    CandidatesRequest,
    KeepRequest,
    MarkRequest,
    NoteRequest,
    ObjectiveRequest,
    Outcome,
    QuitRequest,
    ReleaseRequest,
    ReplaceLostRequest,
    Reply,
    Request,
    RewindRequest,
    SelectNextRequest,
    SelectPreviousRequest,
    SelectRequest,
    StatusRequest,
    UnblindRequest,
)
from station.commands.station_status import station_status
from station.config import Config
from station.dashboard.monitor import Monitor
from station.dashboard.playback import playback_text
from station.dashboard.snapshot import ScreenState
from station.errors import InputError, SessionError
from station.model_fit import require_fit
from station.objectives import Calibration, calibration_path, keep_calibration, known, read_calibrations
from station.processes.supervisor import Supervisor
from station.ranges import is_scale
from station.stride import window_stride
from station.transport.control_messages import PlaybackInfo, PlayStep, ProcessName, ProcessState, RecordingInfo
from station.transport.messages import CommandName, TrackInfo, TrackState

PATIENCE_S: Final = 0.8
"""The answer leaves after so long at the latest: an asker is answered within a second."""
SILENT_S: Final = 2.0
"""A recorder that has said nothing for so long may never write what is asked of it now."""
MOST_OPEN: Final = 8
"""Requests that may wait for their outcome at once."""
SAME_PLACE_PX: Final = 3.0
SHORTEST_PX: Final = 50
"""A length for a calibration: a click that is off by half a px is then 1 %."""
Answer = Callable[[Reply], None]


class _Finding(Protocol):
    """Looks whether the outcome of a request is known."""

    def __call__(self, *, late: bool) -> Reply | None: ...


@dataclass(frozen=True, slots=True)
class _Open:
    request: Request
    answer: Answer
    look: _Finding
    until_s: float


class Operator:
    """The one place that acts on requests, wherever they come from."""

    def __init__(self, config: Config, supervisor: Supervisor, monitor: Monitor) -> None:
        self._config = config
        self._supervisor = supervisor
        self._monitor = monitor
        self._open: list[_Open] = []
        self.screen = ScreenState()
        """What the operator looks at; a status must not change it."""
        self.marked: set[int] = set()
        """Sperm that were marked as chosen."""
        self.objectives = dict(config.objectives)
        """Scale in um/px by name: configured, or calibrated, in this run too."""
        self.ended = ""
        """What ends the run, once somebody asked for its end."""
        self.again: Place | None = None
        """Where the replay is to begin again, once it has ended by that."""

    def carry_out(self, request: Request, answer: Answer) -> None:
        """Act on a request; ``answer`` is called once, now or in a later ``poll``."""
        handler = _HANDLERS[type(request)]
        refusal = self._refusal(request)
        outcome = _refused(request, refusal) if refusal else handler(self, request)
        if isinstance(outcome, Reply):
            self._close(request, answer, outcome)
        else:
            self._open.append(_Open(request, answer, outcome, time.monotonic() + PATIENCE_S))

    def poll(self) -> None:
        """Answer what has become known."""
        now_s = time.monotonic()
        for one in list(self._open):
            reply = one.look(late=now_s >= one.until_s)
            if reply is not None:
                self._open.remove(one)
                self._close(one.request, one.answer, reply)
        for applied in self._monitor.applied if self.is_replay else ():
            if applied.um_per_px is not None:  # the tracker has it from the record, the others from here
                self._supervisor.set_scale(applied.objective or "", applied.um_per_px)
        self._monitor.applied.clear()

    def _close(self, request: Request, answer: Answer, reply: Reply) -> None:
        logged = not isinstance(request, _LOGGED_BEFORE)
        if logged and reply.outcome in (Outcome.DONE, Outcome.UNCONFIRMED):
            chosen, note = (request.sperm_id, request.note) if isinstance(request, MarkRequest) else (None, "")
            self._supervisor.note_action(request.name, reply.text, request.asked_by, sperm_id=chosen, note=note)
        if isinstance(request, MarkRequest) and reply.done and self.is_blind:  # once the choice is in the record
            self._supervisor.hide_grades(blind=False)
            self._supervisor.note_action("unblind", f"a choice was marked: sperm {request.sperm_id}", request.asked_by)
        answer(reply)

    def _refusal(self, request: Request) -> str:
        """Return why a request cannot be carried out now, whatever its values; empty where it can."""
        if len(self._open) >= MOST_OPEN:
            return f"{MOST_OPEN} requests are being carried out already; wait for their answers"
        if isinstance(request, _HIDING) and any(isinstance(one.request, _HIDING) for one in self._open):
            # What the engine has said until now is of before: an answer from it could be the wrong way round.
            return "the engine has not confirmed the change before; repeat it in a moment"
        if isinstance(request, _SELECTIONS):
            if self.is_replay:
                return "a replay follows the sperm that were selected in the recording"
            if ProcessName.TRACKER in self._supervisor.returning:
                return "the tracker is being started again; repeat it in a moment"
            tracker = self._supervisor.statuses.get(ProcessName.TRACKER)
            if tracker is None or tracker.state is not ProcessState.RUNNING or not self._monitor.has_tracks:
                return "the tracker is not running"
        if isinstance(request, ObjectiveRequest | CalibrateRequest) and self.is_replay:
            return "a replay has the scale of the recording"
        if isinstance(request, BlindRequest) and self.is_replay:
            return "a replay's grades can be read in its recording"
        if self.reviews and isinstance(request, MarkRequest | NoteRequest):
            return ""
        if isinstance(request, MarkRequest | NoteRequest | KeepRequest | BlindRequest):
            return self.why_not_recorded
        return ""

    @property
    def is_replay(self) -> bool:
        """True where nothing can be selected: a replay follows the recording."""
        return self._config.replay_of is not None

    @property
    def is_blind(self) -> bool:
        """True while grades are hidden, or are about to be."""
        return self._supervisor.blind

    @property
    def reviews(self) -> bool:
        """True where marks and notes are a reviewer's, and go beside the session that is replayed."""
        return self.is_replay and not self.records

    @property
    def plays(self) -> bool:
        """True in a replay at its own pace, which can be paused."""
        return self.is_replay and self._config.speed == "live"

    @property
    def records(self) -> bool:
        """True where this run was to be recorded, whatever has become of it."""
        return self._config.record.mode != "off"

    @property
    def why_not_recorded(self) -> str:
        """Why nothing is recorded at this moment; empty where it is."""
        if not self.records:
            return "this run is not recorded"
        if ProcessName.RECORDER in self._supervisor.returning:
            return "the recorder is being started again; repeat it in a moment"
        recording = self._recording
        if recording is None:
            gone = ProcessName.RECORDER in self._supervisor.faults
            return "recording has stopped" if gone else "recording has not started yet"
        if recording.stopped:
            return f"recording has stopped: {recording.stopped}"
        # The recorder works in spare time and may be a moment late; what says nothing for longer may never write it.
        silent_ns = now_ns() - self._supervisor.progressed_ns.get(ProcessName.RECORDER, 0)
        return "the recorder does not answer at the moment; ask again" if silent_ns > SILENT_S * NS_PER_S else ""

    @property
    def next_objective(self) -> str:
        """The name that follows that of the objective in use; empty where there is none."""
        capture, names = self._supervisor.statuses.get(ProcessName.CAPTURE), list(self.objectives)
        here = capture.source.objective if capture is not None and capture.source is not None else ""
        return names[(names.index(here) + 1) % len(names) if here in names else 0] if names else ""

    @property
    def tracked_ids(self) -> list[int]:
        """The sperm that are tracked now."""
        return sorted(track.sperm_id for track in self._monitor.current)

    @property
    def _recording(self) -> RecordingInfo | None:
        """The recording that goes on, or has stopped by itself; None where there is none, or its process is gone."""
        status = self._supervisor.statuses.get(ProcessName.RECORDER)
        gone = status is None or ProcessName.RECORDER in self._supervisor.faults
        return None if gone or status is None else status.recording

    def _status(self, request: StatusRequest) -> Reply:
        status = station_status(self._monitor.snapshot(self._supervisor, self.screen), self.marked, self.objectives)
        return Reply(id=request.id, name=request.name, outcome=Outcome.DONE, text=status.state, status=status)

    def _select(self, request: SelectRequest) -> Reply | _Finding:
        capture = self._supervisor.statuses.get(ProcessName.CAPTURE)
        if capture is None or capture.source is None:
            return _refused(request, "the source is not open yet")
        width, height = capture.source.width, capture.source.height
        if not (0 <= request.x <= width - 1 and 0 <= request.y <= height - 1):
            return _refused(request, f"({request.x:g}, {request.y:g}) lies outside the frame of {width} x {height} px")
        number = self._supervisor.command(ProcessName.TRACKER, CommandName.SELECT, x=request.x, y=request.y)

        def look(*, late: bool) -> Reply | None:
            track = self._asked_by(number)
            if track is not None:
                return self._selected(request, track)
            if late:
                return _unconfirmed(request, "passed on to the tracker, which has not confirmed the selection yet")
            return None

        return look

    def _selected(self, request: SelectRequest, track: TrackInfo) -> Reply:
        for other in self._monitor.current:
            apart_px = math.hypot(other.x - track.x, other.y - track.y)
            if other.sperm_id < track.sperm_id and other.state is not TrackState.LOST and apart_px < SAME_PLACE_PX:
                self._supervisor.command(ProcessName.TRACKER, CommandName.RELEASE, sperm_id=track.sperm_id)
                return _refused(request, f"the nearest head is tracked already: it is sperm {other.sperm_id}")
        return _done(
            request,
            f"sperm {track.sperm_id} selected at {track.x:.0f}, {track.y:.0f}, the head nearest to {request.x:g}, "
            f"{request.y:g}",
            track.sperm_id,
        )

    def _select_next(self, request: SelectNextRequest) -> _Finding:
        number = self._supervisor.command(ProcessName.TRACKER, CommandName.SELECT_AUTO, count=1)

        def look(*, late: bool) -> Reply | None:
            track = self._asked_by(number)
            if track is not None:
                text = f"sperm {track.sperm_id} selected at {track.x:.0f}, {track.y:.0f}, the best candidate left"
                return _done(request, text, track.sperm_id)
            return _unconfirmed(request, "the tracker has found no further candidate so far") if late else None

        return look

    def _select_previous(self, request: SelectPreviousRequest) -> Reply | _Finding:
        newest = max((track.sperm_id for track in self._monitor.current), default=None)
        if newest is None:
            return _refused(request, "no sperm is tracked")
        return self._released(request, newest)

    def _release(self, request: ReleaseRequest) -> Reply | _Finding:
        if self._track(request.sperm_id) is None:
            return _refused(request, f"sperm {request.sperm_id} is not tracked; {self._tracked()}")
        return self._released(request, request.sperm_id)

    def _released(self, request: Request, sperm_id: int) -> _Finding:
        self._supervisor.command(ProcessName.TRACKER, CommandName.RELEASE, sperm_id=sperm_id)

        def look(*, late: bool) -> Reply | None:
            for applied in self._monitor.applied:
                if applied.name is CommandName.RELEASE and applied.sperm_id == sperm_id:
                    return _done(request, f"sperm {sperm_id} released", sperm_id)
            if late:
                return _unconfirmed(request, "passed on to the tracker, which has not confirmed the release yet")
            return None

        return look

    def _replace_lost(self, request: ReplaceLostRequest) -> Reply | _Finding:
        marked = self.marked & set(self.tracked_ids)  # lost or not, those stay
        tracks = [track for track in self._monitor.current if track.sperm_id not in marked]
        wanted = max(0, (len(self._config.select) or self._config.select_auto) - len(marked))
        lost = sum(track.state is TrackState.LOST for track in tracks)
        more = max(0, wanted - (len(tracks) - lost))
        if not lost and not more:
            return _refused(request, f"no sperm is lost: {len(tracks)} of {wanted} are tracked")
        numbers = set(self._supervisor.replace_lost(tracks, wanted))

        def look(*, late: bool) -> Reply | None:
            numbers.difference_update(applied.asked for applied in self._monitor.applied)
            if not numbers:
                return _done(request, f"{lost} lost sperm released, selecting {more} more")
            return _unconfirmed(request, "passed on to the tracker, which has not confirmed it yet") if late else None

        return look

    def _mark(self, request: MarkRequest) -> Reply:
        if request.sperm_id not in {track.sperm_id for track in self._monitor.tracks}:
            return _refused(request, f"there is no sperm {request.sperm_id}; {self._tracked()}")
        if self.reviews:
            reply = self._review(request, request.note, request.sperm_id)
            self.marked |= {request.sperm_id} if reply.done else set()
            return reply
        if refusal := self._why_no_choice(request.sperm_id):
            return _refused(request, refusal)
        self.marked.add(request.sperm_id)
        if not self.is_replay and self._track(request.sperm_id) is not None:
            self._supervisor.mark(request.sperm_id)
        text = f"sperm {request.sperm_id} marked as chosen" + (f": {request.note}" if request.note else "")
        return _done(request, f"{text} (grades are shown now)" if self.is_blind else text, request.sperm_id)

    def _why_no_choice(self, sperm_id: int) -> str:
        """Return why a sperm cannot be marked as chosen now; empty where it can."""
        if sperm_id in self.marked:
            return f"sperm {sperm_id} is already marked"
        if not self.is_blind:
            return ""
        track = self._track(sperm_id)
        if track is not None and track.state is not TrackState.LOST:
            return ""
        what = "is not tracked any more" if track is None else "is lost"
        return f"sperm {sperm_id} {what}, and this mark would show the grades: mark a sperm that is tracked"

    def _blind(self, request: BlindRequest) -> Reply | _Finding:
        if self.is_blind:
            return _refused(request, "grades are hidden already, until a choice is marked")
        self._supervisor.note_action(request.name, asked_by=request.asked_by)
        number = self._supervisor.hide_grades(blind=True)
        return self._hidden(request, number, True, "grades are hidden until a choice is marked")

    def _unblind(self, request: UnblindRequest) -> Reply | _Finding:
        if not self.is_blind:
            return _refused(request, "grades are not hidden")
        if self._config.blind:
            return _refused(request, "this is a blind study: grades are shown once a choice has been marked")
        self._supervisor.note_action(request.name, asked_by=request.asked_by)
        number = self._supervisor.hide_grades(blind=False)
        return self._hidden(request, number, False, "grades are shown again")

    def _hidden(self, request: Request, number: int, hidden: bool, text: str) -> _Finding:
        """Answer once the engine has obeyed that command: it withholds grades, or has let them all go."""

        def look(*, late: bool) -> Reply | None:
            engine = self._supervisor.statuses.get(ProcessName.ENGINE)
            heard = engine is not None and engine.obeyed is not None and engine.obeyed >= number
            if heard and engine is not None and (engine.withheld is not None) is hidden:
                return _done(request, text)
            return _unconfirmed(request, "passed on to the engine, which has not confirmed it yet") if late else None

        return look

    def _note(self, request: NoteRequest) -> Reply:
        return self._review(request, request.text, None) if self.reviews else _done(request, request.text)

    def _keep(self, request: KeepRequest) -> Reply | _Finding:
        before = self._recording
        self._supervisor.note_action(request.name, asked_by=request.asked_by)

        def look(*, late: bool) -> Reply | None:
            recording = self._recording
            if recording is not None and before is not None and recording.kept > before.kept:
                status = self._supervisor.statuses[ProcessName.RECORDER]
                kept = next((notice for notice in status.notices if notice.startswith("kept ")), "kept")
                return _done(request, kept)
            if late:
                return _unconfirmed(request, "passed on to the recorder, which has not confirmed yet that it keeps it")
            return None

        return look

    def _camera(self, request: CameraRequest) -> Reply | _Finding:
        if request.exposure_us is None and request.gain is None and request.trigger is None:
            return _refused(request, "none of exposure_us, gain and trigger is given")
        capture = self._supervisor.statuses.get(ProcessName.CAPTURE)
        if capture is None or capture.state is not ProcessState.RUNNING:
            return _refused(request, "the camera is not running")
        number = self._supervisor.command(
            ProcessName.CAPTURE,
            CommandName.CAMERA,
            exposure_us=request.exposure_us,
            gain=request.gain,
            trigger=request.trigger or "",
        )

        def look(*, late: bool) -> Reply | None:
            found = self._supervisor.statuses[ProcessName.CAPTURE].adjustment
            if found is not None and found.command_seq == number:
                return _done(request, f"camera: {found.text}") if found.done else _refused(request, found.text)
            return _unconfirmed(request, "passed on to the camera, which has not answered yet") if late else None

        return look

    def _objective(self, request: ObjectiveRequest) -> Reply | _Finding:
        try:
            um_per_px = known(request.objective, self.objectives)
        except InputError as error:
            return _refused(request, str(error))
        return self._scaled(request, request.objective, um_per_px, f"{um_per_px:.4g} um/px")

    def _calibrate(self, request: CalibrateRequest) -> Reply | _Finding:
        name, um_per_px = request.objective, request.length_um / request.length_px
        if request.length_px < SHORTEST_PX:
            return _refused(request, f"{request.length_px:.0f} px are too short: mark at least {SHORTEST_PX} px")
        if not is_scale(um_per_px):
            return _refused(request, f"{um_per_px:.3g} um/px is no scale of a microscope; check the length")
        kept = Calibration(
            um_per_px=um_per_px, length_um=request.length_um, length_px=request.length_px,
            calibrated_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        try:
            path = calibration_path()
            if name in self.objectives and name not in read_calibrations(path):
                here = self.objectives[name]
                return _refused(request, f"{name} is {here:.4g} um/px in the configuration; give another name")
            refusal = self._misfit(um_per_px)
            if not refusal:
                keep_calibration(path, name, kept)
        except InputError as error:
            return _refused(request, str(error))
        if refusal:
            return _refused(request, refusal)
        self.objectives = dict(sorted((self.objectives | {name: um_per_px}).items()))
        words = f"{um_per_px:.4g} um/px, from {request.length_um:g} um over {request.length_px:.1f} px; kept"
        return self._scaled(request, name, um_per_px, words)

    def _scaled(self, request: Request, name: str, um_per_px: float, words: str) -> Reply | _Finding:
        """Let the scale be in force, and answer once capture says that it is."""
        if refusal := self._misfit(um_per_px):
            return _refused(request, refusal)
        self._supervisor.set_scale(name, um_per_px)

        def look(*, late: bool) -> Reply | None:
            source = self._supervisor.statuses[ProcessName.CAPTURE].source
            if source is not None and (source.objective, source.um_per_px) == (name, um_per_px):
                return _done(request, f"objective {name}: {words}")
            return _unconfirmed(request, "passed on, and not confirmed yet") if late else None

        return look

    def _misfit(self, um_per_px: float) -> str:
        """Return why a scale cannot be in force now; empty where it can."""
        statuses = self._supervisor.statuses
        capture, engine = statuses.get(ProcessName.CAPTURE), statuses.get(ProcessName.ENGINE)
        if capture is None or engine is None or capture.source is None or engine.model is None:
            return "source and model are not open yet"
        if capture.state is not ProcessState.RUNNING:
            return "the source is not running"
        source, model = capture.source.model_copy(update={"um_per_px": um_per_px}), engine.model
        stride = window_stride(self._config.window.stride, source.fps, model.fps)
        try:
            require_fit(model, source, stride, forced=self._config.engine.force_model)
        except InputError as error:
            return str(error)
        return ""

    def _play(self, request: Request) -> Reply | _Finding:
        if self._playback is None:
            return _refused(request, self._why_no_playback)
        number = self._supervisor.command(ProcessName.CAPTURE, CommandName.PLAY, play=PlayStep(request.name))

        def look(*, late: bool) -> Reply | None:
            found = self._playback
            if found is not None and found.command_seq == number:
                return _done(request, playback_text(found))
            return _unconfirmed(request, "passed on to the replay, which has not answered yet") if late else None

        return look

    def _go_back(self, request: BackRequest | RewindRequest) -> Reply:
        at = self._playback
        if at is None:
            return _refused(request, self._why_no_playback)
        if self.records:
            return _refused(request, "this replay is being recorded: end it, and begin another with --from")
        place = one_frame_back(at) if isinstance(request, BackRequest) else seconds_back(at, self._config)
        if isinstance(place, str):
            return _refused(request, place)
        self.again, self.ended = place, f"to begin again at {place.t_s:.1f} s"
        return _done(request, f"going back to {place.t_s:.1f} s: the replay begins again")

    @property
    def _why_no_playback(self) -> str:
        if self.plays:
            return "the replay has not begun yet; ask again in a moment"
        return "this is no replay at its own pace: there is nothing to pause, to let on or to take back"

    @property
    def _playback(self) -> PlaybackInfo | None:
        """Where a replay at its own pace is; None in any other run."""
        capture = self._supervisor.statuses.get(ProcessName.CAPTURE)
        return capture.playback if capture is not None else None

    def _review(self, request: Request, text: str, sperm_id: int | None) -> Reply:
        """Write a reviewer's mark or note beside the session that is replayed, never into it."""
        from station.commands.review import write_review  # a run starts without what reads sessions

        folder = self._config.replay_of
        assert folder is not None
        try:
            return _done(request, write_review(folder, self._playback, sperm_id, text), sperm_id)
        except SessionError as error:
            return _refused(request, str(error))

    def _quit(self, request: QuitRequest) -> Reply:
        self.ended = f"by request ({request.asked_by})"
        return _done(request, "the run is ending")

    def _candidates(self, request: CandidatesRequest) -> _Finding:
        before = self._monitor.candidates
        self._supervisor.command(ProcessName.TRACKER, CommandName.CANDIDATES)

        def look(*, late: bool) -> Reply | None:
            found = self._monitor.candidates
            if found is not None and found is not before:
                return _done(request, f"{len(found)} {'head' if len(found) == 1 else 'heads'} that nobody follows")
            return (
                _unconfirmed(request, "the tracker has not looked yet: the field is not known well") if late else None
            )

        return look

    def _asked_by(self, number: int) -> TrackInfo | None:
        """Return the sperm that a command selected."""
        return next((track for track in self._monitor.current if track.asked == number), None)

    def _track(self, sperm_id: int) -> TrackInfo | None:
        return next((track for track in self._monitor.current if track.sperm_id == sperm_id), None)

    def _tracked(self) -> str:
        ids = ", ".join(str(sperm_id) for sperm_id in self.tracked_ids)
        return f"tracked are {ids}" if ids else "none is tracked"


_SELECTIONS = (
    CandidatesRequest,
    SelectRequest,
    SelectNextRequest,
    SelectPreviousRequest,
    ReleaseRequest,
    ReplaceLostRequest,
)
_HIDING = (BlindRequest, UnblindRequest)
_LOGGED_BEFORE = (StatusRequest, CandidatesRequest, KeepRequest, BlindRequest, UnblindRequest)
"""What is not recorded once it is done: a question; and what the record must have before, whatever comes of it."""
_HANDLERS: Final[dict[type[Request], Callable[..., Reply | _Finding]]] = {
    StatusRequest: Operator._status,
    SelectRequest: Operator._select,
    SelectNextRequest: Operator._select_next,
    SelectPreviousRequest: Operator._select_previous,
    ReleaseRequest: Operator._release,
    ReplaceLostRequest: Operator._replace_lost,
    MarkRequest: Operator._mark,
    NoteRequest: Operator._note,
    KeepRequest: Operator._keep,
    BlindRequest: Operator._blind,
    UnblindRequest: Operator._unblind,
    CandidatesRequest: Operator._candidates,
    ObjectiveRequest: Operator._objective,
    CalibrateRequest: Operator._calibrate,
    CameraRequest: Operator._camera,
    QuitRequest: Operator._quit,
    **dict.fromkeys(PLAYS.values(), Operator._play),
    BackRequest: Operator._go_back,
    RewindRequest: Operator._go_back,
}


def _done(request: Request, text: str, sperm_id: int | None = None) -> Reply:
    return _reply(request, Outcome.DONE, text, sperm_id)


def _refused(request: Request, text: str) -> Reply:
    return _reply(request, Outcome.REFUSED, text)


def _unconfirmed(request: Request, text: str) -> Reply:
    return _reply(request, Outcome.UNCONFIRMED, text)


def _reply(request: Request, outcome: Outcome, text: str, sperm_id: int | None = None) -> Reply:
    return Reply(id=request.id, name=request.name, outcome=outcome, text=text, sperm_id=sperm_id)
