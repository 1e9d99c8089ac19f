"""The pictures of a session to be exported: whole frames, or the square round each sperm, with their times.

Only frames that the video still has as they were recorded are given out; those that it has not are left out and named.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

import numpy as np
from numpy.typing import NDArray

from station.archive.story import Story
from station.archive.windows import read_frames, window_px
from station.clock import NS_PER_S
from station.crop import crop_into
from station.errors import InputError, SessionError
from station.files import sha256_of
from station.session.records import ChunkRecord, FrameRecord
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


@contextmanager
def films(story: Story, selection: Selection, unreadable: Sequence[int], room: Path) -> Iterator[list[Pictures]]:
    """Offer the films of a selection; ``unreadable``: frames to leave out. Raises SessionError where there is none.

    Crops of several sperm are cut in one go and wait in ``room``, a folder, in a file without a name.
    """
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
        yield [_field(story, tuple(chosen))]
        return
    unknown = [sperm_id for sperm_id in selection.sperm if sperm_id not in story.sperm]
    if unknown:
        known = ", ".join(map(str, sorted(story.sperm))) or "none"
        raise InputError(f"--sperm {unknown[0]}: is not in session {story.start.session}; it has {known}")
    with tempfile.TemporaryFile(dir=room) as file:
        cutter = _Cutter(story, file)
        found = [_sperm(story, tuple(chosen), sperm_id, cutter) for sperm_id in selection.sperm or sorted(story.sperm)]
        if not any(found):
            raise SessionError(f"session {story.folder}: no sperm was followed there; there are no crops to export")
        yield [film for film in found if film is not None]


def find_unreadable(story: Story, *, decode_all: bool) -> list[int]:
    """Return the frames that the video does not have any more as they were recorded.

    ``decode_all``: looks at each; else a file that is to the byte what was recorded is known to have all of its own.
    """
    trusted = {} if decode_all else story.chunks
    whole = {file: stated.frames for file, stated in trusted.items() if _is_as_recorded(story.folder, stated)}
    doubtful = (frame for frame in story.frames.values() if frame.index >= whole.get(frame.file, 0))
    return [frame.header.seq for frame, pixels in read_frames(story, doubtful) if pixels is None]


def _is_as_recorded(folder: Path, stated: ChunkRecord) -> bool:
    path = folder / stated.file
    try:
        return path.stat().st_size == stated.bytes and sha256_of(path) == stated.sha256
    except OSError:
        return False


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


def _sperm(story: Story, frames: tuple[FrameRecord, ...], sperm_id: int, cutter: "_Cutter") -> Pictures | None:
    places = {
        point.frame_seq: (point.track.x, point.track.y)
        for point in story.sperm[sperm_id].points
        if point.track.state is not TrackState.LOST
    }
    mine = tuple(frame for frame in frames if frame.header.seq in places)
    if not mine:
        return None
    cutter.add(sperm_id, mine, places)
    return Pictures(
        name=f"sperm-{sperm_id}",
        frames=mine,
        height=cutter.size_px,
        width=cutter.size_px,
        um_per_px=story.um_per_px(mine[0].header.seq),
        t_s=_times(mine, story),
        places=tuple(places[frame.header.seq] for frame in mine),
        read=lambda: cutter.read(sperm_id),
    )


class _Cutter:
    """Cuts the crops of all films when the first is read, so that each frame is decoded once."""

    def __init__(self, story: Story, file: IO[bytes]) -> None:
        self.size_px = window_px(story)
        self._story, self._file = story, file
        self._frames: dict[int, FrameRecord] = {}
        self._wanted: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
        """By frame: which crop it is of all, x and y of its middle."""
        self._crops_of: dict[int, range] = {}
        """By sperm."""
        self._count = 0
        self._done = False

    def add(self, sperm_id: int, frames: Sequence[FrameRecord], places: Mapping[int, tuple[float, float]]) -> None:
        """Have a sperm cut out of frames, in this order."""
        for number, frame in enumerate(frames, self._count):
            self._frames[frame.header.seq] = frame
            self._wanted[frame.header.seq].append((number, *places[frame.header.seq]))
        self._crops_of[sperm_id] = range(self._count, self._count + len(frames))
        self._count += len(frames)

    def read(self, sperm_id: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the crops of a sperm, (S, S) each. Raises UnreadableFrame."""
        if not self._done:
            self._cut_all()
            self._done = True
        size = self.size_px
        for number in self._crops_of[sperm_id]:
            self._file.seek(number * size * size)
            yield np.frombuffer(self._file.read(size * size), np.uint8).reshape(size, size)

    def _cut_all(self) -> None:
        size = self.size_px
        crop = np.empty((size, size), np.uint8)
        for frame, pixels in read_frames(self._story, self._frames.values()):
            if pixels is None:
                raise UnreadableFrame
            for number, x, y in self._wanted[frame.header.seq]:
                crop_into(crop, pixels, x, y)
                self._file.seek(number * size * size)
                self._file.write(crop.data)


def _times(frames: Sequence[FrameRecord], story: Story) -> tuple[float, ...]:
    zero_ns = min(frame.header.t_source_ns for frame in story.frames.values())
    return tuple((frame.header.t_source_ns - zero_ns) / NS_PER_S for frame in frames)
