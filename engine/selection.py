"""Which way of running a model on this processor is the fastest at equal truth: measured once, kept, and explained.

A way is a runtime and a precision. Only precisions that the model was exported and proven for are tried beside float32.
Each is held to its tolerance on all golden clips, and another than float32 is taken only where it is clearly faster.
The measurement is kept in the user's cache folder, for this model, processor, number of threads and versions. It knows
the runtimes by their protocol; ``engine.factory`` opens them.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import ValidationError

from engine.artifact import Artifact, ManifestModel, Precision
from engine.runtime import Runtime
from engine.verify import compare
from station.errors import StationError
from station.files import read_bounded, write_atomically
from station.machine import processor

CpuRuntime = Literal["onnxruntime", "openvino"]
CLEARLY_FASTER = 0.9
"""Share of float32's time that another precision may take at most."""
ROUNDS = 7
MOST_S = 2.0
"""Time for the measurement; a large network is timed fewer times."""
MOST_BYTES = 1 << 20
PACKAGES = ("onnxruntime", "openvino")


class Way(NamedTuple):
    """A runtime and the precision it computes in."""

    runtime: CpuRuntime
    precision: Precision

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"


class Measured(ManifestModel):
    """One way of running a model, as it was found here."""

    runtime: CpuRuntime
    precision: Precision
    ms: float | None = None
    """Best time of one clip; None where it does not run."""
    grade_off: float | None = None
    """Largest difference of a grade from the golden ones."""
    refused: str = ""
    """Why it is not used; empty if it could be."""

    @property
    def way(self) -> Way:
        """Which way this is."""
        return Way(self.runtime, self.precision)


class Selection(ManifestModel):
    """The ways that were tried, float32 first, and on what."""

    model_sha256: str
    int8_sha256: str
    processor: str
    threads: int
    versions: dict[str, str]
    ways: tuple[Measured, ...]

    @property
    def taken(self) -> Measured:
        """The way to run the model: the fastest that holds, float32 unless another is clearly faster."""
        plain, *others = self.ways
        if plain.refused:
            return plain
        usable = [one for one in others if not one.refused and one.ms is not None]
        if plain.ms is not None:
            usable = [one for one in usable if one.ms is not None and one.ms <= CLEARLY_FASTER * plain.ms]
        return min(usable, key=lambda one: one.ms or 0.0, default=plain)

    @property
    def why(self) -> str:
        """In words, why it is that one."""
        taken, plain = self.taken, self.ways[0]
        refused = "; ".join(f"not {one.way}: {one.refused}" for one in self.ways[1:] if one.refused)
        if len(self.ways) == 1:
            return "the model has no other precision"
        if taken is plain:
            return refused or "nothing else was clearly faster here"
        assert taken.ms is not None
        times = f"{taken.ms:.1f} ms a clip" + (f" against {plain.ms:.1f} in float32" if plain.ms else "")
        return f"{times}, measured here, and its golden clips hold" + (f"; {refused}" if refused else "")


def select(
    artifact: Artifact, ways: Sequence[Way], threads: int, open_way: Callable[[Way], Runtime], *, anew: bool = False
) -> Selection:
    """Return the measurement of the ways, from the cache where it is there.

    Args:
        artifact: The model.
        ways: What to try, ONNX Runtime in float32 first.
        threads: CPU threads.
        open_way: Opens one of them.
        anew: Measure even if it is in the cache.
    """
    blank = _blank(artifact, ways, threads)
    if len(ways) == 1:
        return blank
    path = cache_folder() / f"runtime-{hashlib.sha256(blank.model_dump_json().encode()).hexdigest()[:24]}.json"
    if not anew and (kept := _read(path, blank)) is not None:
        return kept
    found = blank.model_copy(update={"ways": _measure(artifact, ways, open_way)})
    if found.ways[0].refused:
        return found  # a broken model: nothing to remember
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (found.model_dump_json(indent=2) + "\n").encode())
    except OSError:
        pass  # measured again at the next start, which costs a second
    return found


def cache_folder() -> Path:
    """Return the user's folder for what can be made again."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "rostfine-station"


def _blank(artifact: Artifact, ways: Sequence[Way], threads: int) -> Selection:
    """Return a selection in which nothing is measured: all that a measurement depends on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Selection(
        model_sha256=artifact.model_sha256,
        int8_sha256=artifact.int8_sha256,
        processor=processor(),
        threads=threads,
        versions=versions,
        ways=tuple(Measured(runtime=way.runtime, precision=way.precision) for way in ways),
    )


def _read(path: Path, blank: Selection) -> Selection | None:
    """Return what is kept, if it is of the same model and machine."""
    try:
        kept = Selection.model_validate_json(read_bounded(path, MOST_BYTES))
    except (OSError, ValidationError):
        return None
    same = kept.model_copy(update={"ways": blank.ways}) == blank
    return kept if same and [one.way for one in kept.ways] == [one.way for one in blank.ways] else None


def _measure(artifact: Artifact, ways: Sequence[Way], open_way: Callable[[Way], Runtime]) -> tuple[Measured, ...]:
    """Open all ways, hold each to the golden clips, and time them in turn, so that other load hits all."""
    opened: dict[Way, Runtime] = {}
    found: dict[Way, Measured] = {}
    try:
        for way in ways:
            one = Measured(runtime=way.runtime, precision=way.precision)
            try:
                opened[way] = open_way(way)
                differences = compare(artifact, opened[way])
            except StationError as error:
                found[way] = one.model_copy(update={"refused": str(error)})
                continue
            wrong = next((difference for difference in differences if not difference.passed), None)
            refused = "" if wrong is None else (
                f"on this processor its golden clips' {wrong.output} is off by {wrong.largest:.2g}, allowed "
                f"{wrong.tolerance:.2g}"
            )  # fmt: skip
            off = differences[0].largest
            found[way] = one.model_copy(update={"refused": refused, "grade_off": off if np.isfinite(off) else None})
        clip = artifact.golden().first(1).clips
        best: dict[Way, float] = {}
        started_s = time.monotonic()
        for turn in range(ROUNDS):
            for way, runtime in opened.items():
                before_s = time.perf_counter()
                runtime.infer(clip)
                best[way] = min(best.get(way, float("inf")), time.perf_counter() - before_s)
            if turn and time.monotonic() - started_s > MOST_S:
                break
    finally:
        for runtime in opened.values():
            runtime.close()
    return tuple(
        one.model_copy(update={"ms": round(best[way] * 1e3, 3) if way in best else None}) for way, one in found.items()
    )
