"""``tags.csv``: which sperm in which video, each by one point; and the videos that its names mean.

It knows names, numbers and paths; it opens no video.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from capture.files.codecs import IMAGE_ENDINGS
from capture.files.image_folder import list_images
from station.errors import InputError

NEEDED: Final = ("video", "id", "x", "y")
SINGLE_IMAGES: Final = tuple(ending for ending in IMAGE_ENDINGS if ending not in (".tif", ".tiff"))
OPTIONAL: Final = ("um_per_px", "frame", "source")


@dataclass(frozen=True, slots=True)
class Tag:
    """One sperm that somebody pointed at."""

    line: int
    """Of tags.csv."""
    video: str
    id: str
    """Unique in its video."""
    x: float
    y: float
    """In px of the full frame."""
    um_per_px: float | None
    """Scale of the video; None: as the video or the command line says."""
    frame: int
    """The frame in which it was tagged, from 0."""
    source: str
    """What must stay on one side of a split: the donor, or else the video."""


def read_tags(path: Path) -> tuple[list[Tag], list[str]]:
    """Return the tags that can be read, and one line for each that cannot. Raises InputError for no such table."""
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--tags {path}: cannot be read ({error}); give a CSV file") from error
    header = [name.strip() for name in lines[0]] if lines else []
    unknown = [name for name in header if name not in (*NEEDED, *OPTIONAL)]
    if not set(NEEDED) <= set(header) or unknown or len(set(header)) < len(header):
        raise InputError(
            f"--tags {path}, line 1: expected the columns {','.join(NEEDED)} and, where wanted, {','.join(OPTIONAL)}; "
            f"got {','.join(header) or 'nothing'}"
        )
    tags: list[Tag] = []
    problems: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            problems.append(f"{where}: expected {len(header)} values, got {len(cells)}")
            continue
        tag, wrong = _parse(number, dict(zip(header, (cell.strip() for cell in cells), strict=True)))
        if tag is None:
            problems.append(f"{where}: {wrong}")
        elif (tag.video, tag.id) in seen:
            problems.append(f"{where}: id {tag.id!r} of {tag.video} stands already in line {seen[tag.video, tag.id]}")
        else:
            seen[tag.video, tag.id] = number
            tags.append(tag)
    if not tags and not problems:
        raise InputError(f"--tags {path}: holds no tags")
    return tags, problems


def _parse(line: int, row: dict[str, str]) -> tuple[Tag | None, str]:
    """Return one tag, or None and what is wrong with it."""
    if not row["video"] or not row["id"]:
        return None, "video and id must not be empty"
    try:
        x, y = float(row["x"]), float(row["y"])
        scale = float(row["um_per_px"]) if row.get("um_per_px") else None
        frame = int(row.get("frame") or 0)
    except ValueError as error:
        return None, f"x, y, um_per_px and frame must be numbers ({error})"
    if not (math.isfinite(x) and math.isfinite(y)) or frame < 0:
        return None, f"x and y must be finite and frame at least 0; are {row['x']}, {row['y']}, {frame}"
    if scale is not None and not 0 < scale < math.inf:
        return None, f"um_per_px must be above 0, is {row['um_per_px']}"
    return Tag(line, row["video"], row["id"], x, y, scale, frame, row.get("source") or row["video"]), ""


def find_videos(places: Iterable[Path]) -> dict[str, Path]:
    """Return the videos by name: a file by its own, what lies in a folder by its path in that folder.

    A folder that holds pictures is one video. Raises InputError for what does not exist, and for two of one name.
    """
    videos: dict[str, Path] = {}
    for place in places:
        if not place.exists():
            raise InputError(f"{place}: no such video or folder; give files, or the folder that holds them")
        for name, path in _named(place):
            if name in videos and videos[name].resolve() != path.resolve():
                raise InputError(f"two videos are called {name}: {videos[name]} and {path}; give their common folder")
            videos[name] = path
    return videos


def _named(place: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of everything that may be a video: a TIFF file as a stack, its folder as pictures."""
    if place.is_file():
        yield place.name, place
        return
    if list_images(place):
        yield place.name, place
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place)
        if any(part.startswith(".") for part in name.parts):
            continue
        video = path.suffix.lower() not in SINGLE_IMAGES if path.is_file() else bool(list_images(path))
        if video:
            yield name.as_posix(), path


def resolve(name: str, videos: dict[str, Path]) -> str | None:
    """Return the video that a tag's ``video`` means: by its name, or by its name without ending if only one has it."""
    if name in videos:
        return name
    matches = [full for full in videos if full.rpartition(".")[0] == name]
    return matches[0] if len(matches) == 1 else None
