"""What video files and images have in common: how files are named to people, and OpenCV kept quiet.

It knows no format.
"""

from pathlib import Path

import cv2

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def silence() -> None:
    """Stop OpenCV from writing to stderr: what is wrong with a file is said once, by a notice or an InputError."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def shown_name(path: Path) -> str:
    """Return the last two parts of a path, such as "12/video.mp4"."""
    return "/".join(path.absolute().parts[-2:])
