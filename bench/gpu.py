"""A GPU in one command: what it is, whether the models run on it and are right, how fast, and what is near its limits.

Each row is measured by itself. What fails is a row too, with the library's own words, and the others go on. Where there
is no GPU every row runs on a stand-in, which the row names: the strict fakes in place of CUDA and TensorRT (right, but
their times say nothing), torch on the CPU in place of torch on CUDA. --quick: the demonstration model alone, fewer
calls. Written to DIR/gpu.json; the exit code is 0 also where rows failed, for a failure is a result.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.support.gpu_rows import Gpu, Row, cards, ceilings, gpu_tests, matchers, plan_runs, torch_runs, training_step
from bench.support.report import Report
from engine.artifact import Artifact
from engine.factory import has_nvidia_driver
from station.errors import InputError, StationError

QUICK_COUNT, COUNT = 10, 300


@dataclass(frozen=True, slots=True)
class Step:
    """One row to be."""

    name: str
    measure: Callable[[], Row]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for gpu.json")
    parser.add_argument("--quick", action="store_true", help="the demonstration model alone, fewer calls")
    parser.add_argument(
        "--model", type=Path, default=Path("models/demo"), help="folder of a model (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Measure everything, one row after the other."""
    artifact = Artifact.open(args.model)
    gpu = Gpu(present=has_nvidia_driver(), count=QUICK_COUNT if args.quick else COUNT)
    report = Report(
        "gpu",
        "rows that were measured each by itself, uint8 clips in, grades out; failures are rows",
        {"quick": args.quick, "model": artifact.manifest.name, "gpu": gpu.present},
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for step in steps(artifact, gpu, Path(scratch), quick=args.quick):
            rows.append(measured(step))
            report.lines.append(rows[-1].line)
    for row in rows:
        for name, samples in row.timings.items():
            report.timing(f"{row.name}, {name}", samples, note=row.stand_in and "stand-in")
        for name, (value, unit) in row.figures.items():
            report.figure(f"{row.name}, {name}", value, unit, row.stand_in and "stand-in")
    shares(report, rows)
    report.settings["rows"] = {row.name: {"outcome": row.outcome, "seconds": row.seconds, "words": row.words,
                                          "stand_in": row.stand_in} for row in rows}  # fmt: skip
    document = report.document()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "gpu.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {args.out}: cannot be written ({error.strerror}); give a folder that can") from error
    report.emit()
    return 0


def shares(report: Report, rows: list[Row]) -> None:
    """Compare the networks' matrix products with the rate of large ones in the same run."""
    found = {name: value for row in rows if row.name == "ceilings" for name, (value, _) in row.figures.items()}
    for row in rows:
        for name, samples in row.timings.items():
            ceiling = next((found[one] for one in found if row.products and one.endswith(f" {row.computes}")), None)
            sperm, _, rest = name.partition(" sperm, ")
            if ceiling is None or not sperm.isdecimal() or "CUDA graph" not in rest:
                continue
            rate = int(sperm) * row.products / min(samples) / 1e9
            report.figure(
                f"{row.name}, {name}, share of the matmul ceiling", rate / ceiling, "", row.stand_in and "stand-in"
            )


def steps(artifact: Artifact, gpu: Gpu, scratch: Path, *, quick: bool) -> list[Step]:
    """Return the rows in the order in which they are measured: the shortest way to an answer first."""
    found = [
        Step("card", cards),
        Step("TensorRT-RTX, demo", lambda: plan_runs(artifact, gpu, scratch)),
        Step("torch, demo", lambda: torch_runs(artifact, gpu)),
        Step("ceilings", lambda: ceilings(gpu)),
        Step("matcher", lambda: matchers(gpu)),
        Step("training step", lambda: training_step(gpu)),
        Step("GPU tests", gpu_tests),
    ]
    if not quick:

        def base() -> Artifact:
            from bench.engine import export_preset

            return export_preset("base", scratch / "base")

        found[3:3] = [
            Step("TensorRT-RTX, base", lambda: plan_runs(base(), gpu, scratch)),
            Step("torch, base", lambda: torch_runs(base(), gpu)),
        ]
    return found


def measured(step: Step) -> Row:
    """Return a row; whatever goes wrong is said in it."""
    started_s = time.monotonic()
    try:
        row = step.measure()
    except StationError as error:
        row = Row(words=str(error), outcome="failed")
    except Exception as error:  # a library's failure is the result that this bench is for
        words = " ".join(str(error).split())[:400]
        row = Row(words=f"{type(error).__name__}: {words}", outcome="failed")
    row.name, row.seconds = step.name, round(time.monotonic() - started_s, 1)
    return row
