"""One video through the live tracker: the windows of the tagged sperm, and what became of each.

The tracker, its field and its windows are the station's own classes, and a window is what the station would have given
to the network: locked frames without a gap. Two things differ from the microscope, as here the file can be read twice.
The field is watched before the first frame, by playing the beginning backwards, as a station has watched it before
somebody selects. And a sperm that was lost is not taken up again, because whoever is found later may be another one,
and the experts grade the one that was tagged. This module knows no folder of clips and no votes.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from capture.factory import open_source
from capture.source import Frame, Source
from station.clock import NS_PER_S
from station.config import Config, SourceSettings, TrackerSettings
from station.errors import InputError
from station.stride import window_stride
from station.transport.messages import SourceInfo, TrackState
from tracker.field.preprocessor import Field
from tracker.matching.detection import MOVING_WEIGHT, contrast_map, least_contrast, snap
from tracker.matching.prepared_frame import FieldFrame
from tracker.results import FrameResult, WindowResult
from tracker.tracker import Tracker, matcher_for
from tracker.window import WindowShape
from trainer.data.tags import Tag

FRAMES: Final = 16
SIZE_PX: Final = 150
WATCHED_S: Final = 2.5
"""So much of the video's beginning is played backwards first; the tracker's background looks back as far."""
LEAD_FRAMES: Final = 3
"""Frames that a uniform spread leaves for the tracker to lock."""


@dataclass(frozen=True, slots=True)
class CutSettings:
    """How windows are chosen and cut."""

    stride: int | Literal["auto", "uniform"] = "auto"
    """Every how many frames one is taken; "auto": nearest to ``rate``; "uniform": 16 frames spread over the video."""
    rate: float = 15.0
    """Frames a second that the clips should have, for "auto"."""
    windows: int = 1
    """Most windows of one sperm: the first complete one, and those that follow without sharing a frame."""
    whole: bool = False
    """Leave out windows of which a crop reaches over the frame's edge."""
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    fps: float | None = None
    """Frame rate to go by instead of the video's own, 1/s."""
    bits: int | None = None
    """Bits that pictures of more than 8 bits really use."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One clip and where it comes from."""

    tag: Tag
    pixels: NDArray[np.uint8]
    """(T, H, W)"""
    frames: tuple[int, ...]
    """(T,) numbers of the video's frames, from 0."""
    t_ns: tuple[int, ...]
    """(T,) the frames' times in the video."""
    places: tuple[tuple[float, float], ...]
    """(T,) where the head was, (x, y) in px of the full frame."""
    padded: bool


@dataclass(slots=True)
class Fate:
    """What became of one tagged sperm."""

    tag: Tag
    clips: int = 0
    last_cut: int = -1
    """Last frame of its last clip."""
    locked_frames: int = 0
    last_locked: int | None = None
    reason: str = ""
    """Why it gave no clip, or no more; empty where it gave all that were asked for."""


@dataclass(frozen=True, slots=True)
class VideoCuts:
    """What one video gave."""

    info: SourceInfo
    frames: int
    """Frames read and missing, up to the last one read."""
    stride: int
    head_px: float
    """Head size that the tracker measured or was given."""
    cuts: tuple[Cut, ...]
    fates: tuple[Fate, ...]
    problems: tuple[str, ...]
    """Tags that cannot be used."""
    notices: tuple[str, ...]
    """What of the file could not be read."""

    @property
    def fps(self) -> float:
        """Frames a second of the clips."""
        return self.info.fps / self.stride


def cut_video(
    path: Path, tags: Sequence[Tag], settings: CutSettings, progress: Callable[[int], object] = lambda _: None
) -> VideoCuts:
    """Follow all tagged sperm of a video and cut their windows.

    Args:
        path: A video file, a TIFF stack or a folder of pictures.
        tags: Of this video.
        settings: How.
        progress: Told the number of each frame.

    Raises:
        InputError: The video cannot be used.
    """
    if path.is_dir() and settings.fps is None:
        raise InputError("pictures state no frame rate; give --fps")
    config = Config(source=SourceSettings(kind=str(path), fps=settings.fps, bits=settings.bits))
    stride = _stride(config, settings)
    with open_source(config) as source:
        run = _Run(source, tags, settings, stride)
        for shown in run.play():
            run.follow(shown)
            progress(shown.frame_seq)
        return run.result()


def _stride(config: Config, settings: CutSettings) -> int:
    """Return the stride for this video, for which "uniform" has to count its frames."""
    if settings.stride != "uniform":
        with open_source(config) as source:
            return window_stride(settings.stride, source.info.fps, settings.rate)
    with open_source(config) as source:
        count = sum(1 + frame.lost_before for frame in _frames(source))
    stride = (count - 1 - LEAD_FRAMES) // (FRAMES - 1)
    if stride < 1:
        raise InputError(f"{config.source.kind}: {count} frames are too few for a clip of {FRAMES}")
    return stride


class _Run:
    """One pass through a video."""

    def __init__(self, source: Source, tags: Sequence[Tag], settings: CutSettings, stride: int) -> None:
        info = source.info
        self._source = source
        self._settings = settings
        self._stride = stride
        self._field = Field(info.height, info.width, matcher_for(settings.tracker), settings.tracker.head_px)
        shape = WindowShape(FRAMES, SIZE_PX, stride)
        self._tracker = Tracker(settings.tracker, shape, info.height, info.width, field=self._field)
        self._problems: list[str] = []
        self._refused: list[Fate] = []
        self._due: deque[Tag] = deque()
        for tag in sorted(tags, key=lambda tag: (tag.frame, tag.line)):
            if 0 <= tag.x <= info.width - 1 and 0 <= tag.y <= info.height - 1:
                self._due.append(tag)
            else:
                self._refuse(
                    tag, f"point ({tag.x:g}, {tag.y:g}) lies outside the frame of {info.width} x {info.height} px"
                )
        self._fates: dict[int, Fate] = {}
        self._following: set[int] = set()
        self._places: dict[int, dict[int, tuple[float, float]]] = {}
        self._cuts: list[Cut] = []
        self._frames = 0
        self._begin_ns = 0
        """Time at which the first frame is shown, after the beginning was watched backwards."""

    def play(self) -> Iterator[FieldFrame]:
        """Yield the field of each frame, the beginning having been watched backwards, while there is work."""
        frames = _frames(self._source)
        ahead: list[Frame] = []
        for frame in frames:
            ahead.append(frame)
            if frame.t_source_ns >= WATCHED_S * NS_PER_S:
                break
        self._begin_ns = ahead[-1].t_source_ns
        lost_after = [frame.lost_before for frame in ahead[1:]] + [0]
        for frame, lost in zip(ahead[:0:-1], lost_after[:0:-1], strict=True):
            self._field.update(
                frame.pixels,
                frame_seq=0,
                t_source_ns=self._begin_ns - frame.t_source_ns,
                lost_before=lost,
                exposure_id=frame.exposure_id,
            )
        number = -1
        for frame in itertools.chain(ahead, frames):
            number += 1 + frame.lost_before
            self._frames = number + 1
            yield self._field.update(
                frame.pixels,
                frame_seq=number,
                t_source_ns=self._begin_ns + frame.t_source_ns,
                lost_before=lost_after[0] if number == frame.lost_before else frame.lost_before,
                exposure_id=frame.exposure_id,
            )
            if not self._due and not self._following:
                return

    def follow(self, shown: FieldFrame) -> None:
        """Select what was tagged in this frame, follow everything, and keep the windows that are wanted."""
        while self._due and self._due[0].frame <= shown.frame_seq:
            self._select(self._due.popleft(), shown)
        result = self._tracker.follow(shown)
        self._note(shown.frame_seq, result)
        for window in result.windows:
            self._keep(window)

    def _select(self, tag: Tag, shown: FieldFrame) -> None:
        if tag.frame < shown.frame_seq:
            self._refuse(tag, f"frame {tag.frame}, in which it was tagged, cannot be read")
        elif is_empty(shown, tag.x, tag.y):
            self._refuse(
                tag,
                f"point ({tag.x:g}, {tag.y:g}) lies on empty medium in frame {tag.frame}; give a point on the head",
            )
        else:
            sperm_id = self._tracker.select(tag.x, tag.y)
            self._fates[sperm_id] = Fate(tag)
            self._places[sperm_id] = {}
            self._following.add(sperm_id)

    def _refuse(self, tag: Tag, reason: str) -> None:
        self._problems.append(f"line {tag.line}: {tag.id!r}: {reason}")
        self._refused.append(Fate(tag, reason=reason))

    def _note(self, number: int, result: FrameResult) -> None:
        """Note where each sperm is, or why not; let go who is lost."""
        for track in result.tracks:
            fate = self._fates[track.sperm_id]
            if track.state is TrackState.LOCKED:
                self._places[track.sperm_id][number] = (track.x, track.y)
                fate.locked_frames += 1
                fate.last_locked = number
                continue
            fate.reason = f"{track.reason} (frame {number})"
            if track.state is TrackState.LOST:
                fate.reason = f"lost: {fate.reason}"
                self._release(track.sperm_id)

    def _keep(self, window: WindowResult) -> None:
        """Copy a window that is wanted; let go who has given all."""
        fate = self._fates[window.sperm_id]
        if fate.clips and window.frame_seqs[0] <= fate.last_cut:
            return
        if window.padded and self._settings.whole:
            fate.reason = f"crops reach over the frame's edge (frame {window.frame_seqs[-1]})"
            return
        places = self._places[window.sperm_id]
        self._cuts.append(
            Cut(
                tag=fate.tag,
                pixels=window.pixels.copy(),
                frames=window.frame_seqs,
                t_ns=tuple(t_ns - self._begin_ns for t_ns in window.t_source_ns),
                places=tuple(places[seq] for seq in window.frame_seqs),
                padded=window.padded,
            )
        )
        fate.clips += 1
        fate.last_cut = window.frame_seqs[-1]
        if fate.clips == self._settings.windows:
            self._release(window.sperm_id)

    def _release(self, sperm_id: int) -> None:
        self._tracker.release(sperm_id)
        self._following.discard(sperm_id)

    def result(self) -> VideoCuts:
        """Return everything, once the video has been played."""
        for tag in self._due:
            self._refuse(tag, f"the video ends before frame {tag.frame}, in which it was tagged")
        for sperm_id in self._following:
            fate = self._fates[sperm_id]
            broken = f"; last interrupted: {fate.reason}" if fate.reason else ""
            fate.reason = f"the video ends after {self._frames} frames{broken}"
        for fate in self._fates.values():
            if fate.clips == self._settings.windows:
                fate.reason = ""
        return VideoCuts(
            info=self._source.info,
            frames=self._frames,
            stride=self._stride,
            head_px=self._field.head_px,
            cuts=tuple(self._cuts),
            fates=tuple(sorted([*self._fates.values(), *self._refused], key=lambda fate: fate.tag.line)),
            problems=tuple(self._problems),
            notices=self._source.condition.notices,
        )


def is_empty(shown: FieldFrame, x: float, y: float) -> bool:
    """Return whether there is nothing at a point (x, y) px, nor near it, that the tracker would take for a head."""
    if snap(shown, x, y) != (x, y):
        return False
    contrast = contrast_map(shown.pixels, shown.head_px)
    row, column = round(y), round(x)
    energy = shown.energy.cut(column, row, 0)[0, 0]
    return bool(contrast[row, column] + MOVING_WEIGHT * energy <= least_contrast(contrast))


def _frames(source: Source) -> Iterator[Frame]:
    """Yield the frames of a file."""
    while isinstance(frame := source.read(), Frame):
        yield frame
