"""Points measured in ImageJ or Fiji: its table of results, taken as a table of tags.

ImageJ numbers the rows in a first column without a name, counts slices and frames from 1, and names the file only in
``Label``. Where the image has a scale, X and Y are in its unit and the table does not say so; the caller has to check.
This module knows columns, not sperm.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from station.errors import InputError
from trainer.data.number_format import NumberFormat
from trainer.data.tables import Table

COLUMNS: Final = ("slice", "ch", "label", "counter")
"""Columns that tell such a table from others, as does a first column without a name."""


def is_results(found: Table) -> bool:
    """Return whether a table is one of ImageJ's results."""
    names = set(found.columns)
    return {"x", "y"} <= names and "video" not in names and bool(names & {"", *COLUMNS})


def as_tags(found: Table, numbers: NumberFormat, videos: Sequence[str]) -> Table:
    """Return the results as a table with the columns video, id, x, y and frame (from 0).

    Args:
        found: The results.
        numbers: How numbers are written in them.
        videos: Names of the videos that the points may be of.

    Raises:
        InputError: Which video or which frame is meant cannot be told; the message does not name the table.
    """
    if "label" not in found.columns and len(videos) != 1:
        raise InputError(
            f"names no video, and {len(videos)} are given; give the one that was measured, or write a table "
            "video,id,x,y"
        )
    time = _time_column(found, numbers)
    rows, bad_rows = [], dict(found.bad_rows)
    for row in found.rows:
        try:
            frame = max(numbers.whole_number(row.cells[time]) - 1, 0) if time else 0
        except ValueError as error:
            bad_rows[row.line] = f"{time}: {error}"
            continue
        cells: Mapping[str, str] = {
            "video": row.cells.get("label") or next(iter(videos), ""),
            "id": row.cells.get("") or str(row.line - found.header_line),
            "x": row.cells["x"],
            "y": row.cells["y"],
            "frame": str(frame),
        }
        rows.append(dataclasses.replace(row, cells=cells))
    return dataclasses.replace(found, columns=("video", "id", "x", "y", "frame"), rows=tuple(rows), bad_rows=bad_rows)


def _time_column(found: Table, numbers: NumberFormat) -> str:
    """Return the column that counts frames, "" where all points lie in the first: a film is a stack of either."""
    varied = []
    for name in ("frame", "slice"):
        values = {row.cells.get(name, "") for row in found.rows} - {""}
        try:
            many = any(numbers.whole_number(value) > 1 for value in values)
        except ValueError:
            many = True  # its line is named where the rows are read
        if many:
            varied.append(name)
    if len(varied) == 2:
        raise InputError("both Slice and Frame go beyond 1; measure in one plane of the film")
    return varied[0] if varied else ""
