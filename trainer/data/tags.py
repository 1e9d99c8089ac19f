"""``tags.csv``: which sperm in which video, each by one point.

Results that ImageJ saved are taken as well (``trainer.data.imagej_results``). It knows names and numbers; it opens no
video.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from station.errors import InputError
from station.ranges import MAX_UM_PER_PX, MIN_UM_PER_PX, is_scale
from trainer.data.clip_ids import spreadsheet_damage
from trainer.data.imagej_results import COLUMNS as IMAGEJ_COLUMNS
from trainer.data.imagej_results import as_tags, is_results
from trainer.data.number_format import NumberFormat
from trainer.data.tables import Table, read_table
from trainer.data.video_names import resolve

NEEDED: Final = ("video", "id", "x", "y")
OPTIONAL: Final = ("um_per_px", "frame", "source")
NUMBERS: Final = ("x", "y", "um_per_px", "frame", "slice")
LARGEST_PX: Final = 65535
"""No picture is wider or higher."""


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
    from_imagej: bool = False
    """x and y are in px only if the image had no scale in ImageJ."""


@dataclass(frozen=True, slots=True)
class Tags:
    """A table of tags."""

    tags: tuple[Tag, ...]
    problems: tuple[str, ...]
    """One line for each row that cannot be used."""
    notices: tuple[str, ...] = ()
    """How the table was read, where it is not plain."""


def read_tags(path: Path, videos: Mapping[str, Path] | None = None) -> Tags:
    """Read a table of tags.

    Args:
        path: The table.
        videos: By name; a table that names none is of the only one.

    Raises:
        InputError: It is no table of tags.
    """
    try:
        found = read_table(path, (*NEEDED, *OPTIONAL, *IMAGEJ_COLUMNS))
        from_imagej = is_results(found)
        if not from_imagej:
            _require_columns(found)
        numbers = found.number_format(NUMBERS, {"x": LARGEST_PX, "y": LARGEST_PX})
        if from_imagej:
            found = as_tags(found, numbers, tuple(videos or ()))
    except InputError as error:
        raise InputError(f"--tags {path}: {error}") from error
    tags: list[Tag] = []
    problems = {line: f"{path}, line {line}: {why}" for line, why in found.bad_rows.items()}
    seen: dict[tuple[str, str], int] = {}
    for row in found.rows:
        tag, wrong = _parse(row.line, row.cells, numbers)
        if tag is None:
            problems[row.line] = f"{path}, line {row.line}: {wrong}"
        elif (tag.video, tag.id) in seen:
            problems[row.line] = (
                f"{path}, line {row.line}: id {tag.id!r} of {tag.video} is already in line {seen[tag.video, tag.id]}"
            )
        else:
            seen[tag.video, tag.id] = row.line
            tags.append(dataclasses.replace(tag, from_imagej=from_imagej))
    if not tags and not problems:
        raise InputError(f"--tags {path}: holds no tags")
    notices = []
    if reading := found.reading(numbers):
        notices.append(f"{path}: read as a table with {reading}")
    if from_imagej:
        notices.append(
            f"{path}: read as ImageJ's results, X and Y in px, frames counted from 1; if the image had a scale there, "
            "remove it (Analyze > Set Scale > Click to Remove Scale) and measure again"
        )
    return Tags(tuple(tags), tuple(problems[line] for line in sorted(problems)), tuple(notices))


def _require_columns(found: Table) -> None:
    """Raise InputError, without the path, where the columns are not those of tags."""
    names = [name for name in found.columns if name]
    if not set(NEEDED) <= set(names) <= {*NEEDED, *OPTIONAL}:
        raise InputError(
            f"line {found.header_line}: expected the columns {','.join(NEEDED)} and, where wanted, "
            f"{','.join(OPTIONAL)}, or ImageJ's results with X and Y; got {','.join(names) or 'nothing'}"
        )


def _parse(line: int, row: Mapping[str, str], numbers: NumberFormat) -> tuple[Tag | None, str]:
    """Return one tag, or None and what is wrong with it."""
    if not row["video"] or not row["id"]:
        return None, "video and id must not be empty"
    if damage := spreadsheet_damage(row["id"]):
        return None, f"id {damage}"
    values: dict[str, float] = {}
    for name in ("x", "y", "um_per_px", "frame"):
        text = row.get(name, "")
        try:
            if text or name in NEEDED:
                values[name] = numbers.whole_number(text) if name == "frame" else numbers.number(text)
        except ValueError as error:
            return None, f"x, y, um_per_px and frame must be numbers ({name}: {error})"
    x, y, scale, frame = values["x"], values["y"], values.get("um_per_px"), int(values.get("frame", 0))
    if not (math.isfinite(x) and math.isfinite(y)) or frame < 0:
        return None, f"x and y must be finite and frame at least 0; are {row['x']}, {row['y']}, {frame}"
    if scale is not None and not is_scale(scale):
        return None, f"um_per_px must be from {MIN_UM_PER_PX:g} to {MAX_UM_PER_PX:g}, is {row['um_per_px']}"
    source = row.get("source") or row["video"]
    if re.fullmatch(r"\d+[.,]\d+", source):
        return None, f"source {source!r} is a number: commas within numbers may have shifted the columns; quote them"
    return Tag(line, row["video"], row["id"], x, y, scale, frame, source), ""


def assign(tags: Iterable[Tag], videos: Mapping[str, Path]) -> tuple[dict[str, list[Tag]], list[str]]:
    """Return the tags of each video by its name, and a problem, "line N: ...", for each tag of no video or twice."""
    by_video: dict[str, list[Tag]] = {}
    problems: list[str] = []
    for tag in tags:
        name = resolve(tag.video, videos)
        if name is None:
            damage = spreadsheet_damage(tag.video)
            problems.append(f"line {tag.line}: " + (damage or f"no video {tag.video!r} among those given"))
        elif any(other.id == tag.id for other in by_video.get(name, ())):
            problems.append(f"line {tag.line}: id {tag.id!r} of {name} is already in a line above")
        else:
            # A video may be named in two ways and still is one source: clips of it stay on one side of a split.
            source = name if tag.source == tag.video else tag.source
            by_video.setdefault(name, []).append(dataclasses.replace(tag, source=source))
    return by_video, problems
