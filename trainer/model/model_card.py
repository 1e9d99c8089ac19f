"""MODEL_CARD.md: what an artifact is, for people. It knows the manifest; it does not check it."""

from collections.abc import Sequence

from engine.artifact import HEADS, NUM_GRADES, Manifest
from station.notice import NOTICE


def model_card(manifest: Manifest, weights: int, notes: Sequence[str] = ()) -> str:
    """Return MODEL_CARD.md: what the model is, what it was made from, how good it is, what it is not for.

    ``notes`` are sections of Markdown that only the model's maker the model can write; they come before the limits.
    """
    n = manifest.network
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

Preset `{manifest.preset}`, branch `{n.branch}`, {weights / 1e6:.1f} million weights stored as {manifest.weights}: \
width {n.width}, {n.depth} blocks, {n.heads} heads,
picture {n.image_px} px, patch {n.patch_px} px ({n.patches} patches a frame), K = {n.selected}, L = {n.branch_depth}, \
H = {n.branch_heads}, features {features}, aggregation `{n.aggregation}`.

## Input and output

`clip` uint8 (N, {n.frames}, {n.clip_px}, {n.clip_px}), N from 1 to 8, mono, grey levels as the camera gives them;
made for {scale}, {rate}.
`grade` float32 (N, {NUM_GRADES}); `heads` float32 (N, {HEADS}, {NUM_GRADES}): global, spatial, temporal; \
`attention` float32
(N, {n.frames}, {n.patches}): the selection scores.

## Training data

{manifest.training.description}

## Figures on held-out clips

{figures}

{"".join(note.strip() + chr(10) * 2 for note in notes)}## Limits

It grades what it was trained on: another microscope, magnification, frame rate or preparation gives grades of unknown
quality. A grade is no diagnosis and no advice to inject.
"""
