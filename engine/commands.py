"""What ``python -m engine`` does with a model: compile it, verify it, describe it.

It only prints: building is in ``engine.tensorrt.compile``, comparing in ``engine.verify``, choosing a runtime in
``engine.factory``. The options are in ``engine.__main__``, which imports this once it knows that there is work.
"""

import argparse
import time
from pathlib import Path
from typing import Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from engine.artifact import Artifact
from engine.baseline_config import BaselineConfig
from engine.factory import choose, open_runtime, why_not, why_not_torch
from engine.names import KINDS, Kind, PlanPrecision, PrecisionName, RuntimeName
from engine.network_shape import NetworkShape
from engine.onnx_runtime import PROVIDERS, available_providers, default_threads
from engine.tensorrt.compile import build_plan
from engine.tensorrt.plans import list_plans
from engine.verify import compare, precision_of
from station.command_line import as_invoked
from station.config import EngineSettings
from station.console import Console
from station.notice import NOTICE
from station.output import one_line


def run(args: argparse.Namespace) -> int:
    """Carry out a command with its options; return the exit code."""
    console = Console(soft_wrap=True)
    artifact = Artifact.open(args.model or Path(EngineSettings().model))
    if args.command == "compile":
        return compile_plan(console, artifact, args.runtime, args.precision)
    if args.command == "verify":
        return verify(console, artifact, args.runtime, args.threads, args.precision)
    return info(console, artifact, args.threads, anew=args.measure)


def compile_plan(console: Console, artifact: Artifact, kind: Kind, precision: PlanPrecision) -> int:
    """Build a plan, with a progress bar."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: int, steps: int) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=steps)
            progress.update(tasks[phase], completed=done, total=steps)

        plan = build_plan(artifact, kind, precision, report)
    size_mb = plan.path.stat().st_size / 1e6
    console.print(
        f"{plan.path}: {size_mb:.1f} MB in {plan.info.build_s:.1f} s, {kind} {plan.info.version}, {precision}"
    )
    console.print(as_invoked(f"on a machine with a GPU: python -m engine verify {artifact.folder} --runtime {kind}"))
    return 0


def verify(
    console: Console, artifact: Artifact, runtime: RuntimeName, threads: int, precision: PrecisionName = "auto"
) -> int:
    """Print the largest difference of each output; return 1 if one is too large."""
    choice = choose(artifact, runtime, precision, threads)
    with open_runtime(artifact, choice.runtime, threads, choice.precision) as session:
        started_s = time.monotonic()
        differences = compare(artifact, session)
        seconds = time.monotonic() - started_s
        table = Table(title=f"{one_line(artifact.manifest.name)} on {session.name}")
        for column in ("output", "largest difference", "allowed", ""):
            table.add_column(column)
        for difference in differences:
            verdict = "ok" if difference.passed else "TOO LARGE"
            table.add_row(difference.output, f"{difference.largest:.2e}", f"{difference.tolerance:.0e}", verdict)
        console.print(table)
        clips = len(artifact.golden().clips)
        console.print(f"{clips} golden clips in {seconds:.2f} s, tolerances for {precision_of(artifact, session)}")
    if choice.notice:
        console.print(f"note: {choice.notice}")
    if all(difference.passed for difference in differences):
        console.print(f"model {artifact.folder}: verified")
        return 0
    if choice.precision in ("bfloat16", "int8"):
        cure = f"run it in float32, or make it anew with `python -m trainer export --from-model {artifact.folder}`"
    else:
        cure = f"rebuild its plans with `python -m engine compile {artifact.folder}`, or export it again with "
        cure += "`python -m trainer export`"
    console.print(as_invoked(f"model {artifact.folder}: NOT verified; {cure}"))
    return 1


def info(console: Console, artifact: Artifact, threads: int = 0, *, anew: bool = False) -> int:
    """Print what the artifact is, what this machine has, and what would be used."""
    manifest, network = artifact.manifest, artifact.manifest.network
    facts = {
        "model": f"{manifest.name}{' (demonstration: grades mean nothing)' if manifest.demonstration else ''}",
        "sha256": artifact.model_sha256,
        "network": f"preset {manifest.preset}, {_in_words(network)}",
        "clip": f"{network.frames} frames of {network.clip_px} x {network.clip_px} px, "
        f"trained for {_or_any(manifest.um_per_px, 'um/px')}, {_or_any(manifest.fps, 'frames/s')}",
        "weights": f"{manifest.weights}, {artifact.model_path.stat().st_size / 1e6:.1f} MB",
        "precision": _precision(artifact),
        "trained on": manifest.training.description,
        "figures": ", ".join(f"{name} {value:.4g}" for name, value in sorted(manifest.metrics.items())) or "none",
        "exported by": manifest.git_commit,
    }
    for name, text in facts.items():
        console.print(f"{name + ':':12s} {one_line(text)}")
    for plan in list_plans(artifact):
        kind, size_mb = plan.info.runtime, plan.path.stat().st_size / 1e6
        console.print(
            f"{'plan:':12s} {kind} {plan.info.version}, {plan.info.precision}, {plan.info.gpu}, {size_mb:.1f} MB"
        )
    console.print()
    providers = ", ".join(PROVIDERS[name] for name in available_providers())
    rows: list[tuple[Literal["onnxruntime", "torch"] | Kind, str]] = [
        (kind, why_not(artifact, kind) or "ready") for kind in KINDS
    ]
    rows.append(("torch", why_not_torch() or "ready: a CUDA GPU"))
    rows.append(("onnxruntime", f"ready: {providers}, {default_threads()} CPU thread(s) by default"))
    for name, text in rows:
        console.print(f"{name + ':':12s} {text}")
    choice = choose(artifact, threads=threads, anew=anew)
    if choice.selection is not None and len(choice.selection.ways) > 1:
        console.print(f"{'measured:':12s} on {choice.selection.processor}, {choice.selection.threads} thread(s)")
        for one in choice.selection.ways:
            time_ms = "does not run" if one.ms is None else f"{one.ms:.1f} ms a clip"
            off = "" if one.grade_off is None else f", golden grades off by {one.grade_off:.1e} at most"
            console.print(f"{'':12s} {one.way}: {time_ms}{off}{f'; refused: {one.refused}' if one.refused else ''}")
    console.print(f"{'used:':12s} {choice.runtime}, {choice.precision}: {choice.why}")
    console.print(NOTICE)
    return 0


def _precision(artifact: Artifact) -> str:
    """Return what the model was proven for, and what it costs."""
    cost = artifact.manifest.precision_cost
    if cost is None:
        return f"{artifact.precision}"
    left = f", {len(cost.left_out)} layers left in float32" if cost.left_out else ""
    return (
        f"proven for {artifact.precision}{left}: on {cost.clips} clips the grades are {cost.mean_square:.1e} off those "
        f"in float32 (mean square; {cost.largest:.3f} at most), the most likely one the same for {cost.same_grade:.1%}"
    )


def _in_words(network: NetworkShape) -> str:
    """Return a network's shape."""
    if isinstance(network, BaselineConfig):
        return (
            f"{network.system} (no heads to compare, no selected patches), width {network.width}, depth "
            f"{network.depth:g}, picture {network.image_px} px"
        )
    return (
        f"branch {network.branch}, width {network.width}, {network.depth} blocks, {network.heads} heads, patch "
        f"{network.patch_px} px, K {network.selected}, L {network.branch_depth}"
    )


def _or_any(value: float | None, unit: str) -> str:
    return f"any {unit}" if value is None else f"{value:g} {unit}"
