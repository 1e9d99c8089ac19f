"""What was measured while a window filled: the evidence by which its grade is valid or not.

A frame counts whether or not it gave a crop: what happens between two crops moves the picture, too. This module knows
frames' figures, not how they were measured, and no pixels.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from station.transport.messages import Cause, Measured
from tracker.matching.prepared_frame import Picture, PreparedFrame


@dataclass(frozen=True, slots=True)
class _Facts:
    """One frame."""

    frame_seq: int
    stage_px: float
    nearest_px: float | None
    crossed: bool
    picture: Picture


class WindowEvidence:
    """The facts of the frames from a window's first to its newest, of one sperm."""

    def __init__(self) -> None:
        self._facts: deque[_Facts] = deque()
        self._apart_s: dict[int, float] = {}
        """How long each other head has been seen apart from this one, by key."""

    def note(self, prepared: PreparedFrame, others_px: Mapping[int, float], window_seqs: Sequence[int]) -> None:
        """Take the next frame in.

        Args:
            prepared: The frame.
            others_px: How far each other head is, by its key.
            window_seqs: Of the crops in the window after this frame, oldest first.
        """
        dx, dy = prepared.shift
        stage_px = (dx * dx + dy * dy) ** 0.5
        crossed = self._crossed(prepared, others_px)
        nearest_px = min(others_px.values(), default=None)
        self._facts.append(_Facts(prepared.frame_seq, stage_px, nearest_px, crossed, prepared.picture))
        oldest = window_seqs[0] if window_seqs else prepared.frame_seq + 1
        while self._facts and self._facts[0].frame_seq < oldest:
            self._facts.popleft()

    def _crossed(self, prepared: PreparedFrame, others_px: Mapping[int, float]) -> bool:
        """Return whether another head overlaps that was apart before."""
        params, head_px = prepared.params.evidence, prepared.head_px
        self._apart_s = {
            key: self._apart_s.get(key, 0.0) + prepared.interval_s * (far_px > params.apart_heads * head_px)
            for key, far_px in others_px.items()
        }
        return any(
            far_px < params.least_apart_heads * head_px and self._apart_s[key] >= params.apart_s
            for key, far_px in others_px.items()
        )

    def measured(self, prepared: PreparedFrame) -> Measured:
        """Return what all of them come to; ``prepared``: the newest."""
        params = prepared.params.evidence
        pictures = [facts.picture for facts in self._facts]
        # How the stage came to where the first crop was taken is of no interest.
        stage_px = sum(facts.stage_px for facts in self._facts) - self._facts[0].stage_px
        nearest_px = min((facts.nearest_px for facts in self._facts if facts.nearest_px is not None), default=None)
        crossed = any(facts.crossed for facts in self._facts)
        found = {fault for picture in pictures for fault in picture.faults}
        if stage_px > params.most_stage_heads * prepared.head_px:
            found.add(Cause.STAGE)
        if crossed:
            found.add(Cause.CROSSING)
        return Measured(
            causes=[cause for cause in Cause if cause in found],
            stage_px=stage_px,
            sharpness=min((p.sharpness for p in pictures if p.sharpness is not None), default=None),
            saturated=max(picture.saturated for picture in pictures),
            brightest=min(picture.brightest for picture in pictures),
            nearest_px=nearest_px,
            repeated=sum(picture.repeats > 0 for picture in pictures),
        )
