"""The metadata of a TIFF file in one form: frame rate, scale, bits and times.

Sources, in this order: OME-XML, Micro-Manager's and MetaMorph's notes, ImageJ, and TIFF's own tags. Each value is taken
from the first source that has it, so a broken or missing piece does not cost any other. Implausible values count as
absent. This module knows no pixels.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import tifffile

from capture.files.intervals import frame_interval
from capture.files.tiff import metamorph as metamorph
from capture.files.tiff.directories import complaints
from capture.files.tiff.layout import Layout
from capture.files.tiff.micromanager import page_notes
from capture.files.tiff.ome import Pixels, ome_text, read_images
from capture.files.units import MICROMETRES, SECONDS, quantity

MAX_SAMPLE_VALUE: Final = 281
FPS_LIMITS: Final = (1e-3, 1e5)
UM_PER_PX_LIMITS: Final = (1e-3, 1e3)
LONGEST_S: Final = 1e7
MOST_PAGES: Final = 2**16
"""Pages whose own notes are read; of more, the first ones tell the rate."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the file says; None and empty: nothing."""

    fps: float | None = None
    um_per_px: float | None = None
    bits: int | None = None
    """Bits really used."""
    times_s: tuple[float, ...] = ()
    """Of the first frames, or of all, strictly increasing from 0."""


def read_metadata(file: tifffile.TiffFile, layout: Layout) -> Metadata:
    """Return what an open file says about itself."""
    with complaints():  # broken notes are not reported: they count as absent
        return _Reader(file, layout).read()


class _Reader:
    """Looks up each value in each kind of notes."""

    def __init__(self, file: tifffile.TiffFile, layout: Layout) -> None:
        self._file = file
        pages = [place for place in layout.places[:MOST_PAGES] if place is not None and not isinstance(place, int)]
        self._first = pages[0] if pages else file.pages.first
        self._ome = _try(lambda: _described(read_images(ome_text(file)), layout.announced))
        self._imagej: Mapping[str, Any] = _try(lambda: file.imagej_metadata or {}) or {}
        self._page_notes: Sequence[Mapping[str, Any] | None] = ()
        if _try(lambda: page_notes(self._first)) is not None:
            places = [place if not isinstance(place, int) else None for place in layout.places[:MOST_PAGES]]
            self._page_notes = [None if place is None else page_notes(place) for place in places]
            if not any(self._page_notes):
                self._page_notes = [page_notes(self._first)]
        self._properties: Sequence[dict[str, str]] = ()
        if _try(lambda: metamorph.page_properties(self._first)):
            self._properties = [metamorph.page_properties(page) for page in pages]

    def read(self) -> Metadata:
        """Return each value from the first source that has it."""
        times = self._times()
        fps = _first(
            FPS_LIMITS,
            lambda: _per_second(self._ome.interval_s if self._ome else None),
            lambda: _rate_of(times),
            lambda: _per_second(quantity(self._imagej.get("finterval"), self._time_unit(), SECONDS)),
            lambda: quantity(self._imagej.get("fps"), "1/s", {"1/s": 1.0}),
        )
        um_per_px = _first(
            UM_PER_PX_LIMITS,
            lambda: self._ome.um_per_px if self._ome else None,
            lambda: quantity(self._note("PixelSizeUm", "PixelSize_um"), "um", MICROMETRES),
            lambda: metamorph.stk_um_per_px(self._file) if self._file.is_stk else None,
            lambda: metamorph.property_um_per_px(self._properties[0]) if self._properties else None,
            self._imagej_um_per_px,
        )
        bits = _first(
            (8, 16),
            lambda: self._ome.bits if self._ome else None,
            lambda: _whole(self._note("BitDepth")),
            lambda: metamorph.property_bits(self._properties[0]) if self._properties else None,
            lambda: _bits_of_tag(self._first),
        )
        return Metadata(fps, um_per_px, bits, _consecutive(times))

    def _times(self) -> dict[int, float]:
        """Return the time of each frame that has one, s."""
        sources: tuple[Callable[[], dict[int, float]], ...] = (
            lambda: self._ome.times_s if self._ome else {},
            lambda: _numbered(
                quantity(notes.get("ElapsedTime-ms"), "ms", SECONDS) if notes and notes.get("ElapsedTime-ms") else
                (0.0 if notes and notes.get("ElapsedTime-ms") == 0 else None)
                for notes in self._page_notes
            ),
            lambda: _numbered(metamorph.stk_times_s(self._file) if self._file.is_stk else ()),
            lambda: _numbered(map(metamorph.property_time_s, self._properties)),
        )  # fmt: skip
        for source in sources:
            times = _try(source) or {}
            if len(times) > 1 and _rising(times):
                start = times[min(times)]
                return {number: t_s - start for number, t_s in times.items()}
        return {}

    def _note(self, *names: str) -> Any:
        notes = next((notes for notes in self._page_notes if notes), {})
        return next((notes[name] for name in names if name in notes), None)

    def _time_unit(self) -> str:
        return str(self._imagej.get("tunit") or "s").strip().lower()

    def _imagej_um_per_px(self) -> float | None:
        per_unit = self._file.pages.first.tags.get("XResolution")
        if not self._imagej or per_unit is None or not isinstance(per_unit.value, tuple) or not per_unit.value[0]:
            return None
        unit = str(self._imagej.get("unit", "")).replace("\\u00B5", "µ").strip()
        return quantity(per_unit.value[1] / per_unit.value[0], unit, MICROMETRES)


def _described(images: Sequence[Pixels], announced: int) -> Pixels | None:
    """Return the OME image that describes the film: the one with the same number of frames, else the first."""
    return next((image for image in images if image.frames == announced), images[0] if images else None)


def _first(limits: tuple[float, float], *sources: Callable[[], T | None]) -> T | None:
    """Return the first value within the limits."""
    for source in sources:
        value: Any = _try(source)
        if value is not None and limits[0] <= value <= limits[1]:
            found: T = value
            return found
    return None


def _try(source: Callable[[], T]) -> T | None:
    """Return a value; None if the notes are too broken to read it."""
    try:
        return source()
    except Exception:  # damaged notes can raise anything, in tifffile and here
        return None


def _per_second(interval_s: float | None) -> float | None:
    return 1 / interval_s if interval_s else None


def _numbered(times: Iterable[float | None]) -> dict[int, float]:
    return {number: t_s for number, t_s in enumerate(times) if t_s is not None}


def _rising(times: Mapping[int, float]) -> bool:
    ordered = [times[number] for number in sorted(times)]
    rises = all(b > a for a, b in itertools.pairwise(ordered))
    return rises and all(map(math.isfinite, ordered)) and ordered[-1] - ordered[0] < LONGEST_S


def _rate_of(times: Mapping[int, float]) -> float | None:
    """Return frames a second by the times; gaps do not count."""
    intervals = [(times[b] - times[a]) / (b - a) for a, b in itertools.pairwise(sorted(times))]
    return _per_second(frame_interval(np.array(intervals, np.float64)))


def _consecutive(times: Mapping[int, float]) -> tuple[float, ...]:
    """Return the times from frame 0 up to the first frame without one."""
    return tuple(times[number] for number in itertools.takewhile(lambda n: n in times, itertools.count()))


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None


def _bits_of_tag(page: Any) -> int | None:
    """Return the bits needed for the largest sample value that a page states, if it states one."""
    tag = page.aspage().tags.get(MAX_SAMPLE_VALUE)
    value = tag.value if tag is not None else None
    value = max(value) if isinstance(value, tuple) and value else value
    return max(8, value.bit_length()) if isinstance(value, int) and 0 < value < 2**16 else None
