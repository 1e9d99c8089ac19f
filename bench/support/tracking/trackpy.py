"""TrackPy as a baseline: bright heads detected by hand-set values, linked over the whole clip at once.

TrackPy is no part of the station. This file is two things: ``follow_trackpy``, which the bench calls, and a script that
runs in a Python of its own in which TrackPy is installed (``python -m venv V && V/bin/pip install trackpy``). The two
pass NumPy arrays through a folder. A segment takes the detected track that is nearest to its start.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

DIAMETER_PX, MINMASS, SEPARATION_PX, SEARCH_PX, MEMORY_FRAMES = 13, 250, 8, 14, 8
SEGMENT, NEAREST_PX = 150, 16.0
LONGEST_S = 1800.0


def follow_trackpy(
    python: Path, frames: "np.ndarray", starts: list[tuple[str, int, float, float]], *, predict: bool
) -> Iterator[tuple[str, int, float, float]]:
    """Yield (segment, frame, x, y) of the tracks nearest to ``starts``; ``frames`` (T, H, W).

    Raises OSError where there is no such Python, subprocess.SubprocessError where it fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "frames.npy", frames)
        script = [str(python), __file__, str(folder), "predict" if predict else "plain"]
        subprocess.run(script, check=True, timeout=LONGEST_S, capture_output=True, text=True)
        table = np.load(folder / "tracks.npy")
    for segment, first, x, y in starts:
        here = table[table[:, 0] == first]
        if not len(here):
            continue
        nearest = here[np.argmin(np.hypot(here[:, 2] - x, here[:, 3] - y))]
        if np.hypot(nearest[2] - x, nearest[3] - y) > NEAREST_PX:
            continue
        own = table[(table[:, 1] == nearest[1]) & (table[:, 0] >= first) & (table[:, 0] < first + SEGMENT)]
        for frame, _, u, v in own.tolist():
            yield segment, int(frame), u, v


def main(folder: Path, *, predict: bool) -> None:
    """Detect and link in TrackPy's own Python; write (frame, particle, x, y) rows (N, 4) and the ms a frame."""
    import trackpy  # type: ignore[import-not-found]

    trackpy.quiet()
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    begin = time.perf_counter()
    still = np.median(frames[::8], axis=0)
    moving = [
        np.clip(np.asarray(f, np.float32) - 0.4 * (still - still.mean()), 0, 255).astype(np.uint8) for f in frames
    ]
    heads = trackpy.batch(moving, DIAMETER_PX, minmass=MINMASS, separation=SEPARATION_PX, processes=1)
    link = trackpy.predict.NearestVelocityPredict().link_df if predict else trackpy.link
    linked = link(heads, SEARCH_PX, memory=MEMORY_FRAMES)
    np.save(folder / "tracks.npy", linked[["frame", "particle", "x", "y"]].to_numpy(float))
    (folder / "ms").write_text(str(1000 * (time.perf_counter() - begin) / len(frames)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), predict=sys.argv[2] == "predict")
