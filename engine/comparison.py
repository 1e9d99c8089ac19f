"""Recorded grades beside those of another model, window by window: a table (CSV, Parquet) and a summary (JSON).

Both distributions, the distance between them, and whether the most likely grade is the same. The table opens in pandas,
R and Excel with no options and calls frame and sperm as the session's tables do; the research-use notice stands in the
summary. It cannot say which model is closer to experts: nobody graded these sperm. It knows pairs of grades, not where
they come from.
"""

import csv
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from station.distances import emd, js
from station.errors import InputError
from station.files import read_json, require_replaceable
from station.notice import NOTICE
from station.session.layout import require_outside_sessions
from station.transport.control_messages import ModelInfo
from station.transport.messages import GRADES, GradeInfo

COLUMNS: Final = (
    "frame", "sperm", "validity",
    *(f"recorded_grade_{letter}" for letter in GRADES), *(f"new_grade_{letter}" for letter in GRADES),
    "emd", "js", "recorded_grade", "new_grade", "same_grade",
)  # fmt: skip


def most_likely(grade: Sequence[float]) -> str:
    """Return the letter of the most likely grade; on a tie the better one."""
    return GRADES[max(range(len(GRADES)), key=lambda k: (grade[k], -k))]


class Comparison:
    """Writes the table row by row, so that an interrupted run leaves what it had."""

    def __init__(self, path: Path, session: str, recorded: ModelInfo, new: ModelInfo) -> None:
        """Begin the table, overwriting an older one. Raises InputError if it cannot be written."""
        self._path = path
        self._summary_path = path.with_suffix(".json")
        if path in (self._summary_path, path.with_suffix(".parquet")):
            raise InputError(
                f"comparison {path}: expected the name of a CSV file; .parquet and .json are written beside it"
            )
        require_outside_sessions(path, "comparison")
        beside = [other for other in (self._summary_path, path.with_suffix(".parquet")) if os.path.lexists(other)]
        if beside and not _is_summary(self._summary_path):
            raise InputError(
                f"comparison {path}: {beside[0].name} would be replaced and is of no earlier comparison; remove it or "
                "give another name"
            )
        try:
            for place in (path, *beside):
                require_replaceable(place)
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise InputError(
                f"comparison {path}: cannot be written ({error.strerror}); give a path in a folder that exists"
            ) from error
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(COLUMNS)
        self._head = {"notice": NOTICE, "session": session}
        self._models = {"recorded": _about(recorded), "new": _about(new)}
        self._emd: list[float] = []
        self._js: list[float] = []
        self._same = 0

    def add(self, recorded: GradeInfo, new: GradeInfo) -> None:
        """Add one window."""
        distance, divergence = float(emd(recorded.grade, new.grade)), float(js(recorded.grade, new.grade))
        letters = most_likely(recorded.grade), most_likely(new.grade)
        same = letters[0] == letters[1]
        self._rows.writerow(
            [new.frame_seq, new.sperm_id, new.validity.value]
            + [repr(p) for p in (*recorded.grade, *new.grade)]
            + [f"{distance:.6g}", f"{divergence:.6g}", *letters, int(same)]
        )
        self._emd.append(distance)
        self._js.append(divergence)
        self._same += same

    def summary(self) -> dict[str, object]:
        """Return the comparison in a few numbers; means are null without windows."""
        count = len(self._emd)
        return {
            **self._head,
            "models": self._models,
            "windows": count,
            "emd": {"mean": _mean(self._emd), "max": max(self._emd, default=None)},
            "js": {"mean": _mean(self._js), "max": max(self._js, default=None)},
            "same_most_likely_grade": self._same / count if count else None,
        }

    def close(self) -> None:
        """Finish the table, write it as Parquet too, and the summary; may be called more than once."""
        if not self._file.closed:
            self._file.close()
            _write_parquet(self._path)
            self._summary_path.write_text(json.dumps(self.summary(), indent=2) + "\n", encoding="utf-8")


def _write_parquet(path: Path) -> None:
    """Write the CSV table at ``path`` beside it as Parquet, with the notice in its metadata."""
    import pyarrow.csv  # loaded only when there is a table: a live engine does not need it
    import pyarrow.parquet

    table = pyarrow.csv.read_csv(path)
    pyarrow.parquet.write_table(table.replace_schema_metadata({"notice": NOTICE}), path.with_suffix(".parquet"))


def _is_summary(path: Path) -> bool:
    """Return whether a file is the summary of an earlier comparison."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "same_most_likely_grade" in found


def _about(model: ModelInfo) -> dict[str, str]:
    return {"name": model.name, "sha256": model.sha256, "runtime": model.runtime}


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
