"""Everything that a session's log says, as tables: those of the record, and two more of choices and of what came later.

``docs/data-dictionary.md`` says what every column is.
"""

import csv
import shutil
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from station.archive.catalogue import began
from station.archive.moments import choices
from station.archive.story import Story
from station.clock import NS_PER_S
from station.notice import NOTICE
from station.session.annotations import Label, ReviewMark, read_annotations
from station.session.layout import TABLES
from station.session.session_reader import Session
from station.session.table_columns import ABOUT, INT, REAL, TEXT
from station.session.tables import Tables
from station.transport.messages import GRADES

Format = Literal["parquet", "csv"]
Row = tuple[Any, ...]
CHOICES: Final = [
    ("choice", INT), ("frame", INT), ("t_s", REAL), ("time_utc", TEXT), ("sperm", INT), ("chosen", INT),
    ("state", TEXT), ("reason", TEXT), *((f"grade_{letter}", REAL) for letter in GRADES), ("grade_frame", INT),
    ("age_s", REAL), ("validity", TEXT), ("note", TEXT), ("asked_by", TEXT), ("blind", INT),
]  # fmt: skip
ANNOTATIONS: Final = [
    ("line", INT), ("written_utc", TEXT), ("kind", TEXT), ("sperm", INT), ("frame", INT), ("t_source_s", REAL),
    ("text", TEXT),
]  # fmt: skip


def write_tables(story: Story, folder: Path, ending: Format) -> list[Path]:
    """Write all tables in one format, and ``about.json``; return their paths. Raises OSError."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tables-") as scratch:
        tables = Tables(Path(scratch))
        try:
            for event in Session(story.folder).events():
                tables.add(event.n, event.t_ns, event.record)
            tables.close()
        except BaseException:
            tables.discard()
            raise
        made = sorted((Path(scratch) / TABLES).glob(f"[a-z]*.{ending}"))
        paths = [Path(shutil.move(path, folder / path.name)) for path in made]
        shutil.move(Path(scratch) / TABLES / ABOUT, folder / ABOUT)
    for name, columns, rows in (
        ("choices", CHOICES, _choices(story)),
        ("annotations", ANNOTATIONS, _annotations(story)),
    ):
        path = folder / f"{name}.{ending}"
        _write(path, columns, rows, ending)
        paths.append(path)
    return paths


def _write(path: Path, columns: list[tuple[str, pa.DataType]], rows: Sequence[Row], ending: Format) -> None:
    if ending == "parquet":
        schema = pa.schema([pa.field(name, dtype) for name, dtype in columns], metadata={"notice": NOTICE})
        values = zip(*rows, strict=True) if rows else [()] * len(columns)
        arrays = [pa.array(list(column), dtype) for column, (_, dtype) in zip(values, columns, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([name for name, _ in columns])
        lines.writerows(rows)


def _choices(story: Story) -> list[Row]:
    start = began(story.start)
    rows: list[Row] = []
    for number, choice in enumerate(choices(story)):
        since_s = (choice.t_ns - story.began_ns) / NS_PER_S
        wall = None if start is None else (start + timedelta(seconds=since_s)).replace(tzinfo=None)
        when = "" if wall is None else wall.isoformat(" ", "milliseconds")
        for one in choice.seen:
            grade = one.grade
            rows.append(
                (
                    number, story.frame_at(choice.t_ns), round(since_s, 6), when, one.sperm_id,
                    int(one.sperm_id == choice.sperm_id), one.track.state.value, one.track.reason,
                    *(grade.grade if grade is not None else (None,) * len(GRADES)),
                    None if grade is None else grade.frame_seq, one.age_s, one.validity.value, choice.note,
                    choice.asked_by, int(choice.blind),
                )
            )  # fmt: skip
    return rows


def _annotations(story: Story) -> list[Row]:
    rows: list[Row] = []
    for one in read_annotations(story.folder, story.start.session).written:
        what = one.what
        at = None if isinstance(what, Label) else what.at
        kind = "label" if isinstance(what, Label) else "mark" if isinstance(what, ReviewMark) else "note"
        rows.append(
            (
                one.n, one.when.replace(tzinfo=None).isoformat(" ", "milliseconds"), kind,
                what.sperm_id if isinstance(what, ReviewMark) else None,
                None if at is None else at.frame_seq, None if at is None else at.t_s, what.text,
            )
        )  # fmt: skip
    return rows
