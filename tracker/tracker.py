"""The tracker: frames in, positions and states of the selected sperm and their windows out.

``update`` reads as the algorithm: prepare the prepared, follow every head, take up what was selected, judge, fill the
windows. The same frames and calls give the same bits. It knows nothing of sockets and processes.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from station.config import TrackerSettings
from station.errors import InputError, MissingExtraError
from station.transport.messages import Measured, TrackState
from tracker.evidence import WindowEvidence
from tracker.field.cautions import PictureCautions
from tracker.field.preprocessor import Preprocessor
from tracker.heads.head import Head
from tracker.heads.head_tracker import HeadTracker
from tracker.heads.state import judge
from tracker.kinematics import Kinematics, Refusal, Trajectory, kinematics
from tracker.matching.detection import Candidate, best, find_candidates, is_like_a_head, leading, measure_head, snap
from tracker.matching.matcher import Matcher, OpenCvMatcher
from tracker.matching.prepared_frame import PreparedFrame
from tracker.matching.survey import KEEPING, Survey, share_of
from tracker.params import DEFAULT_PARAMS, TrackerParams
from tracker.results import FrameResult, TrackResult, WindowResult
from tracker.window import RollingWindow, WindowShape, free_phase

MOST_CANDIDATES = 40
TRIED = 8
"""So many of the heads that an automatic selection has found are looked for in one frame, or as many as are wanted."""
RESTARTED = "tracker was restarted"
LONGEST_WATCH_S = 5.0
"""An automatic selection waits no longer than this for a time in which no frame is missing."""
WATCHED_FRAMES = 6
"""However slowly frames come, so many at least show what moves before an automatic selection."""


class Tracker:
    """Follows selected sperm through a stream of frames of one size."""

    def __init__(
        self,
        settings: TrackerSettings,
        window: WindowShape,
        height: int,
        width: int,
        *,
        preprocessor: Preprocessor | None = None,
        params: TrackerParams = DEFAULT_PARAMS,
    ) -> None:
        """Nothing is selected yet. ``preprocessor``: shared with other trackers of the same frames, each of which is
        given what it prepared (see ``update_prepared``).

        Raises InputError for a frame size of nothing.
        """
        cv2.setNumThreads(1)
        self._matcher: Matcher = matcher_for(settings, params)
        self._preprocessor = preprocessor or Preprocessor(height, width, self._matcher, settings.head_px, params=params)
        self._shape = (height, width)
        self._window_shape = window
        self._head_tracker = HeadTracker(self._matcher)
        self._windows: dict[int, RollingWindow] = {}
        self._evidence: dict[int, WindowEvidence] = {}
        self._cautions = PictureCautions()
        self._trajectories: dict[int, Trajectory] = {}
        self._next_id = 1
        self._asked_for_candidates = False
        self._waiting: list[tuple[int, float, float]] = []
        self._known: list[tuple[int, float, float]] = []
        """Waiting likewise; where they are is certain."""
        self._missing: dict[int, tuple[float, float]] = {}
        """Sperm of before a restart that nobody has seen since, with their last place."""
        self._wanted = 0
        self._survey: Survey | None = None
        """Of an automatic selection, from its first frame to its last."""
        self._prompt = self._unbroken = self._broken = False
        self._waited_s = 0.0
        """For how long the automatic selection has been asked for."""

    def select(self, x: float, y: float) -> int:
        """Select the sperm nearest to (x, y), px, at the next frame; return its number. Raises InputError outside."""
        height, width = self._shape
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            raise InputError(
                f"selected point ({x:g}, {y:g}) lies outside the frame; give x from 0 to {width - 1} and y from 0 to"
                f" {height - 1}"
            )
        sperm_id = self._next_id
        self._next_id += 1
        self._waiting.append((sperm_id, x, y))
        return sperm_id

    @property
    def next_id(self) -> int:
        """The number that the next sperm will have."""
        return self._next_id

    @property
    def head_px(self) -> float | None:
        """The head size where it is known rather than assumed."""
        return self._preprocessor.head_px if self._preprocessor.scaled else None

    def resume(self, next_id: int) -> None:
        """Go on with the numbers of a tracker of before."""
        self._next_id = next_id

    def take_up(self, sperm_id: int, x: float, y: float) -> None:
        """Follow a sperm of before from the next frame on, where its head is at (x, y), px."""
        self._known.append((sperm_id, x, y))

    def miss(self, sperm_id: int, x: float, y: float) -> None:
        """Say of a sperm of before, last seen at (x, y), that it is lost."""
        self._missing[sperm_id] = (x, y)

    def select_auto(self, count: int, *, prompt: bool = False, unbroken: bool = False) -> None:
        """Select so many more of the best candidates, once the field has been watched long enough.

        ``prompt``: what time a step leaves of a frame goes to the next one; else a step begins with a frame, as in
        sessions of before. ``unbroken``: where frames are missing meanwhile, watching begins anew, as long as nothing
        is followed and for ``LONGEST_WATCH_S`` at most; else it goes on, likewise.
        """
        self._wanted += count
        self._prompt, self._unbroken = prompt, unbroken
        self._waited_s = 0.0

    def show_candidates(self) -> None:
        """Say with the next frame, or as soon as the field is known, which heads nobody follows; changes nothing."""
        self._asked_for_candidates = True

    @property
    def selecting(self) -> bool:
        """True while an automatic selection has been asked for and not been made."""
        return self._wanted > 0

    def release(self, sperm_id: int) -> None:
        """Follow this sperm no longer; an unknown number is ignored."""
        self._waiting = [w for w in self._waiting if w[0] != sperm_id]
        self._missing.pop(sperm_id, None)
        self._windows.pop(sperm_id, None)
        self._trajectories.pop(sperm_id, None)
        self._evidence.pop(sperm_id, None)
        self._head_tracker.release(sperm_id)

    def forget_motion(self) -> None:
        """Begin all trajectories anew: behind another objective a px is another length."""
        for trajectory in self._trajectories.values():
            trajectory.clear()

    def kinematics(self, sperm_id: int, um_per_px: float | None) -> Kinematics | Refusal:
        """Return how a selected sperm swims, from its last seconds, or why that cannot be said."""
        trajectory = self._trajectories.get(sperm_id, Trajectory())
        return kinematics(*trajectory.arrays(), um_per_px)

    def update(
        self,
        pixels: NDArray[np.uint8],
        *,
        frame_seq: int,
        t_source_ns: int,
        lost_before: int = 0,
        exposure_id: int = 0,
        every: int = 1,
        of_sent: int = 1,
    ) -> FrameResult:
        """Follow all selected sperm into the next frame (H, W). Raises InputError for a frame of another size.

        ``every``: one in so many frames of the source comes. ``of_sent``: so far apart are the numbers.
        """
        return self.update_prepared(
            self._preprocessor.prepare(
                pixels,
                frame_seq=frame_seq,
                t_source_ns=t_source_ns,
                lost_before=lost_before,
                exposure_id=exposure_id,
                every=every,
                of_sent=of_sent,
            )
        )

    def update_prepared(self, prepared: PreparedFrame) -> FrameResult:
        """Do what ``update`` does, with a frame that was prepared already."""
        self._head_tracker.update(prepared)
        self._take_up(prepared)
        tracks: list[TrackResult] = []
        windows: list[WindowResult] = []
        for sperm_id, head in self._head_tracker.selected():
            verdict = judge(head, prepared)
            self._note(sperm_id, head, verdict.state, prepared)
            window = self._windows[sperm_id]
            complete = self._fill(window, head, verdict.state, prepared)
            evidence = self._evidence[sperm_id]
            evidence.note(prepared, self._head_tracker.others_px(head), window.frame_seqs)
            if complete:
                measured = evidence.measured(prepared)
                windows.append(_result(sperm_id, window, head, measured))
            x, y = self._in_sight(head)
            tracks.append(TrackResult(sperm_id, x, y, verdict.state, verdict.score, verdict.reason, window.filled))
        for sperm_id, (x, y) in self._missing.items():
            tracks.append(TrackResult(sperm_id, x, y, TrackState.LOST, 0.0, RESTARTED, 0))
        cautions = self._cautions.after(prepared)
        candidates = self._candidates(prepared) if self._asked_for_candidates else None
        if self._broken:  # a background of a few moments shows heads where they were, and the size of none
            self._preprocessor.watch_anew(prepared.pixels)
            self._broken = False
        return FrameResult(tuple(tracks), tuple(windows), prepared.disturbance, cautions, candidates)

    def _candidates(self, prepared: PreparedFrame) -> tuple[tuple[float, float], ...] | None:
        """Return what the automatic selection would choose from; None where the field is not known well enough yet."""
        params = prepared.params.detection
        if prepared.watched_s < params.watch_s or prepared.blank or not self._preprocessor.scaled:
            return None
        self._asked_for_candidates = False
        followed = [(head.x, head.y) for _, head in self._head_tracker.selected() if head.followed]
        found = find_candidates(prepared, parts=False)
        chosen = best(
            found, MOST_CANDIDATES, prepared.head_px, *self._shape, followed, params,
            lambda one: is_like_a_head(prepared, one),
        )  # fmt: skip
        return tuple((one.x, one.y) for one in chosen)

    def _in_sight(self, head: Head) -> tuple[float, float]:
        """Return where a head is, or the nearest place in the frame: the stage carries lost ones out of sight."""
        height, width = self._shape
        return min(max(head.x, 0.0), width - 1.0), min(max(head.y, 0.0), height - 1.0)

    def _take_up(self, prepared: PreparedFrame) -> None:
        """Begin to follow what was selected by point, and by rule once the field is known."""
        if self._known:
            for sperm_id, x, y in self._known:
                self._begin(prepared, sperm_id, x, y)
            self._known.clear()
            self._head_tracker.look_around(prepared)
        if self._waiting:
            self._take_up_points(prepared)
        elif self._wanted:
            self._take_up_best(prepared)

    def _take_up_points(self, prepared: PreparedFrame) -> None:
        """Begin to follow, in this very frame, the heads that somebody pointed at."""
        if not self._preprocessor.scaled and not prepared.blank:
            found = find_candidates(prepared)
            points = leading(found, prepared.floor, prepared.head_px) or [
                snap(prepared, x, y) for _, x, y in self._waiting
            ]
            self._preprocessor.rescale(measure_head(prepared.pixels, points, prepared.params.detection))
            self._survey = None  # its frame was looked over for heads of another size
        prepared = replace(prepared, head_px=self._preprocessor.head_px)
        for sperm_id, x, y in self._waiting:
            self._begin(prepared, sperm_id, *snap(prepared, x, y), point=(x, y))
        self._waiting.clear()
        self._head_tracker.look_around(prepared)

    def _take_up_best(self, prepared: PreparedFrame) -> None:
        """Go on with the automatic selection: the size of heads, then where they are."""
        watch_s = prepared.params.detection.watch_s
        if self._prompt:
            watch_s = max(watch_s, WATCHED_FRAMES * prepared.interval_s)
        self._waited_s += prepared.interval_s
        self._broken = (
            self._unbroken
            and prepared.gap
            and not prepared.blank
            and self._waited_s < LONGEST_WATCH_S
            and not self._windows
        )
        if self._broken or prepared.watched_s < watch_s or prepared.blank:
            self._survey = None
            return
        if self._survey is not None:
            self._survey.pass_by(prepared)
        left = share_of(prepared)
        while self._wanted and left > 0:
            left = self._take_step(prepared, left)
            if not self._prompt:
                break

    def _take_step(self, prepared: PreparedFrame, pieces: int) -> int:
        """Take the next step of the automatic selection, of so many pieces at most; return how many are left."""
        head_px = self._preprocessor.head_px
        if self._survey is None:
            frame = replace(prepared, head_px=head_px)
            self._survey = Survey(frame, scaled=self._preprocessor.scaled, wanted=self._wanted)
            return pieces - KEEPING
        finding = self._survey.finding
        if finding is not None:
            # Another frame must show it too; and one whose head size was measured in it is prepared for another size.
            if self._survey.is_past and prepared.head_px == head_px:
                self._begin_best(prepared, self._survey, finding.promising)
            return 0
        left = self._survey.look_on(pieces)
        finding = self._survey.finding
        if finding is not None and not self._preprocessor.scaled:
            self._survey = None
            if finding.head_px is None:
                self._wanted = 0
            else:
                self._preprocessor.rescale(finding.head_px)
        return left

    def _begin_best(self, prepared: PreparedFrame, survey: Survey, promising: list[Candidate]) -> None:
        """Begin to follow the best heads of those that have been found, where they are."""
        followed = [(head.x, head.y) for _, head in self._head_tracker.selected() if head.followed]
        for _ in range(max(TRIED, self._wanted)):
            if not promising or not self._wanted:
                break
            now = survey.seen_now(promising.pop(0), prepared, followed)
            if now is not None:
                self._begin(prepared, self._next_id, now.x, now.y)
                self._next_id += 1
                self._wanted -= 1
                followed.append((now.x, now.y))
        self._head_tracker.look_around(prepared)
        if not promising or not self._wanted:
            self._wanted = 0
            self._survey = None

    def _begin(
        self, prepared: PreparedFrame, sperm_id: int, x: float, y: float, *, point: tuple[float, float] | None = None
    ) -> None:
        self._head_tracker.start(prepared, x, y, sperm_id, point=point)
        shape, windows = self._window_shape, self._windows.values()
        phase = free_phase((window.phase for window in windows), shape.stride) if shape.spread else None
        self._windows[sperm_id] = RollingWindow(shape, phase)
        self._trajectories[sperm_id] = Trajectory()
        self._evidence[sperm_id] = WindowEvidence()

    def _note(self, sperm_id: int, head: Head, state: TrackState, prepared: PreparedFrame) -> None:
        """Put a locked position into the trajectory, relative to the field; begin again after a loss or a swap."""
        trajectory = self._trajectories[sperm_id]
        if state is TrackState.LOST or head.displaced:
            trajectory.clear()
        if state is TrackState.LOCKED:
            trajectory.add(prepared.t_source_ns, head.x - prepared.origin[0], head.y - prepared.origin[1])

    @staticmethod
    def _fill(window: RollingWindow, head: Head, state: TrackState, prepared: PreparedFrame) -> bool:
        """Put a locked frame into the window, empty it otherwise; return whether it is complete with this frame."""
        if prepared.gap or head.displaced:
            window.clear()
        if state is not TrackState.LOCKED or prepared.unfit:
            window.clear()
            return False
        return window.add(
            prepared.pixels,
            head.x,
            head.y,
            frame_seq=prepared.frame_seq,
            t_source_ns=prepared.t_source_ns,
            exposure_id=prepared.exposure_id,
            every=prepared.every,
            of_sent=prepared.of_sent,
        )


def _result(sperm_id: int, window: RollingWindow, head: Head, measured: Measured) -> WindowResult:
    return WindowResult(
        sperm_id, head.x, head.y, window.frame_seqs, window.t_source_ns, window.padded, measured, window.pixels
    )


def matcher_for(settings: TrackerSettings, params: TrackerParams = DEFAULT_PARAMS) -> Matcher:
    """Return the matcher that the settings name. Raises MissingExtraError where it is not installed.

    "auto" is OpenCV: it keeps up with dozens of sperm on one core, and asking torch for CUDA would cost every start of
    the station torch's import.
    """
    if settings.matcher != "torch":
        return OpenCvMatcher(params.matching)
    try:
        from tracker.matching.torch_matcher import TorchMatcher
    except ImportError as error:
        raise MissingExtraError('[tracker] matcher = "torch" needs torch; install it: pip install ".[gpu]"') from error
    return TorchMatcher(params=params.matching)
