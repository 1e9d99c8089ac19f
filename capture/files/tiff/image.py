"""A single TIFF image, such as one of a folder: its first page, as a viewer shows it, and what it says about itself."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tifffile
from numpy.typing import NDArray

from capture.files.tiff.directories import complaints
from capture.files.tiff.layout import Layout, first_page
from capture.files.tiff.metadata import Metadata, read_metadata
from capture.files.tiff.micromanager import page_notes, place_of
from capture.files.tiff.pixels import read_page
from station.files import require_regular


@dataclass(frozen=True, slots=True)
class TiffImage:
    """One image."""

    values: NDArray[Any]
    """(H, W) uint8 or uint16 grey."""
    bits: int
    """Of each value."""
    is_stack: bool = False
    """The file holds more than this image."""
    series: tuple[tuple[str, Any], ...] = ()
    """Its channel, focal plane and position, where Micro-Manager noted them."""
    metadata: Metadata | None = None


def read_tiff_image(path: Path, bits: int | None = None) -> TiffImage | None:
    """Return the first page of a TIFF file; None where it cannot be read. ``bits``: those really used, if known."""
    try:
        require_regular(path)
        with complaints(), tifffile.TiffFile(path) as file:
            form = first_page(file)
            page = file.pages.first
            metadata = read_metadata(file, Layout(form, (page,), 1))
            form = replace(form, used_bits=bits or metadata.bits)
            notes = page_notes(page)
            series = tuple((k, v) for k, v in place_of(notes or {}).items() if k != "time")
            is_stack = len(file.pages) > 1
            return TiffImage(read_page(page, form), form.grey_bits, is_stack, series, metadata)
    except Exception:  # of whatever kind: the image is left out
        return None
