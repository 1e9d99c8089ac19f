"""Which Basler cameras are connected, and which one is meant.

The SDK, pypylon, is an optional extra and is imported on first use.
"""

from dataclasses import dataclass
from typing import Any

from station.errors import InputError, MissingExtraError

PREFIX = "basler"


@dataclass(frozen=True, slots=True)
class Found:
    """A camera that responded to discovery."""

    model: str
    serial: str
    device_class: str
    """Its transport: "BaslerUsb", "BaslerGigE", "BaslerCamEmu"."""

    def __str__(self) -> str:
        return f"{self.model} {self.serial}"


def import_pylon() -> Any:
    """Return the SDK's module. Raises MissingExtraError."""
    try:
        from pypylon import pylon
    except ImportError as error:
        raise MissingExtraError(f'source {PREFIX}: needs pypylon ({error}); pip install ".[basler]"') from error
    return pylon


def list_cameras() -> list[Found]:
    """Return the connected cameras, in the SDK's order. Raises MissingExtraError, or InputError if the SDK fails."""
    pylon = import_pylon()
    from pypylon import genicam

    try:
        devices = pylon.TlFactory.GetInstance().EnumerateDevices()
    except genicam.GenericException as error:
        raise InputError(
            f"source {PREFIX}: the Basler SDK cannot enumerate cameras ({short(error)}); reinstall it"
        ) from error
    return [Found(d.GetModelName(), d.GetSerialNumber(), d.GetDeviceClass()) for d in devices]


def choose(serial: str, found: list[Found]) -> int:
    """Return the index of the camera that is meant. Raises InputError that lists the cameras found."""
    listed = ", ".join(str(camera) for camera in found)
    if not found:
        raise InputError(
            f"{origin(serial)}: expected a camera, found none; check its cable and power, see `python run_station.py "
            "doctor`"
        )
    if not serial:
        if len(found) > 1:
            raise InputError(f"{origin(serial)}: found {len(found)} cameras ({listed}); choose with basler:SERIAL")
        return 0
    for index, camera in enumerate(found):
        if camera.serial == serial:
            return index
    raise InputError(f"{origin(serial)}: no camera has this serial number, found {listed}; give one of these")


def short(error: Exception) -> str:
    """Return the SDK's message without its source locations."""
    return str(error).split(" : ")[0].strip().rstrip(".")


def origin(serial: str) -> str:
    """Return the prefix of error messages about this source."""
    return f"source {PREFIX}:{serial}" if serial else f"source {PREFIX}"
