"""The command ``grade RECORDINGS --model DIR --out FILE``: an archive graded by one model, resumable, anywhere.

Each recording's result is kept beside FILE as soon as it is there, under a name made of content, model, settings and
program; what is there already is not done again. At the end all are put together in the order given.
"""

import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from station.archive.sessions_command import duration
from station.batch.places import here, on_cluster
from station.batch.task import MOST_TABLE_BYTES, Graded, Task, carry_out, given_up
from station.build_info import git_commit, program
from station.command_line import Parser, invocation
from station.config import build_config
from station.errors import InputError
from station.files import read_bounded, read_json, write_atomically
from station.notice import NOTICE
from station.options import parse_selection
from station.output import one_line, say, say_line
from station.session.layout import LOG, require_outside_sessions
from station.session.lookup import find_session
from station.session.pseudonym import fingerprint

DESCRIPTION: Final = """Grades many recordings with one model, each as an offline run of its own: videos, TIFF stacks,
folders that hold videos, and recorded sessions (their recorded windows again). Results are kept as they come: started
again, it does what is missing. Exit code 1: some recordings could not be graded, the others were."""
COUNTS: Final = ("frames", "sperm", "grades")
PART: Final = re.compile(r"\.?[0-9a-f]{32}\.(json|parquet)(\.\d+\.partial)?$")
"""Name of a file among the parts."""
VIDEOS: Final = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".wmv", ".mpg", ".mpeg", ".flv", ".webm", ".tif", ".tiff")


def grade(argv: Sequence[str]) -> int:
    """Carry out ``grade``; return the exit code. Raises InputError, OSError."""
    parser = Parser(prog=f"{invocation()} grade", description=f"{DESCRIPTION} {NOTICE}")
    add = parser.add_argument
    add("recordings", nargs="+", metavar="RECORDING", help="video, folder of videos, session (id or folder)")
    add("--model", type=Path, required=True, metavar="DIR", help="folder of the model")
    add("--out", type=Path, required=True, metavar="FILE", help="table of all grades (.parquet)")
    add(
        "--select", action="append", default=[], metavar="auto[:N]|X,Y", help="in videos: as for a run (default auto:4)"
    )
    add("--um-per-px", type=float, metavar="UM", help="scale of the videos, where they do not say it")
    add("--fps", type=float, metavar="FPS", help="frame rate of the videos, where they say none or a wrong one")
    add("--workers", type=int, metavar="N", help="recordings at a time here (default: one for each core)")
    add("--ray", metavar="ADDRESS", help='on a Ray cluster: auto, or HOST:PORT of its head; needs the extra "cluster"')
    add("--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)")
    given = parser.parse_args(argv)
    if given.out.suffix != ".parquet":
        raise InputError(f"--out {given.out}: give a file that ends in .parquet")
    if given.workers is not None and not 1 <= given.workers <= 1024:
        raise InputError(f"--workers {given.workers}: expected 1 to 1024")
    if given.select:
        parse_selection(given.select)
    settings = {"fps": given.fps, "um_per_px": given.um_per_px}
    build_config({"source": {key: value for key, value in settings.items() if value is not None}}, "command line")
    parts = given.out.with_name(f"{given.out.name}.parts")
    _require_free(given.out, parts)
    tasks = _tasks(given)
    parts.mkdir(parents=True, exist_ok=True)
    open_ = {task.key: task for task in tasks if not (parts / f"{task.key}.parquet").is_file()}
    if len(open_) < len({task.key for task in tasks}):
        say(f"{len({task.key for task in tasks}) - len(open_)} of {len(tasks)} recordings were graded before")
    problems = _carry_out(open_, parts, given)
    return _finish(tasks, parts, given.out, problems)


def _require_free(out: Path, parts: Path) -> None:
    """Raise InputError where something would be replaced or removed that is no result of this command."""
    require_outside_sessions(out, "--out")
    about = out.with_suffix(".json")
    if out.exists() and not parts.is_dir():
        raise InputError(f"{out}: is there already; remove it or give another file with --out")
    if os.path.lexists(about) and not _is_about(about):
        raise InputError(f"{about}: would be replaced and is of no earlier grading; give another file with --out")
    foreign = [name for name in os.listdir(parts) if not PART.match(name)] if parts.is_dir() else []
    if foreign:
        raise InputError(f"{parts / foreign[0]}: is no part of a result; move it away or give another file with --out")


def _is_about(path: Path) -> bool:
    """Return whether a file says what an earlier table of grades is."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"notice", "model_sha256", "recordings", "failed"} <= found.keys()


def _carry_out(open_: dict[str, Task], parts: Path, given: Any) -> dict[str, str]:
    """Do what is missing and keep each result; return the problems by key."""
    problems: dict[str, str] = {}
    started, todo = time.monotonic(), list(open_.values())
    if not todo:
        return problems
    if given.ray:
        place = on_cluster(todo, carry_out, given_up, given.ray)
    else:
        place = here(todo, carry_out, given.workers or os.cpu_count() or 1)
    for number, graded in enumerate(place, 1):
        task = open_[graded.key]
        if graded.problem:
            problems[graded.key] = graded.problem
            say_line(f"[{number}/{len(todo)}] {task.recording}: {graded.problem}")
            continue
        _keep(parts, graded)
        left_s = (time.monotonic() - started) / number * (len(todo) - number)
        left = f", about {duration(left_s)} left" if number < len(todo) else ""
        say_line(
            f"[{number}/{len(todo)}] {task.recording}: {graded.grades} grades of {graded.sperm} sperm{left}", flush=True
        )
    return problems


def _keep(parts: Path, graded: Graded) -> None:
    counts = dict(zip(COUNTS, (graded.frames, graded.sperm, graded.grades), strict=True))
    write_atomically(parts / f"{graded.key}.json", json.dumps(counts).encode())
    write_atomically(parts / f"{graded.key}.parquet", graded.table)  # the last: with it the result is there


def _finish(tasks: Sequence[Task], parts: Path, out: Path, problems: dict[str, str]) -> int:
    """Put all results together, in the order given."""
    done = [task for task in tasks if task.key not in problems]
    if not done:
        if not any(parts.iterdir()):
            parts.rmdir()
        raise InputError(f"none of the {len(tasks)} recordings could be graded; nothing was written")
    tables, recordings = [], []
    for task in done:
        try:
            table = pq.read_table(BytesIO(read_bounded(parts / f"{task.key}.parquet", MOST_TABLE_BYTES)))
            name = one_line(task.recording)  # the content may have had another one
            names = pa.array([name] * table.num_rows, pa.string())
            tables.append(table.set_column(0, "recording", names))
            counts = read_json(parts / f"{task.key}.json")
            recordings.append({"recording": name, **{kind: int(counts[kind]) for kind in COUNTS}})
        except (OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, pa.ArrowException) as error:
            (parts / f"{task.key}.parquet").unlink(missing_ok=True)
            raise InputError(
                f"{parts / task.key}: what was kept of {task.recording} is damaged ({error}); it is removed: the same "
                "command grades it again"
            ) from error
    _require_alike(done, tables, parts)
    whole = pa.concat_tables(tables).replace_schema_metadata({"notice": NOTICE})
    content = BytesIO()
    pq.write_table(whole, content, compression="zstd")
    failed = [
        {"recording": one_line(task.recording), "problem": one_line(problems[task.key])}
        for task in tasks
        if task.key in problems
    ]
    about = {
        "notice": NOTICE, "program": tasks[0].program, "model": one_line(tasks[0].model),
        "model_sha256": tasks[0].model_sha256, "recordings": recordings, "failed": failed,
    }  # fmt: skip
    write_atomically(out.with_suffix(".json"), (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode())
    write_atomically(out, content.getvalue())
    if not failed:
        shutil.rmtree(parts)
    say(f"{whole.num_rows} grades of {len(done)} recordings in {out}; what they are in {out.with_suffix('.json')}")
    if failed:
        say(f"{len(failed)} could not be graded, named above; the same command tries them again")
    say(NOTICE)
    return 1 if failed else 0


def _require_alike(tasks: Sequence[Task], results: Sequence[pa.Table], parts: Path) -> None:
    """Raise InputError where a result has other columns than most; it is removed, to be made anew."""
    ((usual, _),) = Counter(table.schema for table in results).most_common(1)
    other = [task for task, table in zip(tasks, results, strict=True) if table.schema != usual]
    for task in other:
        (parts / f"{task.key}.parquet").unlink(missing_ok=True)
    if other:
        raise InputError(
            f"{parts / other[0].key}: what was kept of {other[0].recording} has other columns than the rest; it is "
            "removed: the same command grades it again"
        )


def _tasks(given: Any) -> list[Task]:
    model: Path = given.model.absolute()
    try:
        model_sha256 = str(read_json(model / "manifest.json")["files"]["model.onnx"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--model {given.model}: has no manifest of a model ({error}); give its folder") from error
    commit = git_commit()
    made_by = program() + (f", commit {commit}" if commit else "")
    tasks = []
    for name, path, is_session in _recordings(given.recordings, given.parent):
        tasks.append(
            Task(
                recording=name, source=str(path.absolute()), is_session=is_session,
                fingerprint=fingerprint(path / LOG if is_session else path), model=str(model),
                model_sha256=model_sha256, select=tuple(given.select), um_per_px=given.um_per_px, fps=given.fps,
                program=made_by,
            )
        )  # fmt: skip
    return tasks


def _recordings(named: Sequence[str], parent: str | None) -> Iterator[tuple[str, Path, bool]]:
    """Yield name, path, and whether it is a session. Raises InputError."""
    seen: set[Path] = set()
    for word in named:
        for name, path, is_session in _recording(word, parent):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield name, path, is_session


def _recording(word: str, parent: str | None) -> list[tuple[str, Path, bool]]:
    try:
        path = Path(word).expanduser()
    except RuntimeError:
        raise InputError(f"{word}: no such user; give the full path of the recording") from None
    if path.is_file():
        return [(word, path, False)]
    if path.is_dir() and not (path / LOG).is_file():
        inside = sorted(path.iterdir())
        sessions = [(entry.name, entry, True) for entry in inside if (entry / LOG).is_file()]
        videos = [(str(entry), entry, False) for entry in inside if entry.suffix.lower() in VIDEOS and entry.is_file()]
        if not sessions and not videos:
            raise InputError(f"{word}: holds neither videos nor sessions")
        return sessions + videos
    folder = find_session(word, parent)
    if not (folder / LOG).is_file():
        raise InputError(f"{word}: no such file, and no session of that name")
    return [(folder.name, folder, True)]
