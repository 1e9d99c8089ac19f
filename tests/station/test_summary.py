"""The summary document and what is printed of it."""

import json
from pathlib import Path

import pytest

from station.errors import InputError
from station.headless import closing_report
from station.messages import (
    GradeInfo,
    ModelInfo,
    Percentiles,
    SourceInfo,
    SpermTally,
    StageName,
    StageState,
    StageStatus,
    Trace,
    TrackInfo,
    TrackState,
    Validity,
)
from station.summary import NOTICE, check_summary, summarise, write_summary

MS = 1_000_000
GRADE = GradeInfo(
    sperm_id=1,
    frame_seq=90,
    x=1.0,
    y=2.0,
    grade=[0.5, 0.25, 0.125, 0.121, 0.004],
    heads=[[0.2] * 5] * 3,
    validity=Validity.PADDED,
    trace=Trace(t_exposure_ns=1000 * MS, t_sent_ns=1001 * MS, t_grade_ns=1150 * MS),
)
KEYS = {"source", "runtime", "model", "frames", "grades", "latency_ms", "restarts", "sperm"}


def status(stage: StageName, **fields: object) -> StageStatus:
    common = {"seq": 0, "stage": stage, "state": StageState.ENDED, "pid": 1, "t_ns": 1, "progress": 1}
    return StageStatus.model_validate(common | fields)


STATUSES = {
    StageName.CAPTURE: status(
        StageName.CAPTURE,
        counters={"captured": 100, "lost_by_source": 3},
        source=SourceInfo(name="12/video.mp4", height=480, width=640, fps=49.0),
    ),
    StageName.TRACKER: status(
        StageName.TRACKER,
        counters={"tracked": 95, "dropped": 5},
        latency_ms={"tracker": Percentiles(count=95, p50=4.0, p95=5.0, p99=6.0, max=7.0)},
    ),
    StageName.ENGINE: status(
        StageName.ENGINE,
        counters={"grades": 7},
        model=ModelInfo(name="demo", sha256="abc", runtime="onnxruntime", demonstration=True),
        sperm=[SpermTally(sperm_id=1, grades=7, last=GRADE)],
        digest="d1",
    ),
}
TRACKS = [
    TrackInfo(sperm_id=2, x=5.0, y=6.0, state=TrackState.LOST, score=0.0, filled=0),
    TrackInfo(sperm_id=1, x=3.0, y=4.0, state=TrackState.LOCKED, score=0.9, filled=16),
]


def test_a_whole_run() -> None:
    document = summarise(STATUSES, TRACKS, restarts=0)
    assert document.keys() >= KEYS
    assert document["frames"] == {"captured": 100, "tracked": 95, "dropped": 8}
    assert document["latency_ms"]["tracker"] == {"p50": 4.0, "p95": 5.0, "p99": 6.0, "max": 7.0}
    one, two = document["sperm"]
    assert (one["id"], one["x"], one["state"], one["grades"]) == (1, 3.0, "locked", 7)
    assert one["last"] == {"grade": GRADE.grade, "frame_seq": 90, "age_ms": 150.0, "validity": "padded"}
    assert (two["id"], two["state"], two["grades"], two["last"]) == (2, "lost", 0, None)
    assert json.loads(json.dumps(document)) == document


def test_a_run_that_failed_at_once_still_has_a_summary() -> None:
    document = summarise({}, [], restarts=0)
    assert document.keys() >= KEYS
    assert (document["source"], document["model"], document["grades"], document["sperm"]) == (None, None, 0, [])


def test_the_closing_report_fits_a_terminal_and_hides_nothing() -> None:
    text = closing_report(summarise(STATUSES, TRACKS, restarts=0))
    assert max(len(line) for line in text.splitlines()) <= 80
    for part in ("95 tracked", "8 dropped", "E  <1%", "padded", "now lost, never graded", "mean nothing", NOTICE):
        assert part in text


def test_paths_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "s.json"):
        with pytest.raises(InputError, match="summary"):
            check_summary(path)
        with pytest.raises(InputError, match="cannot be written"):
            write_summary(path, {})
    check_summary(tmp_path / "s.json")
    write_summary(tmp_path / "s.json", {"a": 1})
    assert json.loads((tmp_path / "s.json").read_text()) == {"a": 1}
