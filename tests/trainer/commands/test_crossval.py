"""Cross-validation: folds keep sources whole and grades even, every fold is scored unseen, a cut-off one resumes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from station.errors import InputError  # noqa: E402
from station.notice import NOTICE  # noqa: E402
from tests.support.tiny_training import checkpoint, command, furthest, make_clips, resume  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.data.clip_table import ClipRow  # noqa: E402
from trainer.data.dataset import Clips, open_clips  # noqa: E402
from trainer.data.splits import fold_counts, make_folds, read_folds, read_split, write_folds  # noqa: E402
from trainer.evaluation.folds import RunSummary, read_run_summary, summarise  # noqa: E402
from trainer.evaluation.metrics import Scores, score  # noqa: E402
from trainer.evaluation.predictors import predict, weights_predictor  # noqa: E402
from trainer.training.progress import TrainingProgress  # noqa: E402
from trainer.training.recipe import BEST, LAST  # noqa: E402


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def table_of(grades: list[int], sources: list[str]) -> Clips:
    """Return a folder that holds only a table."""
    rows = [
        ClipRow(f"c{index}", f"{index}.npz", source, 0.25, 15.0, tuple(20 if k == grade else 5 for k in range(5)))
        for index, (grade, source) in enumerate(zip(grades, sources, strict=True))
    ]
    return Clips(Path("clips"), tuple(rows), (16, 150, 150), {}, "0" * 64)


def papers_clips(seed: int) -> Clips:
    """Return clips with the paper's most-voted grades, of 80 videos of unequal length."""
    rng = np.random.default_rng(seed)
    grades = rng.permutation(np.repeat(range(5), (45, 194, 356, 9, 11)))
    videos = rng.integers(0, 80, len(grades)) // rng.integers(1, 3, len(grades))
    return table_of(grades.tolist(), [f"v{video}" for video in videos])


@pytest.mark.parametrize("seed", range(3))
def test_folds_keep_sources_whole_and_grades_even(seed: int) -> None:
    clips = papers_clips(seed)
    folds = make_folds(clips, 5, seed)
    assert sorted(index for fold in folds for index in fold) == list(range(len(clips)))
    homes = [{clips.rows[index].source for index in fold} for fold in folds]
    assert sum(map(len, homes)) == len(set().union(*homes))
    counts = np.array([fold_counts(clips, fold) for fold in folds])
    even = counts.sum(axis=0) / 5
    assert np.abs(counts - even).max() <= 6  # of 71 C a fold: what whole videos of eight clips allow
    assert folds == make_folds(clips, 5, seed)
    assert folds != make_folds(clips, 5, seed + 1)


def test_folds_are_kept_in_a_file(tmp_path: Path) -> None:
    clips = papers_clips(0)
    folds = make_folds(clips, 5, 1)
    write_folds(tmp_path / "folds.json", clips, folds, 1)
    assert read_folds(tmp_path / "folds.json", clips)[0] == folds


def test_folds_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    clips = table_of([0, 1, 2, 3] * 3, [f"v{index // 2}" for index in range(12)])
    path = tmp_path / "folds.json"
    good = [list(range(6)), list(range(6, 12))]
    bad = {
        "one fold": [good[0] + good[1]],
        "must be in one fold": [good[0], good[1][:-1]],
        "no fold empty": [*good, []],
        "are in two folds": [[*range(5), 6], [5, *range(7, 12)]],
    }
    for named, folds in bad.items():
        write_folds(path, clips, folds, 1)
        with pytest.raises(InputError, match=named if named != "one fold" else "two or more"):
            read_folds(path, clips)
    write_folds(path, clips, good, 1)
    path.write_text(path.read_text().replace('"c3"', '"c99"'))
    with pytest.raises(InputError, match="expected lists of ids"):
        read_folds(path, clips)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_folds(path, clips)
    with pytest.raises(InputError, match="which is 6"):
        make_folds(clips, 7, 1)


def test_the_summary_is_mean_and_standard_deviation_of_the_folds() -> None:
    runs = [
        RunSummary(n, 4, None, {"model": Scores(0.0, 0.0, value, 0.0, (value, 0.5), 0.0, 0.0)})
        for n, value in enumerate((1.0, 2.0, 6.0), start=1)
    ]
    summary = summarise(runs)
    assert summary.mean["model"].emd == 3.0
    assert summary.mean["model"].balanced_accuracy == (3.0, 0.5)
    assert summary.sd["model"].emd == pytest.approx(7**0.5)  # (4 + 1 + 9) / (3 - 1)
    assert summary.sd["model"].balanced_accuracy == pytest.approx((7**0.5, 0.0))


def test_every_fold_is_scored_by_a_network_that_never_saw_it(
    tiny_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("crossval", tiny_clips, tmp_path, "--folds", "2", "--epochs", "2", "--holdout", "0.3")) == 0
    clips = open_clips(tiny_clips)
    folds, sha256 = read_folds(tmp_path / "folds.json", clips)
    said = capsys.readouterr().out
    assert "…" not in said  # the tables fit into 80 columns
    assert max(len(line) for line in said.splitlines()[:-1] if not line.startswith("note: ")) <= 80
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["notice"] == NOTICE
    assert NOTICE in said
    for number, fold in enumerate(folds, start=1):
        run = tmp_path / f"fold-{number}"
        split = read_split(run / "split.json", clips)
        assert sorted(split.test) == sorted(fold)
        assert sorted(split.train + split.validation + split.test) == list(range(40))
        sources = [{clips.rows[index].source for index in part} for part in (split.train, split.validation, split.test)]
        assert sum(map(len, sources)) == 10
        assert all(sources)
        assert checkpoint(run / LAST)["recipe"]["folds"] == sha256
        predicted = predict(weights_predictor(run / BEST, "fold"), clips.subset(fold))
        expected = score(predicted, clips.distributions[fold])
        told = metrics["folds"][number - 1]["scores"]["model"]
        assert read_run_summary(run / "metrics.json").to_dict() | {"scores": {}} == metrics["folds"][number - 1] | {
            "scores": {}
        }
        assert told["mse_x100"] == pytest.approx(expected.mse_x100)
        assert told["balanced_accuracy"] == pytest.approx(expected.balanced_accuracy)
        lines = (run / "predictions.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in lines[1:]] == [clips.rows[index].id for index in fold]
    errors = [fold["scores"]["model"]["mse_x100"] for fold in metrics["folds"]]
    assert metrics["mean"]["model"]["mse_x100"] == pytest.approx(np.mean(errors))
    assert metrics["sd"]["model"]["mse_x100"] == pytest.approx(np.std(errors, ddof=1))
    mean_error = np.mean([fold["scores"]["mean distribution"]["mse_x100"] for fold in metrics["folds"]])
    assert metrics["mean"]["mean distribution"]["mse_x100"] == pytest.approx(mean_error)


def test_a_cross_validation_that_was_cut_off_goes_on(
    tiny_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ("--folds", "3", "--epochs", "3")
    assert main(command("crossval", tiny_clips, whole, *options)) == 0
    original, seen = TrainingProgress.batch, []

    def cut(progress: TrainingProgress, epoch: int, done: int, of: int, loss: float) -> None:
        original(progress, epoch, done, of, loss)
        seen.append((epoch, done))
        if seen.count((1, 2)) == 2 and seen[-1] == (1, 2):  # in the second fold's second epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "batch", cut)
        assert main(command("crossval", tiny_clips, parts, *options)) == 130
    assert (parts / "fold-1" / "metrics.json").exists()
    assert not (parts / "fold-2" / "metrics.json").exists()
    assert checkpoint(parts / "fold-2" / LAST)["epochs_done"] == 1
    kept = (parts / "fold-1" / LAST).stat().st_mtime_ns
    assert main(command("crossval", tiny_clips, parts, *options)) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(resume("crossval", tiny_clips, parts)) == 0
    assert (parts / "fold-1" / LAST).stat().st_mtime_ns == kept
    for number in (1, 2, 3):
        assert furthest(whole / f"fold-{number}" / LAST, parts / f"fold-{number}" / LAST) == 0
    assert (whole / "metrics.json").read_text() == (parts / "metrics.json").read_text()


def test_folds_can_be_used_again(tiny_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = open_clips(tiny_clips)
    write_folds(tmp_path / "folds.json", clips, [range(16), range(16, 40)], 5)
    split = ("--split", str(tmp_path / "folds.json"), "--epochs", "1")
    assert main(command("crossval", tiny_clips, tmp_path / "cv", *split, "--holdout", "0")) == 0
    assert read_folds(tmp_path / "cv" / "folds.json", clips)[0] == [list(range(16)), list(range(16, 40))]
    assert len(read_split(tmp_path / "cv" / "fold-1" / "split.json", clips).train) == 24
    (tmp_path / "cv" / "folds.json").write_bytes((tmp_path / "folds.json").read_bytes().replace(b'"c15"', b'"c16"', 1))
    assert main(resume("crossval", tiny_clips, tmp_path / "cv")) == 2
    assert "folds.json" in capsys.readouterr().err


BAD = {
    "too many folds": (("--folds", "11"), "which is 10"),
    "one fold": (("--folds", "1"), "--folds 1"),
    "no file of folds": (("--split", "absent.json"), "absent.json"),
    "resumed with folds": (("--resume", "--folds", "3"), "--folds"),
    "resumed what is not there": (("--resume",), "leave out --batch, --network"),
    "patience without validation": (("--folds", "2", "--patience", "2", "--holdout", "0"), "--patience"),
    "no such network": (("--folds", "2", "--branch", "thick"), "network: branch"),
    "criteria that nobody knows": (("--folds", "2", "--criteria", "1"), "only simulated clips"),
    "clips of another shape": (("--folds", "2", "--network", "clip_px=30"), "the network takes"),
}


@pytest.mark.parametrize(("options", "named"), BAD.values(), ids=BAD)
def test_bad_options_end_with_one_line_and_code_2(
    tiny_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], named: str
) -> None:
    assert main(command("crossval", tiny_clips, tmp_path / "cv", *options)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "cv").exists()  # the same command, corrected, works


def test_weights_that_saw_the_clips_are_refused(
    tiny_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("train", tiny_clips, tmp_path / "run", "--epochs", "1")) == 0
    options = ("--folds", "2", "--epochs", "1", "--init", str(tmp_path / "run" / "last.pt"))
    assert main(command("crossval", tiny_clips, tmp_path / "cv", *options)) == 2
    assert "no fold would be scored unseen" in capsys.readouterr().err


def test_a_fold_without_clips_to_hold_out_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    make_clips(data, 8)  # of two sources: each fold trains on one of them
    assert main(command("crossval", data, tmp_path / "cv", "--folds", "2", "--epochs", "2")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("note: no clips are held out, as all that may be trained on are of one source") == 2
    metrics = json.loads((tmp_path / "cv" / "metrics.json").read_text())
    assert [fold["epoch"] for fold in metrics["folds"]] == [2, 2]
    assert main(command("crossval", data, tmp_path / "asked", "--folds", "2", "--epochs", "1", "--holdout", "0")) == 0
    assert "no clips are held out" not in capsys.readouterr().out
