"""What all readers of files share: which endings are images, how files are named to people, and OpenCV kept quiet."""

from pathlib import Path

import cv2

TIFF_ENDINGS = (".tif", ".tiff")
DEFAULT_FPS = 15.0
"""Frame rate of images that state none."""
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", *TIFF_ENDINGS)


def silence() -> None:
    """Stop OpenCV from writing to stderr: what is wrong with a file is said once, by a notice or an InputError."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def shown_name(path: Path) -> str:
    """Return the last two parts of a path, such as "12/video.mp4"."""
    return "/".join(path.absolute().parts[-2:])


def assumed_rate(name: str, fps: float) -> str:
    """Return the notice for a source of which nobody states the frame rate."""
    return f"{name}: its frame rate is not known, {fps:g}/s is assumed; set [source] fps"
