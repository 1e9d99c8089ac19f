"""The pictures of a session to be exported: whole frames, or the square round each sperm, with their times.

Only frames that the video still has as they were recorded are given out; those that it has not are left out and named.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from station.archive.story import Story
from station.archive.windows import read_frames, window_px
from station.clock import NS_PER_S
from station.crop import crop_into
from station.errors import InputError, SessionError
from station.session.records import FrameRecord
from station.transport.messages import TrackState

What = Literal["frames", "crops"]
LARGEST_STEP: Final = 1.01
"""Times count as even where no step between pictures is longer than this, in steps of the middle one."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a session is exported."""

    what: What
    sperm: tuple[int, ...]
    """For crops; empty: all."""
    from_s: float
    until_s: float
    """Seconds from the first frame."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """One film: the whole field, or one sperm."""

    name: str
    frames: tuple[FrameRecord, ...]
    height: int
    width: int
    um_per_px: float | None
    t_s: tuple[float, ...]
    """Of each picture, from the session's first frame."""
    places: tuple[tuple[float, float], ...]
    """Of the head in each picture, px of the full frame; empty for the whole field."""
    read: Callable[[], Iterator[NDArray[np.uint8]]]
    """Yields the pictures, (H, W) each."""

    @property
    def step_s(self) -> float:
        """The middle one of the times between pictures; 0 for a single picture."""
        return float(np.median(np.diff(self.t_s))) if len(self.t_s) > 1 else 0.0

    @property
    def even(self) -> bool:
        """True where the pictures follow each other evenly."""
        return len(self.t_s) < 3 or float(np.diff(self.t_s).max()) <= LARGEST_STEP * self.step_s


def films(story: Story, selection: Selection, unreadable: Sequence[int]) -> list[Pictures]:
    """Return the films of a selection; ``unreadable``: frames to leave out. Raises SessionError where there is none."""
    left_out = set(unreadable)
    chosen = [
        frame
        for seq, frame in sorted(story.frames.items())
        if seq not in left_out and selection.from_s <= story.t_s(seq) <= selection.until_s
    ]
    if not chosen:
        raise SessionError(
            f"session {story.folder}: has no recorded frame there; give another --from and --until, or another session"
        )
    if len({story.um_per_px(frame.header.seq) for frame in chosen}) > 1:
        changes = ", ".join(f"{story.t_s(first):.1f} s" for first, _ in story.scales[1:] if first in story.frames)
        raise SessionError(
            f"session {story.folder}: its scale changes there, at {changes}; give --from and --until so that it "
            "does not"
        )
    if selection.what == "frames":
        sizes = {(frame.header.height, frame.header.width) for frame in chosen}
        if len(sizes) > 1:
            raise SessionError(
                f"session {story.folder}: its frames have {len(sizes)} sizes; give --from and --until so that they "
                "have one, or export crops"
            )
        return [_field(story, tuple(chosen))]
    unknown = [sperm_id for sperm_id in selection.sperm if sperm_id not in story.sperm]
    if unknown:
        known = ", ".join(map(str, sorted(story.sperm))) or "none"
        raise InputError(f"--sperm {unknown[0]}: is not in session {story.start.session}; it has {known}")
    found = [_sperm(story, tuple(chosen), sperm_id) for sperm_id in selection.sperm or sorted(story.sperm)]
    films = [film for film in found if film is not None]
    if not films:
        raise SessionError(f"session {story.folder}: no sperm was followed there; there are no crops to export")
    return films


def find_unreadable(story: Story) -> list[int]:
    """Return the frames that the video does not have any more as they were recorded; decodes all of it."""
    return [frame.header.seq for frame, pixels in read_frames(story, story.frames.values()) if pixels is None]


class UnreadableFrame(Exception):
    """A frame cannot be read as it was recorded: leave out what ``find_unreadable`` finds, and begin again."""


def _field(story: Story, frames: tuple[FrameRecord, ...]) -> Pictures:
    def read() -> Iterator[NDArray[np.uint8]]:
        for _, pixels in read_frames(story, frames):
            if pixels is None:
                raise UnreadableFrame
            yield pixels

    header = frames[0].header
    return Pictures(
        "frames", frames, header.height, header.width, story.um_per_px(header.seq), _times(frames, story), (), read
    )


def _sperm(story: Story, frames: tuple[FrameRecord, ...], sperm_id: int) -> Pictures | None:
    places = {
        point.frame_seq: (point.track.x, point.track.y)
        for point in story.sperm[sperm_id].points
        if point.track.state is not TrackState.LOST
    }
    mine = tuple(frame for frame in frames if frame.header.seq in places)
    size = window_px(story)

    def read() -> Iterator[NDArray[np.uint8]]:
        for frame, pixels in read_frames(story, mine):
            if pixels is None:
                raise UnreadableFrame
            crop = np.empty((size, size), np.uint8)
            crop_into(crop, pixels, *places[frame.header.seq])
            yield crop

    if not mine:
        return None
    return Pictures(
        name=f"sperm-{sperm_id}",
        frames=mine,
        height=size,
        width=size,
        um_per_px=story.um_per_px(mine[0].header.seq),
        t_s=_times(mine, story),
        places=tuple(places[frame.header.seq] for frame in mine),
        read=read,
    )


def _times(frames: Sequence[FrameRecord], story: Story) -> tuple[float, ...]:
    zero_ns = min(frame.header.t_source_ns for frame in story.frames.values())
    return tuple((frame.header.t_source_ns - zero_ns) / NS_PER_S for frame in frames)
