"""Clips a second in training: RoSTFine and TimeSformer in this program's loop, beside what one would use instead.

In one run, on the same machine, at the same size, batch, loss and optimiser: a TimeSformer written plainly
(``bench.support.plain_timesformer``) and Hugging Face's, both in the shortest loop that there is (a batch that lies
ready in memory: no reading, no augmentation, no gradient norm, no log), which favours them. This program's figures are
of its own loop from the files on; its TimeSformer in the same short loop shows the network alone and, beside the first,
what the rest of the loop costs. Rounds, in which each has its turn, because a machine's speed drifts; the figures are
medians over them. On a CPU the ratio by processor time is given too: other work on the machine changes it little.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.support.report import Report
from station.errors import InputError, MissingExtraError
from station.output import say

if TYPE_CHECKING:
    import torch

    from engine.artifact import NetworkConfig

CLIPS = 64
SEED = 7010
PLAIN = "plain PyTorch, TimeSformer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--preset", choices=("station", "base"), default="station", help="size (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="clips in a batch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each, of all rounds (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="in which each has its turn (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="of the matrix products, for all alike"
    )
    parser.add_argument("--compile", action="store_true", help="compile all networks alike (torch.compile)")
    parser.add_argument("--profile", action="store_true", help="show where the time of RoSTFine's steps goes")


@dataclass(frozen=True, slots=True)
class _Speed:
    """Of one round."""

    clips_s: float
    """By the clock."""
    clips_cpu_s: float
    """By the processor time of the process."""


@dataclass(frozen=True, slots=True)
class _Contender:
    """Who trains."""

    measure: Callable[[float], _Speed]
    """Trains for so many seconds, after a step that warms up."""
    rounds: list[_Speed] = field(default_factory=list)

    @property
    def clips_s(self) -> float:
        """Median of the rounds."""
        return float(np.median([one.clips_s for one in self.rounds]))

    def against(self, other: "_Contender", cpu: bool) -> str:
        """Return how many times as fast as another it is, in words: the median of the rounds."""
        pairs = list(zip(self.rounds, other.rounds, strict=True))
        wall = np.median([mine.clips_s / theirs.clips_s for mine, theirs in pairs])
        told = f"{wall:.2f} times as fast as plain PyTorch"
        if cpu:
            spent = np.median([mine.clips_cpu_s / theirs.clips_cpu_s for mine, theirs in pairs])
            told += f"; by processor time {spent:.2f}"
        return told


def run(args: argparse.Namespace) -> int:
    """Measure and report."""
    try:
        import torch

        from trainer.model.presets import preset
        from trainer.model.rostfine import Rostfine
        from trainer.training.pace import MOST_READERS, require_compiler
        from trainer.training.run import set_threads
    except ImportError as error:
        raise MissingExtraError('training needs torch; install it with pip install ".[train]"') from error
    if args.batch < 1 or args.seconds <= 0 or args.rounds < 1:
        raise InputError("--batch, --seconds and --rounds must be above 0")
    if args.compile:
        require_compiler(torch.device(args.device))
    set_threads(args.threads)
    report = Report(
        "training",
        "clips a second of training steps, forward, backward and optimiser; ours, but for its steps alone, with "
        "reading, augmentation and gradient norm",
        {name: getattr(args, name) for name in ("preset", "batch", "rounds", "device", "precision", "compile")}
        | {"threads": torch.get_num_threads()},
    )
    config = preset(args.preset, features=("g",))
    with tempfile.TemporaryDirectory(prefix="rostfine-bench-") as folder:
        clips = Path(folder) / "clips"
        _simulate(clips)
        contenders = {
            "ours, RoSTFine": _ours(clips, args, {}),
            "ours, TimeSformer": _ours(clips, args, {"features": ["g"]}),
            "ours, TimeSformer's steps alone": _short(Rostfine(config), config, args),
            PLAIN: _short(_plain(config), config, args),
        }
        if (theirs := _hugging_face(config)) is not None:
            contenders["Hugging Face, TimeSformer"] = _short(theirs, config, args)
        for _ in range(args.rounds):
            for contender in contenders.values():
                contender.rounds.append(contender.measure(args.seconds / args.rounds))
        for name, contender in contenders.items():
            told = "" if name == PLAIN else contender.against(contenders[PLAIN], args.device == "cpu")
            report.figure(name, contender.clips_s, "clips/s", told)
        if theirs is None:
            report.figure("Hugging Face, TimeSformer", None, "clips/s", "transformers is not installed")
        ways = {"read when needed": (0, False), f"{MOST_READERS} threads": (MOST_READERS, False), "kept": (0, True)}
        for told, (readers, kept) in ways.items():
            report.figure(f"the loader alone, {told}", _loader(clips, args, readers, kept), "clips/s")
        if args.profile:
            _profile(clips, args)
    report.emit()
    return 0


def _simulate(clips: Path) -> None:
    from trainer.data.synthetic import simulate

    simulate(clips, CLIPS, SEED, "mixed")


class _Clock:
    """Counts batches until the time is up; ``trainer.training.tally.ProgressReport``."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.begun: tuple[float, float] | None = None
        self.batches = 0
        self.took = (0.0, 0.0)
        """Wall and processor seconds."""

    def batch(self, *_: object) -> None:
        """Count a batch; the first one warms up."""
        now = time.perf_counter(), time.process_time()
        if self.begun is None:
            self.begun = now
            return
        self.batches += 1
        self.took = now[0] - self.begun[0], now[1] - self.begun[1]
        if self.took[0] > self.limit_s:
            raise _TimeIsUpError

    def epoch(self, *_: object) -> None:
        """Nothing."""

    def speed(self, batch: int) -> _Speed:
        """Return what was counted."""
        return _Speed(self.batches * batch / self.took[0], self.batches * batch / self.took[1])


class _TimeIsUpError(Exception):
    """The measurement is long enough."""


def _ours(clips: Path, args: argparse.Namespace, network: dict[str, Any]) -> _Contender:
    """Return the trainer's own loop."""
    from trainer.data.dataset import open_clips
    from trainer.training.fabric import open_fabric
    from trainer.training.loop import Run, train
    from trainer.training.pace import pace_for
    from trainer.training.recipe import build_recipe
    from trainer.training.state import Training

    folder = open_clips(clips, verify=False)
    values = {"preset": args.preset, "network": network, "batch": args.batch, "data": folder.sha256}
    values |= {"precision": args.precision, "compile": args.compile, "epochs": 1_000_000}
    recipe = build_recipe(values, "options")
    with open_fabric(args.device, args.precision) as fabric:
        training = Training(recipe, fabric.device)

    def measure(seconds: float) -> _Speed:
        clock = _Clock(seconds)
        with open_fabric(args.device, args.precision) as fabric, contextlib.suppress(_TimeIsUpError):
            pace = pace_for(fabric.device)
            train(Run(training, folder, folder.subset([]), clock, fabric, pace=pace), recipe.epochs)
        return clock.speed(args.batch)

    return _Contender(measure)


def _loader(clips: Path, args: argparse.Namespace, readers: int, kept: bool) -> float:
    """Return clips a second of reading and turning alone."""
    from trainer.data.dataset import open_clips
    from trainer.data.kept_clips import KeptClips
    from trainer.data.loader import Augmentation, Epoch

    folder = open_clips(clips, verify=False)
    source = KeptClips(folder, 1 << 30 if kept else 0)
    augmentation = Augmentation(folder.shape[0], True, 0.1)
    if kept:
        list(Epoch(source, args.batch, 1, 0, augmentation).batches())
    begun, count, epoch = time.perf_counter(), 0, 0
    while time.perf_counter() - begun < min(args.seconds, 3.0):
        count += sum(len(one.indices) for one in Epoch(source, args.batch, 1, epoch, augmentation).batches(readers))
        epoch += 1
    return count / (time.perf_counter() - begun)


def _plain(config: "NetworkConfig") -> "torch.nn.Module":
    from bench.support.plain_timesformer import PlainTimesformer

    return PlainTimesformer(config)


def _hugging_face(config: "NetworkConfig") -> "torch.nn.Module | None":
    """Return Hugging Face's TimeSformer of the same size, None where it is not installed."""
    from engine.artifact import NUM_GRADES

    try:
        from transformers import TimesformerConfig, TimesformerForVideoClassification
    except ImportError:
        return None
    same = TimesformerConfig(
        image_size=config.image_px, patch_size=config.patch_px, num_frames=config.frames, hidden_size=config.width,
        num_hidden_layers=config.depth, num_attention_heads=config.heads,
        intermediate_size=config.mlp_ratio * config.width, attention_type="divided_space_time",
    )  # fmt: skip
    same.num_labels = NUM_GRADES
    return TimesformerForVideoClassification(same)


def _short(network: "torch.nn.Module", config: "NetworkConfig", args: argparse.Namespace) -> _Contender:
    """Return a network in the shortest loop: the same loss and optimiser, a batch that lies ready."""
    import torch

    ours = hasattr(network, "encoder")
    network = network.to(args.device).train()
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9, weight_decay=5e-4)
    edge = config.clip_px if ours else config.image_px
    shape = (args.batch, config.frames, *(() if ours else (3,)), edge, edge)
    clips = torch.from_numpy(np.random.default_rng(1).standard_normal(shape, np.float32)).to(args.device)
    votes = torch.full((args.batch, 5), 0.2, device=args.device)
    answering = torch.compile(network, dynamic=False) if args.compile else network

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bfloat16"):
            answer = answering(clips)
        if ours:
            grade = answer.grade
        else:
            grade = (answer if isinstance(answer, torch.Tensor) else answer.logits).float().softmax(-1)
        loss = torch.nn.functional.mse_loss(grade.float(), votes)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()  # as every loop that looks at its loss

    def measure(seconds: float) -> _Speed:
        clock = _Clock(seconds)
        with contextlib.suppress(_TimeIsUpError):
            while True:
                step()
                clock.batch()
        return clock.speed(args.batch)

    return _Contender(measure)


def _profile(clips: Path, args: argparse.Namespace) -> None:
    """Say which operations RoSTFine's steps spend their time in."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as found:
        _ours(clips, args, {}).measure(min(args.seconds, 5.0))
    say(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=40))
