"""Clips a second in training: RoSTFine and TimeSformer in this program's loop, beside what one would use instead.

In one run, on the same machine, at the same size, batch, loss and optimiser: a TimeSformer written plainly
(``bench.support.plain_timesformer``) and Hugging Face's, both in the shortest loop that there is (a batch that lies
ready in memory: no reading, no augmentation, no log), which favours them. This program's figures are of its own loop
from the files on: reading, augmentation, loss, optimiser, gradient norm. What the loader alone takes is shown.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--preset", choices=("station", "base"), default="station", help="size (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="clips in a batch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="of the matrix products, for all alike"
    )
    parser.add_argument("--profile", action="store_true", help="show where the time of RoSTFine's steps goes")


def run(args: argparse.Namespace) -> int:
    """Measure and report."""
    try:
        import torch

        from trainer.model.presets import preset
        from trainer.training.run import set_threads
    except ImportError as error:
        raise MissingExtraError('training needs torch; install it with pip install ".[train]"') from error
    if args.batch < 1 or args.seconds <= 0:
        raise InputError("--batch and --seconds must be above 0")
    set_threads(args.threads)
    report = Report(
        "training",
        "clips a second of training steps, forward, backward and optimiser; ours with reading and augmentation",
        {name: getattr(args, name) for name in ("preset", "batch", "device", "precision")}
        | {"threads": torch.get_num_threads()},
    )
    config = preset(args.preset, features=("g",))
    with tempfile.TemporaryDirectory(prefix="rostfine-bench-") as folder:
        clips = Path(folder) / "clips"
        _simulate(clips)
        report.figure("ours, RoSTFine", _ours(clips, args, {}), "clips/s")
        ours = _ours(clips, args, {"features": ["g"]})
        report.figure("ours, TimeSformer", ours, "clips/s")
        report.figure("ours, the loader alone", _loader(clips, args), "clips/s")
        others = {"plain PyTorch, TimeSformer": _plain(config), "Hugging Face, TimeSformer": _hugging_face(config)}
        for name, forward in others.items():
            if forward is None:
                report.figure(name, None, "clips/s", "transformers is not installed")
                continue
            found = _theirs(forward, config, args)
            report.figure(name, found, "clips/s", f"ours is {ours / found:.2f} times as fast")
        if args.profile:
            _profile(clips, args)
    report.emit()
    return 0


def _simulate(clips: Path) -> None:
    from trainer.data.synthetic import simulate

    simulate(clips, CLIPS, SEED, "mixed")


class _Clock:
    """Counts batches until the time is up; ``trainer.training.loop.ProgressReport``."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.begun: float | None = None
        self.batches = 0
        self.took_s = 0.0

    def batch(self, *_: object) -> None:
        """Count a batch; the first one warms up."""
        now = time.perf_counter()
        if self.begun is None:
            self.begun = now
            return
        self.batches += 1
        self.took_s = now - self.begun
        if self.took_s > self.limit_s:
            raise _TimeIsUpError

    def epoch(self, *_: object) -> None:
        """Nothing."""


class _TimeIsUpError(Exception):
    """The measurement is long enough."""


def _ours(clips: Path, args: argparse.Namespace, network: dict[str, Any]) -> float:
    """Return clips a second of the trainer's own loop."""
    import torch

    from trainer.data.dataset import open_clips
    from trainer.training.fabric import open_fabric
    from trainer.training.loop import Run, train
    from trainer.training.recipe import build_recipe
    from trainer.training.state import Training

    folder = open_clips(clips, verify=False)
    values = {"preset": args.preset, "network": network, "batch": args.batch, "data": folder.sha256}
    recipe = build_recipe({**values, "precision": args.precision, "epochs": 10_000}, "options")
    clock = _Clock(args.seconds)
    with open_fabric(args.device, args.precision) as fabric, contextlib.suppress(_TimeIsUpError):
        train(Run(Training(recipe, fabric.device), folder, folder.subset([]), clock, fabric), recipe.epochs)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return float(clock.batches * args.batch / clock.took_s)


def _loader(clips: Path, args: argparse.Namespace) -> float:
    """Return clips a second of reading and augmenting alone."""
    from trainer.data.dataset import open_clips
    from trainer.data.loader import Augmentation, epoch_batches

    folder = open_clips(clips, verify=False)
    augmentation = Augmentation(folder.shape[0], True, 0.1)
    begun, count, epoch = time.perf_counter(), 0, 0
    while time.perf_counter() - begun < args.seconds / 3:
        count += sum(len(indices) for indices, _ in epoch_batches(folder, args.batch, 1, epoch, augmentation))
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


def _theirs(network: "torch.nn.Module", config: "NetworkConfig", args: argparse.Namespace) -> float:
    """Return clips a second of a network in the shortest loop: the same loss and optimiser, a batch that lies ready."""
    import torch

    network = network.to(args.device).train()
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9, weight_decay=5e-4)
    shape = (args.batch, config.frames, 3, config.image_px, config.image_px)
    clips = torch.from_numpy(np.random.default_rng(1).standard_normal(shape, np.float32)).to(args.device)
    votes = torch.full((args.batch, 5), 0.2, device=args.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bfloat16"):
            answer = network(clips)
        scores = answer if isinstance(answer, torch.Tensor) else answer.logits
        loss = torch.nn.functional.mse_loss(scores.float().softmax(-1), votes)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()  # as every loop that looks at its loss

    return float(args.batch / _seconds(step, args.seconds))


def _seconds(step: Callable[[], None], limit_s: float) -> float:
    """Return the mean seconds of a step; the first one warms up."""
    step()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < limit_s:
        step()
        count += 1
    return (time.perf_counter() - begun) / count


def _profile(clips: Path, args: argparse.Namespace) -> None:
    """Say which operations RoSTFine's steps spend their time in."""
    from torch.profiler import ProfilerActivity, profile

    short = argparse.Namespace(**(vars(args) | {"seconds": min(args.seconds, 5.0)}))
    with profile(activities=[ProfilerActivity.CPU]) as found:
        _ours(clips, short, {})
    say(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=40))
