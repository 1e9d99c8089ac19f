"""``python -m trainer export``: write a trained network as the artifact that the station runs.

Or give a model that was exported before another precision (``--from-model``). The artifact is written by
``trainer.model.artifact_export``, what it says about itself is gathered by ``trainer.model.export_inputs``, lower
precisions are made and proven by ``trainer.model.lower_precision``.
"""

import argparse
from pathlib import Path
from typing import Final, get_args

from engine.artifact import Artifact, Precision, Stored
from engine.baseline_config import BaselineConfig
from station.console import Console
from station.errors import ArtifactError, InputError, MissingExtraError
from station.ranges import MAX_FPS, MAX_UM_PER_PX, MIN_FPS, MIN_UM_PER_PX, is_frame_rate, is_scale
from trainer.model.artifact_export import ArtifactFacts, Lower, change_checked, export_checked
from trainer.model.export_inputs import calibration_clips, golden_clips, read_figures, read_note, training_data
from trainer.model.lower_precision import as_stored, lower_precision, state_figures

LOWER: Final = ("bfloat16", "int8")
"""Precisions that are proven on clips."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--weights", type=Path, metavar="FILE",
        help="best.pt of a training run, or a .safetensors file of `python -m trainer import`",
    )  # fmt: skip
    what.add_argument("--from-model", type=Path, metavar="DIR",
                      help="a model exported before: it gets --precision, or with --metrics other figures; the network "
                           "and its golden clips stay as they are")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="folder of the artifact (default with --from-model: the same)")  # fmt: skip
    parser.add_argument("--name", help="name of the model (default: the folder's name)")
    parser.add_argument("--precision", choices=get_args(Precision),
                        help="what the network is computed in: float32 and float16 are the types its weights are "
                        "stored in, bfloat16 and int8 are computed in on a CPU where it is faster and holds; refused "
                        "where it changes the grades too much (default: float16; --from-model: as it is)")  # fmt: skip
    parser.add_argument("--calibration", type=Path, metavar="PATH",
                        help="clips, real or simulated, that int8 takes its ranges from and that int8 and bfloat16 are "
                             "proven on: a folder of clips or a .npy; 300 or more (200 prove it)")  # fmt: skip
    parser.add_argument("--clips", type=Path, metavar="PATH",
                        help="clips to take the golden ones from: a folder of clips or a .npy (N, T, H, W) uint8 "
                             "(default: seeded patterns)")  # fmt: skip
    parser.add_argument("--um-per-px", type=float, help="scale of the training clips (default: as --clips says)")
    parser.add_argument(
        "--fps",
        type=float,
        help="rate of the frames that the network takes, 1/s (default: as --clips says; a network of 8 frames takes "
        "every second frame of a clip of 16, at half its rate)",
    )
    parser.add_argument("--training", metavar="TEXT", help="what the weights were made from, in words")
    parser.add_argument("--training-clips", type=int, default=0, metavar="N", help="how many clips")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="JSON object of figures on held-out clips")
    parser.add_argument("--notes", type=Path, action="append", default=[], metavar="FILE",
                        help="Markdown to add to the model card before its limits: how it was made, what it fails at "
                             "(repeatable)")  # fmt: skip
    parser.add_argument("--real", action="store_true",
                        help="trained on real sperm; without it the model is marked a demonstration")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Export."""
    if args.um_per_px is not None and not is_scale(args.um_per_px):
        raise InputError(f"--um-per-px {args.um_per_px}: expected {MIN_UM_PER_PX:g} to {MAX_UM_PER_PX:g}")
    if args.fps is not None and not is_frame_rate(args.fps):
        raise InputError(f"--fps {args.fps}: expected {MIN_FPS:g} to {MAX_FPS:g}")
    if args.training_clips < 0:
        raise InputError(f"--training-clips {args.training_clips}: expected 0 or more")
    if args.precision in LOWER and args.calibration is None:
        raise InputError(
            f"--precision {args.precision}: expected clips to prove it on; give --calibration CLIPS, such as those of "
            "`python -m trainer simulate`"
        )
    console = Console(soft_wrap=True)
    artifact = _change(args, console) if args.from_model else _export(args, console)
    cost = artifact.manifest.precision_cost
    if cost is not None:
        console.print(
            f"{artifact.precision}: on {cost.clips} clips the grades are {cost.mean_square:.2g} off those in float32 "
            f"(mean square; {cost.largest:.3f} at most), {cost.same_grade:.2%} keep their most likely grade; left in "
            f"float32: {', '.join(cost.left_out) or 'nothing'}"
        )
    console.print(f"check it again, here or on another machine: python -m engine verify {artifact.folder}")
    return 0


def _export(args: argparse.Namespace, console: Console) -> Artifact:
    """Write weights as an artifact."""
    try:
        from trainer.model.weights import load_weights
    except ImportError as error:
        raise MissingExtraError('exporting needs torch; install it with pip install ".[train]"') from error
    if args.out is None:
        raise InputError("--out: expected the folder to write the model to; give --out DIR")
    loaded = load_weights(args.weights)
    network = loaded.network.config
    golden = golden_clips(args.clips, network)
    facts = ArtifactFacts(
        name=args.name or args.out.resolve().name,
        preset=loaded.recipe.get("preset", "base"),
        demonstration=not args.real,
        training=training_data(loaded, args.training, args.training_clips),
        metrics=read_figures(args.metrics) if args.metrics else {},
        um_per_px=args.um_per_px or golden.um_per_px,
        fps=args.fps or golden.fps,
        notes=tuple(read_note(path) for path in args.notes),
    )
    precision: Precision = args.precision or "float16"
    if precision in LOWER and isinstance(network, BaselineConfig):
        raise InputError(f"--precision {precision}: is made of RoSTFine and TimeSformer, not of {network.system}")
    stored: Stored = "float32" if precision == "float32" else "float16"
    lower: Lower | None = None
    if precision in LOWER:
        material = calibration_clips(args.calibration, network)

        def lower(made: Artifact) -> None:
            lower_precision(made, precision, material, console)

    artifact = export_checked(loaded.network, args.out, facts, golden.clips, stored, lower)
    size_mb = artifact.model_path.stat().st_size / 1e6
    console.print(f"{artifact.folder}: {artifact.manifest.name}, {size_mb:.1f} MB, sha256 {artifact.model_sha256[:12]}")
    if golden.frames:
        console.print(f"note: {golden.frames}")
    console.print(_made_for(facts))
    console.print("checked: on ONNX Runtime it gives the network's answers on its golden clips")
    return artifact


def _change(args: argparse.Namespace, console: Console) -> Artifact:
    """Give an exported model another precision or other figures."""
    fixed = ("name", "clips", "um_per_px", "fps", "training")
    given = [f"--{name.replace('_', '-')}" for name in fixed if getattr(args, name) is not None]
    given += ["--notes"] * bool(args.notes) + ["--real"] * args.real + ["--training-clips"] * bool(args.training_clips)
    if given:
        raise InputError(
            f"{', '.join(given)}: stays as it is with --from-model; leave it out, or export the weights again"
        )
    if args.precision is None and args.metrics is None:
        raise InputError("--from-model: expected what to change; give --precision or --metrics")
    source = Artifact.open(args.from_model)
    precision: Precision | None = args.precision
    if source.int8_fault and precision is None:
        raise ArtifactError(f"{source.int8_fault}; make the integers anew with --precision int8")
    if precision in ("float32", "float16") and precision != source.manifest.weights:
        raise InputError(
            f"--precision {precision}: the weights of {args.from_model} are stored in {source.manifest.weights}; "
            "export them again with --weights"
        )
    material = calibration_clips(args.calibration, source.manifest.network) if precision in LOWER else None
    figures = read_figures(args.metrics) if args.metrics else None

    def change(copy: Artifact) -> None:
        if material is not None and precision is not None:
            lower_precision(copy, precision, material, console)
        elif precision is not None:
            as_stored(copy)
        if figures is not None:
            state_figures(Artifact.open(copy.folder), figures)

    artifact = change_checked(source, args.out or args.from_model, change)
    console.print(
        f"{artifact.folder}: {artifact.manifest.name}, {artifact.precision}, sha256 {artifact.model_sha256[:12]}"
    )
    return artifact


def _made_for(facts: ArtifactFacts) -> str:
    """Return scale and rate as they stand in the manifest, or what to do where they are not known."""
    scale = "no scale" if facts.um_per_px is None else f"{facts.um_per_px:g} um/px"
    rate = "no frame rate" if facts.fps is None else f"{facts.fps:g} frames/s"
    if facts.um_per_px is not None and facts.fps is not None:
        return f"made for {scale}, {rate}"
    return (
        f"note: made for {scale}, {rate}: the station can't say where its own differ from an unknown one; give --clips "
        "DATA, or --um-per-px and --fps"
    )
