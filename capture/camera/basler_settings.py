"""The settings of a Basler camera: applied in the order of their dependencies, and read back.

Camera families name the same thing differently (ExposureTime, ExposureTimeAbs); the first name that a camera has is
used. A value that a camera cannot take is refused with its range, never changed silently.
"""

import difflib
from typing import Any

from capture.camera.basler_discovery import short
from capture.source import ExposureChange
from station.config import CameraSettings
from station.errors import InputError

EXPOSURE = ("ExposureTime", "ExposureTimeAbs")
GAIN = ("Gain", "GainRaw")
RATE = ("AcquisitionFrameRate", "AcquisitionFrameRateAbs")
RESULTING_RATE = ("ResultingFrameRate", "ResultingFrameRateAbs", "BslResultingAcquisitionFrameRate", *RATE)
SLOWER = 0.98
"""A resulting rate below this share of the requested one causes a notice."""


def apply_settings(nodes: Any, settings: CameraSettings) -> tuple[dict[str, str], list[str]]:
    """Apply the configured settings and leave the others as the camera has them.

    Returns all settings as the camera accepted them, by their configuration names, and notices. Raises InputError for
    what the camera cannot do, with what it can.
    """
    for name, value in settings.features.items():
        _feature(nodes, name, value)
    _choose(nodes, "PixelFormat", settings.pixel_format, "pixel_format")
    _region(nodes, settings)
    if settings.exposure_us is not None:
        _manual(nodes, "ExposureAuto")
        _number(nodes, EXPOSURE, settings.exposure_us, "exposure_us", "us")
    if settings.gain is not None:
        _manual(nodes, "GainAuto")
        _number(nodes, GAIN, settings.gain, "gain", "")
    if settings.fps is not None:
        enable = nodes.GetNode("AcquisitionFrameRateEnable")
        if _writable(enable):
            enable.Value = True
        _number(nodes, RATE, settings.fps, "fps", "frames/s")
    _trigger(nodes, settings)
    return _read_back(nodes, settings), _notices(nodes, settings)


def adjust_exposure(nodes: Any, change: ExposureChange, fps: float | None, edge: str) -> dict[str, str]:
    """Set exposure, gain and trigger of a camera that is grabbing; return what it accepted, by configuration names.

    Args:
        nodes: Of the camera.
        change: What to set.
        fps: The rate that the run goes by, frames/s; None: a trigger sets it.
        edge: Of a trigger's signals: "rising" or "falling".

    Raises InputError for what the camera cannot do; then everything is as it was before.
    """
    names = (EXPOSURE, GAIN, *((("TriggerSource",), ("TriggerMode",)) if change.trigger is not None else ()))
    touched = [node for node in (_first(nodes, candidates) for candidates in names) if node is not None]
    before = [node.Value for node in touched]
    try:
        if change.exposure_us is not None:
            _manual(nodes, "ExposureAuto")
            _number(nodes, EXPOSURE, change.exposure_us, "exposure_us", "us")
        if change.gain is not None:
            _manual(nodes, "GainAuto")
            _number(nodes, GAIN, change.gain, "gain", "")
        if change.trigger is not None:
            _switch_trigger(nodes, change.trigger, edge)
        free = frame_rate_of(nodes)
        if fps is not None and change.trigger is not None and free * SLOWER > fps:
            raise InputError(
                f"[camera] trigger: without one the camera takes {free:.1f} frames/s, and this run goes by {fps:g}; "
                "set [camera] fps and start again"
            )
        if fps is not None and free < SLOWER * fps:
            raise InputError(
                f"[camera] exposure_us: {exposure_ns_of(nodes) / 1000:g} us would slow the camera from {fps:g} to "
                f"{free:.1f} frames/s; the interval is {1e6 / fps:.0f} us"
            )
    except InputError:
        for node, value in zip(touched, before, strict=True):
            if _writable(node):
                node.Value = value
        raise
    read = {"exposure_us": _first(nodes, EXPOSURE), "gain": _first(nodes, GAIN)}
    accepted = {key: str(node.Value) for key, node in read.items() if node is not None}
    return accepted | ({"trigger": _trigger_of(nodes)} if change.trigger is not None else {})


def _switch_trigger(nodes: Any, trigger: str, edge: str) -> None:
    """Set the trigger of a camera that is grabbing. Raises InputError where it does not allow that."""
    mode = _first(nodes, ("TriggerMode",))
    if mode is None or not _writable(mode):
        raise InputError("[camera] trigger: the camera does not allow setting it now; set it in the configuration")
    if trigger == "off":
        _choose(nodes, "TriggerMode", "Off", "trigger")
        return
    _choose(nodes, "TriggerSelector", "FrameStart", "trigger")
    _choose(nodes, "TriggerSource", trigger.capitalize(), "trigger")
    _choose(nodes, "TriggerActivation", f"{edge.capitalize()}Edge", "trigger_edge")
    _choose(nodes, "TriggerMode", "On", "trigger")


def _trigger_of(nodes: Any) -> str:
    """Return the trigger as the camera has it, in the configuration's words."""
    mode, source = _first(nodes, ("TriggerMode",)), _first(nodes, ("TriggerSource",))
    return "off" if mode is None or source is None or mode.Value == "Off" else str(source.Value).lower()


def exposure_ns_of(nodes: Any) -> int:
    """Return the exposure time; 0 if the camera does not state it."""
    node = _first(nodes, EXPOSURE)
    return 0 if node is None else round(node.Value * 1000)


def frame_rate_of(nodes: Any) -> float:
    """Return the frame rate, 1/s, that results from all settings."""
    node = _first(nodes, RESULTING_RATE)
    if node is None or not node.Value > 0:
        raise InputError("source basler: the camera does not state its frame rate; set [source] fps")
    return float(node.Value)


def _region(nodes: Any, settings: CameraSettings) -> None:
    """Set size and position of the image on the sensor; a size without a position is centred."""
    for size_name, offset_name, size, offset, key in (
        ("Width", "OffsetX", settings.width, settings.offset_x, "width"),
        ("Height", "OffsetY", settings.height, settings.offset_y, "height"),
    ):
        offset_node = nodes.GetNode(offset_name)
        if size is not None:
            if _writable(offset_node):
                offset_node.Value = offset_node.Min  # else the old offset limits the new size
            _number(nodes, (size_name,), size, key, "px")
            if offset is None and _writable(offset_node):
                middle = (offset_node.Max + offset_node.Min) // 2
                offset_node.Value = middle - (middle - offset_node.Min) % offset_node.Inc
        if offset is not None:
            _number(nodes, (offset_name,), offset, key.replace("width", "offset_x").replace("height", "offset_y"), "px")


def _trigger(nodes: Any, settings: CameraSettings) -> None:
    if settings.trigger != "off":  # opening the camera has switched all triggers off
        _switch_trigger(nodes, settings.trigger, settings.trigger_edge)


def _read_back(nodes: Any, settings: CameraSettings) -> dict[str, str]:
    names = {
        "pixel_format": ("PixelFormat",),
        "width": ("Width",),
        "height": ("Height",),
        "offset_x": ("OffsetX",),
        "offset_y": ("OffsetY",),
        "exposure_us": EXPOSURE,
        "exposure_auto": ("ExposureAuto",),
        "gain": GAIN,
        "gain_auto": ("GainAuto",),
        "fps": RESULTING_RATE,
        "firmware": ("DeviceFirmwareVersion",),
    }
    read = {key: _first(nodes, candidates) for key, candidates in names.items()}
    accepted = {key: str(node.Value) for key, node in read.items() if node is not None}
    features = {name: nodes.GetNode(name) for name in settings.features}
    accepted |= {f"features.{name}": node.ToString() for name, node in features.items() if _readable(node)}
    return accepted | {"trigger": settings.trigger}


def _notices(nodes: Any, settings: CameraSettings) -> list[str]:
    notices = []
    for name, key in (("ExposureAuto", "exposure_us"), ("GainAuto", "gain")):
        node = _first(nodes, (name,))
        if node is not None and node.Value != "Off":
            notices.append(f"the camera's automatic {key.split('_')[0]} is on, so grades may drift; set [camera] {key}")
    resulting = _first(nodes, RESULTING_RATE)
    if settings.fps is not None and resulting is not None and resulting.Value < SLOWER * settings.fps:
        notices.append(
            f"{settings.fps:g} frames/s requested, but the camera reaches {resulting.Value:.1f} at this exposure "
            "and image size"
        )
    return notices


def _number(nodes: Any, names: tuple[str, ...], value: float, key: str, unit: str) -> None:
    """Set a number. Raises InputError with the range."""
    node = _first(nodes, names)
    if node is None:
        raise InputError(f"[camera] {key}: this camera has no such setting; remove the key")
    low, high = node.Min, node.Max
    whole = isinstance(low, int)
    step = node.Inc if whole else 1
    given = f"{value:g}" + (f" {unit}" if unit else "")
    if not low <= value <= high:
        nearest = low if value < low else high
        raise InputError(
            f"[camera] {key}: {given} is outside the camera's range, {low:g} to {high:g}; the nearest is {nearest:g}"
        )
    if whole and (value - low) % step:
        below = int(value - (value - low) % step)
        raise InputError(
            f"[camera] {key}: {given} is not one of the camera's steps ({low} to {high} in steps of {step}); "
            f"the nearest are {below} and {below + step}"
        )
    if not _writable(node):
        raise InputError(
            f"[camera] {key}: the camera does not allow setting it now (it is {node.Value}); remove the key"
        )
    node.Value = int(value) if whole else float(value)


def _feature(nodes: Any, name: str, value: bool | float | str) -> None:
    """Set a node by the camera's own name, or execute a command. Raises InputError with the nearest name."""
    from pypylon import genicam

    key, node = f"[camera.features] {name}", nodes.GetNode(name)
    if not genicam.IsImplemented(node):
        known = [n.GetNode().GetName() for n in nodes.GetNodes() if genicam.IsImplemented(n)]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise InputError(f"{key}: this camera has no such setting; did you mean {near[0] if near else 'another'!r}?")
    if not _writable(node):
        raise InputError(f"{key}: the camera does not allow setting it now; remove the key")
    try:
        if node.GetNode().GetPrincipalInterfaceType() == genicam.intfICommand:
            if value is True:
                node.Execute()
            return
        node.FromString(str(value).lower() if isinstance(value, bool) else str(value))
    except genicam.GenericException as error:
        raise InputError(f"{key}: the camera does not accept {value!r} ({short(error)}); change the value") from error


def _choose(nodes: Any, name: str, value: str, key: str) -> None:
    """Set an enumeration node. Raises InputError with its entries."""
    node = _first(nodes, (name,))
    if node is None:
        raise InputError(f"[camera] {key}: this camera has no such setting; remove the key")
    valid = [word for word in node.Symbolics if _available(node.GetEntryByName(word))]
    if value not in valid:
        raise InputError(f"[camera] {key}: the camera has no {value!r}; it has {', '.join(valid)}")
    if node.Value != value:
        node.Value = value


def _manual(nodes: Any, name: str) -> None:
    """Switch an automatic function off, if the camera has it."""
    node = nodes.GetNode(name)
    if _writable(node):
        node.Value = "Off"


def _first(nodes: Any, names: tuple[str, ...]) -> Any | None:
    """Return the first of the nodes that the camera has and can read; None if it has none."""
    from pypylon import genicam

    for name in names:
        node = nodes.GetNode(name)
        if genicam.IsReadable(node):
            return node
    return None


def _readable(node: Any) -> bool:
    from pypylon import genicam

    return bool(genicam.IsReadable(node))


def _writable(node: Any) -> bool:
    from pypylon import genicam

    return bool(genicam.IsWritable(node))


def _available(node: Any) -> bool:
    from pypylon import genicam

    return bool(genicam.IsAvailable(node))
