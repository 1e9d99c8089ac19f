"""The Basler SDK's emulated camera, under the bench's control: opened, made to fail, and pretended away.

It knows the SDK's own fault commands; what a fault should lead to is the benches' business.
"""

import os
import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

from capture.camera.basler import BaslerDevice
from capture.camera.basler_discovery import list_cameras
from station.config import CameraSettings
from station.errors import InputError


def emulated_camera() -> str:
    """Return the serial number of the SDK's emulated camera. Raises InputError where there is none."""
    os.environ.setdefault("PYLON_CAMEMU", "1")  # read when the SDK is first imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        serials = [camera.serial for camera in list_cameras() if camera.device_class == "BaslerCamEmu"]
    if not serials:
        raise InputError("the Basler SDK offers no emulated camera; set PYLON_CAMEMU=1")
    return serials[0]


@dataclass(slots=True)
class Connection:
    """Opens the emulated camera, keeps its SDK object so that faults can be triggered, and can pretend it is gone."""

    serial: str
    settings: CameraSettings
    sdk_camera: Any = None
    back_at: float = 0.0

    def __call__(self) -> BaslerDevice:
        """Open the camera. Raises InputError while it is away."""
        if time.monotonic() < self.back_at:
            raise InputError("pretended to be unplugged")
        return BaslerDevice(
            self.serial, self.settings, fps=None, um_per_px=None, prepare=partial(setattr, self, "sdk_camera")
        )

    def command(self, name: str, **values: int) -> None:
        """Set nodes, then execute a command node of the emulator; the call itself may run into the fault."""
        from pypylon import genicam

        nodes = self.sdk_camera.GetNodeMap()
        try:
            for node, value in values.items():
                nodes.GetNode(node).Value = value
            nodes.GetNode(name).Execute()
        except genicam.RuntimeException:
            return
