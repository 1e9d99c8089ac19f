"""MODEL_CARD.md: what an artifact is, for people. It knows the manifest; it does not check it."""

import re
from collections.abc import Sequence

from engine.artifact import HEADS, NUM_GRADES, Manifest
from engine.baseline_config import BaselineConfig
from engine.network_shape import NetworkShape
from station.notice import NOTICE
from trainer.model.systems import SYSTEMS

FIGURES, PRECISION, LIMITS = "## Figures on held-out clips", "## Precision", "## Limits"


def figures(manifest: Manifest) -> str:
    """Return the section of the figures."""
    rows = [f"| {name} | {value:.5g} |" for name, value in sorted(manifest.metrics.items())]
    return "\n".join(["| figure | value |", "|---|---|", *rows]) if rows else "None were given."


def precision(manifest: Manifest) -> str:
    """Return the section that says what the network is computed in, and what that costs."""
    cost, proven = manifest.precision_cost, manifest.precision or manifest.weights
    if cost is None:
        return f"Weights in {manifest.weights}; computed in float32 on a CPU."
    kept = (
        f"\nLeft in float32, because integers cost them the most: {', '.join(cost.left_out)}." if cost.left_out else ""
    )
    return f"""Proven for {proven}, beside float32 with weights in {manifest.weights}. On {cost.clips} clips \
({cost.described}) the grades in {proven} differ from those in float32
by {cost.mean_square:.2g} (mean square of the probabilities; at most {cost.largest:.3f}), and the most likely grade is \
the same for {cost.same_grade:.2%}.{kept}
The station takes {proven} where it is the fastest and its golden clips hold on that machine, and float32 elsewhere; \
`python -m engine info` says which and why."""


def restated(card: str, manifest: Manifest) -> str:
    """Return a card with the manifest's present figures and precision in place of its earlier ones."""
    for title, text in ((FIGURES, figures(manifest)), (PRECISION, precision(manifest))):
        section = f"{title}\n\n{text}\n\n"
        earlier = re.compile(rf"^{re.escape(title)}\n.*?(?=^## )", re.M | re.S)
        found = earlier.search(card)
        if found:
            card = card[: found.start()] + section + card[found.end() :]
        else:
            card = card.replace(f"{LIMITS}\n", f"{section}{LIMITS}\n")
    return card


def _made_of(network: NetworkShape) -> str:
    if isinstance(network, BaselineConfig):
        return f"{SYSTEMS[network.system].title} ({SYSTEMS[network.system].reference}), adapted"
    return "RoSTFine (Fujii et al., WACV 2024)"


def _network(manifest: Manifest, weights: int) -> str:
    """Return the network's shape in words."""
    n = manifest.network
    size = f"{weights / 1e6:.1f} million weights stored as {manifest.weights}"
    if isinstance(n, BaselineConfig):
        attention = f", {n.heads} heads, patch {n.patch_px} px" if n.system == "vivit" else ""
        return f"""Preset `{manifest.preset}`, {size}: width {n.width}, depth {n.depth:g}, picture {n.image_px} px\
{attention}. RoSTFine is compared with it; it has no heads to compare and selects no patches (docs/systems.md)."""
    features = ", ".join(f"v^{name}" for name in n.features)
    return f"""Preset `{manifest.preset}`, branch `{n.branch}`, {size}: \
width {n.width}, {n.depth} blocks, {n.heads} heads,
picture {n.image_px} px, patch {n.patch_px} px ({n.patches} patches a frame), K = {n.selected}, L = {n.branch_depth}, \
H = {n.branch_heads}, features {features}, aggregation `{n.aggregation}`."""


def _outputs(network: NetworkShape) -> str:
    """Return the graph's outputs in words."""
    grade = f"`grade` float32 (N, {NUM_GRADES})"
    if isinstance(network, BaselineConfig):
        return f"{grade}."
    return f"""{grade}; `heads` float32 (N, {HEADS}, {NUM_GRADES}): global, spatial, temporal; \
`attention` float32
(N, {network.frames}, {network.patches}): the selection scores."""


def model_card(manifest: Manifest, weights: int, notes: Sequence[str] = ()) -> str:
    """Return MODEL_CARD.md: what the model is, what it was made from, how good it is, what it is not for.

    ``notes`` are sections of Markdown that only the model's maker the model can write; they come before the limits.
    """
    n = manifest.network
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
{_made_of(n)}: from a {n.frames}-frame {n.clip_px} x {n.clip_px} clip of one sperm to the \
distribution of grades, A best to E worst, that experts would give it.

## Network

{_network(manifest, weights)}

## Input and output

`clip` uint8 (N, {n.frames}, {n.clip_px}, {n.clip_px}), N from 1 to 8, mono, grey levels as the camera gives them;
made for {scale}, {rate}.
{_outputs(n)}

## Training data

{manifest.training.description}

{FIGURES}

{figures(manifest)}

{PRECISION}

{precision(manifest)}

{"".join(note.strip() + chr(10) * 2 for note in notes)}{LIMITS}

It grades what it was trained on: another microscope, magnification, frame rate or preparation gives grades of unknown
quality. A grade is no diagnosis and no advice to inject.
"""
