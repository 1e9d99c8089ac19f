"""What TIFF files say about their frames besides pixels: OME-XML and ImageJ's notes, in one form.

Everything is optional, and nonsense counts as not said. It knows no pixels.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

import tifffile

SECONDS: Final = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "min": 60.0}
MICROMETRES: Final = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
MAX_SAMPLE_VALUE: Final = 281
MOST_XML: Final = 2**24


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the file says; None and empty: nothing."""

    fps: float | None = None
    um_per_px: float | None = None
    bits: int | None = None
    """Bits really used."""
    times_s: tuple[float, ...] = ()
    """Of each frame, rising strictly."""


def read_metadata(file: tifffile.TiffFile) -> Metadata:
    """Return what an open file says about itself."""
    bits = _bits_of_tag(file)
    if file.is_ome and file.ome_metadata and len(file.ome_metadata) < MOST_XML:
        return _ome(file.ome_metadata, bits)
    if file.is_imagej and file.imagej_metadata:
        return _imagej(file, file.imagej_metadata, bits)
    return Metadata(bits=bits)


def _ome(text: str, bits: int | None) -> Metadata:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return Metadata(bits=bits)  # OME-XML has neither; entities can be made to fill the memory
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return Metadata(bits=bits)
    pixels = root.find(".//{*}Pixels")
    if pixels is None:
        return Metadata(bits=bits)
    interval_s = _quantity(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"), SECONDS)
    significant = pixels.get("SignificantBits", "")
    return Metadata(
        fps=1 / interval_s if interval_s else None,
        um_per_px=_quantity(pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit", "µm"), MICROMETRES),
        bits=int(significant) if significant.isdecimal() and 8 <= int(significant) <= 16 else bits,
        times_s=_times(pixels),
    )


def _times(pixels: ElementTree.Element) -> tuple[float, ...]:
    """Return the times of the planes of the first channel and focal plane, in order; empty unless all are there."""
    times: dict[int, float] = {}
    for plane in pixels.findall("{*}Plane"):
        if plane.get("TheC", "0") != "0" or plane.get("TheZ", "0") != "0":
            continue
        number, delta = plane.get("TheT", ""), plane.get("DeltaT")
        scale = SECONDS.get(plane.get("DeltaTUnit", "s"))
        try:
            value = float(delta) * scale if delta is not None and scale is not None else math.nan
        except ValueError:
            return ()
        if not number.isdecimal() or not math.isfinite(value):
            return ()
        times[int(number)] = value
    ordered = tuple(times[n] for n in sorted(times))
    complete = sorted(times) == list(range(len(times)))
    rising = all(b > a for a, b in itertools.pairwise(ordered))
    return ordered if complete and rising else ()


def _imagej(file: tifffile.TiffFile, notes: dict[str, Any], bits: int | None) -> Metadata:
    interval_s = _quantity(notes.get("finterval"), str(notes.get("tunit", "s") or "s").replace("sec", "s"), SECONDS)
    fps = _quantity(notes.get("fps"), "1/s", {"1/s": 1.0})
    per_unit = file.pages.first.tags.get("XResolution")
    size = None
    if per_unit is not None and isinstance(per_unit.value, tuple) and per_unit.value[0]:
        size = _quantity(
            per_unit.value[1] / per_unit.value[0], str(notes.get("unit", "")).replace("\\u00B5", "µ"), MICROMETRES
        )
    return Metadata(fps=fps or (1 / interval_s if interval_s else None), um_per_px=size, bits=bits)


def _bits_of_tag(file: tifffile.TiffFile) -> int | None:
    """Return the bits that hold the largest value of the first page, where it says that."""
    tag = file.pages.first.tags.get(MAX_SAMPLE_VALUE)
    value = tag.value if tag is not None else None
    value = max(value) if isinstance(value, tuple) and value else value
    return max(8, value.bit_length()) if isinstance(value, int) and 0 < value < 2**16 else None


def _quantity(value: Any, unit: str, units: dict[str, float]) -> float | None:
    """Return a positive number in the base unit; None for anything else."""
    try:
        number = float(value) * units[unit]
    except (TypeError, ValueError, KeyError):
        return None
    return number if math.isfinite(number) and number > 0 else None
