"""What a tracker leaves to its successor, should it be killed after this frame, and what the successor makes of it.

Nobody watched while it was down. So a sperm is taken up with its number only where it was slow enough to be at its last
place still and is seen there, looking as before. Any other is lost and says so; one that was selected automatically
gives way to the next best at once. The decisions are commands like all others: they are published and recorded with the
frame before which they are carried out, and a replay takes them from the record. This module knows places and looks; it
follows nothing.
"""

import base64
import math
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from station.clock import NS_PER_S
from station.crop import crop_into
from station.transport.messages import AppliedCommand, CommandName, TrackState
from tracker.results import FrameResult

LOOKS_HEADS: Final = 1.5
"""Edge of the crop that a sperm is known again by, in heads."""
REACH_HEADS: Final = 0.5
"""How far from its last place a sperm may be: where it can have gone farther, nobody knows which one it is."""
LEAST_NCC: Final = 0.7
SPEED_S: Final = 0.4
"""Speed is measured over so much time at least."""


class LeftSperm(BaseModel):
    """One sperm as it was followed last."""

    model_config = ConfigDict(frozen=True, strict=True)

    sperm_id: int
    x: float
    y: float
    chosen: bool
    """Selected by point, or marked: it is never given up by itself."""
    speed_px_s: float | None
    """None where it was not locked, or not known for long enough."""
    looks: str
    """Its crop, (S, S) uint8, base64."""


class Handover(BaseModel):
    """What a successor must know."""

    model_config = ConfigDict(frozen=True, strict=True)

    frame_seq: int
    """Of the frame that was tracked last."""
    t_source_ns: int
    next_id: int
    head_px: float | None
    """None where it had not been measured."""
    wanted: int
    """How many automatically selected sperm there should be."""
    sperm: list[LeftSperm]

    @classmethod
    def read(cls, note: bytes) -> "Handover | None":
        """Return what a predecessor left; None where that is nothing."""
        try:
            return cls.model_validate_json(note) if note else None
        except ValidationError:
            return None

    def resumption(self, pixels: NDArray[np.uint8], t_source_ns: int, *, replaces: bool) -> list[AppliedCommand]:
        """Return what to do before the successor's first frame (H, W), at ``t_source_ns``.

        ``replaces``: automatically selected sperm that are lost give way to others.
        """
        begin = AppliedCommand(name=CommandName.RESTART, sperm_id=self.next_id, head_px=self.head_px)
        down_s = max(0, t_source_ns - self.t_source_ns) / NS_PER_S
        commands, missing = [begin], 0
        for one in self.sperm:
            place = self._seen_again(one, pixels, down_s)
            if place is not None:
                x, y = place
                commands.append(AppliedCommand(name=CommandName.TAKE_UP, sperm_id=one.sperm_id, x=x, y=y))
            elif one.chosen or not replaces:
                commands.append(AppliedCommand(name=CommandName.MISS, sperm_id=one.sperm_id, x=one.x, y=one.y))
            else:
                missing += 1
                commands.append(AppliedCommand(name=CommandName.RELEASE, sperm_id=one.sperm_id))
        if missing:
            commands.append(AppliedCommand(name=CommandName.SELECT_AUTO, count=missing))
        return commands

    def _seen_again(self, one: LeftSperm, pixels: NDArray[np.uint8], down_s: float) -> tuple[float, float] | None:
        """Return where a sperm is; None where that is not certain."""
        if one.speed_px_s is None or self.head_px is None or one.speed_px_s * down_s > REACH_HEADS * self.head_px:
            return None
        looks = np.frombuffer(base64.b64decode(one.looks), np.uint8)
        edge = math.isqrt(looks.size)
        reach = math.ceil(REACH_HEADS * self.head_px)
        around = np.empty((edge + 2 * reach, edge + 2 * reach), np.uint8)
        if crop_into(around, pixels, one.x, one.y):
            return None
        found = cv2.matchTemplate(around, looks.reshape(edge, edge), cv2.TM_CCOEFF_NORMED)
        _, ncc, _, (dx, dy) = cv2.minMaxLoc(found)
        return (round(one.x) + dx - reach, round(one.y) + dy - reach) if ncc >= LEAST_NCC else None


class HandoverWriter:
    """Makes the note of every frame."""

    def __init__(self) -> None:
        self._earlier: tuple[int, dict[int, tuple[float, float]]] = (0, {})
        self._before: tuple[int, dict[int, tuple[float, float]]] = (0, {})

    def note(
        self,
        result: FrameResult,
        pixels: NDArray[np.uint8],
        *,
        frame_seq: int,
        t_source_ns: int,
        next_id: int,
        head_px: float | None,
        chosen: set[int],
        wanted: int,
    ) -> bytes:
        """Return what to leave after this frame."""
        places = {track.sperm_id: (track.x, track.y) for track in result.tracks if track.state is TrackState.LOCKED}
        if t_source_ns - self._before[0] >= SPEED_S * NS_PER_S:
            self._earlier, self._before = self._before, (t_source_ns, places)
        left = Handover(
            frame_seq=frame_seq,
            t_source_ns=t_source_ns,
            next_id=next_id,
            head_px=head_px,
            wanted=wanted,
            sperm=list(self._sperm(result, places, pixels, t_source_ns, head_px, chosen)),
        )
        return left.model_dump_json().encode()

    def _sperm(
        self,
        result: FrameResult,
        places: dict[int, tuple[float, float]],
        pixels: NDArray[np.uint8],
        t_source_ns: int,
        head_px: float | None,
        chosen: set[int],
    ) -> Iterator[LeftSperm]:
        edge = round(LOOKS_HEADS * head_px) | 1 if head_px is not None else 1
        crop = np.empty((edge, edge), np.uint8)
        since_ns, earlier = self._earlier
        for track in result.tracks:
            speed_px_s = None
            if track.sperm_id in places and track.sperm_id in earlier:
                x, y = earlier[track.sperm_id]
                speed_px_s = math.hypot(track.x - x, track.y - y) / ((t_source_ns - since_ns) / NS_PER_S)
            crop_into(crop, pixels, track.x, track.y)
            yield LeftSperm(
                sperm_id=track.sperm_id,
                x=track.x,
                y=track.y,
                chosen=track.sperm_id in chosen,
                speed_px_s=speed_px_s,
                looks=base64.b64encode(crop.tobytes()).decode() if speed_px_s is not None else "",
            )
