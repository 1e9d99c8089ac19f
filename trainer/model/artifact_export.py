"""From a trained network to the artifact that the station runs: graph, golden answers, model card, manifest.

The graph itself is written by ``trainer.model.onnx_graph``, or a baseline's by ``baseline_graph``. The same weights and
the same facts give the same bytes.
``export_checked`` runs what it has written by ONNX Runtime, as the station will, and keeps it only where it gives the
network's answers.
"""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.artifact import (
    BASELINE_SCHEMA,
    FILES,
    INT8_MODEL,
    SCHEMA,
    Artifact,
    Golden,
    Manifest,
    Stored,
    TrainingData,
    tensor_specs,
)
from engine.baseline_config import BaselineConfig
from engine.network_shape import NetworkShape
from engine.verify import compare
from station.build_info import git_commit
from station.errors import ArtifactError, InputError
from station.files import sha256_of, write_atomically
from trainer.model.golden import GOLDEN_CLIPS, golden_answers
from trainer.model.golden import pattern_clips as pattern_clips
from trainer.model.model_card import model_card

if TYPE_CHECKING:
    from trainer.model.systems import Network

MANIFEST: Final = "manifest.json"
Lower = Callable[[Artifact], object]
"""Changes the artifact that lies in a folder of its own."""


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """What an artifact says about itself beside the network's shape."""

    name: str
    """For people."""
    preset: str
    """Name of the preset the network began from."""
    demonstration: bool
    """True unless it was trained on real sperm."""
    training: TrainingData
    """What the weights were made from."""
    metrics: dict[str, float]
    """Figures on held-out clips."""
    um_per_px: float | None
    """Scale of the training clips; None: any."""
    fps: float | None
    """Rate of the frames that the network takes, 1/s; None: any."""
    notes: tuple[str, ...] = ()
    """Markdown for the model card."""


def export_checked(
    network: "Network",
    folder: Path,
    facts: ArtifactFacts,
    clips: NDArray[np.uint8],
    stored: Stored = "float16",
    lower: Lower | None = None,
) -> Artifact:
    """Write an artifact, run it on its golden clips by ONNX Runtime, and only then put it in its place.

    What lies in the folder already stays as it is where the new one fails. The arguments are those of
    ``export_artifact``; ``lower`` gives the written artifact a lower precision.

    Raises:
        InputError: The written model does not give the network's answers.
    """
    with _put_in_place(folder) as place:
        made = export_artifact(network, place, facts, clips, stored)
        _require_answers(made)
        if lower is not None:
            lower(made)
    return Artifact.open(folder)


def change_checked(source: Artifact, folder: Path, change: Lower) -> Artifact:
    """Put a changed copy of an artifact into a folder, which may be its own, where the change succeeds."""
    with _put_in_place(folder) as place:
        for file in (*source.manifest.files, MANIFEST):
            if file != INT8_MODEL or not source.int8_fault:
                shutil.copyfile(source.folder / file, place / file)
        change(Artifact.open(place))
    return Artifact.open(folder)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the card's and the files' hashes into a manifest, and it into the folder, last: it makes it an artifact."""
    names = (*FILES, INT8_MODEL) if (folder / INT8_MODEL).is_file() else FILES
    manifest = manifest.model_copy(update={"files": {file: sha256_of(folder / file) for file in names}})
    manifest = manifest.model_copy(update={"sha256": manifest.digest()})
    write_atomically(folder / MANIFEST, manifest.to_json().encode())


@contextmanager
def _put_in_place(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside ``folder``; what is in it at the end replaces the artifact there."""
    target = folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as place:
        yield Path(place)
        made = Artifact.open(place)
        if made.int8_fault:
            raise ArtifactError(made.int8_fault)
        folder.mkdir(exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        (folder / INT8_MODEL).unlink(missing_ok=True)
        for file in (*made.manifest.files, MANIFEST):  # the manifest last: it makes the folder an artifact
            (made.folder / file).replace(folder / file)


def export_artifact(
    network: "Network", folder: Path, facts: ArtifactFacts, clips: NDArray[np.uint8], stored: Stored = "float16"
) -> Artifact:
    """Write an artifact and return it, opened.

    Args:
        network: The trained network.
        folder: Where to; made where it does not exist. It is an artifact from the moment the manifest is written, last.
        facts: What it says about itself.
        clips: (N, T, H, W) uint8; the first few become the golden clips.
        stored: Type the weights are stored in.
    """
    # Only here: everything else in this module works without the packages that these import.
    from trainer.model.baseline_graph import baseline_graph
    from trainer.model.baselines import Baseline
    from trainer.model.onnx_graph import build_graph

    if isinstance(network, Baseline):
        model = baseline_graph(network, stored)
    else:
        weights = {key: tensor.detach().cpu().double().numpy() for key, tensor in network.state_dict().items()}
        model = build_graph(weights, network.config, stored)
    golden = golden_answers(network, clips[:GOLDEN_CLIPS])
    manifest = _manifest(network.config, facts, stored)
    card = model_card(manifest, sum(values.numel() for values in network.parameters()), facts.notes)
    folder.mkdir(parents=True, exist_ok=True)
    for old in (MANIFEST, INT8_MODEL):
        (folder / old).unlink(missing_ok=True)
    write_atomically(folder / "model.onnx", model.SerializeToString(deterministic=True))
    write_atomically(folder / "golden.npz", _npz(golden))
    write_atomically(folder / "MODEL_CARD.md", card.encode())
    write_manifest(folder, manifest)
    return Artifact.open(folder)


def _manifest(network: NetworkShape, facts: ArtifactFacts, stored: Stored) -> Manifest:
    """Return the manifest, as yet without the hashes of the files and its own."""
    inputs, outputs = tensor_specs(network)
    return Manifest(
        schema_version=BASELINE_SCHEMA if isinstance(network, BaselineConfig) else SCHEMA,
        name=facts.name,
        demonstration=facts.demonstration,
        preset=facts.preset,
        network=network,
        weights=stored,
        precision=stored,
        inputs=inputs,
        outputs=outputs,
        um_per_px=facts.um_per_px,
        fps=facts.fps,
        training=facts.training,
        metrics=facts.metrics,
        git_commit=git_commit() or "unknown",
        files={},
    )


def _npz(golden: Golden) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **golden.arrays())  # type: ignore[arg-type]  # the stub takes the names for options
    return buffer.getvalue()


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
