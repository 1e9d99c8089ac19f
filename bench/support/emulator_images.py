"""Images for the Basler SDK's emulated camera: simulated sperm, played forward and then backward.

The emulator loops over the images of a folder in the order of their names. The simulated microscope's frames are
written once forward and once backward, so the loop has no jump, and in slow motion, so the reversal does not throw off
a tracker. They are bitmaps because the emulator decodes every image each time it shows it. This module knows no camera.
"""

from pathlib import Path

import cv2

from capture.simulator.microscope import SimulatedMicroscope
from station.config import SimulatedSettings

FORWARD_FRAMES = 80
SLOW_MOTION = 6


def write_images(folder: Path, settings: SimulatedSettings) -> dict[str, bool | int | float | str]:
    """Write the images to ``folder``; return the camera features (by the SDK's names) that show them."""
    folder.mkdir(parents=True, exist_ok=True)
    slow = settings.model_copy(update={"fps": min(500.0, SLOW_MOTION * settings.fps)})
    with SimulatedMicroscope(slow) as microscope:
        frames = [microscope.read().pixels for _ in range(FORWARD_FRAMES)]
    for number, pixels in enumerate([*frames, *frames[-2:0:-1]]):
        cv2.imwrite(str(folder / f"{number:05}.bmp"), pixels)
    return {"TestImageSelector": "Off", "ImageFilename": str(folder), "ImageFileMode": "On"}
