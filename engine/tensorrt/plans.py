"""Compiled plans beside an artifact: how they are named, described, stored and found.

A plan fits one version of one runtime, one precision, one model and, unless it is portable, one GPU: all of that is in
its name and, with the plan's own hash, in a small JSON file beside it. This module moves bytes and knows no compiler.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engine.artifact import MAX_BATCH, Artifact, ManifestModel, Precision, TensorSpec
from engine.names import PLAN_PRECISIONS, Kind, PlanPrecision
from station.errors import ArtifactError
from station.files import read_bounded, write_atomically

PORTABLE = "portable"
"""In place of a GPU's name: runs on every GPU the runtime supports."""
BATCHES = (1, 4, MAX_BATCH)
"""Smallest, preferred and largest batch of a plan's profile."""
MOST_PLAN_BYTES = 8 << 30
MOST_INFO_BYTES = 1 << 20


class PlanInfo(ManifestModel):
    """What a plan was built for."""

    runtime: Kind
    version: str
    gpu: str
    precision: PlanPrecision
    model_sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batches: tuple[int, int, int] = BATCHES
    build_s: float
    plan_sha256: str

    @property
    def stem(self) -> str:
        """File name without an ending."""
        return _stem(self.runtime, self.version, self.gpu, self.precision, self.model_sha256[:12])


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan in an artifact's folder."""

    path: Path
    info: PlanInfo

    def read(self) -> bytes:
        """Return the plan's bytes. Raises ArtifactError if they are not the ones that were built."""
        try:
            content = read_bounded(self.path, MOST_PLAN_BYTES)
        except OSError as error:
            raise ArtifactError(f"plan {self.path}: cannot be read ({error.strerror}); {rebuild(self)}") from error
        if hashlib.sha256(content).hexdigest() != self.info.plan_sha256:
            raise ArtifactError(f"plan {self.path}: is damaged (its sha256 does not match); {rebuild(self)}")
        return content


def _stem(*parts: str) -> str:
    """Return a file name made of the parts, safe on every file system."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", part) for part in parts)


def jit_path(plan: Plan, gpu: str) -> Path:
    """Return where the kernels that a runtime compiles just in time on a GPU are cached between starts."""
    return plan.path.with_name(f"{_stem(plan.info.stem, gpu)}.jit")


def rebuild(plan: Plan) -> str:
    """Return the clause that says how to rebuild a plan."""
    return f"build it again with `python -m engine compile {plan.path.parent.parent} --runtime {plan.info.runtime}`"


def folder_of(artifact: Artifact) -> Path:
    """Return the folder of an artifact's plans and just-in-time caches."""
    return artifact.folder / "compiled"


def save_plan(artifact: Artifact, info: PlanInfo, content: bytes) -> Plan:
    """Write a plan, then its description, each atomically. Raises ArtifactError if that fails."""
    folder = folder_of(artifact)
    plan = Plan(folder / f"{info.stem}.plan", info)
    try:
        folder.mkdir(exist_ok=True)
        write_atomically(plan.path, content)
        write_atomically(plan.path.with_suffix(".plan.json"), (info.model_dump_json(indent=2) + "\n").encode())
    except OSError as error:
        raise ArtifactError(
            f"plan {plan.path}: cannot be written ({error.strerror}); make the folder writable"
        ) from error
    return plan


def list_plans(artifact: Artifact) -> list[Plan]:
    """Return all plans of this model that have a valid description, sorted by name."""
    plans = []
    for path in sorted(folder_of(artifact).glob("*.plan.json")):
        try:
            info = PlanInfo.model_validate_json(read_bounded(path, MOST_INFO_BYTES))
        except (OSError, ValidationError):
            continue  # half-written, or from another version of this program: treated as absent
        if info.model_sha256 == artifact.model_sha256:
            plans.append(Plan(path.with_suffix(""), info))
    return plans


def find_plan(artifact: Artifact, kind: Kind, version: str, gpu: str, precision: Precision | None = None) -> Plan:
    """Return the plan for a runtime's version and a GPU. Raises ArtifactError that says what to build.

    A plan for this GPU is preferred to a portable one, float16 to bfloat16 to float32; ``precision``: only this one.
    """
    ours = [plan for plan in list_plans(artifact) if plan.info.runtime == kind]
    ours = [plan for plan in ours if precision in (None, plan.info.precision)]
    fitting = [plan for plan in ours if plan.info.version == version and plan.info.gpu in (gpu, PORTABLE)]
    if fitting:
        return min(fitting, key=lambda plan: (plan.info.gpu == PORTABLE, PLAN_PRECISIONS.index(plan.info.precision)))
    found = ", ".join(f"{plan.info.version} for {plan.info.gpu}" for plan in ours) or "none"
    raise ArtifactError(
        f"model {artifact.folder}: expected a plan of {kind} {version} for {gpu}, found {found}; "
        f"build it with `python -m engine compile {artifact.folder} --runtime {kind}`"
    )
