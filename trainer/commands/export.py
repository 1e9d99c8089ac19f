"""``python -m trainer export``: write a trained network as the artifact that the station runs.

The graph itself is written by ``trainer.model.onnx_graph``; here it gets its manifest, its golden answers and its
model card. The same weights and the same options give the same bytes. The command runs what it has written by ONNX
Runtime, as the station will, and lets it stand only where it gives the network's answers.
"""

import argparse
import io
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from engine.artifact import (
    FILES,
    HEADS,
    NUM_GRADES,
    Artifact,
    Golden,
    Manifest,
    NetworkConfig,
    Precision,
    TrainingData,
    tensor_specs,
)
from engine.verify import compare
from station.build_info import git_commit
from station.errors import InputError, MissingExtraError
from station.files import sha256_of, write_atomically
from station.notice import NOTICE
from trainer.data.clip_files import read_clips
from trainer.data.dataset import open_clips

if TYPE_CHECKING:
    from trainer.model.rostfine import Rostfine
    from trainer.model.weights import Loaded

GOLDEN_CLIPS = 4
MANIFEST = "manifest.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE",
        help="best.pt of a training run, or a .safetensors file of `python -m trainer import`",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the artifact")
    parser.add_argument("--name", help="name of the model (default: the folder's name)")
    parser.add_argument("--precision", choices=("float16", "float32"), default="float16",
                        help="type the weights are stored in; float16 where it changes the answers too much is refused "
                        "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--clips", type=Path, metavar="PATH",
                        help="clips to take the golden ones from: a folder of clips or a .npy (N, T, H, W) uint8 "
                             "(default: seeded patterns)")  # fmt: skip
    parser.add_argument("--um-per-px", type=float, help="scale of the training clips (default: as --clips says)")
    parser.add_argument("--fps", type=float, help="frame rate of the training clips (default: as --clips says)")
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
    _check_numbers(args)
    loaded = load_weights(args.weights)
    metrics = _metrics(args.metrics)
    notes = [_note(path) for path in args.notes]
    clips, um_per_px, fps = golden_clips(args.clips, loaded.network.config)
    artifact = export_checked(
        loaded.network,
        args.out,
        name=args.name or args.out.resolve().name,
        preset=loaded.recipe.get("preset", "base"),
        demonstration=not args.real,
        training=_training(args, loaded),
        metrics=metrics,
        um_per_px=args.um_per_px or um_per_px,
        fps=args.fps or fps,
        clips=clips,
        precision=args.precision,
        notes=notes,
    )
    size_mb = artifact.model_path.stat().st_size / 1e6
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{artifact.folder}: {artifact.manifest.name}, {size_mb:.1f} MB, sha256 {artifact.model_sha256[:12]}")
    console.print("checked: on ONNX Runtime it gives the network's answers on its golden clips")
    console.print(f"again, or elsewhere: python -m engine verify {artifact.folder}")
    return 0


def export_checked(network: "Rostfine", folder: Path, **options: Any) -> Artifact:
    """Write an artifact, run it on its golden clips by ONNX Runtime, and only then put it in its place.

    Args:
        network: The trained network.
        folder: Where to. What lies there already stays as it is where the new one does not hold.
        options: As for ``export_artifact``.

    Raises:
        InputError: The written model does not give the network's answers.
    """
    target = folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as place:
        made = export_artifact(network, Path(place), **options)
        _require_answers(made)
        folder.mkdir(exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for file in (*FILES, MANIFEST):  # the manifest last: it makes the folder an artifact
            (made.folder / file).replace(folder / file)
    return Artifact.open(folder)


def _require_answers(artifact: Artifact) -> None:
    """Raise InputError where the model, on the CPU, does not give its golden answers."""
    from engine.onnx_runtime import OnnxSession

    with OnnxSession(artifact, providers=["CPUExecutionProvider"]) as session:
        wrong = next((one for one in compare(artifact, session) if not one.passed), None)
    if wrong is None:
        return
    if artifact.manifest.weights == "float16":
        why = "float16 does not hold these weights well enough; export with --precision float32"
    else:
        why = "look at the weights: do they, and what the network says of --clips, consist of finite numbers?"
    raise InputError(
        f"nothing was written: by ONNX Runtime the model's {wrong.output} is {wrong.largest:.2g} off the network's on "
        f"the golden clips, allowed {wrong.tolerance:.2g}; {why}"
    )


def export_artifact(
    network: "Rostfine",
    folder: Path,
    *,
    name: str,
    preset: str,
    demonstration: bool,
    training: TrainingData,
    metrics: dict[str, float],
    um_per_px: float | None,
    fps: float | None,
    clips: NDArray[np.uint8],
    precision: Precision = "float16",
    notes: Sequence[str] = (),
) -> Artifact:
    """Write an artifact and return it, opened.

    Args:
        network: The trained network.
        folder: Where to; made where it does not exist. It is an artifact from the moment the manifest is written, last.
        name: For people.
        preset: Name of the preset the network began from.
        demonstration: True unless it was trained on real sperm.
        training: What the weights were made from.
        metrics: Figures on held-out clips.
        um_per_px: Scale of the training clips; None: any.
        fps: Frame rate of the training clips, 1/s; None: any.
        clips: (N, T, H, W) uint8; the first few become the golden clips.
        precision: Type the weights are stored in.
        notes: Markdown for the model card.
    """
    # Only here: everything else in this module works without the packages that these import.
    from trainer.model.onnx_graph import build_graph

    weights = {key: tensor.detach().cpu().double().numpy() for key, tensor in network.state_dict().items()}
    model = build_graph(weights, network.config, precision)
    golden = golden_answers(network, clips[:GOLDEN_CLIPS])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    write_atomically(folder / "model.onnx", model.SerializeToString(deterministic=True))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, clips=golden.clips, grade=golden.grade, heads=golden.heads, attention=golden.attention)
    write_atomically(folder / "golden.npz", buffer.getvalue())
    inputs, outputs = tensor_specs(network.config)
    manifest = Manifest(
        name=name,
        demonstration=demonstration,
        preset=preset,
        network=network.config,
        weights=precision,
        inputs=inputs,
        outputs=outputs,
        um_per_px=um_per_px,
        fps=fps,
        training=training,
        metrics=metrics,
        git_commit=git_commit() or "unknown",
        files={},
    )
    write_atomically(folder / "MODEL_CARD.md", model_card(manifest, weights, notes).encode())
    files = {file: sha256_of(folder / file) for file in FILES}
    manifest = manifest.model_copy(update={"files": files})
    manifest = manifest.model_copy(update={"sha256": manifest.digest()})
    write_atomically(folder / MANIFEST, manifest.to_json().encode())
    return Artifact.open(folder)


def golden_answers(network: "Rostfine", clips: NDArray[np.uint8]) -> Golden:
    """Return the network's float32 answers, one clip at a time on one thread, so that they are the same every time."""
    import torch

    threads, training = torch.get_num_threads(), network.training
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            network.eval()
            answers = [network(torch.from_numpy(clips[index : index + 1])) for index in range(len(clips))]
    finally:
        torch.set_num_threads(threads)
        network.train(training)
    grade, heads, attention = (torch.cat([answer[part] for answer in answers]).numpy() for part in range(3))
    return Golden(clips, grade, heads, attention)


def golden_clips(path: Path | None, network: NetworkConfig) -> tuple[NDArray[np.uint8], float | None, float | None]:
    """Return clips (N, T, H, W), um/px and frame rate (None: not said). Raises InputError where they do not fit."""
    shape = (network.frames, network.clip_px, network.clip_px)
    if path is None:
        return pattern_clips(GOLDEN_CLIPS, shape), None, None
    um_per_px = fps = None
    if path.is_dir():
        folder = open_clips(path, verify=False)
        first = folder.rows[0]
        um_per_px, fps = first.um_per_px, first.fps
        clips = np.stack([folder.pixels(index) for index in range(min(GOLDEN_CLIPS, len(folder)))])
    else:
        clips = np.array(read_clips(path, network)[:GOLDEN_CLIPS])
    if clips.dtype != np.uint8 or clips.shape[1:] != shape or not len(clips):
        raise InputError(
            f"--clips {path}: expected uint8 (N, {', '.join(map(str, shape))}), is {clips.dtype} {clips.shape}"
        )
    return clips, um_per_px, fps


def pattern_clips(count: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Return seeded clips (N, T, H, W): a bright spot that wanders over a grey ground with noise."""
    rng = np.random.default_rng(seed)
    t, h, w = shape
    centre = rng.uniform(0.3, 0.7, (count, 1, 2)) + rng.normal(0, 0.01, (count, t, 2)).cumsum(axis=1)
    down, across = np.arange(h)[:, None] / h, np.arange(w) / w
    squared = (down - centre[..., :1, None]) ** 2 + (across - centre[..., 1:, None]) ** 2
    grey = 120 + 90 * np.exp(-squared / 0.004) + rng.normal(0, 8, (count, t, h, w))
    clips: NDArray[np.uint8] = np.clip(grey, 0, 255).astype(np.uint8)
    return clips


def model_card(manifest: Manifest, weights: dict[str, NDArray[np.float64]], notes: Sequence[str] = ()) -> str:
    """Return MODEL_CARD.md: what the model is, what it was made from, how good it is, what it is not for.

    ``notes`` are sections of Markdown that are known to whoever trained the model alone; they stand before the limits.
    """
    n = manifest.network
    millions = sum(values.size for values in weights.values()) / 1e6
    rows = [f"| {name} | {value:.5g} |" for name, value in sorted(manifest.metrics.items())]
    figures = "\n".join(["| figure | value |", "|---|---|", *rows]) if rows else "None were given."
    features = ", ".join(f"v^{name}" for name in n.features)
    scale = f"{manifest.um_per_px:g} um/px" if manifest.um_per_px else "no particular scale"
    rate = f"{manifest.fps:g} frames/s" if manifest.fps else "no particular frame rate"
    warning = (
        "\n**This is a demonstration model.** It was not trained on real sperm: its grades mean nothing about them.\n"
        if manifest.demonstration
        else ""
    )
    return f"""# {manifest.name}

{NOTICE}
{warning}
RoSTFine (Fujii et al., WACV 2024): from a {n.frames}-frame {n.clip_px} x {n.clip_px} clip of one sperm to the \
distribution of grades, A best to E worst, that experts would give it.

## Network

Preset `{manifest.preset}`, branch `{n.branch}`, {millions:.1f} million weights stored as {manifest.weights}: \
width {n.width}, {n.depth} blocks, {n.heads} heads,
picture {n.image_px} px, patch {n.patch_px} px ({n.patches} patches a frame), K = {n.selected}, L = {n.branch_depth}, \
H = {n.branch_heads}, features {features}, aggregation `{n.aggregation}`.

## Input and output

`clip` uint8 (N, {n.frames}, {n.clip_px}, {n.clip_px}), N from 1 to 8, mono, grey levels as the camera gives them;
made for {scale}, {rate}. `grade` float32 (N, {NUM_GRADES}); `heads` float32 (N, {HEADS}, {NUM_GRADES}): global,
spatial, temporal; `attention` float32 (N, {n.frames}, {n.patches}): the selection scores.

## Training data

{manifest.training.description}

## Figures on held-out clips

{figures}

{"".join(note.strip() + chr(10) * 2 for note in notes)}## Limits

It grades what it was trained on: another microscope, magnification, frame rate or preparation gives grades of unknown
quality. A grade is no diagnosis and no advice to inject.
"""


def _check_numbers(args: argparse.Namespace) -> None:
    """Raise InputError for a scale, rate or number of clips that cannot be."""
    for option, value in (("--um-per-px", args.um_per_px), ("--fps", args.fps)):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{option} {value}: expected a number above 0")
    if args.training_clips < 0:
        raise InputError(f"--training-clips {args.training_clips}: expected 0 or more")


def _note(path: Path) -> str:
    """Read a note. Raises InputError where it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--notes {path}: expected a text file in UTF-8, got {error}") from error


def _training(args: argparse.Namespace, loaded: "Loaded") -> TrainingData:
    """Return what the options, or else the weights' own file, say about the training data."""
    recipe = loaded.recipe
    if args.training:
        text = args.training
    elif recipe:
        text = f"Training run: {json.dumps(recipe, sort_keys=True)}"
    else:
        text = loaded.origin or "Not known."
    return TrainingData(description=text, clips=args.training_clips, seed=recipe.get("seed"))


def _metrics(path: Path | None) -> dict[str, float]:
    """Read a flat JSON object of numbers. Raises InputError for anything else."""
    if path is None:
        return {}
    try:
        figures: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--metrics {path}: expected a JSON object of numbers, got {error}") from error
    if not isinstance(figures, dict) or not all(
        type(value) in (int, float) and math.isfinite(value) for value in figures.values()
    ):
        raise InputError(f'--metrics {path}: expected a flat JSON object of numbers, such as {{"mse": 0.01}}')
    return figures
