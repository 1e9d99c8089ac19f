"""``python -m bench tracking``: its files, its score against the reference scorer, its refusals."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bench.__main__ import main
from bench.support.tracking.baselines import FixedTemplate
from bench.support.tracking.clips import Start
from bench.support.tracking.score import score, segments, tracks_of
from bench.tracking import follow, read_starts
from station.config import TrackerSettings

SCORER = Path(__file__).resolve().parents[3] / "shared" / "tools" / "score_tracks.py"


@pytest.fixture
def scorer() -> ModuleType:
    if not SCORER.is_file():
        pytest.skip(f"the scorer is not at {SCORER}")
    spec = importlib.util.spec_from_file_location("score_tracks", SCORER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_score_is_the_scorers(scorer: ModuleType, visem: Path, tmp_path: Path) -> None:
    """On answers that are right, wrong, missing and unsure in turn."""
    gt = visem / "19" / "gt.txt"
    rng = np.random.default_rng(0)
    rows, answers = ["segment,frame,x,y,state"], {}
    for segment in segments(tracks_of(gt)):
        name, centres = segment.name, segment.centres
        drift = np.cumsum(rng.normal(0, rng.uniform(0, 3), centres.shape), axis=0)
        for frame, (x, y) in zip(segment.frames, centres + drift, strict=True):
            if rng.random() < 0.03:
                continue
            state = "locked" if rng.random() < 0.7 else "uncertain"
            rows.append(f"{name},{frame},{x!r},{y!r},{state}".replace("np.float64(", "").replace(")", ""))
            answers.setdefault(name, {})[frame] = (float(x), float(y), state)
    path = tmp_path / "tracks.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    theirs, ours = scorer.score(gt, path), score(tracks_of(gt), answers)
    for part in ("all", "moving"):
        assert ours[part].segments == theirs[part]["segments"]
        for figure in ("survival", "on_target", "wrong_lock"):
            assert getattr(ours[part], figure) == pytest.approx(theirs[part][figure], abs=6e-5)


def test_segments_of_one_pass_are_what_they_are_alone(visem: Path) -> None:
    """Overlapping segments, even of the same sperm, do not affect each other."""
    video = visem / "12" / "video.mp4"
    starts = [Start("a", 12, 281.0, 100.0), Start("b", 20, 281.0, 100.0), Start("c", 20, 147.0, 32.0)]
    settings = TrackerSettings(head_px=21.0)
    together = list(follow(video, starts, settings, frames=40))
    for start in starts:
        alone = list(follow(video, [start], settings, frames=40))
        assert [r for r in together if r.segment == start.segment] == alone
    assert {r.frame for r in together if r.segment == "b"} == set(range(20, 40))


def test_the_command_writes_every_frame_of_every_segment(
    visem: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts, out = tmp_path / "starts.csv", tmp_path / "tracks.csv"
    starts.write_text("segment,frame,x,y\none,300,200.0,150.0\ntwo,330,400.0,200.0\n", encoding="utf-8")
    video = str(visem / "12" / "video.mp4")
    argv = ["tracking", "--video", video, "--starts", str(starts), "--tracks-out", str(out), "--no-timing"]
    assert main(argv) == 0
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "segment,frame,x,y,state"
    cells = [line.split(",") for line in lines[1:]]
    assert sorted(int(c[1]) for c in cells if c[0] == "one") == list(range(300, 450))
    assert sorted(int(c[1]) for c in cells if c[0] == "two") == list(range(330, 480))
    assert {c[4] for c in cells} <= {"acquiring", "locked", "uncertain", "lost"}
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]["rows"]["value"] == 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("segment,frame,x\na,1,2\n", "expected columns", id="a column is missing"),
        pytest.param("segment,frame,x,y\na,one,2,3\n", "expected columns", id="no number"),
        pytest.param(None, "cannot be read", id="no file"),
        pytest.param("segment,frame,x,y\na,9999,2,3\n", "beyond the end", id="a frame that is not there"),
    ],
)
def test_bad_starts(
    content: str | None, message: str, tmp_path: Path, visem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "starts.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    video = str(visem / "12" / "video.mp4")
    assert main(["tracking", "--video", video, "--starts", str(path), "--no-timing"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["tracking"],
        ["tracking", "--video", "absent.mp4"],
        ["tracking", "--cases", "0"],
        ["tracking", "--turns", "3"],
        ["tracking", "--mix", "1"],
    ],
    ids=str,
)
def test_refusals(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "--no-timing"] if "--video" not in argv else argv) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_starts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "starts.csv"
    path.write_text("segment,frame,x,y\n1@12,12,3.5,4\n", encoding="utf-8")
    assert read_starts(path) == [Start("1@12", 12, 3.5, 4.0)]


def test_the_fixed_template_follows_a_moving_square() -> None:
    baseline = FixedTemplate()
    frames = []
    for k in range(10):
        frame = np.full((100, 120), 80, np.uint8)
        frame[40 + k : 48 + k, 30 + 3 * k : 38 + 3 * k] = 200
        frames.append(frame)
    state = baseline.start(frames[0], 33.5, 43.5)
    for frame in frames[1:]:
        place = baseline.update(state, frame)
    assert place == pytest.approx((33.5 + 27, 43.5 + 9), abs=1.0)
