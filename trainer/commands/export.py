"""``python -m trainer export``: write a trained network as the artifact that the station runs.

The artifact is written by ``trainer.model.artifact_export``, what it says about itself is gathered by
``trainer.model.export_inputs``.
"""

import argparse
from pathlib import Path

from station.console import Console
from station.errors import InputError, MissingExtraError
from station.ranges import MAX_FPS, MAX_UM_PER_PX, MIN_FPS, MIN_UM_PER_PX, is_frame_rate, is_scale
from trainer.model.artifact_export import ArtifactFacts, export_checked
from trainer.model.export_inputs import golden_clips, read_figures, read_note, training_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE",
        help="best.pt of a training run, or a .safetensors file of `python -m trainer import`",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the artifact")
    parser.add_argument("--name", help="name of the model (default: the folder's name)")
    parser.add_argument("--precision", choices=("float16", "float32"), default="float16",
                        help="type the weights are stored in; float16 is refused where it changes the outputs too much "
                        "(default: %(default)s)")  # fmt: skip
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
    try:
        from trainer.model.weights import load_weights
    except ImportError as error:
        raise MissingExtraError('exporting needs torch; install it with pip install ".[train]"') from error
    if args.um_per_px is not None and not is_scale(args.um_per_px):
        raise InputError(f"--um-per-px {args.um_per_px}: expected {MIN_UM_PER_PX:g} to {MAX_UM_PER_PX:g}")
    if args.fps is not None and not is_frame_rate(args.fps):
        raise InputError(f"--fps {args.fps}: expected {MIN_FPS:g} to {MAX_FPS:g}")
    if args.training_clips < 0:
        raise InputError(f"--training-clips {args.training_clips}: expected 0 or more")
    loaded = load_weights(args.weights)
    golden = golden_clips(args.clips, loaded.network.config)
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
    artifact = export_checked(loaded.network, args.out, facts, golden.clips, args.precision)
    size_mb = artifact.model_path.stat().st_size / 1e6
    console = Console(soft_wrap=True)
    console.print(f"{artifact.folder}: {artifact.manifest.name}, {size_mb:.1f} MB, sha256 {artifact.model_sha256[:12]}")
    if golden.frames:
        console.print(f"note: {golden.frames}")
    console.print(_made_for(facts))
    console.print("checked: on ONNX Runtime it gives the network's answers on its golden clips")
    console.print(f"check it again, here or on another machine: python -m engine verify {artifact.folder}")
    return 0


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
