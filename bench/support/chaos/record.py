"""Is the session of a run that was ill-treated what it must be: intact, without a valid grade across a gap, replayable?

It reads the record alone, as anybody may later, and runs the program once more to replay it.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from station.build_info import ROOT
from station.session.records import FrameRecord, GradesRecord, OpenedRecord, TracksRecord, WindowsRecord
from station.session.session_reader import Session
from station.session.verify import verify_session
from station.transport.messages import GradeInfo, Validity

REPLAY_LIMIT_S: Final = 900.0


def intact(folder: Path) -> list[str]:
    """Return what is not as it was recorded, one line each."""
    return [f"session {folder.name}: {place}" for place in verify_session(folder).breaks]


def across_gaps(folder: Path) -> list[str]:
    """Return the grades that are called valid although frames are missing in their windows, one line each."""
    stride, lost_before = 1, {}
    of_sent: dict[int, int] = {}
    every: dict[int, int] = {}
    windows: dict[tuple[int, int], list[int]] = {}
    valid: list[GradeInfo] = []
    for event in Session(folder).events():
        record = event.record
        if isinstance(record, OpenedRecord):
            stride = record.stride
        elif isinstance(record, FrameRecord):
            lost_before[record.header.seq] = record.header.lost_before
            every[record.header.seq] = record.header.every
        elif isinstance(record, TracksRecord):
            of_sent[record.header.frame_seq] = record.header.of_sent
        elif isinstance(record, WindowsRecord):
            for window in record.header.windows:
                windows[window.sperm_id, window.frame_seqs[-1]] = window.frame_seqs
        elif isinstance(record, GradesRecord):
            valid += [grade for grade in record.header.grades if grade.validity is Validity.VALID]
    found: list[str] = []
    for grade in valid:  # only now, as a frame may come later in the record than the grade that rests on it
        seqs = windows.get((grade.sperm_id, grade.frame_seq))
        if seqs is None:
            continue
        what = f"grade of sperm {grade.sperm_id}"
        thinned = next((every[seq] for seq in seqs if seq in every), 1)
        found += _gaps(seqs, stride // thinned, lost_before, what)
        known = [seq for seq in seqs if seq in every and seq in of_sent]  # a recorder that was killed lacks some
        if len({(every[seq], of_sent[seq]) for seq in known}) > 1:
            found.append(f"{what}, frame {seqs[-1]}: valid, and frames were left out otherwise before")
    return found


def _gaps(seqs: list[int], stride: int, lost_before: dict[int, int], what: str) -> Iterator[str]:
    if any(b - a != stride for a, b in itertools.pairwise(seqs)):
        yield f"{what}, frame {seqs[-1]}: valid, and its window has the frames {seqs}"
    elif any(lost_before.get(seq) for seq in range(seqs[0] + 1, seqs[-1] + 1)):
        yield f"{what}, frame {seqs[-1]}: valid, and frames were lost in its window"


def replayed(folder: Path, scratch: Path) -> dict[str, Any]:
    """Replay a session as fast as this machine can; return the summary, empty where the replay did not work."""
    path = scratch / f"replay-{folder.name}.json"
    command = [sys.executable, "run_station.py", "--headless", "--speed", "max", "--source", f"replay:{folder}"]
    done = subprocess.run(
        [*command, "--summary", str(path)], cwd=ROOT, capture_output=True, timeout=REPLAY_LIMIT_S, check=False
    )
    if done.returncode:
        return {}
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary
