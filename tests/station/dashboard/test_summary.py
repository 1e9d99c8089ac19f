"""The summary document, and the closing report printed from it."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from station.dashboard.headless import HeadlessReport, closing_report
from station.dashboard.run_summary import RecordingSummary, RunSummary
from station.dashboard.snapshot import ProcessView, Snapshot
from station.dashboard.summary import SummaryFile, summarise
from station.errors import InputError
from station.notice import NOTICE
from station.transport.control_messages import (
    ModelInfo,
    Percentiles,
    ProcessName,
    ProcessState,
    ProcessStatus,
    SourceInfo,
    SpermTally,
)
from station.transport.messages import GradeInfo, Trace, TrackInfo, TracksHeader, TrackState, Validity

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
KEYS = {"source", "runtime", "model", "frames", "grades", "latency_ms", "sperm"}


def status(process: ProcessName, **fields: object) -> ProcessStatus:
    common = {"seq": 0, "stage": process, "state": ProcessState.ENDED, "pid": 1, "t_ns": 1, "progress": 1}
    return ProcessStatus.model_validate(common | fields)


STATUSES = {
    ProcessName.CAPTURE: status(
        ProcessName.CAPTURE,
        counters={"captured": 100, "lost_by_source": 3},
        source=SourceInfo(name="12/video.mp4", height=480, width=640, fps=49.0),
    ),
    ProcessName.TRACKER: status(
        ProcessName.TRACKER,
        counters={"tracked": 95, "dropped": 5},
        latency_ms={"tracker": Percentiles(count=95, p50=4.0, p95=5.0, p99=6.0, max=7.0)},
    ),
    ProcessName.ENGINE: status(
        ProcessName.ENGINE,
        counters={"grades": 7},
        model=ModelInfo(name="demo", sha256="abc", runtime="onnxruntime", demonstration=True, um_per_px=0.25),
        sperm=[SpermTally(sperm_id=1, grades=7, last=GRADE)],
        digest="d1",
    ),
}
TRACKS = [
    TrackInfo(sperm_id=2, x=5.0, y=6.0, state=TrackState.LOST, score=0.0, filled=0),
    TrackInfo(sperm_id=1, x=3.0, y=4.0, state=TrackState.LOCKED, score=0.9, filled=16),
]


TRACE = Trace(t_exposure_ns=1, t_sent_ns=2)


def summary(tracks: list[TrackInfo]) -> RunSummary:
    header = TracksHeader(seq=0, frame_seq=99, trace=TRACE, window_frames=16, tracks=tracks)
    processes = {process: ProcessView(status=said) for process, said in STATUSES.items()}
    return summarise(Snapshot(now_ns=1, elapsed_s=1.0, processes=processes, tracks=header), tracks, ended="by key q")


def test_a_whole_run() -> None:
    document = dataclasses.asdict(summary(TRACKS))
    assert document.keys() >= KEYS
    assert document["frames"] == {"captured": 100, "tracked": 95, "dropped": 8, "left_out": 0}
    assert document["latency_ms"]["tracker"] == {"p50": 4.0, "p95": 5.0, "p99": 6.0, "max": 7.0}
    assert document["latency_ms"]["engine"]["p50"] is None, "nothing measured is not 0 ms"
    one, two = document["sperm"]
    assert (one["id"], one["x"], one["state"], one["grades"]) == (1, 3.0, "locked", 7)
    assert one["last"] == {
        "grade": GRADE.grade,
        "frame_seq": 90,
        "frames_ago": 9,
        "age_ms": 150.0,
        "validity": "padded",
        "standing": "current",
    }
    assert (two["id"], two["state"], two["grades"], two["last"]) == (2, "lost", 0, None)
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({"state": TrackState.LOST, "filled": 0}, "last before loss"),
        ({"state": TrackState.UNCERTAIN}, "last before doubt"),
        ({"filled": 3}, "last before gap"),
        ({"unbroken_since": 95}, "last before gap"),
    ],
)
def test_a_grade_that_no_longer_holds_says_so(changes: dict[str, Any], standing: str) -> None:
    found = summary([TRACKS[1].model_copy(update=changes)])
    assert found.sperm[0].last is not None
    assert found.sperm[0].last.standing == standing
    assert standing in closing_report(found)


def test_doubts_about_scale_and_rate_are_in_the_summary_and_the_report() -> None:
    found = summary(TRACKS)
    assert any("scale of the source not known" in caution for caution in found.cautions)
    assert "scale of the source not known" in " ".join(closing_report(found).split())


@pytest.mark.parametrize(("late", "words"), [(1, ""), (5, ""), (6, "6 frames (6%) came late")])
def test_lateness_is_of_the_whole_run(late: int, words: str) -> None:
    capture = status(ProcessName.CAPTURE, counters={"captured": 100, "late": late, "lost_by_source": 0})
    found = Snapshot(
        now_ns=1, elapsed_s=1.0, processes={ProcessName.CAPTURE: ProcessView(status=capture)}, late_share=1.0
    )
    cautions = summarise(found, [], ended="by key q").cautions
    assert len(cautions) == bool(words)
    assert words in "".join(cautions)


def test_a_run_that_failed_at_once_still_has_a_summary() -> None:
    found = summarise(Snapshot(now_ns=1, elapsed_s=0.0), [], ended="by an error")
    assert dataclasses.asdict(found).keys() >= KEYS
    assert (found.source, found.model, found.grades, found.sperm) == (None, None, 0, [])
    assert "ended   by an error" in closing_report(found)


def test_the_closing_report_fits_a_terminal_and_hides_nothing() -> None:
    text = closing_report(summary(TRACKS))
    assert max(len(line) for line in text.splitlines()) <= 80
    parts = (
        "95 tracked",
        "8 dropped",
        "E  <1%",
        "padded",
        "9 before the end",
        "lost at the end, never graded",
        "mean nothing",
    )
    for part in (*parts, NOTICE):
        assert part in text


def test_grades_of_another_network_are_not_called_rostfines() -> None:
    found = summary(TRACKS)
    assert found.model is not None
    assert "RoSTFine grade A" in closing_report(found)
    other = dataclasses.replace(found, model=dataclasses.replace(found.model, network="r3d"))
    assert "r3d grade A" in closing_report(other)
    assert "RoSTFine grade" not in closing_report(other)


def test_places_that_cannot_be_written_are_refused_before_the_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "s.json"):
        with pytest.raises(InputError, match="summary"):
            SummaryFile(path)


def test_an_older_summary_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text("older")
    file = SummaryFile(path)
    assert path.read_text() == "older"
    file.write(summary(TRACKS))
    assert json.loads(path.read_text())["ended"] == "by key q"
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_that_lacks_frames_is_not_called_complete() -> None:
    """It was closed in good order, but not all of the run is in it."""
    recording = RecordingSummary(
        folder="F",
        mode="all",
        codec="ffv1",
        frames=9,
        lost=2,
        size_bytes=1,
        kept=0,
        stopped="",
        complete=True,
        chain="",
    )
    summary = summarise(Snapshot(now_ns=1, elapsed_s=0.0), [], ended="by key q")
    report = closing_report(dataclasses.replace(summary, recording=recording))
    assert "record  INCOMPLETE: 9 frames, 2 missing" in report


def test_the_name_of_a_source_or_model_passes_for_no_line_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    source = SourceInfo(name="a\nrecord  complete\n", height=480, width=640, fps=49.0)
    model = ModelInfo(name="b\nrecord  complete\n", sha256="abc", runtime="none", demonstration=False)
    said = {
        ProcessName.CAPTURE: status(ProcessName.CAPTURE, source=source),
        ProcessName.ENGINE: status(ProcessName.ENGINE, model=model),
    }
    processes = {process: ProcessView(status=one) for process, one in said.items()}
    HeadlessReport(sys.stdout).show(Snapshot(now_ns=1, elapsed_s=1.0, processes=processes))
    lines = capsys.readouterr().out.splitlines()
    assert "source  a record  complete , 640 x 480 px, 49 frames/s" in lines
    assert not any(line.startswith("record") for line in lines)
