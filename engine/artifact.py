"""The model artifact: a folder with the network, what it was trained for, and the hashes that prove both intact.

``model.onnx`` (weights and all preprocessing), ``manifest.json`` (``Manifest``), ``golden.npz`` (clips and the outputs
of the exported network) and ``MODEL_CARD.md``; once compiled, plans under ``compiled/``. This module checks and
describes; it runs nothing and knows no runtime. A model that was quantized has ``model.int8.onnx`` beside it: the same
network with most of its matrices in integers (docs/decisions/0070).
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine import onnx_file
from engine.baseline_config import BaselineConfig
from engine.network_config import NetworkConfig as NetworkConfig
from engine.network_shape import NetworkShape
from station.errors import ArtifactError
from station.files import read_bounded, sha256_of
from station.notice import NOTICE
from station.numpy_files import read_npz
from station.ranges import FrameRate, Scale

NUM_GRADES = 5
HEADS = 3
MAX_BATCH = 8
OPSET = 20
SCHEMA: Literal[2] = 2
"""Version 1 says neither precision nor its cost."""
BASELINE_SCHEMA: Literal[3] = 3
"""Of a network that RoSTFine is compared with: its graph gives ``grade`` alone."""
MODEL, INT8_MODEL = "model.onnx", "model.int8.onnx"
MOST_BYTES = {
    "MODEL_CARD.md": 1 << 20,
    "golden.npz": 1 << 30,
    MODEL: onnx_file.MOST_BYTES,
    INT8_MODEL: onnx_file.MOST_BYTES,
}
"""Size up to which a file is read."""
FILES = ("MODEL_CARD.md", "golden.npz", MODEL)
"""What every artifact has."""
MOST_MANIFEST_BYTES = 1 << 20
MOST_GOLDEN_CLIPS = 16
EXPORT_HINT = "copy the folder again from its origin, or export it again with `python -m trainer export`"

Stored = Literal["float32", "float16"]
"""Types that weights are stored in."""
Precision = Literal["float32", "float16", "bfloat16", "int8"]
"""What a network is computed in. On a CPU, float16 means weights rounded to float16 and float32 arithmetic."""


class ManifestModel(BaseModel):
    """Base of the manifest's models: immutable; unknown fields, infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorSpec(ManifestModel):
    """One input or output of the graph. ``shape[0]`` is the batch: -1, from 1 to ``MAX_BATCH``."""

    name: str
    dtype: Literal["uint8", "float32"]
    shape: tuple[int, ...]


class TrainingData(ManifestModel):
    """What the weights were trained on, in words and numbers."""

    description: str
    clips: Annotated[int, Field(ge=0)] = 0
    seed: int | None = None


class PrecisionCost(ManifestModel):
    """How far the grades of a lower precision are from those in float32, measured when it was chosen."""

    clips: Annotated[int, Field(ge=1)]
    """Clips that the differences were measured on; the integers' ranges were not taken from them."""
    described: str
    """Which clips, in words."""
    mean_square: Annotated[float, Field(ge=0)]
    """Mean square difference of the probabilities."""
    largest: Annotated[float, Field(ge=0, le=1)]
    same_grade: Annotated[float, Field(ge=0, le=1)]
    """Share of the clips whose most likely grade is the same."""
    left_out: tuple[str, ...] = ()
    """Layers that stay in float32 because integers cost them too much."""


def _is_none(value: object) -> bool:
    return value is None


class Manifest(ManifestModel):
    """What an artifact is. Written by the trainer, checked by the engine."""

    schema_version: Literal[1, 2, 3] = SCHEMA
    name: str
    licence: Literal["For research use only. Not for use in diagnostic procedures."] = NOTICE
    demonstration: bool
    """True for a model made from simulated clips or random weights: its grades mean nothing about real sperm."""
    preset: str
    """Name of the preset the network was built from."""
    network: NetworkShape
    weights: Stored
    """Type the weights are stored in."""
    precision: Precision | None = Field(default=None, exclude_if=_is_none)
    """What it was exported and proven to be computed in; None (version 1): as the weights are stored."""
    precision_cost: PrecisionCost | None = Field(default=None, exclude_if=_is_none)
    """None where nothing was measured: float32 and float16."""
    opset: int = OPSET
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    um_per_px: Scale | None
    """Scale of the clips it was trained on; None: any."""
    fps: FrameRate | None
    """Frame rate of the clips it was trained on, 1/s; None: any."""
    training: TrainingData
    metrics: dict[str, float]
    """Figures on held-out clips, by name."""
    git_commit: str
    files: dict[str, str]
    """sha256 of each file of the folder but this one."""
    sha256: str = ""
    """Of this document with this field empty."""

    def digest(self) -> str:
        """Return the sha256 of the document with ``sha256`` empty."""
        return hashlib.sha256(self.model_copy(update={"sha256": ""}).to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the document as it is written: sorted, indented, with a last newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def tensor_specs(network: NetworkShape) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return inputs and outputs of the graph of a network."""
    clip = TensorSpec(name="clip", dtype="uint8", shape=(-1, network.frames, network.clip_px, network.clip_px))
    grade = TensorSpec(name="grade", dtype="float32", shape=(-1, NUM_GRADES))
    if isinstance(network, BaselineConfig):
        return (clip,), (grade,)
    outputs = (
        grade,
        TensorSpec(name="heads", dtype="float32", shape=(-1, HEADS, NUM_GRADES)),
        TensorSpec(name="attention", dtype="float32", shape=(-1, network.frames, network.patches)),
    )
    return (clip,), outputs


@dataclass(frozen=True, slots=True)
class Golden:
    """Clips and the exported network's outputs for them, in float32."""

    clips: NDArray[np.uint8]
    """(N, T, H, W)"""
    grade: NDArray[np.float32]
    heads: NDArray[np.float32] | None = None
    """None, like ``attention``, of a network that has no such output."""
    attention: NDArray[np.float32] | None = None

    def first(self, count: int) -> Self:
        """Return the first ``count`` clips with their outputs."""
        return type(self)(**{name: values[:count] for name, values in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what there is, by name, the clips first and then the outputs in the graph's order."""
        found: dict[str, NDArray[Any]] = {"clips": self.clips, "grade": self.grade}
        if self.heads is not None and self.attention is not None:
            found |= {"heads": self.heads, "attention": self.attention}
        return found


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact folder that passed all checks."""

    folder: Path
    manifest: Manifest
    int8_fault: str = ""
    """Why the file with integer matrices is not used; empty where it is sound or there is none."""

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Check a folder: manifest, hashes, opset and I/O. Raises ArtifactError, one line, if anything is wrong.

        What is wrong with the integers alone is kept (``int8_fault``): the network in float32 does not need them.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ArtifactError(f"model {folder}: expected a folder with a manifest.json, found none; give its path")
        try:
            str(folder).encode()
        except UnicodeEncodeError:  # runtimes take names in UTF-8
            raise ArtifactError(f"model {folder}: its name is no text in UTF-8; give the folder another name") from None
        manifest = _read_manifest(folder)
        try:
            _check_files(folder, manifest)
            _check_graph(folder, MODEL, manifest)
        except OSError as error:
            raise _unreadable(folder, error) from error
        return cls(folder, manifest, _int8_fault(folder, manifest) if INT8_MODEL in manifest.files else "")

    @property
    def rostfine(self) -> NetworkConfig:
        """The network's shape where it is RoSTFine's or TimeSformer's. Raises ArtifactError for another's."""
        network = self.manifest.network
        if isinstance(network, NetworkConfig):
            return network
        raise ArtifactError(f"model {self.folder}: expected RoSTFine or TimeSformer, it is {network.system}")

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.folder / MODEL

    @property
    def model_sha256(self) -> str:
        """The hash of the ONNX file."""
        return self.manifest.files[MODEL]

    @property
    def int8_path(self) -> Path | None:
        """The ONNX file with integer matrices; None where there is none."""
        return self.folder / INT8_MODEL if INT8_MODEL in self.manifest.files else None

    @property
    def int8_sha256(self) -> str:
        """The hash of that file; empty where there is none."""
        return self.manifest.files.get(INT8_MODEL, "")

    @property
    def precision(self) -> Precision:
        """What the model was exported to be computed in."""
        return self.manifest.precision or self.manifest.weights

    def golden(self) -> Golden:
        """Read the golden clips. Raises ArtifactError if they do not match the manifest."""
        specs = (*self.manifest.inputs, *self.manifest.outputs)
        most_bytes = {
            name: min(
                MOST_BYTES["golden.npz"],
                MOST_GOLDEN_CLIPS * math.prod(spec.shape[1:]) * np.dtype(spec.dtype).itemsize,
            )
            for name, spec in zip(("clips", *(spec.name for spec in self.manifest.outputs)), specs, strict=True)
        }
        try:
            golden = Golden(**read_npz(self.folder / "golden.npz", most_bytes))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"model {self.folder}: golden.npz cannot be read ({error}); {EXPORT_HINT}") from error
        if not golden.clips.size:
            raise ArtifactError(
                f"model {self.folder}: golden.npz holds no clip, so the model cannot be verified; {EXPORT_HINT}"
            )
        for spec, array in zip(specs, golden.arrays().values(), strict=True):
            if array.shape[1:] != spec.shape[1:] or array.dtype != spec.dtype or len(array) != len(golden.clips):
                raise ArtifactError(
                    f"model {self.folder}: golden.npz holds {spec.name} {array.dtype} {array.shape}, "
                    f"expected {spec.dtype} {spec.shape}; {EXPORT_HINT}"
                )
        return golden


def _read_manifest(folder: Path) -> Manifest:
    """Read and validate ``manifest.json``."""
    try:
        text = read_bounded(folder / "manifest.json", MOST_MANIFEST_BYTES).decode("utf-8")
    except FileNotFoundError:
        if (folder / "session.json").is_file():
            cure = f"verify it with `python run_station.py verify {folder}`"
            raise ArtifactError(f"model {folder}: is a recorded session, not a model; {cure}") from None
        raise ArtifactError(f"model {folder}: manifest.json is missing; {EXPORT_HINT}") from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ArtifactError(f"model {folder}: manifest.json cannot be read ({why}); {EXPORT_HINT}") from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ArtifactError(
            f"model {folder}: manifest.json is not valid at {place!r} ({first['msg']}); {EXPORT_HINT}"
        ) from error
    if manifest.digest() != manifest.sha256:
        raise ArtifactError(f"model {folder}: manifest.json was edited (its sha256 does not match); {EXPORT_HINT}")
    if manifest.to_json() != text:  # the same values written otherwise: "20" for 20, a key twice
        raise ArtifactError(
            f"model {folder}: manifest.json was edited (it is not byte for byte as exported); {EXPORT_HINT}"
        )
    return manifest


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the files with the manifest's hashes, all but the integers."""
    if (manifest.precision == "int8") != (INT8_MODEL in manifest.files):
        says = f"precision {manifest.precision or manifest.weights}"
        listed = "lists" if INT8_MODEL in manifest.files else "lists no"
        raise ArtifactError(f"model {folder}: manifest.json says {says} and {listed} {INT8_MODEL}; {EXPORT_HINT}")
    for name in FILES:
        if name not in manifest.files:
            raise ArtifactError(f"model {folder}: manifest.json lists no {name}; {EXPORT_HINT}")
        _check_hash(folder, name, manifest)


def _check_hash(folder: Path, name: str, manifest: Manifest) -> None:
    """Compare one file with the manifest's hash."""
    try:
        found = sha256_of(folder / name, MOST_BYTES[name])
    except FileNotFoundError:
        raise ArtifactError(f"model {folder}: {name} is missing; {EXPORT_HINT}") from None
    if found != manifest.files[name]:
        raise ArtifactError(
            f"model {folder}: {name} has sha256 {found[:12]}..., the manifest says {manifest.files[name][:12]}...: "
            f"the file is damaged or was replaced; {EXPORT_HINT}"
        )


def _int8_fault(folder: Path, manifest: Manifest) -> str:
    """Return what is wrong with the file with integer matrices; empty where nothing is."""
    try:
        _check_hash(folder, INT8_MODEL, manifest)
        _check_graph(folder, INT8_MODEL, manifest)
    except OSError as error:
        return str(_unreadable(folder, error))
    except ArtifactError as error:
        return str(error)
    return ""


def _unreadable(folder: Path, error: OSError) -> ArtifactError:
    file = Path(error.filename).name if error.filename else "its files"
    return ArtifactError(f"model {folder}: {file} cannot be read ({error.strerror or error}); {EXPORT_HINT}")


def _check_graph(folder: Path, name: str, manifest: Manifest) -> None:
    """Compare a graph's opset and I/O with the manifest's, and both with the network config's."""
    try:
        model = read_bounded(folder / name, onnx_file.MOST_BYTES)
        header = onnx_file.read_header(model)
        unfit = onnx_file.why_unfit(model)
    except ValueError as error:
        raise ArtifactError(f"model {folder}: {name} is not a complete ONNX file ({error}); {EXPORT_HINT}") from error
    if unfit:
        raise ArtifactError(
            f"model {folder}: {name} {unfit}; export it in one file, as `python -m trainer export` does"
        )
    if header.opset != OPSET or manifest.opset != OPSET:
        raise ArtifactError(
            f"model {folder}: expected ONNX opset {OPSET}, {name} has {header.opset} and the manifest says "
            f"{manifest.opset}; {EXPORT_HINT}"
        )
    inputs, outputs = tensor_specs(manifest.network)
    for kind, expected, told, found in (
        ("input", inputs, manifest.inputs, header.inputs),
        ("output", outputs, manifest.outputs, header.outputs),
    ):
        wanted = tuple((spec.name, spec.dtype, spec.shape) for spec in expected)
        if told != expected or found != wanted:
            raise ArtifactError(
                f"model {folder}: expected {kind} {_in_words(wanted)}, {name} has {_in_words(found)}; {EXPORT_HINT}"
            )


def _in_words(specs: tuple[tuple[str, str, tuple[int, ...]], ...]) -> str:
    """Return tensors as "clip uint8 (N, 16, 150, 150), ..."."""
    shapes = (
        (name, dtype, ", ".join("N" if size < 0 else str(size) for size in shape)) for name, dtype, shape in specs
    )
    return ", ".join(f"{name} {dtype} ({shape})" for name, dtype, shape in shapes)
