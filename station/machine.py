"""What the machine is; never what it is called."""

import os
import platform
from pathlib import Path
from typing import Any

FEATURES = ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm", "bf16")
"""What decides how fast a processor multiplies integers and short floats, as Linux names it."""


def usable_cores() -> int:
    """Return how many cores this process may use, which a container or ``taskset`` may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Return how much memory the machine has; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


def machine() -> dict[str, Any]:
    """Return system, architecture, cores and Python version, as a session records them."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def processor() -> str:
    """Return the processor's name and which of ``FEATURES`` it has: "AMD EPYC (avx2 avx512_vnni)"."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.processor() or platform.machine()
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    features = [feature for feature in FEATURES if feature in flags]
    return f"{name} ({' '.join(features)})" if features else name
