"""Time from a window to its grades, beside what one would use instead, and how close to what the machine can do.

Every runtime and precision at hand runs one clip in turn with the others, so that other load hits all: the engine's
own, eager torch, torch.compile and OpenVINO; what is not there is named. A runtime that does not give its golden clips
has no time. With --runtime, that one alone at several batch sizes.

Covered: one call of the runtime, uint8 clips in, grades out, preprocessing included. Not covered: windows, sockets.

The ceiling is the rate of a large float32 MatMul in the same runtime with the same threads, measured alternately with
the network, so that other load hits both; both rates are the best of the run. The share of the ceiling is (operations
of the matrix products) / (time x ceiling). With --compare (needs torch and transformers), an eager torch TimeSformer of
the same size that keeps its attention maps; both then run alternately, in separate processes, for their peak memory.
"""

import argparse
import functools
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from bench.support.engine_ways import engine_ways, torch_ways
from bench.support.flops import multiply_adds
from bench.support.histogram import add_svg_option
from bench.support.report import Report, sample_ms
from bench.support.sgemm import Sgemm
from engine.artifact import INT8_MODEL, MAX_BATCH, Artifact
from engine.factory import open_runtime
from engine.names import PrecisionName, RuntimeName
from engine.onnx_runtime import default_threads
from engine.tensorrt.session import TensorRtSession
from station.errors import ArtifactError, InputError, MissingExtraError

LARGE = 1024
"""Edge of the square matrices of the ceiling."""
WARM_UP = 3
QUICK_COUNT = 8
ROUNDS = 3
"""How often the engine and the eager TimeSformer alternate."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model", type=Path, default=Path("models/demo"), help="folder of a model (default: %(default)s)"
    )
    which.add_argument(
        "--preset", choices=("station", "base"), help="a preset with random weights instead (needs torch)"
    )
    parser.add_argument("--runtime", choices=get_args(RuntimeName), help="this one alone, at each batch size")
    parser.add_argument("--precision", choices=get_args(PrecisionName), default="auto",
                        help="with --runtime (default: the fastest that holds)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="without torch.compile, fewer calls")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores but one)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8], help="batch sizes (default: 1 2 4 8)")
    parser.add_argument("--count", type=int, default=20, help="calls per batch size (default: %(default)s)")
    parser.add_argument("--compare", action="store_true", help="also run the eager torch TimeSformer")
    add_svg_option(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and report."""
    if not all(1 <= batch <= MAX_BATCH for batch in args.batches) or args.count < 1 or args.threads < 0:
        raise InputError(
            f"--batches {args.batches} --count {args.count} --threads {args.threads}: expected batches 1 to "
            f"{MAX_BATCH}, a count > 0, threads >= 0"
        )
    threads = args.threads or default_threads()
    with ExitStack() as stack:
        artifact = open_artifact(args, stack)
        report = Report(
            "engine",
            "one call of the runtime, uint8 clips in, grades out; not windows and sockets",
            {"model": artifact.manifest.name, "sha256": artifact.model_sha256, "threads": threads, "count": args.count},
        )
        if args.runtime is None:
            count = min(args.count, QUICK_COUNT) if args.quick else args.count
            measure_all(report, artifact, threads, count, compiled=not args.quick)
        else:
            measure(report, artifact, args.runtime, args.precision, threads, args.batches, args.count)
        if args.compare:
            kind: RuntimeName = args.runtime or "onnxruntime"
            compare(report, artifact, kind, threads, sorted(args.batches), args.count)
    report.emit(svg=args.svg)
    return 0


def open_artifact(args: argparse.Namespace, stack: ExitStack) -> Artifact:
    """Return the requested model; a preset is exported into a folder that is removed with ``stack``."""
    if not args.preset:
        return Artifact.open(args.model)
    return in_integers_too(export_preset(args.preset, Path(stack.enter_context(tempfile.TemporaryDirectory()))))


def in_integers_too(artifact: Artifact) -> Artifact:
    """Give a preset with random weights integers, for their time: no clip proves anything of such weights."""
    import onnx

    from trainer.model.artifact_export import write_manifest
    from trainer.model.quantization import in_integers, ranges

    model = onnx.load(artifact.model_path)
    found = ranges(model, artifact.golden().clips[:1], lambda *_: None)
    content = in_integers(model, found, frozenset()).SerializeToString(deterministic=True)
    (artifact.folder / INT8_MODEL).write_bytes(content)
    write_manifest(artifact.folder, artifact.manifest.model_copy(update={"precision": "int8"}))
    return Artifact.open(artifact.folder)


def export_preset(name: str, folder: Path) -> Artifact:
    """Return a preset with random weights as an artifact in a folder; the one that is there already, if it is."""
    if (folder / "manifest.json").exists():
        return Artifact.open(folder)
    try:
        import torch

        from engine.artifact import TrainingData
        from trainer.model.artifact_export import ArtifactFacts, export_artifact, pattern_clips
        from trainer.model.rostfine import Rostfine, preset
    except ImportError as error:
        raise MissingExtraError('--preset needs torch; install it with pip install ".[train]"') from error
    torch.manual_seed(0)
    config = preset(name)  # type: ignore[arg-type]  # the names are the option's choices
    facts = ArtifactFacts(
        name=f"{name}, random weights", preset=name, demonstration=True,
        training=TrainingData(description="Random weights."), metrics={}, um_per_px=None, fps=None,
    )  # fmt: skip
    clips = pattern_clips(1, (config.frames, config.clip_px, config.clip_px))
    return export_artifact(Rostfine(config), folder, facts, clips)


def measure_all(report: Report, artifact: Artifact, threads: int, count: int, *, compiled: bool) -> None:
    """Time every way of running one clip, in turn with each other and with the ceiling."""
    operations = 2 * sum(multiply_adds(artifact.rostfine).values())
    ceiling = Sgemm(LARGE, LARGE, LARGE, threads)
    best = max(ceiling.gflops() for _ in range(WARM_UP))
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        own = list(engine_ways(artifact, threads, stack, missing))
        if not own:
            raise ArtifactError(
                f"model {artifact.folder}: no runtime gives the golden clips; see `python -m engine verify`"
            )
        ways = [*own, *torch_ways(artifact, threads, missing, compiled=compiled)]
        samples: dict[str, list[float]] = {way.name: [] for way in ways}
        for turn in range(count):
            for way in ways:
                samples[way.name] += sample_ms(way.call, count=1, warm_up=0 if turn else WARM_UP)
            best = max(best, ceiling.gflops())
    plain = min(samples[ways[0].name])
    for way in ways:
        off = "random weights" if way.grade_off is None else f"golden grades off by {way.grade_off:.1e}"
        report.timing(
            way.name, samples[way.name], note=f"{off}; {min(samples[way.name]) / plain:.2f} of float32 at best"
        )
    report.figure("sgemm ceiling", best, "1e9/s", f"MatMul {LARGE}^3, best of the run")
    report.figure("share of ceiling, onnxruntime float32", operations / (plain * 1e6) / best)
    report.lines += [f"not run: {name}: {why}" for name, why in missing.items()]


def measure(
    report: Report,
    artifact: Artifact,
    kind: RuntimeName,
    precision: PrecisionName,
    threads: int,
    batches: list[int],
    count: int,
) -> None:
    """Time the runtime at each batch size, alternately with the ceiling."""
    parts = multiply_adds(artifact.rostfine)
    operations = 2 * sum(parts.values())
    report.settings["operations"] = {name: 2 * value for name, value in parts.items()}
    ceiling = Sgemm(LARGE, LARGE, LARGE, threads)
    best = max(ceiling.gflops() for _ in range(WARM_UP))
    fastest: dict[int, float] = {}
    with open_runtime(artifact, kind, threads, precision) as runtime:
        report.settings["runtime"] = runtime.name
        for batch in batches:
            shape = (batch, *artifact.manifest.inputs[0].shape[1:])
            call = functools.partial(runtime.infer, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
            samples: list[float] = []
            on_gpu: list[float] = []
            for index in range(count):
                samples += sample_ms(call, count=1, warm_up=0 if index else WARM_UP)
                best = max(best, ceiling.gflops())
                if isinstance(runtime, TensorRtSession):
                    on_gpu.append(runtime.gpu_ms)
            report.timing(f"batch {batch}", samples, note=f"{min(samples) / batch:.1f} ms a clip at best")
            if on_gpu:
                report.timing(f"batch {batch}, GPU alone", on_gpu)
            fastest[batch] = min(samples)
    report.figure("operations a clip", operations / 1e9, "1e9", "matrix products, multiply-adds times 2")
    report.figure("sgemm ceiling", best, "1e9/s", f"MatMul {LARGE}^3, best of the run")
    for batch, ms in fastest.items():
        report.figure(f"share of ceiling, batch {batch}", batch * operations / (ms * 1e6) / best)


def compare(
    report: Report, artifact: Artifact, kind: RuntimeName, threads: int, batches: list[int], count: int
) -> None:
    """Run the engine and the eager TimeSformer in separate processes and compare them."""
    engine, eager = Found(), Found()
    for _ in range(ROUNDS):
        for name, found in ((kind, engine), ("timesformer", eager)):
            found.add(work(name, artifact.folder, threads, max(1, count // ROUNDS), batches))
    for batch in batches:
        report.timing(f"eager, batch {batch}", eager.ms[batch])
        faster = min(eager.ms[batch]) / min(engine.ms[batch])
        report.figure(f"times as fast, batch {batch}", faster, note="best of each")
    for batch in batches:
        ours, theirs = engine.peak_mb[batch], eager.peak_mb[batch]
        report.figure(f"memory, batch {batch}", ours / theirs, note=f"{ours:.0f} of {theirs:.0f} MB, whole processes")
        ours, theirs = ours - engine.libraries_mb, theirs - eager.libraries_mb
        report.figure(f"own memory, batch {batch}", ours / theirs, note=f"{ours:.0f} of {theirs:.0f} MB, no libraries")


@dataclass(slots=True)
class Found:
    """The measurements of one worker's rounds."""

    ms: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    peak_mb: dict[int, float] = field(default_factory=dict)
    libraries_mb: float = 0.0

    def add(self, document: dict[str, Any]) -> None:
        """Add one round."""
        self.libraries_mb = document["libraries_mb"]
        for batch, samples in document["ms"].items():
            self.ms[int(batch)] += samples
        self.peak_mb |= {int(batch): peak for batch, peak in document["peak_mb"].items()}


def work(kind: str, folder: Path, threads: int, count: int, batches: list[int]) -> dict[str, Any]:
    """Return a worker process's measurements. Raises MissingExtraError if it could not run."""
    words = [kind, str(folder), str(threads), str(count), *map(str, batches)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.support.engine_worker", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise MissingExtraError(f"--compare: {kind} did not run ({last[0]}); it needs torch and transformers")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
