"""A Basler camera through pypylon (an optional extra): opening it, its buffers, its clock.

Discovery is in ``capture.camera.basler_discovery``, settings are in ``capture.camera.basler_settings``, threads, times
and reconnecting in ``capture.camera.camera``. Every buffer is taken in order (OneByOne). Mono8 is passed on as it
arrives; other pixel formats go through the SDK's converter, which keeps the upper 8 bits and converts Bayer and RGB to
grey; the cost per frame is measured and shown.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.camera.basler_chunks import ChunkReader
from capture.camera.basler_discovery import PREFIX, Found, choose, import_pylon, list_cameras, origin, short
from capture.camera.basler_settings import adjust_exposure, apply_settings, exposure_ns_of, frame_rate_of
from capture.camera.camera import Camera
from capture.camera.device import DeviceLostError, Grab
from capture.source import ExposureChange
from station.clock import NS_PER_S, now_ns
from station.config import CameraSettings
from station.errors import InputError
from station.transport.control_messages import SourceInfo

GIGE_FRAME_IDS = 0xFFFF
"""Frame numbers of classic GigE cameras run from 1 to this, then start again at 1."""
NO_FRAME_ID = 0xFFFF_FFFF_FFFF_FFFF


def open_basler(
    serial: str,
    settings: CameraSettings,
    *,
    fps: float | None = None,
    um_per_px: float | None = None,
    prepare: Callable[[Any], None] | None = None,
) -> Camera:
    """Open a camera as a source and start grabbing.

    ``serial`` may be empty if there is only one. ``fps`` is the nominal rate, required for a triggered camera.
    ``prepare`` gets the SDK's camera object each time it is opened, before the settings are applied (the emulator's
    images are chosen there). Raises InputError.
    """
    connect = partial(BaslerDevice, serial, settings, fps=fps, um_per_px=um_per_px, prepare=prepare)
    try:
        return Camera(connect)
    except DeviceLostError as error:
        raise InputError(
            f"{origin(serial)}: the camera was lost while it was being opened ({error}); check its cable and try again"
        ) from error


class BaslerDevice:
    """A Device (see ``capture.camera.camera``): one open, grabbing camera of the SDK."""

    def __init__(
        self,
        serial: str,
        settings: CameraSettings,
        *,
        fps: float | None,
        um_per_px: float | None,
        prepare: Callable[[Any], None] | None = None,
    ) -> None:
        """Open the camera, apply the settings, read them back and start. Raises InputError, DeviceLostError."""
        self._pylon = pylon = import_pylon()
        from pypylon import genicam

        self._sdk_error = genicam.GenericException
        self._settings = settings
        self.triggered = settings.trigger != "off"
        if self.triggered and fps is None:
            raise InputError(
                f"{origin(serial)}: a triggered camera does not know its frame rate; set the trigger's in [source] fps"
            )
        found = list_cameras()
        self._found = found[choose(serial, found)]
        self._camera = _open(pylon, self._sdk_error, self._found)
        try:
            if prepare is not None:
                prepare(self._camera)
            nodes = self._camera.GetNodeMap()
            accepted, notices = apply_settings(nodes, settings)
            self._chunks = ChunkReader(nodes)
            accepted |= {"camera": str(self._found), "chunks": " ".join(self._chunks.names.values()) or "none"}
            self.exposure_ns = exposure_ns_of(nodes)
            self.info = SourceInfo(
                name=f"Basler {self._found}",
                height=int(nodes.GetNode("Height").Value),
                width=int(nodes.GetNode("Width").Value),
                fps=fps or frame_rate_of(nodes),
                um_per_px=um_per_px,
                settings=accepted,
            )
            self._ns_per_tick = _ns_per_tick(nodes)
            self._latch_nodes = _latch_nodes(nodes)
            self._converter = pylon.ImageFormatConverter()
            self._converter.OutputPixelFormat = pylon.PixelType_Mono8
            self._mono8 = accepted["pixel_format"] == "Mono8"
            self._wraps = self._found.device_class == "BaslerGigE"
            self._ids_before = 0
            self._last_id = 0
            self._camera.MaxNumBuffer.Value = settings.buffers
            self._camera.StartGrabbing(pylon.GrabStrategy_OneByOne, pylon.GrabLoop_ProvidedByUser)
            self.notices = (*notices, *self._conversion_notice())
        except self._sdk_error as error:
            self.close()
            raise DeviceLostError(short(error)) from error
        except BaseException:
            self.close()
            raise

    def grab(self, timeout_s: float) -> Grab | None:
        """Return the next buffer in order, None if none came in time. Raises DeviceLostError."""
        try:
            result = self._camera.RetrieveResult(round(timeout_s * 1000), self._pylon.TimeoutHandling_Return)
            if self._camera.IsCameraDeviceRemoved():
                raise DeviceLostError("it was unplugged or switched off")
            if not result.IsValid():
                return None
            try:
                complete = result.GrabSucceeded()
                ticks = result.TimeStamp
                return Grab(
                    pixels=self._pixels(result) if complete else None,
                    frame_id=self._frame_id(result.BlockID),
                    camera_ns=round(ticks * self._ns_per_tick) if ticks else None,
                    **(self._chunks.read(result) if complete else {}),
                )
            finally:
                result.Release()
        except self._sdk_error as error:
            raise DeviceLostError(short(error)) from error

    def adjust(self, change: ExposureChange) -> None:
        """Take another exposure, gain or trigger. Raises InputError, with nothing changed, or DeviceLostError."""
        try:
            nodes = self._camera.GetNodeMap()
            triggered = self.triggered if change.trigger is None else change.trigger != "off"
            accepted = adjust_exposure(nodes, change, None if triggered else self.info.fps, self._settings.trigger_edge)
            self.triggered = triggered
            self.exposure_ns = exposure_ns_of(nodes)
        except self._sdk_error as error:
            raise DeviceLostError(short(error)) from error
        self.info = self.info.model_copy(update={"settings": self.info.settings | accepted})

    def latch(self) -> tuple[int, int] | None:
        """Return the camera's and the station's time at one moment, ns; None if the camera has no latch."""
        if self._latch_nodes is None:
            return None
        command, value = self._latch_nodes
        try:
            before_ns = now_ns()
            command.Execute()
            after_ns = now_ns()
            return round(value.Value * self._ns_per_tick), (before_ns + after_ns) // 2
        except self._sdk_error:
            self._latch_nodes = None  # not available while grabbing; if the camera is gone, grab() will report it
            return None

    def close(self) -> None:
        """Release the camera; may be called more than once, and after it was lost."""
        try:
            self._camera.StopGrabbing()
            self._camera.Close()
            self._camera.DestroyDevice()
        except self._sdk_error:
            pass  # it is gone already

    def _pixels(self, result: Any) -> NDArray[np.uint8]:
        """Return (H, W) uint8 in memory of its own: the SDK's Python binding copies the buffer."""
        source = result if self._mono8 else self._converter.Convert(result)
        return np.ascontiguousarray(source.Array, np.uint8)

    def _frame_id(self, block_id: int) -> int | None:
        """Return the camera's frame number, unwrapped."""
        if block_id == NO_FRAME_ID:
            return None
        if self._wraps and block_id < self._last_id <= GIGE_FRAME_IDS:
            self._ids_before += GIGE_FRAME_IDS
        self._last_id = block_id
        return self._ids_before + int(block_id)

    def _conversion_notice(self) -> tuple[str, ...]:
        """Return a notice of what the pixel conversion costs, measured on one frame; empty without a conversion."""
        if self._mono8 or self.triggered:
            return ()
        result = self._camera.RetrieveResult(round(2000 + 2000 / self.info.fps), self._pylon.TimeoutHandling_Return)
        if not (result.IsValid() and result.GrabSucceeded()):
            return ()
        self._pixels(result)  # the first conversion also sets up the converter
        start = time.perf_counter()
        self._pixels(result)
        cost_ms = (time.perf_counter() - start) * 1e3
        result.Release()
        name = self.info.settings["pixel_format"]
        return (f"pixel format {name} is converted to grey, {cost_ms:.1f} ms a frame here; Mono8 needs no conversion",)


def _open(pylon: Any, sdk_error: type[Exception], found: Found) -> Any:
    """Return the open camera. Raises InputError if it cannot be opened, most often because it is in use."""
    factory = pylon.TlFactory.GetInstance()
    wanted = pylon.DeviceInfo()
    wanted.SetDeviceClass(found.device_class)
    wanted.SetSerialNumber(found.serial)
    try:
        camera = pylon.InstantCamera(factory.CreateDevice(wanted))
        camera.Open()
    except sdk_error as error:
        raise InputError(
            f"source {PREFIX}: camera {found} cannot be opened: another program is using it, or it does not respond "
            f"({short(error)}); close that program (pylon Viewer, another station) and start again"
        ) from error
    return camera


def _ns_per_tick(nodes: Any) -> float:
    """Return the length of a time stamp tick: classic GigE cameras state it, all others count in ns."""
    node = nodes.GetNode("GevTimestampTickFrequency")
    return NS_PER_S / node.Value if _available(node) and node.Value else 1.0


def _latch_nodes(nodes: Any) -> tuple[Any, Any] | None:
    """Return the command that latches the camera's time and the node that holds it; GenICam SFNC and GigE names."""
    for names in (("TimestampLatch", "TimestampLatchValue"), ("GevTimestampControlLatch", "GevTimestampValue")):
        command, value = (nodes.GetNode(name) for name in names)
        if _available(command) and _available(value):
            return command, value
    return None


def _available(node: Any) -> bool:
    from pypylon import genicam

    return bool(genicam.IsAvailable(node))
