"""The tracker: frames in, positions and states of the selected sperm and their windows out.

``update`` reads as the algorithm: prepare the field, take up what was selected, follow every head, judge, fill the
windows. The same frames and calls give the same bits. It knows nothing of sockets and processes.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_S
from station.config import TrackerSettings
from station.errors import InputError
from station.messages import TrackState
from tracker.candidates import best, find_candidates, measure_head, nearest
from tracker.field import REFERENCE_HZ, Field, FieldFrame
from tracker.following import Following
from tracker.heads import Head
from tracker.matching import OpenCvMatcher
from tracker.results import FrameResult, TrackResult, WindowResult
from tracker.states import Verdict, judge
from tracker.window import RollingWindow, WindowShape

SNAP = 1.0
"""A selected point snaps to a candidate within this many head sizes."""
LEARN_S = 0.4
"""Automatic selection waits until the field has been watched for so long."""
GAP = 1.6
"""A frame that comes this many usual intervals after the last one follows a gap, whatever its number says."""


class Tracker:
    """Follows selected sperm through a stream of frames of one size."""

    def __init__(self, settings: TrackerSettings, window: WindowShape, height: int, width: int) -> None:
        """Nothing is selected yet. Raises InputError for a frame size of nothing."""
        if height < 1 or width < 1:
            raise InputError(f"frames of {width} x {height} px: expected at least 1 x 1; check the source")
        cv2.setNumThreads(1)
        self._window_shape = window
        self._shape = (height, width)
        self._field: Field | None = None
        self._following = Following(OpenCvMatcher())
        self._windows: dict[int, RollingWindow] = {}
        self._next_id = 1
        self._waiting: list[tuple[int, float, float]] = []
        self._wanted = 0
        self._released: set[int] = set()
        self._last_ns = -1
        self._interval_s = 1 / REFERENCE_HZ
        self._watched_s = 0.0
        self._scaled = False
        self._frames = 0

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
        """Select the ``count`` best candidates (``tracker.candidates.best``) once the field has been watched enough."""
        self._wanted = count

    def release(self, sperm_id: int) -> None:
        """Follow this sperm no longer; an unknown number is ignored."""
        self._waiting = [w for w in self._waiting if w[0] != sperm_id]
        self._windows.pop(sperm_id, None)
        self._following.release(sperm_id)

    def update(
        self, pixels: NDArray[np.uint8], *, frame_seq: int, t_source_ns: int, lost_before: int = 0, exposure_id: int = 0
    ) -> FrameResult:
        """Follow all selected sperm into the next frame (H, W). Raises InputError for a frame of another size."""
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            raise InputError(
                f"frame {frame_seq}: expected {self._shape[1]} x {self._shape[0]} px of uint8, got shape {pixels.shape} of"
                f" {pixels.dtype}; start again with this source"
            )
        interval_s, gap = self._elapsed(t_source_ns, lost_before)
        field = self._prepare(pixels, interval_s)
        self._following.update(field)
        self._take_up(field)
        if gap:
            self._clear_windows()
        tracks: list[TrackResult] = []
        windows: list[WindowResult] = []
        for head in self._following.selected():
            verdict = judge(head, field)
            window = self._windows[head.sperm_id]
            if self._fill(window, head, verdict, pixels, frame_seq, t_source_ns, exposure_id):
                windows.append(
                    WindowResult(
                        head.sperm_id, head.x, head.y, window.frame_seqs, window.t_source_ns, window.padded, window.pixels
                    )
                )
            tracks.append(
                TrackResult(head.sperm_id, head.x, head.y, verdict.state, verdict.score, verdict.reason, window.filled)
            )
        return FrameResult(tuple(tracks), tuple(windows), field.disturbance)

    def _elapsed(self, t_source_ns: int, lost_before: int) -> tuple[float, bool]:
        """Return the time since the frame before, and whether frames are missing in between."""
        if self._last_ns < 0:
            self._last_ns = t_source_ns
            return self._interval_s, False
        interval_s = max((t_source_ns - self._last_ns) / NS_PER_S, 1e-4)
        self._last_ns = t_source_ns
        self._frames += 1
        gap = lost_before > 0 or (self._frames > 2 and interval_s > GAP * self._interval_s)
        if self._frames == 1:
            self._interval_s = interval_s
        elif not gap:
            self._interval_s += 0.1 * (interval_s - self._interval_s)
        return interval_s, gap

    def _prepare(self, pixels: NDArray[np.uint8], interval_s: float) -> FieldFrame:
        """Return the field of this frame; the second frame tells the frame rate, and with it the field's memory."""
        if self._field is None or self._frames == 1:
            self._field = Field(*self._shape, interval_s)
            self._scaled = self._scaled and bool(self._following.heads)
        self._watched_s += interval_s
        return self._field.update(pixels, interval_s)

    def _take_up(self, field: FieldFrame) -> None:
        """Begin to follow what was selected by point, and by rule once the field is known."""
        auto = self._wanted > 0 and self._watched_s >= LEARN_S
        if not self._waiting and not auto:
            return
        found = find_candidates(field)
        if not self._following.heads and self._field is not None and found:
            leading = sorted(found, key=lambda c: -c.energy)[:9]
            self._field.head_px = measure_head(field.pixels, [(c.x, c.y) for c in leading])
        for sperm_id, x, y in self._waiting:
            head = nearest(found, x, y, SNAP * field.head_px)
            self._begin(field, sperm_id, head.x if head else x, head.y if head else y)
        self._waiting.clear()
        if auto:
            for one in best(found, self._wanted, field.head_px, *self._shape):
                self._begin(field, self._next_id, one.x, one.y)
                self._next_id += 1
            self._wanted = 0

    def _begin(self, field: FieldFrame, sperm_id: int, x: float, y: float) -> None:
        self._following.start(field, x, y, sperm_id)
        self._windows[sperm_id] = RollingWindow(self._window_shape)

    def _clear_windows(self) -> None:
        for window in self._windows.values():
            window.clear()

    def _fill(
        self,
        window: RollingWindow,
        head: Head,
        verdict: Verdict,
        pixels: NDArray[np.uint8],
        frame_seq: int,
        t_source_ns: int,
        exposure_id: int,
    ) -> bool:
        """Put a locked frame into the window, empty it otherwise; return whether it is complete with this frame."""
        if verdict.state is not TrackState.LOCKED:
            window.clear()
            return False
        return window.add(
            pixels, head.x, head.y, frame_seq=frame_seq, t_source_ns=t_source_ns, exposure_id=exposure_id
        )
