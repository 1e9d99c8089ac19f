"""How the loop keeps a device busy: what is read ahead of it, and how far it may run ahead of what is looked at.

On a CPU, which does all the work itself, nothing is ahead of anything. A GPU must never wait for clips, nor for
somebody to look at a loss. None of it changes a bit of what is learned.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import torch

from station.errors import InputError
from station.machine import memory_bytes, usable_cores

MOST_READERS: Final = 8
KEPT_OF_MEMORY: Final = 4
"""Clips may take one part in so many of the machine's memory."""
IN_FLIGHT: Final = 2
"""Batches that a GPU works on, or has in store, while an earlier one's loss is looked at."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How far ahead clips are read and steps are given out."""

    readers: int = 0
    """Threads that read clips ahead; 0: each batch when it is needed."""
    in_flight: int = 0
    """Batches that may be under way before a loss is looked at; 0: each is looked at before the next step."""
    kept_bytes: int = 0
    """Of clips that stay in memory once they were read; 0: every epoch reads them anew."""


IN_STEP: Final = Pace()
"""Nothing ahead of anything."""


def pace_for(device: torch.device) -> Pace:
    """Return what suits a device; the processes of a machine that torchrun started share its cores."""
    if device.type != "cuda":
        return IN_STEP
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    readers = min(MOST_READERS, max(1, usable_cores() // processes - 1))
    return Pace(readers, IN_FLIGHT, memory_bytes() // (KEPT_OF_MEMORY * processes))


def require_compiler(device: torch.device) -> None:
    """Raise InputError where networks cannot be compiled for the device: better now than in the first step."""
    if device.type == "cuda" and find_spec("triton") is None:
        raise InputError("--compile true: needs the package triton, which torch for CUDA brings on Linux; leave it out")
    if sys.platform != "win32" and not any(map(shutil.which, ("cc", "gcc", "g++", "clang"))):
        raise InputError("--compile true: needs a C++ compiler (apt-get install g++); leave it out")
