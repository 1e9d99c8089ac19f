"""Which codec this machine can afford at a frame rate, and in how many threads: measured, not guessed.

FFV1 halves a noisy microscope picture but costs most of a core at 60 frames of 1392 x 976 a second; uncompressed costs
next to nothing but disk.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from station.config import RecordSettings
from station.machine import usable_cores
from station.session.chunk_writer import ChunkWriter, MemorySink

TRIED_FRAMES: Final = 3
TRIED_PX: Final = 512
"""Width and height of what is tried: the time goes with the pixels, to a twentieth, and capture waits for it."""
NOISE: Final = 2.5
"""Grey levels: what a camera of moderate gain shows, and what a lossless codec spends its time on."""
SPARE_SHARE: Final = 0.4
"""Of one core: what a recorder may take on a machine of two, where tracker and network need the rest."""
PER_CORE_SHARE: Final = 0.8
"""Of each core beyond two."""
MOST_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class CodecChoice:
    """What frames are coded with."""

    name: Literal["ffv1", "raw"]
    threads: int
    why: str
    """One line for people; empty where nothing had to be chosen."""


class Ffv1Trial:
    """What FFV1 costs here: prepared while the other processes load, measured when they have."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._frame = np.clip(random.normal(110, NOISE, (TRIED_PX, TRIED_PX)), 0, 255).astype(np.uint8)
        self._writer = ChunkWriter(MemorySink(), "ffv1", TRIED_PX, TRIED_PX)
        self._writer.add(self._frame, 0)  # the first makes tables

    def seconds(self, width: int, height: int, beat: Callable[[], object] = lambda: None) -> float:
        """Return the processor seconds that one noisy frame of this size takes here; may be asked once.

        ``beat`` is called between the steps, which take long on a loaded machine.
        """
        seconds = 0.0
        for number in range(1, TRIED_FRAMES + 1):
            beat()
            start = time.thread_time()
            self._writer.add(self._frame, number)
            seconds += time.thread_time() - start
        self._writer.close()
        return seconds / TRIED_FRAMES * (height * width) / (TRIED_PX * TRIED_PX)


def ffv1_trial(settings: RecordSettings, *, live: bool) -> Ffv1Trial | None:
    """Return the trial that the choice rests on; None where there is nothing to choose."""
    return Ffv1Trial() if settings.codec == "auto" and live else None


def choose_codec(
    settings: RecordSettings,
    width: int,
    height: int,
    fps: float,
    *,
    trial: Ffv1Trial | None,
    beat: Callable[[], object] = lambda: None,
) -> CodecChoice:
    """Return the codec to begin with; FFV1 offline, where everything waits for it."""
    cores = usable_cores()
    threads = max(1, min(MOST_THREADS, cores - 1))
    if settings.codec != "auto":
        return CodecChoice(settings.codec, threads, "")
    if trial is None:
        return CodecChoice("ffv1", threads, "")
    load = trial.seconds(width, height, beat) * fps
    allowed = SPARE_SHARE + PER_CORE_SHARE * max(0, cores - 2)
    if load <= allowed:
        return CodecChoice("ffv1", threads, "")
    why = (
        f"recording uncompressed: FFV1 would need {load:.2f} cores at {fps:.0f} frames/s, this machine can spare "
        f"{allowed:.1f} (set [record] codec to override)"
    )
    return CodecChoice("raw", threads, why)
