"""What pretraining on unlabelled clips is worth, with few labels: 50, 150 and 500 clips with votes.

Simulates unlabelled clips, labelled ones and a test set (other seeds), pretrains one network on the unlabelled
(``trainer pretrain --clips``), then trains from that start and from the usual one on the same labelled clips, with the
same number of steps, recipe and seeds, and scores both on the test set as ``trainer evaluate`` does. Trainings of one
thread go side by side. Patches have 30 px: with 25 the head, in the middle of the clip, lies on the corner of four, and
the network learns no grades in this time (docs/decisions/0068). The figure is the
mean squared error divided by that of predicting the labelled clips' mean distribution: 1 is as good as not looking.
The difference is of the same test clips. Intervals are a bootstrap over them, with the seeds' errors averaged: they
cover the choice of test clips, not the chance of training (``--seeds``).

Simulated sperm, a small network, a few frames: it says whether the pretraining helps, not what a lab will gain. Needs
the extra train.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.support.report import Report
from station.build_info import ROOT
from station.errors import ProcessError
from trainer.__main__ import main as trainer
from trainer.data.dataset import Clips, open_clips, read_hashes, write_table
from trainer.evaluation.predictors import predict, weights_predictor
from trainer.training.recipe import BEST

NETWORK = ("depth=3", "width=96", "heads=3", "patch_px=30", "branch_depth=1", "branch_heads=3")
RECIPE = (
    "--optimizer", "adamw", "--lr", "1e-3", "--batch", "16", "--schedule", "cosine", "--warmup", "0.05", "--loss", "ce",
    "--weight-decay", "0.05",
)  # fmt: skip
HELD_OUT = 0.2
"""Share of the labelled clips that picks the best epoch."""
DRAWS = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--labels", type=int, nargs="+", default=[50, 150, 500])
    parser.add_argument("--unlabelled", type=int, default=2000, help="clips without votes (default 2000)")
    parser.add_argument("--test", type=int, default=300, help="clips to score on (default 300)")
    parser.add_argument("--passes", type=int, default=10, help="of pretraining over its clips (default 10)")
    parser.add_argument("--shown", type=int, default=12000, help="clips shown in each training (default 12000)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each kind (default 1)")
    parser.add_argument("--frames", type=int, default=4, help="frames that the network takes (default 4)")
    parser.add_argument("--threads", type=int, default=2, help="cores to use (default 2)")


def run(args: argparse.Namespace) -> int:
    """Run the bench."""
    report = Report(
        bench="labels",
        counts="error on simulated clips that nobody trained on, divided by that of predicting the mean distribution",
        settings=dict(vars(args)),
    )
    with tempfile.TemporaryDirectory(prefix="bench-labels-") as name:
        root = Path(name)
        for folder, count, seed in (("U", args.unlabelled, 101), ("L", max(args.labels), 102), ("T", args.test, 103)):
            _do("simulate", "--clips", count, "--seed", seed, "--workers", args.threads, "--out", root / folder)
        start_s = time.monotonic()
        _do("pretrain", "--clips", root / "U", "--out", root / "SEEN", "--frames", args.frames, "--epochs", args.passes,
            "--threads", args.threads, *_network())  # fmt: skip
        report.figure("pretraining", time.monotonic() - start_s, "s")
        labelled, test = open_clips(root / "L"), open_clips(root / "T")
        data = {count: _subset(labelled, count, root / f"L{count}") for count in args.labels}
        starts = {"without": None, "with": root / "SEEN" / "last.pt"}
        jobs = [(count, name, seed) for count in args.labels for name in starts for seed in range(args.seeds)]
        start_s = time.monotonic()
        with ThreadPoolExecutor(args.threads) as pool:
            runs = {
                job: pool.submit(_train, args, data[job[0]], starts[job[1]], job[2], root / f"RUN-{number}")
                for number, job in enumerate(jobs)
            }
            errors = {job: _errors(run.result(), test) for job, run in runs.items()}
        report.figure(f"{len(jobs)} trainings", time.monotonic() - start_s, "s")
        for count in args.labels:
            found = {
                name: np.mean([errors[count, name, seed] for seed in range(args.seeds)], axis=0) for name in starts
            }
            _compare(report, count, found, _of_mean(open_clips(data[count]), test))
    report.emit()
    return 0


def _network() -> list[str]:
    return [word for change in NETWORK for word in ("--network", change)]


def _train(args: argparse.Namespace, data: Path, start: Path | None, seed: int, out: Path) -> Path:
    """Train once, in a process of its own, and return the run."""
    epochs = max(1, round(args.shown / (len(open_clips(data, verify=False)) * (1 - HELD_OUT))))
    begin = ["--init", start] if start else []
    words = ["train", "--data", data, "--out", out, "--epochs", epochs, "--seed", seed + 1, "--holdout", HELD_OUT,
             "--threads", 1, "--network", f"frames={args.frames}", *_network(), *RECIPE, *begin]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ProcessError(f"python -m trainer {' '.join(map(str, words))} failed: {done.stderr.strip()}")
    return out


def _errors(run: Path, test: Clips) -> NDArray[np.float64]:
    """Return (N,) squared errors of the test clips."""
    predicted = predict(weights_predictor(run / BEST, "the run"), test)
    return np.asarray(((predicted - test.distributions) ** 2).mean(axis=1), np.float64)


def _of_mean(labelled: Clips, test: Clips) -> NDArray[np.float64]:
    """Return (N,) squared errors of predicting the labelled clips' mean distribution."""
    return np.asarray(((labelled.distributions.mean(axis=0) - test.distributions) ** 2).mean(axis=1), np.float64)


def _compare(report: Report, count: int, errors: dict[str, NDArray[np.float64]], of_mean: NDArray[np.float64]) -> None:
    """Add what pretraining changes with ``count`` labels."""
    rng = np.random.default_rng(count)
    draws = rng.integers(len(of_mean), size=(DRAWS, len(of_mean)))
    base = of_mean[draws].mean(axis=1)
    gain = (errors["without"] - errors["with"])[draws].mean(axis=1) / base
    low, high = np.percentile(gain, (2.5, 97.5))
    for name, found in errors.items():
        lower, upper = np.percentile(found[draws].mean(axis=1) / base, (2.5, 97.5))
        value = float(found.mean() / of_mean.mean())
        report.figure(
            f"{count} labels, {name} pretraining", value, "of the mean's MSE", f"95 % {lower:.3f} to {upper:.3f}"
        )
    value = float((errors["without"] - errors["with"]).mean() / of_mean.mean())
    report.figure(f"{count} labels, gain", value, "of the mean's MSE", f"95 % {low:.3f} to {high:.3f}")


def _subset(clips: Clips, count: int, out: Path) -> Path:
    """Make a folder of the first clips of another."""
    part = clips.subset(range(count))
    hashes = read_hashes(clips.root)
    (out / "clips").mkdir(parents=True)
    for row in part.rows:
        shutil.copyfile(clips.root / row.file, out / row.file)
    write_table(out, part.rows, {row.file: hashes[row.file] for row in part.rows}, clips.shape, clips.made)
    return out


def _do(*words: object) -> None:
    """Run one command of the trainer. Raises ProcessError where it fails."""
    if trainer([str(word) for word in words]):
        raise ProcessError(f"python -m trainer {' '.join(map(str, words))} failed; see its message above")
