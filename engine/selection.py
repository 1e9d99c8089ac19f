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
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import ValidationError

from engine.artifact import Artifact, ManifestModel, Precision
from engine.onnx_runtime import VERSION
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

    What failed, rather than was found too slow or too far off, is not kept: it may be cured by the next start.
    """
    blank = _blank(artifact, ways, threads)
    if len(ways) == 1:
        return blank
    path = cache_folder() / f"precision-{hashlib.sha256(blank.model_dump_json().encode()).hexdigest()[:24]}.json"
    if not anew and (kept := _read(path, blank)) is not None:
        return kept
    measured, failed = _measure(artifact, ways, open_way)
    found = blank.model_copy(update={"ways": measured})
    try:
        if failed or found.ways[0].refused:
            path.unlink(missing_ok=True)
        else:
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
    versions = {"onnxruntime": VERSION}
    with suppress(metadata.PackageNotFoundError):
        versions["openvino"] = metadata.version("openvino")
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


def in_one_line(error: Exception) -> str:
    """Return what an exception says; of a package's own only the first line, with its type."""
    if isinstance(error, StationError):
        return str(error)
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


def _measure(
    artifact: Artifact, ways: Sequence[Way], open_way: Callable[[Way], Runtime]
) -> tuple[tuple[Measured, ...], bool]:
    """Open all ways, hold each to the golden clips, and time them in turn, so that other load hits all.

    Returns what was found, and whether one of them failed. Every exception counts: those of a runtime share no base.
    """
    failed = False
    opened: dict[Way, Runtime] = {}
    found: dict[Way, Measured] = {}
    try:
        for way in ways:
            one = Measured(runtime=way.runtime, precision=way.precision)
            try:
                opened[way] = open_way(way)
                differences = compare(artifact, opened[way])
            except Exception as error:
                found[way], failed = one.model_copy(update={"refused": in_one_line(error)}), True
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
                if found[way].refused and way not in best and turn:
                    continue  # failed in the first turn
                before_s = time.perf_counter()
                try:
                    runtime.infer(clip)
                except Exception as error:
                    found[way], failed = found[way].model_copy(update={"refused": in_one_line(error)}), True
                    continue
                best[way] = min(best.get(way, float("inf")), time.perf_counter() - before_s)
            if turn and time.monotonic() - started_s > MOST_S:
                break
    finally:
        for runtime in opened.values():
            runtime.close()
    times_ms = {way: round(best_s * 1e3, 3) for way, best_s in best.items()}
    return tuple(one.model_copy(update={"ms": times_ms.get(way)}) for way, one in found.items()), failed
