"""MetaMorph's notes in TIFF files: UIC tags of STK files, and the XML of MetaSeries files at each page.

It knows notes, no pixels.
"""

import itertools
import re
from typing import Any, Final

import tifffile

from capture.files.units import MICROMETRES, quantity

IMAGE_DESCRIPTION: Final = 270
MOST_PAGES: Final = 2**16
DAY_MS: Final = 86_400_000
PROPERTY: Final = re.compile(r'<(?:prop|PROP|custom-prop)\s[^>]*?id="([^"]+)"[^>]*?value="([^"]*)"')
CLOCK: Final = re.compile(r"(\d{4})(\d\d)(\d\d) (\d\d):(\d\d):(\d\d(?:\.\d+)?)")


def stk_times_s(file: tifffile.TiffFile) -> list[float]:
    """Return the time of each plane of an STK file; empty where it is none."""
    notes = file.stk_metadata or {}
    milliseconds, days = notes.get("TimeCreated"), notes.get("DateCreated")
    if milliseconds is None:
        return []
    since = [int(ms) for ms in milliseconds]
    if days is not None and len(days) == len(since):
        since = [ms + DAY_MS * int(day) for ms, day in zip(since, days, strict=True)]
    else:
        since = list(itertools.accumulate(since, lambda a, b: b if b >= a else b + DAY_MS))  # past midnight
    return [ms / 1000 for ms in since]


def stk_um_per_px(file: tifffile.TiffFile) -> float | None:
    """Return the scale of an STK file."""
    notes = file.stk_metadata or {}
    unit = str(notes.get("CalibrationUnits", "")).strip("\0 ").lower()
    return quantity(notes.get("XCalibration"), unit, MICROMETRES)


def page_properties(page: Any) -> dict[str, str]:
    """Return the properties in the XML at a page (a TiffPage or TiffFrame); empty without."""
    try:
        tag = page.aspage().tags.get(IMAGE_DESCRIPTION)
    except Exception:  # a page that cannot be read
        return {}
    text = tag.value if tag is not None else None
    return dict(PROPERTY.findall(text)) if isinstance(text, str) and "<MetaData>" in text else {}


def property_time_s(properties: dict[str, str]) -> float | None:
    """Return when a page was taken, in seconds of its day; None where that is not said."""
    found = CLOCK.search(properties.get("acquisition-time-local", ""))
    if found is None:
        return None
    _, _, day, hour, minute, second = found.groups()
    return ((int(day) * 24 + int(hour)) * 60 + int(minute)) * 60 + float(second)


def property_um_per_px(properties: dict[str, str]) -> float | None:
    """Return the scale."""
    if properties.get("spatial-calibration-state", "on").lower() == "off":
        return None
    unit = properties.get("spatial-calibration-units", "").lower()
    return quantity(properties.get("spatial-calibration-x"), unit, MICROMETRES)


def property_bits(properties: dict[str, str]) -> int | None:
    """Return the camera's bits."""
    text = properties.get("camera-bit-depth") or properties.get("bits-per-pixel") or ""
    return int(text) if text.isdecimal() and 8 <= int(text) <= 16 else None
