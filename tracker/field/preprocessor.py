"""The whole field of one frame, made ready for following heads: appearance, energy, scale, time, what disturbs it.

Energy is what differs from the background, smoothed: static debris has none, and it does not care whether a head is
brighter or darker than the medium. Appearance is the frame with part of the background taken out, so that templates
are not caught by debris. The stage's motion is measured here and the background moves with it. This module knows no
selected sperm.
"""

import statistics
from collections import deque
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_S
from station.errors import InputError
from tracker.field.background import Background
from tracker.field.disturbances import Focus, Levels, blank, level_step, level_table, thinned
from tracker.field.picture_watch import PictureWatch
from tracker.field.stage_motion import Shift, StageMotion
from tracker.matching.matcher import Matcher
from tracker.matching.prepared_frame import REFERENCE_HZ, Disturbance, PreparedFrame
from tracker.params import DEFAULT_PARAMS, TrackerParams

NOWHERE: Final = Shift(0.0, 0.0, False, 0)
"""It is not known that the stage moved."""
LARGE_PX: Final = 700_000
"""Frames with more pixels are sampled in every second frame at most."""


class Preprocessor:
    """Turns frames of one size into PreparedFrames; keeps time, background, stage motion and head size."""

    def __init__(
        self,
        height: int,
        width: int,
        matcher: Matcher,
        head_px: float | None = None,
        *,
        params: TrackerParams = DEFAULT_PARAMS,
    ) -> None:
        """``head_px``: edge of the box round a head where it is known. Raises InputError for a size of nothing."""
        if height < 1 or width < 1:
            raise InputError(f"frames of {width} x {height} px: expected at least 1 x 1; check the source")
        self._params = params
        self._shape = (height, width)
        self._matcher = matcher
        self.head_px = head_px or params.detection.default_head_px
        self.scaled = head_px is not None
        """True once the head size is known rather than assumed."""
        self._background: Background | None = None
        self._motion = StageMotion(self.head_px, params.stage)
        self._focus = Focus(params.disturbance)
        self._watch = PictureWatch(height, width, params.picture)
        self._frames = 0
        self._last_ns = self._looked_ns = 0
        self._intervals_s: deque[float] = deque(maxlen=params.background.usual_frames)
        self._interval_s = self._sampled_s = 1 / REFERENCE_HZ
        """Usual interval of the source's frames, now and when the background was begun."""
        self._every = 1
        """One in so many of them comes."""
        self._watched_s = 0.0
        self._exposure_id = 0
        self._origin = np.zeros(2)
        self._noise = 0.0
        self._unlike_before = 0.0
        self._usual_step = 0.0
        self._unlooked_s = 0.0
        """How long stage and focus have not been looked at."""
        self._at_rest = False
        """Nothing disturbed the frame before."""
        self._located = False
        """Where the field is was seen when it was looked at last."""

    def rescale(self, head_px: float) -> None:
        """Take a measured head size."""
        self.head_px = head_px
        self.scaled = True
        self._motion = StageMotion(head_px, self._params.stage)

    def prepare(
        self,
        pixels: NDArray[np.uint8],
        *,
        frame_seq: int,
        t_source_ns: int,
        lost_before: int = 0,
        exposure_id: int = 0,
        every: int = 1,
        of_sent: int = 1,
    ) -> PreparedFrame:
        """Take the next frame (H, W) in. Raises InputError for a frame of another size or type.

        ``every``: one in so many frames of the source comes, which is no gap. ``of_sent``: so far apart are the
        numbers.
        """
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            raise InputError(
                f"frame {frame_seq}: expected {self._shape[1]} x {self._shape[0]} px of uint8, got shape {pixels.shape}"
                f" of {pixels.dtype}; start again with this source"
            )
        levels = Levels(thinned(pixels))
        picture = self._watch.look(pixels, levels, (t_source_ns - self._looked_ns) / NS_PER_S, self.head_px)
        self._looked_ns = t_source_ns
        interval_s, gap = self._elapsed(t_source_ns, lost_before, every, frozen=picture.frozen)
        background = self._begin(pixels, 0.0 if picture.frozen else interval_s)
        shift = NOWHERE
        if blank(pixels, levels, self._params.disturbance):
            disturbance = Disturbance.NOTHING_TO_SEE
        elif picture.frozen:
            disturbance = Disturbance.FROZEN
        else:
            shift, disturbance = self._locate(background, pixels, interval_s, exposure_id)
        self._at_rest = disturbance is Disturbance.NONE
        params = self._params.background
        if disturbance not in (Disturbance.NOTHING_TO_SEE, Disturbance.FROZEN):
            background.add(pixels, dense=self._watched_s < params.dense_s)
        still = background.image()
        deadband = self._deadband(pixels, still)
        energy, planes = self._matcher.prepare(pixels, still, deadband, self.head_px * params.sigma_heads)
        return PreparedFrame(
            frame_seq=frame_seq,
            t_source_ns=t_source_ns,
            exposure_id=exposure_id,
            gap=gap,
            pixels=pixels,
            still=still,
            deadband=deadband,
            energy=energy,
            planes=planes,
            level=levels.percentile(50),
            floor=params.floor_levels + params.floor_per_deadband * (deadband - params.deadband_levels),
            head_px=self.head_px,
            interval_s=interval_s,
            watched_s=self._watched_s,
            origin=(float(self._origin[0]), float(self._origin[1])),
            shift=(shift.dx, shift.dy),
            restarted=self._watched_s == 0.0,
            disturbance=disturbance,
            picture=picture,
            params=self._params,
            every=every,
            of_sent=of_sent,
        )

    def watch_anew(self, pixels: NDArray[np.uint8]) -> None:
        """Begin to learn the field anew with the frame (H, W) that was prepared last."""
        if self._background is not None:
            self._restart(self._background, pixels)

    def forget_frames(self) -> None:
        """Take what follows for new: frames that were shown before will come again, and no camera is frozen."""
        self._watch.forget_frames()

    def _elapsed(self, t_source_ns: int, lost_before: int, every: int, *, frozen: bool) -> tuple[float, bool]:
        """Return the time since the frame before, and whether frames are missing in between.

        A frozen picture shows nothing of its own moment: time goes on to the next one that is new, as after a gap.
        """
        self._frames += 1
        changed = every != self._every
        if changed:
            self._every = every
            if self._background is not None:
                self._background.sample_every(self._stride(self._shape))
        if self._frames == 1:
            self._last_ns = t_source_ns
            return self._interval_s, False
        interval_s = max((t_source_ns - self._last_ns) / NS_PER_S, 1e-4)
        if frozen:
            return interval_s, True
        self._last_ns = t_source_ns
        # In frames of the source: a thinned one hides no more of them than one that is not.
        late = interval_s > (every - 1 + self._params.background.gap_intervals) * self._interval_s
        gap = changed or lost_before > 0 or (len(self._intervals_s) > 1 and late)
        self._intervals_s.append(interval_s / (every + lost_before))
        self._interval_s = statistics.median(self._intervals_s)
        return interval_s, gap

    def _begin(self, pixels: NDArray[np.uint8], interval_s: float) -> Background:
        """Return the background; the frame rate, known from the second frame on, tells how often to sample."""
        params = self._params.background
        self._watched_s += interval_s
        faster = self._sampled_s / self._interval_s
        if self._frames > 2 and not 1 / params.another_rate < faster < params.another_rate:
            self._frames = 2
            self._watched_s = 0.0
            self._motion.forget()
        if self._background is None or self._frames == 2:
            stride = self._stride(pixels.shape)
            samples = int(np.clip(round(params.history_s / (self._interval_s * self._every * stride)), *params.samples))
            samples |= 1
            self._sampled_s = self._interval_s
            self._background = Background(*self._shape, samples, stride)
            self._background.restart(pixels)
        return self._background

    def _stride(self, shape: tuple[int, ...]) -> int:
        """Return every how many of the frames that come the background samples."""
        height, width = shape
        usual = round(self._params.background.sample_s / (self._interval_s * self._every))
        return max(1, usual, 2 if height * width > LARGE_PX else 1)

    def _locate(
        self, background: Background, pixels: NDArray[np.uint8], interval_s: float, exposure_id: int
    ) -> tuple[Shift, Disturbance]:
        """Bring the background to where and how this frame shows the field; return the stage's move and what disturbs.

        In turn: another exposure; the stage, which may have moved a little, or far; a focus or a field that has become
        another one, which starts the background again. At rest, stage and focus are not looked at with every frame of a
        fast source.
        """
        params = self._params.disturbance
        disturbance = Disturbance.NONE
        still = background.image()
        if exposure_id != self._exposure_id or abs(level_step(pixels, still)) > params.step_levels:
            self._exposure_id = exposure_id
            disturbance = Disturbance.EXPOSURE_CHANGED
            background.remap(level_table(pixels, still))
            self._motion.forget()
            still = background.image()
        unlike = self._unlike(still, pixels)
        step = unlike - self._unlike_before
        settling = self._frames <= params.settling_frames
        as_usual = settling or step <= max(params.jump_share * unlike, params.jump_steps * self._usual_step)
        self._unlooked_s += interval_s
        soon = self._unlooked_s + self._interval_s * self._every / 2 < params.look_s
        if soon and self._at_rest and as_usual and not settling and disturbance is Disturbance.NONE:
            self._learn_step(unlike, step, params.usual_step_rate)
            return NOWHERE, Disturbance.NONE
        refocused = self._focus.changed(pixels, self._unlooked_s)
        unlooked = self._unlooked_s > interval_s
        self._unlooked_s = 0.0
        shift = self._motion.measure(still, pixels)
        if shift.known and not self._fits(shift, still, pixels):
            shift = NOWHERE
        if unlooked and self._located and as_usual and not shift.known and not refocused:
            # It may have set off while nobody looked, and be further by now than is searched.
            shift = self._motion.search(still, pixels)
            if shift.known:
                disturbance = Disturbance.STAGE_JUMPED
        self._located = shift.known
        if shift.known or as_usual:
            self._learn_step(unlike, step, params.settling_rate if settling else params.usual_step_rate)
        elif refocused:
            self._restart(background, pixels)
        else:
            shift = self._motion.search(still, pixels)
            if not shift.known:
                self._restart(background, pixels)
                return shift, Disturbance.FIELD_CHANGED
            disturbance = Disturbance.STAGE_JUMPED
        if shift.dx or shift.dy:
            background.move(shift.dx, shift.dy, pixels)
            self._origin += (shift.dx, shift.dy)
            disturbance = disturbance or Disturbance.STAGE_MOVING
        return shift, Disturbance.FOCUS_CHANGED if refocused else disturbance

    def _learn_step(self, unlike: float, step: float, rate: float) -> None:
        """Learn what difference from the background is usual, and how it usually changes from frame to frame."""
        self._unlike_before = unlike
        self._usual_step += (abs(step) - self._usual_step) * rate

    def _restart(self, background: Background, pixels: NDArray[np.uint8]) -> None:
        """Begin to learn the background anew."""
        background.restart(pixels)
        self._motion.forget()
        self._watched_s = 0.0

    @staticmethod
    def _unlike(still: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> float:
        """Return the mean difference of a thinned-out frame from the background, in grey levels."""
        return float(cv2.absdiff(pixels[::6], still[::6])[:, ::6].mean())

    @staticmethod
    def _fits(shift: Shift, still: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> bool:
        """Return whether the background, moved by ``shift``, is more like the frame than where it was."""
        dx, dy = round(shift.dx), round(shift.dy)
        if abs(dx) + abs(dy) < 2:
            return True
        height, width = pixels.shape
        if abs(dx) >= width or abs(dy) >= height:
            return False
        now = pixels[max(dy, 0) : height + min(dy, 0) : 4, max(dx, 0) : width + min(dx, 0) : 4].astype(np.int16)
        moved = still[max(-dy, 0) : height + min(-dy, 0) : 4, max(-dx, 0) : width + min(-dx, 0) : 4]
        before = still[max(dy, 0) : height + min(dy, 0) : 4, max(dx, 0) : width + min(dx, 0) : 4]
        return float(np.abs(now - moved).mean()) < float(np.abs(now - before).mean())

    def _deadband(self, pixels: NDArray[np.uint8], still: NDArray[np.uint8]) -> float:
        """Return the difference that counts as nothing, by the camera's noise."""
        params = self._params.background
        sample = cv2.absdiff(pixels[::7], still[::7])[:, ::5]
        noise = 1.25 * float(np.minimum(sample, 8).mean())
        self._noise += params.noise_rate * (noise - self._noise)
        return max(params.deadband_levels, params.deadband_noise * self._noise)
