"""From a path to the source that reads it: a folder of images, a TIFF stack or a video.

The libraries (FFmpeg, tifffile) come with this module; a station at a microscope starts without it.
"""

from pathlib import Path

from capture.files.image_folder import ImageFolder, list_images
from capture.files.names import TIFF_ENDINGS
from capture.files.tiff.stack import TiffStack, is_stack, is_tiff
from capture.files.video import VideoFile
from capture.source import Source, possible_source
from station.errors import InputError
from station.files import require_regular


def open_file(
    path: Path, *, fps: float | None = None, um_per_px: float | None = None, bits: int | None = None
) -> Source:
    """Open an existing file or folder. What is given goes before what the file states. Raises InputError."""
    with possible_source(str(path)):
        return _open(path, fps, um_per_px, bits)


def _open(path: Path, fps: float | None, um_per_px: float | None, bits: int | None) -> Source:
    if path.is_dir():
        images = list_images(path)
        if len(images) != 1 or not is_stack(images[0]):
            return ImageFolder(path, fps=fps, um_per_px=um_per_px, bits=bits)
        path = images[0]  # the folder of an acquisition: the stack in it is the film
    try:
        require_regular(path)
    except OSError as error:
        raise InputError(
            f"source {path}: cannot be read ({error.strerror}); give a video, a stack or a folder"
        ) from error
    if is_tiff(path) or (path.is_file() and path.suffix.lower() in TIFF_ENDINGS):
        return TiffStack(path, fps=fps, um_per_px=um_per_px, bits=bits)
    return VideoFile(path, fps=fps, um_per_px=um_per_px, bits=bits)
