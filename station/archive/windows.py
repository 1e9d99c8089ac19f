"""The very windows that were graded, cut again from the recorded video and tracks, each held against its recorded CRC.

The record names a window's frames and the place of the head in each; cropping is the station's own. A window whose
pixels are not those that went to the network, or whose frames are missing, is never returned as if it were.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.archive.story import Story, WindowKey
from station.crop import crop_into
from station.machine import usable_cores
from station.session.chunk_reader import ChunkReader
from station.session.records import FrameRecord

SIZE_PX: Final = 150
"""Of a window, where the record's configuration does not say it."""


@dataclass(frozen=True, slots=True)
class CutWindow:
    """A window as it went to the network."""

    sperm_id: int
    pixels: NDArray[np.uint8]
    """(T, S, S)."""
    frame_seqs: tuple[int, ...]
    t_source_ns: tuple[int, ...]
    places: tuple[tuple[float, float], ...]
    """(x, y) px of the full frame, by frame."""
    padded: bool


def window_px(story: Story) -> int:
    """Return the side of this session's windows."""
    window = story.start.config.get("window")
    size = window.get("size") if isinstance(window, dict) else None
    return size if isinstance(size, int) and 0 < size <= 1024 else SIZE_PX


def read_frames(story: Story, frames: Iterable[FrameRecord]) -> Iterator[tuple[FrameRecord, NDArray[np.uint8] | None]]:
    """Yield the pixels (H, W) of some recorded frames, in the order of their files; no other frame is decoded.

    None where the video does not have a frame any more as it was recorded.
    """
    by_file: dict[str, list[FrameRecord]] = defaultdict(list)
    for frame in frames:
        by_file[frame.file].append(frame)
    for file, wanted in sorted(by_file.items()):
        wanted.sort(key=lambda frame: frame.pts_ms)
        with ExitStack() as stack:
            stamps = {frame.pts_ms for frame in wanted}
            reader = stack.enter_context(ChunkReader(story.folder / Path(file), stamps, threads=usable_cores()))
            for frame in wanted:
                header = frame.header
                yield frame, reader.find(frame.pts_ms, header.height, header.width, frame.crc32)


def cut_windows(story: Story, wanted: Iterable[WindowKey]) -> Iterator[tuple[WindowKey, CutWindow | str]]:
    """Yield windows as they went to the network, or why that cannot be done; the earliest first."""
    places = {
        (sperm.sperm_id, point.frame_seq): (point.track.x, point.track.y)
        for sperm in story.sperm.values()
        for point in sperm.points
    }
    size = window_px(story)
    cuttable: list[WindowKey] = []
    uses: Counter[tuple[int, int]] = Counter()
    for key in sorted(set(wanted), key=lambda key: (key[1], key[0])):
        why = _why_not(story, key, places)
        if why:
            yield key, why
            continue
        cuttable.append(key)
        uses.update((key[0], seq) for seq in story.windows[key].info.frame_seqs)
    by_frame: dict[int, list[int]] = defaultdict(list)
    for sperm_id, seq in uses:
        by_frame[seq].append(sperm_id)
    crops: dict[tuple[int, int], NDArray[np.uint8] | None] = {}
    done = 0
    for frame, pixels in read_frames(story, (story.frames[seq] for seq in sorted(by_frame))):
        seq = frame.header.seq
        for sperm_id in by_frame[seq]:
            crop = np.empty((size, size), np.uint8) if pixels is not None else None
            if crop is not None and pixels is not None:
                crop_into(crop, pixels, *places[sperm_id, seq])
            crops[sperm_id, seq] = crop
        while done < len(cuttable) and cuttable[done][1] <= seq:
            yield cuttable[done], _finished(story, cuttable[done], crops, places)
            for used in story.windows[cuttable[done]].info.frame_seqs:
                uses[cuttable[done][0], used] -= 1
                if not uses[cuttable[done][0], used]:
                    crops.pop((cuttable[done][0], used), None)
            done += 1


def _why_not(story: Story, key: WindowKey, places: dict[tuple[int, int], tuple[float, float]]) -> str:
    sent = story.windows.get(key)
    if sent is None:
        return "the record does not say which frames it was made of"
    missing = sum(seq not in story.frames for seq in sent.info.frame_seqs)
    if missing:
        return f"{missing} of its {len(sent.info.frame_seqs)} frames were not recorded"
    if any((key[0], seq) not in places for seq in sent.info.frame_seqs):
        return "the tracks of some of its frames are missing in the record"
    return ""


def _finished(
    story: Story,
    key: WindowKey,
    crops: dict[tuple[int, int], NDArray[np.uint8] | None],
    places: dict[tuple[int, int], tuple[float, float]],
) -> CutWindow | str:
    sent = story.windows[key]
    seqs = tuple(sent.info.frame_seqs)
    parts = [crops.get((key[0], seq)) for seq in seqs]
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts):
        return f"{len(parts) - len(whole)} of its frames cannot be read as they were recorded"
    pixels = np.stack(whole)
    if zlib.crc32(pixels.data) != sent.crc32:
        return "what is cut from the record is not what was graded"
    return CutWindow(
        sperm_id=key[0],
        pixels=pixels,
        frame_seqs=seqs,
        t_source_ns=tuple(sent.info.t_source_ns),
        places=tuple(places[key[0], seq] for seq in seqs),
        padded=sent.info.padded,
    )
