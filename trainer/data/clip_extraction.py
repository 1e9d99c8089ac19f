"""One video through the live tracker: the windows of the tagged sperm, and what became of each.

The tracker, its field and its windows are the station's own classes, and a window is what the station would have given
to the network: locked frames without a gap. Two things differ from the microscope, because a file can be read twice.
The field is observed before the first frame, by playing the beginning backwards, just as a station has observed it
before somebody selects. And a lost sperm is not re-acquired: the one found later may be another, and the experts grade
the one that was tagged. This module knows no folder of clips and no votes.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from capture.factory import open_source
from capture.source import Frame, Source
from station.clock import NS_PER_S
from station.config import Config, SourceSettings
from station.errors import InputError
from station.stride import window_stride
from station.transport.messages import TrackState
from tracker.field.preprocessor import Preprocessor
from tracker.matching.detection import contrast_map, least_contrast, snap
from tracker.matching.prepared_frame import PreparedFrame
from tracker.results import FrameResult, WindowResult
from tracker.tracker import Tracker, matcher_for
from tracker.window import WindowShape
from trainer.data.cuts import Cut, CutSettings, TagOutcome, VideoCuts
from trainer.data.tags import Tag

FRAMES: Final = 16
SIZE_PX: Final = 150
WATCHED_S: Final = 2.5
"""How much of the video's beginning is played backwards first: as far as the tracker's background looks back."""
LEAD_FRAMES: Final = 3
"""Frames that a uniform spread leaves for the tracker to lock."""


def cut_video(
    path: Path, tags: Sequence[Tag], settings: CutSettings, progress: Callable[[int], object] = lambda _: None
) -> VideoCuts:
    """Follow all tagged sperm of a video and cut their windows.

    Args:
        path: A video file, a TIFF stack or a folder of images.
        tags: Of this video.
        settings: How.
        progress: Told the number of each frame.

    Raises:
        InputError: The video cannot be used.
    """
    config = Config(source=SourceSettings(kind=str(path), fps=settings.fps, bits=settings.bits))
    stride = _stride(config, settings)
    with open_source(config) as source:
        if path.is_dir() and source.condition.fps_assumed:
            raise InputError("images state no frame rate; give --fps")
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
        self._preprocessor = Preprocessor(
            info.height, info.width, matcher_for(settings.tracker), settings.tracker.head_px
        )
        shape = WindowShape(FRAMES, SIZE_PX, stride)
        self._tracker = Tracker(settings.tracker, shape, info.height, info.width, preprocessor=self._preprocessor)
        self._problems: list[str] = []
        self._refused: list[TagOutcome] = []
        self._due: deque[Tag] = deque()
        for tag in sorted(tags, key=lambda tag: (tag.frame, tag.line)):
            if tag.from_imagej and info.um_per_px:
                self._refuse(
                    tag,
                    f"ImageJ gives X and Y of a video with a scale ({info.um_per_px:g} um/px) in um; write a table "
                    "video,id,x,y with them in px",
                )
            elif 0 <= tag.x <= info.width - 1 and 0 <= tag.y <= info.height - 1:
                self._due.append(tag)
            else:
                self._refuse(
                    tag, f"point ({tag.x:g}, {tag.y:g}) lies outside the frame of {info.width} x {info.height} px"
                )
        self._outcomes: dict[int, TagOutcome] = {}
        self._following: set[int] = set()
        self._places: dict[int, dict[int, tuple[float, float]]] = {}
        self._cuts: list[Cut] = []
        self._frames = 0
        self._begin_ns = 0
        """Time at which the first frame is shown, after the beginning was watched backwards."""

    def play(self) -> Iterator[PreparedFrame]:
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
            self._preprocessor.prepare(
                frame.pixels,
                frame_seq=0,
                t_source_ns=self._begin_ns - frame.t_source_ns,
                lost_before=lost,
                exposure_id=frame.exposure_id,
            )
        self._preprocessor.forget_frames()
        number = -1
        for frame in itertools.chain(ahead, frames):
            number += 1 + frame.lost_before
            self._frames = number + 1
            yield self._preprocessor.prepare(
                frame.pixels,
                frame_seq=number,
                t_source_ns=self._begin_ns + frame.t_source_ns,
                lost_before=lost_after[0] if number == frame.lost_before else frame.lost_before,
                exposure_id=frame.exposure_id,
            )
            if not self._due and not self._following:
                return

    def follow(self, shown: PreparedFrame) -> None:
        """Select what was tagged in this frame, follow everything, and keep the windows that are wanted."""
        while self._due and self._due[0].frame <= shown.frame_seq:
            self._select(self._due.popleft(), shown)
        result = self._tracker.update_prepared(shown)
        self._note(shown.frame_seq, result)
        for window in result.windows:
            self._keep(window)

    def _select(self, tag: Tag, shown: PreparedFrame) -> None:
        if tag.frame < shown.frame_seq:
            self._refuse(tag, f"frame {tag.frame}, in which it was tagged, cannot be read")
        elif is_empty(shown, tag.x, tag.y):
            self._refuse(
                tag,
                f"point ({tag.x:g}, {tag.y:g}) lies on empty medium in frame {tag.frame}; give a point on the head",
            )
        else:
            sperm_id = self._tracker.select(tag.x, tag.y)
            self._outcomes[sperm_id] = TagOutcome(tag)
            self._places[sperm_id] = {}
            self._following.add(sperm_id)

    def _refuse(self, tag: Tag, reason: str) -> None:
        self._problems.append(f"line {tag.line}: {tag.id!r}: {reason}")
        self._refused.append(TagOutcome(tag, reason=reason))

    def _note(self, number: int, result: FrameResult) -> None:
        """Note where each sperm is, or why that is not known; release a lost one."""
        for track in result.tracks:
            outcome = self._outcomes[track.sperm_id]
            if track.state is TrackState.LOCKED:
                self._places[track.sperm_id][number] = (track.x, track.y)
                outcome.locked_frames += 1
                outcome.last_locked = number
                continue
            outcome.reason = f"{track.reason} (frame {number})"
            if track.state is TrackState.LOST:
                outcome.reason = f"lost: {outcome.reason}"
                self._release(track.sperm_id)

    def _keep(self, window: WindowResult) -> None:
        """Copy a window that is wanted; release the sperm once it has given all its windows."""
        outcome = self._outcomes[window.sperm_id]
        if outcome.clips and window.frame_seqs[0] <= outcome.last_cut:
            return
        if window.padded and self._settings.whole:
            outcome.reason = f"crops reach over the frame's edge (frame {window.frame_seqs[-1]})"
            return
        places = self._places[window.sperm_id]
        self._cuts.append(
            Cut(
                tag=outcome.tag,
                pixels=window.pixels.copy(),
                frames=window.frame_seqs,
                t_ns=tuple(t_ns - self._begin_ns for t_ns in window.t_source_ns),
                places=tuple(places[seq] for seq in window.frame_seqs),
                padded=window.padded,
            )
        )
        outcome.clips += 1
        outcome.last_cut = window.frame_seqs[-1]
        if outcome.clips == self._settings.windows:
            self._release(window.sperm_id)

    def _release(self, sperm_id: int) -> None:
        self._tracker.release(sperm_id)
        self._following.discard(sperm_id)

    def result(self) -> VideoCuts:
        """Return everything, once the video has been played."""
        for tag in self._due:
            self._refuse(tag, f"the video ends before frame {tag.frame}, in which it was tagged")
        for sperm_id in self._following:
            outcome = self._outcomes[sperm_id]
            broken = f"; last interrupted: {outcome.reason}" if outcome.reason else ""
            outcome.reason = f"the video ends after {self._frames} frames{broken}"
        for outcome in self._outcomes.values():
            if outcome.clips == self._settings.windows:
                outcome.reason = ""
        return VideoCuts(
            info=self._source.info,
            frames=self._frames,
            stride=self._stride,
            head_px=self._preprocessor.head_px,
            cuts=tuple(self._cuts),
            outcomes=tuple(sorted([*self._outcomes.values(), *self._refused], key=lambda outcome: outcome.tag.line)),
            problems=tuple(self._problems),
            notices=self._source.condition.notices,
            damage=self._source.condition.damage,
        )


def is_empty(shown: PreparedFrame, x: float, y: float) -> bool:
    """Return whether there is nothing at a point (x, y) px, nor near it, that the tracker would take for a head."""
    if snap(shown, x, y) != (x, y):
        return False
    contrast = contrast_map(shown.pixels, shown.head_px)
    row, column = round(y), round(x)
    energy = shown.energy.cut(column, row, 0)[0, 0]
    return bool(contrast[row, column] + shown.params.detection.moving_weight * energy <= least_contrast(contrast))


def _frames(source: Source) -> Iterator[Frame]:
    """Yield the frames of a file."""
    while isinstance(frame := source.read(), Frame):
        yield frame
