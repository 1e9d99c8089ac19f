"""What a tracker leaves to its successor, should it be killed after this frame, and what the successor makes of it.

Nobody watched while it was down. So a sperm is taken up with its number only where that was short, the stage has not
moved since, the sperm was slow enough to be at its last place still, and it is seen there, looking as before, and no
other like it near by. In doubt it is lost and says so; one that was selected automatically gives way to the next best
at once. The decisions are commands like all others: they are published and recorded with the
frame before which they are carried out, and a replay takes them from the record. This module knows places and looks; it
follows nothing.
"""

import base64
import itertools
import math
from collections import deque
from collections.abc import Collection, Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from station.clock import NS_PER_S
from station.crop import crop_into
from station.processes.ledger import NOTE_BYTES
from station.transport.messages import AppliedCommand, CommandName, TrackState
from tracker.matching.matcher import vertex
from tracker.results import FrameResult, TrackResult

LOOKS_HEADS: Final = 1.5
"""Edge of the crop that a sperm is known again by, in heads."""
REACH_HEADS: Final = 0.5
"""How far from its last place a sperm may be: where it can have gone farther, nobody knows which one it is."""
LEAST_NCC: Final = 0.7
MOST_DOWN_S: Final = 2.0
"""After more, nobody is taken for the one of before, however slow."""
RIVAL_HEADS: Final = 1.5
"""Within so many heads of the last place another of the same looks makes it uncertain who is who,"""
RIVAL_NCC: Final = 0.15
"""where it fits nearly as well as the best: by less than this worse."""
NOTE_S: Final = 0.016
"""A note holds for so long while nothing changes but places: nobody goes far meanwhile, and it counts as time down."""
STEP_S: Final = 0.1
"""A path is the sum of steps that take so long: shorter ones would add up the measurement's error."""
PATH_S: Final = 0.8
"""Speed is that along the path of so much time,"""
LEAST_PATH_S: Final = 0.4
"""or at least so much."""
FIELD_HEAD_PX: Final = 4.0
"""The picture of the field, by which it is known whether the stage moved, is shrunk until a head measures so many px"""
MOST_FIELD_PX: Final = 48_000
"""and until it has no more px than this."""
FIELD_NCC: Final = 0.6
"""Where the field is less like that of before, in its old place, it is not known that the stage stood still."""
FIELD_ERROR_PX: Final = 0.5
_AROUND: Final = np.ones((3, 3), np.uint8)


class LeftSperm(BaseModel):
    """One sperm as it was followed last."""

    model_config = ConfigDict(frozen=True, strict=True)

    sperm_id: int
    x: float
    y: float
    chosen: bool
    """Selected by point, or marked: it is never given up by itself."""
    speed_px_s: float | None
    """Along its path; None where it was not locked, or not for long enough."""
    looks: str
    """Its crop, (S, S) uint8, base64; empty where it can't be taken up."""


class LeftField(BaseModel):
    """The whole field as it was seen last, small."""

    model_config = ConfigDict(frozen=True, strict=True)

    factor: int
    width: int
    looks: str
    """(H, W) uint8, base64."""


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
    field: LeftField | None = None
    """None where the head size is not known, or there was no room for it: then nobody is taken up."""
    sperm: list[LeftSperm]

    @classmethod
    def read(cls, note: bytes) -> "Handover | None":
        """Return what a predecessor left; None where that is nothing."""
        try:
            return cls.model_validate_json(note) if note else None
        except ValidationError:
            return None

    @property
    def unselected(self) -> int:
        """How many automatic sperm there should be that had not been selected."""
        return max(0, self.wanted - sum(not one.chosen for one in self.sperm))

    def resumption(
        self, pixels: NDArray[np.uint8], t_source_ns: int, *, replaces: bool, marked: Collection[int] = ()
    ) -> list[AppliedCommand]:
        """Return what to do before the successor's first frame (H, W), at ``t_source_ns``.

        ``replaces``: automatically selected sperm that are lost give way to others. ``marked``: as chosen, whether
        the predecessor heard of it or not.
        """
        begin = AppliedCommand(name=CommandName.RESTART, sperm_id=self.next_id, head_px=self.head_px)
        unheard = [one.sperm_id for one in self.sperm if one.sperm_id in marked and not one.chosen]
        commands = [begin, *(AppliedCommand(name=CommandName.MARK, sperm_id=sperm_id) for sperm_id in unheard)]
        down_s = (t_source_ns - self.t_source_ns) / NS_PER_S
        may_be_known = 0 <= down_s <= MOST_DOWN_S and self._stands_still(pixels)
        missing = self.unselected
        for one in self.sperm:
            place = self._seen_again(one, pixels, down_s) if may_be_known else None
            if place is not None:
                x, y = place
                commands.append(AppliedCommand(name=CommandName.TAKE_UP, sperm_id=one.sperm_id, x=x, y=y))
            elif one.chosen or one.sperm_id in unheard or not replaces:
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
        reach = math.ceil(RIVAL_HEADS * self.head_px)
        around = np.empty((edge + 2 * reach, edge + 2 * reach), np.uint8)
        if not looks.size or crop_into(around, pixels, one.x, one.y):
            return None
        found = cv2.matchTemplate(around, looks.reshape(edge, edge), cv2.TM_CCOEFF_NORMED)
        _, ncc, _, (x, y) = cv2.minMaxLoc(found)
        dx, dy = x - reach, y - reach
        if ncc < LEAST_NCC or math.hypot(dx, dy) > REACH_HEADS * self.head_px:
            return None
        rows, columns = np.indices(found.shape)
        peaks = (found >= cv2.dilate(found, _AROUND)) & (np.hypot(columns - x, rows - y) > REACH_HEADS * self.head_px)
        rival = float(found[peaks].max(initial=-1.0))
        return (round(one.x) + dx, round(one.y) + dy) if rival < ncc - RIVAL_NCC else None

    def _stands_still(self, pixels: NDArray[np.uint8]) -> bool:
        """Return whether it is certain that the stage has moved the field by less than half a head since."""
        if self.field is None or self.head_px is None:
            return False
        before = np.frombuffer(base64.b64decode(self.field.looks), np.uint8).reshape(-1, self.field.width)
        now, margin = _shrunk(pixels, self.field.factor), min(before.shape) // 6
        if now.shape != before.shape or margin < 2:
            return False
        middle = _texture(before)[margin:-margin, margin:-margin]
        found = np.asarray(cv2.matchTemplate(_texture(now), middle, cv2.TM_CCOEFF_NORMED), np.float32)
        _, ncc, _, (x, y) = cv2.minMaxLoc(found)
        edges = (0, 2 * margin)
        if not FIELD_NCC <= ncc <= 1.001 or x in edges or y in edges:
            return False
        dx = x - margin + vertex(found[y], x)
        dy = y - margin + vertex(found[:, x], y)
        return (math.hypot(dx, dy) + FIELD_ERROR_PX) * self.field.factor <= REACH_HEADS * self.head_px


class HandoverWriter:
    """Makes notes, of every frame or of one of several of a fast source."""

    def __init__(self) -> None:
        self._noted_ns = 0
        self._noted: object = None
        """What the last note says, but for places and looks."""
        self._paths: dict[int, deque[tuple[int, float, float]]] = {}
        """By sperm, when it was where, since it has been locked without a break."""

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
    ) -> bytes | None:
        """Return what to leave after this frame; where it would be too long, without what sperm are known again by.

        None: the note of a moment ago holds.
        """
        self._note_paths(result, t_source_ns)
        who = [(track.sperm_id, track.state is TrackState.LOCKED) for track in result.tracks]
        noted = who, frozenset(chosen), wanted, next_id, head_px
        if noted == self._noted and 0 <= t_source_ns - self._noted_ns < NOTE_S * NS_PER_S:
            return None
        self._noted, self._noted_ns = noted, t_source_ns
        left = Handover(
            frame_seq=frame_seq,
            t_source_ns=t_source_ns,
            next_id=next_id,
            head_px=head_px,
            wanted=wanted,
            field=_left_field(pixels, head_px) if head_px is not None and result.tracks else None,
            sperm=list(self._sperm(result, pixels, t_source_ns, head_px, chosen)),
        )
        note = left.model_dump_json().encode()
        if len(note) > NOTE_BYTES:
            bare = [one.model_copy(update={"looks": ""}) for one in left.sperm]
            note = left.model_copy(update={"field": None, "sperm": bare}).model_dump_json().encode()
        return note

    def _note_paths(self, result: FrameResult, t_source_ns: int) -> None:
        paths, self._paths = self._paths, {}
        for track in result.tracks:
            if track.state is not TrackState.LOCKED:
                continue
            path = self._paths[track.sperm_id] = paths.get(track.sperm_id, deque())
            if not path or t_source_ns - path[-1][0] >= STEP_S * NS_PER_S:
                path.append((t_source_ns, track.x, track.y))
            while t_source_ns - path[0][0] > PATH_S * NS_PER_S:
                path.popleft()

    def _speed_px_s(self, track: TrackResult, t_source_ns: int) -> float | None:
        path = list(self._paths.get(track.sperm_id, deque()))
        path.append((t_source_ns, track.x, track.y))
        elapsed_s = (t_source_ns - path[0][0]) / NS_PER_S
        if elapsed_s < LEAST_PATH_S:
            return None
        steps = itertools.pairwise(path)
        return math.fsum(math.hypot(x - x0, y - y0) for (_, x0, y0), (_, x, y) in steps) / elapsed_s

    def _sperm(
        self,
        result: FrameResult,
        pixels: NDArray[np.uint8],
        t_source_ns: int,
        head_px: float | None,
        chosen: set[int],
    ) -> Iterator[LeftSperm]:
        edge = round(LOOKS_HEADS * head_px) | 1 if head_px is not None else 1
        crop = np.empty((edge, edge), np.uint8)
        for track in result.tracks:
            speed_px_s = self._speed_px_s(track, t_source_ns)
            crop_into(crop, pixels, track.x, track.y)
            yield LeftSperm(
                sperm_id=track.sperm_id,
                x=track.x,
                y=track.y,
                chosen=track.sperm_id in chosen,
                speed_px_s=speed_px_s,
                looks=base64.b64encode(crop.tobytes()).decode() if speed_px_s is not None else "",
            )


def _left_field(pixels: NDArray[np.uint8], head_px: float) -> LeftField:
    factor = max(1, round(head_px / FIELD_HEAD_PX), math.ceil(math.sqrt(pixels.size / MOST_FIELD_PX)))
    small = _shrunk(pixels, factor)
    return LeftField(factor=factor, width=small.shape[1], looks=base64.b64encode(small.tobytes()).decode())


def _shrunk(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return a frame (H, W) with ``factor`` x ``factor`` px made one, as (H // factor, W // factor).

    Of the rows two for each will do: this is done with every frame.
    """
    height, width = max(1, pixels.shape[0] // factor), max(1, pixels.shape[1] // factor)
    whole = pixels[: height * factor : max(1, factor // 2), : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _texture(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture less its illumination, which does not move with the stage."""
    picture = small.astype(np.float32)
    return picture - np.asarray(cv2.GaussianBlur(picture, (0, 0), 2 * FIELD_HEAD_PX), np.float32)
