"""A run that is cut off resumes bit for bit, whatever it was doing and whenever it was cut off."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from tests.support.tiny_training import checkpoint, command, furthest, resume  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.training.progress import TrainingProgress  # noqa: E402
from trainer.training.recipe import BEST, LAST  # noqa: E402
from trainer.training.run_folder import LOG  # noqa: E402

STEPS = 6
"""Steps an epoch: 36 clips that are not held out, six a batch."""


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class CutOff:
    """Interrupts training, as Ctrl-C does, at a batch of an epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int) -> None:
        original = TrainingProgress.batch
        self.armed = True

        def cut(progress: TrainingProgress, at: int, done: int, of: int, loss: float) -> None:
            original(progress, at, done, of, loss)
            if self.armed and (at, done) == (epoch, batch):
                self.armed = False
                raise KeyboardInterrupt

        monkeypatch.setattr(TrainingProgress, "batch", cut)


RECIPES = {
    "the paper's": (),
    "accumulation, bfloat16": ("--accumulate", "4", "--precision", "bfloat16"),
    "AdamW, cosine": ("--optimizer", "adamw", "--schedule", "cosine", "--warmup", "0.1", "--clip-norm", "1"),
}


@pytest.mark.parametrize("options", RECIPES.values(), ids=RECIPES)
def test_ten_epochs_are_five_and_five(tiny_clips: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(command("train", tiny_clips, whole, "--epochs", "10", *options)) == 0
    assert main(command("train", tiny_clips, parts, "--epochs", "10", "--stop-after", "5", *options)) == 0
    assert checkpoint(parts / LAST)["epochs_done"] == 5
    assert furthest(whole / LAST, parts / LAST) > 0
    assert main(resume("train", tiny_clips, parts)) == 0
    assert furthest(whole / LAST, parts / LAST) == 0
    assert furthest(whole / BEST, parts / BEST) == 0
    assert (whole / LOG).read_text() == (parts / LOG).read_text()


def test_patience_is_counted_over_an_interruption(tiny_clips: Path, tmp_path: Path) -> None:
    # A rate that makes the validation error rise after a few epochs.
    options = ("--epochs", "40", "--lr", "0.5", "--patience", "4", "--seed", "3")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(command("train", tiny_clips, whole, *options)) == 0
    log = checkpoint(whole / LAST)["log"]
    best = min(log, key=lambda entry: entry["mse_x100"])["epoch"]
    assert len(log) == best + 4 < 40
    assert main(command("train", tiny_clips, parts, *options, "--stop-after", str(best + 2))) == 0
    assert main(resume("train", tiny_clips, parts)) == 0
    assert checkpoint(parts / LAST)["log"] == log
    assert furthest(whole / LAST, parts / LAST) == 0


def test_what_lags_behind_the_last_checkpoint_is_brought_up_to_it(tiny_clips: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(command("train", tiny_clips, run, "--epochs", "3", "--stop-after", "2")) == 0
    before = {name: (run / name).read_bytes() for name in (BEST, LOG)}
    assert main(resume("train", tiny_clips, run)) == 0
    log = (run / LOG).read_bytes()
    assert furthest(run / BEST, run / LAST) == 0
    for name, content in before.items():  # as a kill right after last.pt leaves them
        (run / name).write_bytes(content)
    assert furthest(run / BEST, run / LAST) > 0
    assert main(resume("train", tiny_clips, run)) == 0
    assert furthest(run / BEST, run / LAST) == 0
    assert (run / LOG).read_bytes() == log


class CutAtFile:
    """Interrupts just before the n-th file is put in place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        original = Path.replace
        self.seen = 0

        def replace(path: Path, target: Path) -> Path:
            self.seen += 1
            if self.seen == number:
                raise KeyboardInterrupt
            return original(path, target)

        monkeypatch.setattr(Path, "replace", replace)


def test_a_cut_between_any_two_files_changes_nothing(
    tiny_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    assert main(command("train", tiny_clips, whole, "--epochs", "2")) == 0
    assert furthest(whole / LAST, whole / BEST) == 0  # so that both epochs write both
    # last.pt, split.json, recipe.json; then last.pt, best.pt, log.jsonl of two epochs.
    for number in range(1, 10):
        run = tmp_path / f"cut-{number}"
        begin = command("train", tiny_clips, run, "--epochs", "2")
        with monkeypatch.context() as patch:
            CutAtFile(patch, number)
            assert main(begin) == 130
        assert (run / "recipe.json").exists() == (number > 3)
        assert main(resume("train", tiny_clips, run) if number > 3 else begin) == 0
        assert furthest(whole / LAST, run / LAST) == 0
        assert furthest(whole / BEST, run / BEST) == 0
        assert (whole / LOG).read_text() == (run / LOG).read_text()


def test_a_run_of_before_there_were_splits_and_patience_goes_on(tiny_clips: Path, tmp_path: Path) -> None:
    whole, old = tmp_path / "whole", tmp_path / "old"
    assert main(command("train", tiny_clips, whole, "--epochs", "2")) == 0
    assert main(command("train", tiny_clips, old, "--epochs", "2", "--stop-after", "1")) == 0
    new = ("patience", "init", "init_part", "folds", "fold")
    state = checkpoint(old / LAST)
    state["recipe"] = {name: value for name, value in state["recipe"].items() if name not in new}
    state["log"] = [{name: value for name, value in entry.items() if name != "step"} for entry in state["log"]]
    torch.save(state, old / LAST)
    (old / "recipe.json").write_text(json.dumps(state["recipe"]))
    (old / "split.json").unlink()
    assert main(resume("train", tiny_clips, old)) == 0
    assert furthest(whole / LAST, old / LAST) == 0


def test_ctrl_c_says_how_to_go_on(
    tiny_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    CutOff(monkeypatch, epoch=1, batch=2)
    assert main(command("train", tiny_clips, tmp_path / "run", "--epochs", "3")) == 130
    said = capsys.readouterr()
    assert said.err == "rostfine: interrupted\n"
    line = next(line for line in said.out.splitlines() if "go on with" in line)
    assert main([*line.partition("python -m trainer ")[2].split(), "--threads", "1"]) == 0
    assert checkpoint(tmp_path / "run" / LAST)["epochs_done"] == 3


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # of the reader itself
def test_curves_of_a_resumed_run_have_every_point_once(
    tiny_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
        reader = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0}).Reload()
        return {tag: [(point.step, point.value) for point in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(command("train", tiny_clips, whole, "--epochs", "3")) == 0
    CutOff(monkeypatch, epoch=1, batch=4)
    assert main(command("train", tiny_clips, parts, "--epochs", "3")) == 130
    assert max(step for step, _ in curves(parts)["step/loss"]) == STEPS + 2
    time.sleep(1.1)  # event files are read in the order of the whole seconds in their names
    assert main(resume("train", tiny_clips, parts)) == 0
    found = curves(parts)
    assert [step for step, _ in found["step/gradient_norm"]] == list(range(3 * STEPS))
    assert [step for step, _ in found["epoch/mse_x100"]] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert found == curves(whole)


KILLS = 10
EPOCHS = 45
# Starting Python and torch takes far longer than these runs: one process imports them and forks a child for each.
TRAIN_AND_BE_KILLED = """
import os, signal, sys, time
import numpy as np
from trainer.__main__ import main
import trainer.training.run, trainer.training.loop
from pathlib import Path
from trainer.model.checkpoint import read_checkpoint
import torch
torch.set_num_threads(1)
begin, resume, run = sys.argv[1].split("|"), sys.argv[2].split("|"), Path(sys.argv[3])
rng = np.random.default_rng(int(sys.argv[4]))
for kill in range(int(sys.argv[5])):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        os.close(writer)
        os._exit(main(resume if (run / "recipe.json").exists() else begin))
    os.close(writer)
    told, wanted = 0, int(rng.integers(4))
    with os.fdopen(reader) as lines:
        for line in lines if wanted else ():
            told += line.startswith("epoch ")
            if told:
                last = int(line.split()[1])
            if told == wanted:
                break
        time.sleep(rng.uniform(0, 0.25))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        for line in lines:
            if line.startswith("epoch ") and line.endswith("\\n"):
                last = int(line.split()[1])
                told += 1
    assert os.WIFSIGNALED(status), f"not killed but ended: {status}"
    kept = read_checkpoint(run / "last.pt").epochs_done if (run / "last.pt").exists() else 0
    print(kill + 1, wanted, last if told else 0, kept, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to be quick")
def test_killed_ten_times_at_random_moments_it_ends_as_if_never_killed(tiny_clips: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    options = ("--epochs", str(EPOCHS), "--lr", "0.05")
    assert main(command("train", tiny_clips, whole, *options)) == 0
    begin, go_on = command("train", tiny_clips, run, *options), resume("train", tiny_clips, run)
    arguments = ["|".join(begin), "|".join(go_on), str(run), "7", str(KILLS)]
    killer = subprocess.run(
        [sys.executable, "-c", TRAIN_AND_BE_KILLED, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert killer.returncode == 0, killer.stderr
    kills = [[int(word) for word in line.split()] for line in killer.stdout.splitlines()]
    assert len(kills) == KILLS
    kept = [line[3] for line in kills]
    assert kept == sorted(kept)
    for _, _, told, done in kills:
        assert done >= told  # an epoch that was told of is never lost, and the checkpoint was whole enough to be read
    assert 0 < kept[-1] < EPOCHS
    assert main(resume("train", tiny_clips, run)) == 0
    assert furthest(whole / LAST, run / LAST) == 0
    assert furthest(whole / BEST, run / BEST) == 0
    assert (whole / LOG).read_text() == (run / LOG).read_text()
    print(f"epochs kept after each kill: {kept}")
