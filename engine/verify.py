"""Does this runtime reproduce the exported network's outputs? The golden clips decide.

The golden outputs are those of the float32 network. The tolerances are largest absolute differences, per output and per
coarsest precision on the way: float32 throughout, weights rounded to float16, or arithmetic in float16, bfloat16 or
int8. ``grade`` and ``heads`` are probabilities; ``attention`` sums softmax rows over heads and blocks, so its
differences are larger. This module knows runtimes only by their protocol.
"""

from dataclasses import dataclass

import numpy as np

from engine.artifact import EXPORT_HINT, Artifact
from engine.runtime import Runtime, WindowId
from station.errors import ArtifactError, StationError

TOLERANCE: dict[str, dict[str, float]] = {
    "float32": {"grade": 1e-4, "heads": 1e-4, "attention": 1e-3},
    "float16 weights": {"grade": 2e-3, "heads": 5e-3, "attention": 1e-2},
    "float16": {"grade": 2e-2, "heads": 5e-2, "attention": 1e-1},
    "bfloat16": {"grade": 2e-2, "heads": 5e-2, "attention": 1e-1},
    "int8": {"grade": 3e-2, "heads": 6e-2, "attention": 2e-1},
}
SUM_TOLERANCE = 1e-5
START_CLIPS = 1
"""Golden clips that a station runs at start-up: quick, and enough to catch a wrong or broken plan. In bfloat16 and int8
all are run: a processor that computes integers otherwise shows on some clips more than on others."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one output is from the golden one."""

    output: str
    largest: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """True if the difference is within tolerance; False also for NaN."""
        return self.largest <= self.tolerance


def precision_of(artifact: Artifact, runtime: Runtime) -> str:
    """Return the key of ``TOLERANCE`` that applies to a runtime."""
    if runtime.precision == "float32" and artifact.manifest.weights == "float16":
        return "float16 weights"
    return runtime.precision


def compare(artifact: Artifact, runtime: Runtime, clips: int | None = None) -> list[Difference]:
    """Run the first ``clips`` golden clips (None: all) and return the largest difference of each output."""
    golden = artifact.golden().first(clips) if clips else artifact.golden()
    # With ids as in the station, so that a runtime's window cache is exercised too; no sperm has these numbers.
    frames = tuple(range(golden.clips.shape[1]))
    try:
        found = runtime.infer(golden.clips, [WindowId(-1 - row, frames) for row in range(len(golden.clips))])
    except StationError:
        raise
    except Exception as error:  # runtimes raise what their packages do, which share no public base
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArtifactError(
            f"model {artifact.folder}: {runtime.name} cannot run its golden clips ({first_line}); {EXPORT_HINT}"
        ) from error
    tolerance = TOLERANCE[precision_of(artifact, runtime)]
    pairs = (
        ("grade", found.grade, golden.grade),
        ("heads", found.heads, golden.heads),
        ("attention", found.attention, golden.attention),
    )
    differences = [
        Difference(name, float(np.abs(ours - theirs).max()), tolerance[name])
        for name, ours, theirs in pairs
        if ours is not None and theirs is not None
    ]
    off_one = float(np.abs(found.grade.sum(axis=1, dtype=np.float64) - 1).max())
    return [*differences, Difference("sum of grade - 1", off_one, SUM_TOLERANCE)]


def require_match(artifact: Artifact, runtime: Runtime, clips: int | None = START_CLIPS) -> None:
    """Raise ArtifactError if the runtime does not reproduce the golden outputs."""
    if runtime.precision in ("bfloat16", "int8"):
        clips = None
    for difference in compare(artifact, runtime, clips):
        if not difference.passed:
            raise ArtifactError(
                f"model {artifact.folder}: on {runtime.name} the golden clips' {difference.output} is off by "
                f"{difference.largest:.2g}, allowed {difference.tolerance:.2g}, so nothing is graded with it: "
                f"see `python -m engine verify {artifact.folder}`, rebuild its plans with `python -m engine compile`, "
                "or export it again with `python -m trainer export`"
            )
