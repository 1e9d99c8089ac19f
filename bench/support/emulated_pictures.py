"""Pictures for the Basler SDK's emulated camera: swimming sperm there and back again, so that they can be tracked.

The emulator shows the pictures of a folder in the order of their names and begins again at the end. The simulated
microscope's frames are written once forward and once backward: no jump where it begins again; and in slow motion, so
that the turn does not throw a tracker off. Bitmaps, because the emulator decodes each picture anew and has nothing to
decode there. It knows no camera.
"""

from pathlib import Path

import cv2

from capture.simulator.microscope import SimulatedMicroscope
from station.config import SimulatedSettings

FORWARD_FRAMES = 80
SLOW_MOTION = 6


def write_pictures(folder: Path, settings: SimulatedSettings) -> dict[str, bool | int | float | str]:
    """Write the pictures to ``folder``; return the camera features (by the SDK's names) that show them."""
    folder.mkdir(parents=True, exist_ok=True)
    slow = settings.model_copy(update={"fps": min(500.0, SLOW_MOTION * settings.fps)})
    with SimulatedMicroscope(slow) as microscope:
        frames = [microscope.read().pixels for _ in range(FORWARD_FRAMES)]
    for number, pixels in enumerate([*frames, *frames[-2:0:-1]]):
        cv2.imwrite(str(folder / f"{number:05}.bmp"), pixels)
    return {"TestImageSelector": "Off", "ImageFilename": str(folder), "ImageFileMode": "On"}
