"""Error against latency: which network size pays off, by short trainings of equal processor time.

Every size is pretrained as by ``python -m trainer pretrain``, on the same synthetic batches, for the same processor
time of one thread (rendering is not counted; the batches are made once and repeated if a size is fast), and scored on
held-out batches, relative to the mean predictor's MSE. Its latency is that of its exported 16-frame graph in ONNX
Runtime, one clip. The curve shows what a short training gets out of a size; a long one favours the larger. ``--plot``
draws it.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from bench.support.report import Report, sample_ms
from station.errors import InputError, MissingExtraError
from station.files import read_json
from station.offline import forbid_telemetry
from station.output import say

SIZES: Final[tuple[dict[str, int], ...]] = (
    {"patch_px": 30, "depth": 5, "width": 192},
    {"patch_px": 25, "depth": 5, "width": 192},
    {"patch_px": 15, "depth": 5, "width": 192},
    {"patch_px": 50, "depth": 5, "width": 192},
    {"patch_px": 30, "depth": 8, "width": 192},
    {"patch_px": 30, "depth": 5, "width": 288},
    {"patch_px": 30, "depth": 3, "width": 192},
)
FRAMES: Final = 4
SEED: Final = 7001
HELD_OUT_SEED: Final = 7002
HELD_OUT: Final = 50
"""Held-out batches of 16 clips."""
TOKEN_RATE: Final = 1e-3
FRAME_RATE: Final = 7e-4
FULL_FRAMES: Final = 16


@dataclass(frozen=True, slots=True)
class Point:
    """One size on the curve."""

    size: dict[str, int]
    error: float
    """MSE relative to the mean predictor's."""
    accuracy: float
    """Balanced accuracy of the most-voted grade."""
    ms: float
    """Of one 16-frame clip."""
    clips: int
    """Seen in the phase of whole frames, in the same processor time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--token-s", type=float, default=45.0, help="processor time of the token phase, s (default: %(default)s)"
    )
    parser.add_argument(
        "--frame-s", type=float, default=90.0, help="processor time of the whole-frame phase, s (default: %(default)s)"
    )
    parser.add_argument("--films", type=int, default=300, metavar="N",
                        help="batches of 16 clips rendered for each phase (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of the latency measurement (default: %(default)s)"
    )
    parser.add_argument("--retime", action="store_true",
                        help="measure the latency of the sizes in --out again (on an idle machine)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file to write; sizes already in it are skipped")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="PNG to write (needs matplotlib)")


def run(args: argparse.Namespace) -> int:
    """Train, measure and report."""
    if min(args.token_s, args.frame_s, args.films, args.threads) <= 0:
        raise InputError("--token-s, --frame-s, --films and --threads must be above 0")
    points = _read(args.out)
    if args.retime:
        points = [replace(point, ms=latency_ms(point.size, args.threads)) for point in points]
        _write(args.out, points)
    todo = [size for size in SIZES if size not in [point.size for point in points]]
    if todo:
        for point in _train_all(todo, args):
            points.append(point)
            _write(args.out, points)
            say(_row(point), flush=True)
    report = Report(
        "curve",
        "what a short training gets out of a size, and its latency; not what a long training would",
        {"token_s": args.token_s, "frame_s": args.frame_s},
    )
    for point in points:
        report.figure(f"{_name(point.size)}: MSE relative to the mean predictor's", point.error)
        report.figure(f"{_name(point.size)}: balanced accuracy", point.accuracy)
        report.figure(f"{_name(point.size)}: one clip", point.ms, "ms")
    say("| patch px | blocks | width | patches | one clip, ms | MSE / mean's | balanced accuracy | clips seen |")
    say("|---|---|---|---|---|---|---|---|")
    for point in points:
        say(_row(point))
    if args.plot:
        _plot(points, args.plot)
    report.emit()
    return 0


def _train_all(todo: list[dict[str, int]], args: argparse.Namespace) -> Iterator[Point]:
    """Train and measure the sizes one after another."""
    try:
        import torch

        from trainer.evaluation.metrics import score
        from trainer.pretraining.loop import Pretrainer
        from trainer.pretraining.synthetic import make_batch, synthetic_batches
        from trainer.training.recipe import build_recipe
    except ImportError as error:
        raise MissingExtraError('the curve needs torch; install it with pip install ".[train]"') from error
    torch.set_num_threads(1)
    for_tokens = list(itertools.islice(synthetic_batches(SEED, FULL_FRAMES, "table1", 0), args.films))
    for_frames = list(itertools.islice(synthetic_batches(SEED + 10, FRAMES, "table1", 0), args.films))
    held = [make_batch(HELD_OUT_SEED, number, FRAMES, "table1") for number in range(HELD_OUT)]
    target = np.concatenate([batch.votes for batch in held]).astype(np.float64)
    for size in todo:
        recipe = build_recipe({"network": {**size, "frames": FRAMES}, "seed": 1, "data": "films"}, "sizes")
        pretrainer = Pretrainer(recipe, bfloat16=True)
        seen = 0
        for _ in pretrainer.run_phase("tokens", itertools.cycle(for_tokens), _processor_time(args.token_s), TOKEN_RATE):
            pass
        for entry in pretrainer.run_phase(
            "frames", itertools.cycle(for_frames), _processor_time(args.frame_s), FRAME_RATE
        ):
            seen = entry["clips"]
        pretrainer.network.eval()
        with torch.inference_mode():
            given = [pretrainer.network(torch.from_numpy(batch.clips)).grade.double().numpy() for batch in held]
        found = score(np.concatenate(given), target)
        mean = score(np.tile(target.mean(0), (len(target), 1)), target)
        yield Point(
            size, found.mse_x100 / mean.mse_x100, found.balanced_accuracy[0], latency_ms(size, args.threads), seen
        )


def _processor_time(limit_s: float) -> Callable[[int], float]:
    """Return a function that maps to the share of a phase done, by this process's processor time from now on."""
    begun = time.process_time()
    return lambda _seen: (time.process_time() - begun) / limit_s


def latency_ms(size: dict[str, int], threads: int) -> float:
    """Return the median time in ms of one 16-frame clip in ONNX Runtime; weights do not matter to it."""
    forbid_telemetry()
    import onnxruntime  # type: ignore[import-untyped]

    from trainer.model.onnx_graph import build_graph
    from trainer.model.rostfine import Rostfine, preset

    network = Rostfine(preset("station", **size, frames=FULL_FRAMES))
    weights = {key: tensor.double().numpy() for key, tensor in network.state_dict().items()}
    model = build_graph(weights, network.config, "float16")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    clip = np.zeros((1, FULL_FRAMES, network.config.clip_px, network.config.clip_px), np.uint8)
    return float(np.median(sample_ms(lambda: session.run(["grade"], {"clip": clip}), count=20, warm_up=3)))


def _name(size: dict[str, int]) -> str:
    return f"patch {size['patch_px']}, {size['depth']} blocks, width {size['width']}"


def _row(point: Point) -> str:
    size = point.size
    patches = (150 // size["patch_px"]) ** 2
    return (
        f"| {size['patch_px']} | {size['depth']} | {size['width']} | {patches} | {point.ms:.0f} | {point.error:.3f} "
        f"| {point.accuracy:.2f} | {point.clips} |"
    )


def _write(path: Path | None, points: list[Point]) -> None:
    if path:
        path.write_text(json.dumps([asdict(point) for point in points], indent=1) + "\n", encoding="utf-8")


def _read(path: Path | None) -> list[Point]:
    """Read the sizes that are done. Raises InputError where the file is something else."""
    if path is None or not path.exists():
        return []
    try:
        return [Point(**entry) for entry in read_json(path)]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"--out {path}: expected what this bench wrote before ({error}); give another file") from error


def _plot(points: list[Point], path: Path) -> None:
    """Draw error against latency."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("--plot needs matplotlib; install it with pip install matplotlib") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.8))
    patches = sorted({point.size["patch_px"] for point in points})
    for patch, marker in zip(patches, itertools.cycle("osD^v")):  # told apart without colour too
        some = [point for point in points if point.size["patch_px"] == patch]
        times, errors = [point.ms for point in some], [point.error for point in some]
        axes.scatter(times, errors, marker=marker, label=f"patch {patch} px")
        for point in some:
            text = f"{point.size['depth']} blocks, width {point.size['width']}"
            axes.annotate(text, (point.ms, point.error), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.axvline(120, color="grey", linestyle=":", linewidth=1, label="limit")
    axes.set(xscale="log", xlabel="one clip, ms", ylabel="MSE, share of the mean predictor's")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
