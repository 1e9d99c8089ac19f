"""What video files and pictures have in common: how files are named to people, and OpenCV kept quiet.

It knows no format.
"""

import os
from pathlib import Path

import cv2

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def silence() -> None:
    """Stop OpenCV and FFmpeg from writing to stderr: what is wrong with a file is said once, by an InputError.

    FFmpeg reads its level once per process, so this comes before the first file is opened.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def shown_name(path: Path) -> str:
    """Return the last two parts of a path, such as "12/video.mp4"."""
    return "/".join(path.absolute().parts[-2:])
