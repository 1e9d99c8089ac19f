"""Units of time and length as files write them, and numbers with such a unit, read without trust."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

SECONDS: Final = MappingProxyType(
    {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "µs": 1e-6, "μs": 1e-6, "us": 1e-6,
     "ns": 1e-9, "min": 60.0, "h": 3600.0}
)  # fmt: skip
MICROMETRES: Final = MappingProxyType(
    {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "nm": 1e-3,
     "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25_400.0, "in": 25_400.0}
)  # fmt: skip


def quantity(value: Any, unit: str, units: Mapping[str, float]) -> float | None:
    """Return a positive number in the base unit; None for anything else."""
    try:
        number = float(value) * units[unit]
    except (TypeError, ValueError, KeyError):
        return None
    return number if math.isfinite(number) and number > 0 else None
