"""One recording to be graded: what has to be done, and doing it, as a run of the station on its own.

A task is plain values and does not know where it is carried out. It is graded as any offline run is: every frame, the
live tracker, the live engine, one thread for the network, so that the figures are the same wherever it ran.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from station.build_info import ROOT
from station.config import REPLAY
from station.files import read_bounded
from station.output import one_line
from station.session.layout import TABLES
from station.session.table_columns import REAL, TEXT

SETTINGS: Final = "[engine]\nthreads = 1\n[replay]\nevery_window = true\n"
"""A network's sums depend on how many threads share them. Of a session every recorded window counts, those too whose
grades were withheld to its end."""
AT_THE_END: Final = "at the end of the source"
LIMIT_S: Final = 24 * 3600.0
VARYING: Final = ("event", "t_s", "time_utc", "exposure_to_grade_ms")
"""Columns of the record's table of grades that say when a machine did something, not what it found."""
MOST_TABLE_BYTES: Final = 4 << 30


@dataclass(frozen=True, slots=True)
class Task:
    """One recording, and how it is graded. All paths are absolute: it may be carried out elsewhere."""

    recording: str
    """As the user named it; the first column of the results."""
    source: str
    """Path of the video, or of the session's folder."""
    is_session: bool
    fingerprint: str
    """Of its content."""
    model: str
    model_sha256: str
    select: tuple[str, ...] = ()
    um_per_px: float | None = None
    fps: float | None = None
    program: str = ""

    @property
    def key(self) -> str:
        """Names the result: the same content, model, settings and program give the same one."""
        told = {name: value for name, value in asdict(self).items() if name not in ("recording", "source", "model")}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Graded:
    """What became of a task."""

    key: str
    table: bytes
    """The grades, Parquet; empty where it failed."""
    problem: str
    """Why it failed, in a line; empty where it did not."""
    frames: int = 0
    sperm: int = 0
    grades: int = 0


def given_up(task: Task, why: str) -> Graded:
    """Return what became of a task that could not be carried out at all."""
    return Graded(task.key, b"", why)


def carry_out(task: Task) -> Graded:
    """Grade one recording. Never raises for anything that is wrong with it: the answer says so."""
    with tempfile.TemporaryDirectory(prefix="rostfine-grade-") as name:
        folder = Path(name)
        try:
            return _graded(task, folder)
        except (OSError, ValueError, KeyError, pa.ArrowException, subprocess.SubprocessError) as error:
            return Graded(task.key, b"", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _graded(task: Task, folder: Path) -> Graded:
    summary = folder / "summary.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_station.py"), *_options(task, folder), "--summary", str(summary)],
        cwd=folder, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("rostfine: ")
        return Graded(task.key, b"", last[:400])
    said: dict[str, Any] = json.loads(read_bounded(summary, 64 << 20))
    if short := cut_short(said):
        return Graded(task.key, b"", short)
    (session,) = (folder / "sessions").iterdir()
    table = _results(session / TABLES, task.recording)
    if not table.num_rows:
        return Graded(task.key, b"", "nothing in it was graded: no sperm was followed for as long as a window takes")
    content = BytesIO()
    pq.write_table(table, content, compression="zstd")
    return Graded(
        task.key, content.getvalue(), "", int(said["frames"]["captured"]),
        len(set(table.column("sperm").to_pylist())), table.num_rows,
    )  # fmt: skip


def cut_short(said: dict[str, Any]) -> str:
    """Return why a run, by its summary, did not grade all of its recording; empty where it did."""
    ended = str(said.get("ended", ""))
    if not ended.startswith(AT_THE_END):
        return f"its run ended {ended or 'for no reason given'}, before the end of the recording"
    kept = said.get("recording") or {}
    if kept.get("stopped"):
        return f"its results could not all be kept: {kept['stopped']}"
    return "" if kept.get("complete") else "its results were not kept to the end"


def _options(task: Task, folder: Path) -> list[str]:
    settings = SETTINGS
    if not task.is_session and (task.um_per_px is not None or task.fps is not None):
        settings += "[source]\n"
        settings += f"um_per_px = {task.um_per_px!r}\n" if task.um_per_px is not None else ""
        settings += f"fps = {task.fps!r}\n" if task.fps is not None else ""
    (folder / "settings.toml").write_text(settings, encoding="utf-8")
    chosen = [] if task.is_session else [word for value in task.select for word in ("--select", value)]
    return [
        "--config", str(folder / "settings.toml"), "--headless", "--speed", "max", "--model", task.model,
        "--source", f"{REPLAY}{task.source}" if task.is_session else task.source, *chosen,
        "--record", "keep", "--session", str(folder / "sessions"),
    ]  # fmt: skip


def _results(tables: Path, recording: str) -> pa.Table:
    """Return the grades of one run with the times of their windows on the source's own axis, in a fixed order."""
    grades = pq.read_table(tables / "grades.parquet")
    windows = pq.read_table(tables / "windows.parquet", columns=["sperm", "frame", "t_last_source_s"])
    rows = zip(*(windows.column(name).to_pylist() for name in windows.column_names), strict=True)
    times = {(sperm, frame): t_s for sperm, frame, t_s in rows}
    kept = grades.drop_columns([name for name in VARYING if name in grades.column_names])
    keys = zip(kept.column("sperm").to_pylist(), kept.column("frame").to_pylist(), strict=True)
    t_source_s = pa.array([times.get(key) for key in keys], REAL)
    kept = kept.add_column(0, "recording", pa.array([one_line(recording)] * kept.num_rows, TEXT))
    kept = kept.append_column("t_source_s", t_source_s).replace_schema_metadata(None)
    return kept.sort_by([("frame", "ascending"), ("sperm", "ascending")])
