"""The tracker: frames in, positions and states of the selected sperm and their windows out.

``update`` reads as the algorithm: prepare the field, follow every head, take up what was selected, judge, fill the
windows. The same frames and calls give the same bits. It knows nothing of sockets and processes.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from station.config import TrackerSettings
from station.errors import InputError, MissingExtraError
from station.transport.messages import TrackState
from tracker.field.preprocessor import Field
from tracker.heads.head import Head
from tracker.heads.head_tracker import Following
from tracker.heads.state import judge
from tracker.kinematics import Kinematics, Refusal, kinematics
from tracker.matching.detection import best, find_candidates, leading, measure_head, snap
from tracker.matching.matcher import Matcher, OpenCvMatcher
from tracker.matching.prepared_frame import FieldFrame
from tracker.results import FrameResult, TrackResult, WindowResult
from tracker.trajectory import Trajectory
from tracker.window import RollingWindow, WindowShape, free_phase

LEARN_S = 0.4
"""Automatic selection waits until the field has been watched for so long."""


class Tracker:
    """Follows selected sperm through a stream of frames of one size."""

    def __init__(
        self, settings: TrackerSettings, window: WindowShape, height: int, width: int, *, field: Field | None = None
    ) -> None:
        """Nothing is selected yet. ``field``: share the field with other trackers of the same frames (see ``follow``).

        Raises InputError for a frame size of nothing.
        """
        cv2.setNumThreads(1)
        self._matcher: Matcher = matcher_for(settings)
        self._field = field or Field(height, width, self._matcher, settings.head_px)
        self._shape = (height, width)
        self._window_shape = window
        self._following = Following(self._matcher)
        self._windows: dict[int, RollingWindow] = {}
        self._trajectories: dict[int, Trajectory] = {}
        self._next_id = 1
        self._waiting: list[tuple[int, float, float]] = []
        self._wanted = 0

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

    def select_auto(self, count: int) -> None:
        """Select the ``count`` best candidates once the field has been watched long enough."""
        self._wanted = count

    def release(self, sperm_id: int) -> None:
        """Follow this sperm no longer; an unknown number is ignored."""
        self._waiting = [w for w in self._waiting if w[0] != sperm_id]
        self._windows.pop(sperm_id, None)
        self._trajectories.pop(sperm_id, None)
        self._following.release(sperm_id)

    def kinematics(self, sperm_id: int, um_per_px: float | None) -> Kinematics | Refusal:
        """Return how a selected sperm swims, from its last seconds, or why that cannot be said."""
        trajectory = self._trajectories.get(sperm_id, Trajectory())
        return kinematics(*trajectory.arrays(), um_per_px)

    def update(
        self, pixels: NDArray[np.uint8], *, frame_seq: int, t_source_ns: int, lost_before: int = 0, exposure_id: int = 0
    ) -> FrameResult:
        """Follow all selected sperm into the next frame (H, W). Raises InputError for a frame of another size."""
        return self.follow(
            self._field.update(
                pixels,
                frame_seq=frame_seq,
                t_source_ns=t_source_ns,
                lost_before=lost_before,
                exposure_id=exposure_id,
            )
        )

    def follow(self, field: FieldFrame) -> FrameResult:
        """Do what ``update`` does, with the field of the frame already prepared."""
        self._following.update(field)
        self._take_up(field)
        tracks: list[TrackResult] = []
        windows: list[WindowResult] = []
        for head in self._following.selected():
            verdict = judge(head, field)
            self._note(head, verdict.state, field)
            window = self._windows[head.sperm_id]
            if self._fill(window, head, verdict.state, field):
                windows.append(_result(window, head))
            x, y = self._in_sight(head)
            tracks.append(TrackResult(head.sperm_id, x, y, verdict.state, verdict.score, verdict.reason, window.filled))
        return FrameResult(tuple(tracks), tuple(windows), field.disturbance)

    def _in_sight(self, head: Head) -> tuple[float, float]:
        """Return where a head is, or the nearest place in the frame: the stage carries lost ones out of sight."""
        height, width = self._shape
        return min(max(head.x, 0.0), width - 1.0), min(max(head.y, 0.0), height - 1.0)

    def _take_up(self, field: FieldFrame) -> None:
        """Begin to follow what was selected by point, and by rule once the field is known."""
        auto = self._wanted > 0 and field.watched_s >= LEARN_S and not field.blank
        if not self._waiting and not auto:
            return
        found = find_candidates(field, parts=bool(self._waiting))
        if not self._field.scaled and not field.blank:
            points = leading(found, field.floor, field.head_px) or [snap(field, x, y) for _, x, y in self._waiting]
            if auto and not points:
                points = [(c.x, c.y) for c in best(found, self._wanted, field.head_px, *self._shape)]
            if points:
                self._field.rescale(measure_head(field.pixels, points))
                if not self._waiting:
                    return  # measuring and selecting at once would hold a fast camera up: select with the next frame
        field = replace(field, head_px=self._field.head_px)
        for sperm_id, x, y in self._waiting:
            self._begin(field, sperm_id, *snap(field, x, y))
        self._waiting.clear()
        if auto:
            followed = [(h.x, h.y) for h in self._following.selected() if not h.lost]
            for one in best(found, self._wanted, field.head_px, *self._shape, followed):
                self._begin(field, self._next_id, one.x, one.y)
                self._next_id += 1
            self._wanted = 0

    def _begin(self, field: FieldFrame, sperm_id: int, x: float, y: float) -> None:
        self._following.start(field, x, y, sperm_id)
        shape, windows = self._window_shape, self._windows.values()
        phase = free_phase((window.phase for window in windows), shape.stride) if shape.spread else None
        self._windows[sperm_id] = RollingWindow(shape, phase)
        self._trajectories[sperm_id] = Trajectory()

    def _note(self, head: Head, state: TrackState, field: FieldFrame) -> None:
        """Put a locked position into the trajectory, relative to the field; begin again after a loss or a swap."""
        trajectory = self._trajectories[head.sperm_id]
        if state is TrackState.LOST or head.displaced:
            trajectory.clear()
        if state is TrackState.LOCKED:
            trajectory.add(field.t_source_ns, head.x - field.origin[0], head.y - field.origin[1])

    @staticmethod
    def _fill(window: RollingWindow, head: Head, state: TrackState, field: FieldFrame) -> bool:
        """Put a locked frame into the window, empty it otherwise; return whether it is complete with this frame."""
        if field.gap or head.displaced:
            window.clear()
        if state is not TrackState.LOCKED or field.unfit:
            window.clear()
            return False
        return window.add(
            field.pixels,
            head.x,
            head.y,
            frame_seq=field.frame_seq,
            t_source_ns=field.t_source_ns,
            exposure_id=field.exposure_id,
        )


def _result(window: RollingWindow, head: Head) -> WindowResult:
    return WindowResult(
        head.sperm_id, head.x, head.y, window.frame_seqs, window.t_source_ns, window.padded, window.pixels
    )


def matcher_for(settings: TrackerSettings) -> Matcher:
    """Return the matcher that the settings name. Raises MissingExtraError where it is not installed.

    "auto" is OpenCV: it keeps up with dozens of sperm on one core, and asking torch for CUDA would cost every start of
    the station torch's import.
    """
    if settings.matcher != "torch":
        return OpenCvMatcher()
    try:
        from tracker.matching.torch_matcher import TorchMatcher
    except ImportError as error:
        raise MissingExtraError('[tracker] matcher = "torch" needs torch; install it: pip install ".[gpu]"') from error
    return TorchMatcher()
