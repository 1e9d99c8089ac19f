"""Files that no source reads, such as vendors' own formats: named, with the way to convert them.

It knows the first bytes of formats and reads nothing else.
"""

from pathlib import Path
from typing import Final

from capture.files.names import IMAGE_ENDINGS
from station.errors import InputError
from station.files import open_regular

HEAD_BYTES: Final = 4096
PLAIN_VIDEO: Final = b"YUV4MPEG2"
"""The one video format that may have no zero byte at its beginning."""
AS_TIFF: Final = "save it as OME-TIFF or uncompressed AVI"
FIJI: Final = f"open it in Fiji (File > Import > Bio-Formats) and {AS_TIFF}"
FOREIGN: Final = (
    (b"\xda\xce\xbe\x0a", "a Nikon ND2 file", f"export it from NIS-Elements, or {FIJI}"),
    (b"ZISRAWFILE", "a Zeiss CZI file", f"export it from ZEN, or {FIJI}"),
    (b"p\0\0\0", "a Leica LIF file", f"export it from LAS X, or {FIJI}"),
    (b"\xed\xfe\0\0", "a Norpix SEQ file (StreamPix)", "export it from StreamPix as uncompressed AVI or TIFF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE file (Olympus OIB, old Zeiss ZVI)", FIJI),
    (b"OLYMPUSRAWFORMAT", "an Olympus OIR file", FIJI),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Imaris IMS and others)", FIJI),
    (b"Andor Technology", "an Andor SIF file", f"export it from Solis, or {FIJI}"),
    (b"IMGE", "an Olympus VSI or ETS file", FIJI),
    (b"SIS\0", "an Olympus ETS file", FIJI),
    (b"\x93NUMPY", "a NumPy array", "save it as TIFF (tifffile.imwrite)"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it and give the video in it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and give the video in it"),
    (b"Rar!", "a RAR archive", "unpack it and give the video in it"),
    (b"7z\xbc\xaf'\x1c", "a 7-Zip archive", "unpack it and give the video in it"),
    (b"%PDF", "a PDF document", "give a video, a TIFF stack or a folder of images"),
    (b"\x89PNG\r\n\x1a\n", "an image", "to read images give their folder"),
    (b"\xff\xd8\xff", "an image", "to read images give their folder"),
)
"""First bytes, what it is, the way out. A bare MJPEG stream begins like an image."""
BY_ENDING: Final = {
    ".nd2": ("a Nikon ND2 file", f"export it from NIS-Elements, or {FIJI}"),
    ".czi": ("a Zeiss CZI file", f"export it from ZEN, or {FIJI}"),
    ".lif": ("a Leica LIF file", f"export it from LAS X, or {FIJI}"),
    ".seq": ("a SEQ file", "export it from the program that recorded it (StreamPix) as uncompressed AVI or TIFF"),
    ".vsi": ("an Olympus VSI file", FIJI),
    ".oir": ("an Olympus OIR file", FIJI),
    ".oib": ("an Olympus OIB file", FIJI),
    ".ims": ("an Imaris IMS file", FIJI),
    ".sif": ("an Andor SIF file", FIJI),
    ".spe": ("a Princeton Instruments SPE file", FIJI),
    ".cine": ("a Phantom CINE file", "export it from PCC as uncompressed AVI or TIFF"),
    ".raw": ("raw sensor data without a header", f"open it in Fiji (File > Import > Raw) and {AS_TIFF}"),
    ".mraw": ("a Photron MRAW file", "export it from PFV as uncompressed AVI or TIFF"),
}
"""For files whose first bytes tell nothing."""


def refuse_foreign(path: Path) -> None:
    """Raise InputError for a file that no source reads, and for text, which FFmpeg would render as characters."""
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"source {path}: cannot be read ({error.strerror}); give a readable file") from error
    if not head:
        raise InputError(f"source {path}: expected a video, got an empty file; give a video file that FFmpeg can read")
    for magic, what, way_out in FOREIGN:
        if head.startswith(magic) and not _is_mjpeg(path, what):
            raise InputError(f"source {path}: expected a video, got {what}; {way_out}")
    if path.suffix.lower() in IMAGE_ENDINGS:
        raise InputError(f"source {path}: expected a video, got an image; to read images give their folder")
    if b"\0" not in head and not head.startswith(PLAIN_VIDEO):
        raise InputError(
            f"source {path}: expected a video, got text or something else; give a video file that FFmpeg can read"
        )


def unreadable(path: Path) -> InputError:
    """Return the error for a file that FFmpeg cannot read; its ending may tell what it is."""
    if named := BY_ENDING.get(path.suffix.lower()):
        what, way_out = named
        return InputError(f"source {path}: expected a video, got {what}, which cannot be read; {way_out}")
    return InputError(
        f"source {path}: expected a video, but it cannot be read as one (cut short, damaged or something else); give a "
        "video file that FFmpeg can read"
    )


def _is_mjpeg(path: Path, what: str) -> bool:
    """Return whether a file that begins as a JPEG image continues with a second one."""
    if what != "an image" or path.suffix.lower() in IMAGE_ENDINGS:
        return False
    with open_regular(path) as file:
        return b"\xff\xd9\xff\xd8" in file.read(1 << 24)
