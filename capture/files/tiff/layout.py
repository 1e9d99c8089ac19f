"""Where the frames are in a TIFF file: by the file's own account, or from what is left if that is damaged.

Frames follow the time axis; a stack without one counts its pages, whatever they are called (slices saved as a film are
common). Of several channels or focal planes beside time, the first is taken. Several series of equal images in one file
are one film, in their order (a writer that was called once a frame); of others, that with most frames is the film.
Whatever is left out is said. This module reads directories, no pixels.
"""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import tifffile

from capture.files.tiff.directories import (
    MOST_PAGES,
    complaints,
    count_sound,
    is_circular,
    next_directory,
    readable_pages,
)
from capture.files.tiff.micromanager import first_channel
from capture.files.tiff.ome import stage_positions
from capture.files.tiff.pixels import PixelFormat, pixel_format
from station.errors import InputError

IN_FRAME: Final = "YXS"
TIME_AXES: Final = "TIQZ"
"""The first of these that has a length is time (tifffile calls axes without a meaning I or Q)."""
AXIS_NAMES: Final = {"C": "channels", "Z": "focal planes", "R": "positions", "P": "positions", "S": "samples"}
MOST_PX: Final = 2**26
MANY_SERIES: Final = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Where the frames are."""

    form: PixelFormat
    places: tuple[Any, ...]
    """Of each frame: the byte at which it begins, uncompressed; or the page object; or None where it is missing."""
    announced: int
    """How many frames the file says to have, as far as that is known."""
    damaged: bool = False
    """The directory is damaged: there may have been more."""
    notices: tuple[str, ...] = ()
    """What is left out, or how the frames were put together."""


def find_layout(file: tifffile.TiffFile) -> Layout:
    """Return the layout of a file, damaged or not. Raises InputError, and anything where nothing is left.

    Complaints alone are no damage: notes may be broken, files of a set missing, an acquisition stopped. As long as all
    directories are sound, the file's own account counts, unless it leaves out pages that are there.
    """
    with complaints(), contextlib.suppress(Exception):
        _ = file.micromanager_metadata, file.stk_metadata  # kept by tifffile, so that it complains about them here
    layout: Layout | None = None
    with complaints() as heard:
        try:
            layout = find_frames(file)
        except InputError:
            raise
        except Exception:  # what tifffile throws at damaged files is of any kind
            heard.append("no directory")
    if layout is not None and not heard:
        return layout
    with complaints():
        count = count_sound(file)
        if layout is not None and count and _listed(file) >= count:
            return layout
        return salvage_frames(file, sound=count > 0)


def find_frames(file: tifffile.TiffFile) -> Layout:
    """Return the layout by the file's own account.

    Raises InputError for what is no stack of images, and whatever tifffile throws at damaged files.
    """
    if is_circular(file):
        raise ValueError("the directories lead back to an earlier one")  # tifffile would follow them for ever
    if _is_written_frame_by_frame(file):
        return _of_all_pages(file, list(readable_pages(file)))
    groups: dict[object, list[Layout]] = {}
    every = list(file.series)
    positions = stage_positions(file) if len(every) > 1 else []
    refused: InputError | None = None
    for number, series in enumerate(every):
        try:
            layout = _of_series(file, series)
        except InputError as error:
            refused = refused or error
            continue
        position = positions[number] if len(positions) == len(every) and len(layout.places) > 1 else ""
        groups.setdefault((layout.form.shape, layout.form.dtype.str, layout.form.bits, position), []).append(layout)
    if not groups:
        raise refused or ValueError("no image")
    film = max(groups.values(), key=_frame_count)  # the first of equals
    return _joined(film, [group for group in groups.values() if group is not film])


def _of_series(file: tifffile.TiffFile, series: Any) -> Layout:
    """Return the layout of one of a file's series of equal images."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    samples = (sizes["S"],) if "S" in sizes else ()
    form = _form(file, series.keyframe, (sizes.get("Y", 0), sizes.get("X", 0), *samples), series.dtype)
    outer = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in IN_FRAME]
    lengths = dict(outer)
    time = next((axis for axis in TIME_AXES if lengths.get(axis, 1) > 1), None)
    count = int(np.prod([n for _, n in outer], dtype=np.int64))
    if count > MOST_PAGES:
        raise ValueError(f"{count} pages announced")
    index = tuple(slice(None) if axis == time else 0 for axis, _ in outer)
    numbers = [int(n) for n in np.atleast_1d(np.arange(count).reshape([n for _, n in outer])[index])]
    left_out = [
        f"the first of {n} {AXIS_NAMES.get(axis, f'along {axis}')}" for axis, n in outer if axis != time and n > 1
    ]
    notices = (f"of this stack only {' and '.join(left_out)} is used",) if left_out else ()
    if series.dataoffset is not None and form.dtype != np.dtype(bool) and "SY" not in series.axes:
        # All images lie one behind the other; the directory may list but the first of them.
        places: tuple[Any, ...] = tuple(series.dataoffset + n * form.size_bytes for n in numbers)
        return Layout(form, places, len(places), notices=notices)
    pages = series.pages
    places = tuple(pages[n] if n < len(pages) else None for n in numbers)
    if not left_out and (chosen := first_channel(places)) is not None:
        return Layout(form, chosen.places, len(chosen.places), notices=chosen.notices)
    return Layout(form, places, len(places), notices=notices)


def _joined(film: Sequence[Layout], others: Sequence[Sequence[Layout]]) -> Layout:
    """Return the parts of a film as one, with notices of what was joined and left out."""
    notices = [notice for part in film[:1] for notice in part.notices]
    count = _frame_count(film)
    if len(film) > 1 and count > len(film):
        notices.append(f"its {len(film)} series of equal images are read as one film of {count} frames")
    if others:
        left_out = " and ".join(
            f"{_frame_count(group)} image{'s' * (_frame_count(group) > 1)} of "
            f"{group[0].form.shape[1]} x {group[0].form.shape[0]} px"
            for group in others
        )
        notices.append(f"only its film of {count} frame{'s' * (count > 1)} is used; left out: {left_out}")
    places = tuple(place for part in film for place in part.places)
    return Layout(film[0].form, places, len(places), notices=tuple(notices))


def _frame_count(parts: Sequence[Layout]) -> int:
    return sum(len(part.places) for part in parts)


def salvage_frames(file: tifffile.TiffFile, *, sound: bool) -> Layout:
    """Return the layout of a file that tifffile does not understand. Raises anything where nothing is left.

    The pages that can still be found; or, where only the first is left and the next one's entry lay behind the pixels
    of all (as in ImageJ's and many OME files), images one behind the other up to the end of the file. ``sound``: the
    directories are all there, so that pages of another size are other images and not damaged ones.
    """
    pages = list(readable_pages(file))
    if not pages:
        raise ValueError("no page is left")
    first = pages[0].keyframe
    form = first_page(file)
    if sound:
        return _of_all_pages(file, pages)
    if len(pages) == 1 and first.is_contiguous and first.planarconfig == 1 and form.dtype != np.dtype(bool):
        start, size = int(first.dataoffsets[0]), form.size_bytes
        behind = (next_directory(file, first.offset) - start) // size
        present = min((file.filehandle.size - start) // size, MOST_PAGES)
        if behind > 1:
            places = tuple(start + n * size for n in range(max(1, min(behind, present))))
            return Layout(form, places, behind, damaged=True)
    return Layout(form, tuple(pages), len(pages), damaged=True)


def _is_written_frame_by_frame(file: tifffile.TiffFile) -> bool:
    """Return whether each of a file's many pages is a series of its own, which takes tifffile quadratic time."""
    if not file.is_shaped or len(file.pages) < MANY_SERIES:
        return False
    return all(json.loads(page.is_shaped or "{}").get("truncated") is None for page in readable_pages(file))


def _of_all_pages(file: tifffile.TiffFile, pages: Sequence[Any]) -> Layout:
    """Return the layout of pages of which each is an image: the largest group of equal ones is the film."""
    groups: dict[object, list[Any]] = {}
    for page in pages:
        groups.setdefault((page.shape, page.dtype, page.bitspersample), []).append(page)
    films = [_of_pages(file, group) for group in groups.values()]
    film = max(films, key=lambda layout: len(layout.places))
    return _joined([film], [[other] for other in films if other is not film])


def _of_pages(file: tifffile.TiffFile, pages: Sequence[Any]) -> Layout:
    """Return the layout of pages of equal images."""
    first = pages[0].keyframe
    form = _form(file, first, first.shape if first.planarconfig == 1 else first.shape[1:], first.dtype)
    chosen = first_channel(pages)
    places, notices = (tuple(pages), ()) if chosen is None else (chosen.places, chosen.notices)
    return Layout(form, places, len(places), notices=notices)


def first_page(file: tifffile.TiffFile) -> PixelFormat:
    """Return the pixel format of a file's first page. Raises InputError for what no camera makes."""
    first: Any = file.pages.first
    return _form(file, first, first.shape if first.planarconfig == 1 else first.shape[1:], first.dtype)


def _form(file: tifffile.TiffFile, page: Any, shape: Any, stored: Any) -> PixelFormat:
    """Return the pixel format. Raises InputError for what no camera makes."""
    origin = f"source {file.filehandle.path}"
    dtype = np.dtype(stored).newbyteorder("=")
    if dtype not in (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(bool)):
        raise InputError(f"{origin}: expected images of 8 or 16 bits, got {dtype}; save them as one of these")
    shape = tuple(int(n) for n in shape)
    if len(shape) not in (2, 3) or not all(shape) or max(shape) > 65535 or shape[0] * shape[1] > MOST_PX:
        raise InputError(f"{origin}: expected a stack of images, got arrays of {shape}; save it as one")
    if len(shape) == 3 and shape[2] > 4:
        raise InputError(f"{origin}: expected grey or RGB images, got {shape[2]} channels in one; save one channel")
    form = pixel_format(page, shape, dtype)
    if not 1 <= form.bits <= 16:
        raise InputError(f"{origin}: expected images of 8 or 16 bits, got {form.bits}; save them as one of these")
    if form.bits not in (1, 8, 16) and page.compression != 1:
        raise InputError(
            f"{origin}: its {form.bits} bits are packed and compressed, which cannot be read; save it with 8 or 16 bits"
        )
    return form


def _listed(file: tifffile.TiffFile) -> int:
    """Return how many images the file's series hold by their own account."""
    return sum(
        int(np.prod([n for axis, n in zip(series.axes, series.shape, strict=True) if axis not in IN_FRAME]))
        for series in file.series
    )
