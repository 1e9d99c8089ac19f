"""OME-XML in a TIFF file: rate, scale, bits and times, each by itself, as far as the text can be parsed.

A stopped acquisition or a crashed program leaves incomplete XML: whatever precedes the break counts. This module knows
the text of one file, no pixels.
"""

import contextlib
import math
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

import tifffile

from capture.files.units import MICROMETRES, SECONDS, quantity

MOST_XML: Final = 2**26
IMAGE_DESCRIPTION: Final = 270


@dataclass(frozen=True, slots=True)
class Pixels:
    """One image of the file: the attributes of its Pixels element and what its planes say."""

    attributes: dict[str, str]
    planes: tuple[dict[str, str], ...]
    label: str
    """Of its stage position; empty where it has none."""

    @property
    def frames(self) -> int | None:
        """How many frames the image has; None where that is not said."""
        text = self.attributes.get("SizeT", "")
        return int(text) if text.isdecimal() else None

    @property
    def interval_s(self) -> float | None:
        """Time from frame to frame."""
        return quantity(self.attributes.get("TimeIncrement"), self.attributes.get("TimeIncrementUnit", "s"), SECONDS)

    @property
    def um_per_px(self) -> float | None:
        """Scale along X."""
        return quantity(
            self.attributes.get("PhysicalSizeX"), self.attributes.get("PhysicalSizeXUnit", "µm"), MICROMETRES
        )

    @property
    def bits(self) -> int | None:
        """Bits that are really used, where they are said."""
        text = self.attributes.get("SignificantBits", "")
        return int(text) if text.isdecimal() and 8 <= int(text) <= 16 else None

    @property
    def times_s(self) -> dict[int, float]:
        """Time of each frame of the first channel and focal plane, by its number, where it is said."""
        times = {}
        for plane in self.planes:
            number = plane.get("TheT", "")
            if plane.get("TheC", "0") != "0" or plane.get("TheZ", "0") != "0" or not number.isdecimal():
                continue
            scale = SECONDS.get(plane.get("DeltaTUnit", "s"))
            try:
                value = float(plane.get("DeltaT", "")) * scale if scale is not None else math.nan
            except ValueError:
                continue
            if math.isfinite(value):
                times[int(number)] = value
        return times


def ome_text(file: tifffile.TiffFile) -> str:
    """Return the OME-XML of a file, whole or broken off; empty where there is none."""
    tag = file.pages.first.tags.get(IMAGE_DESCRIPTION)
    text = tag.value if tag is not None else None
    return text if isinstance(text, str) and "<OME" in text[:4096] and len(text) < MOST_XML else ""


def read_images(text: str) -> list[Pixels]:
    """Return the images that a text describes, up to where it is broken."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return []  # OME-XML has neither; entities can be made to fill the memory
    parser: Any = ElementTree.XMLPullParser(["start"])
    parser.feed(text)
    elements: list[ElementTree.Element] = []
    with contextlib.suppress(ElementTree.ParseError):  # raised where the text is broken, after what stands before
        elements.extend(element for _, element in parser.read_events())
    images: list[tuple[dict[str, str], list[dict[str, str]], list[str]]] = []
    for element in elements:
        name = element.tag.rpartition("}")[2]
        if name == "Image":
            images.append(({}, [], [""]))
        elif not images:
            continue
        elif name == "Pixels" and not images[-1][0]:
            images[-1][0].update(element.attrib)
        elif name == "Plane":
            images[-1][1].append(dict(element.attrib))
        elif name == "StageLabel":
            images[-1][2][0] = element.get("Name", "")
    return [Pixels(attributes, tuple(planes), label[0]) for attributes, planes, label in images if attributes]


def stage_positions(file: tifffile.TiffFile) -> list[str]:
    """Return where the stage was at each of a file's images, in words to compare; equal where nothing is said."""
    places = []
    for image in read_images(ome_text(file)):
        first: dict[str, Any] = dict(image.planes[0]) if image.planes else {}
        places.append(f"{image.label} {first.get('PositionX', '')} {first.get('PositionY', '')}")
    return places
