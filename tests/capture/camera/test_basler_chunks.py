"""Chunk data, on a strict fake of the SDK's nodes and buffers; the emulator's answer is in test_basler."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from capture.camera.basler_chunks import ChunkReader

genicam = pytest.importorskip("pypylon.genicam", reason="the Basler SDK is not installed (extra basler)")


class Node:
    """A node that fails on use without access, as the SDK's do."""

    def __init__(self, value: Any = None, readable: bool = True, writable: bool = True) -> None:
        self._value, self.readable, self.writable = value, readable, writable

    @property
    def Value(self) -> Any:
        assert self.readable, "read without access"
        return self._value

    @Value.setter
    def Value(self, value: Any) -> None:
        assert self.writable, "written without access"
        self._value = value


ABSENT = Node(readable=False, writable=False)


class Camera:
    """Node map of a camera whose chunk selector exists only while the main switch is on."""

    def __init__(self, words: tuple[str, ...], *, selector_always: bool = False, broken: str = "") -> None:
        self.mode = Node(False)
        self.chosen = words[0] if words else ""
        self.enabled = dict.fromkeys(words, False)
        self._always = selector_always
        self._broken = broken

    def GetNode(self, name: str) -> Any:
        return {"ChunkModeActive": self.mode, "ChunkSelector": Selector(self), "ChunkEnable": Enable(self)}[name]

    @property
    def selectable(self) -> bool:
        return bool(self.enabled) and (self._always or bool(self.mode.Value))

    def works(self, word: str) -> bool:
        return word != self._broken


@dataclass
class Selector:
    camera: Camera

    @property
    def readable(self) -> bool:
        return self.camera.selectable

    @property
    def Symbolics(self) -> tuple[str, ...]:
        assert self.readable
        return tuple(self.camera.enabled)

    def GetEntryByName(self, word: str) -> Node:
        return Node(word)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "Value":
            assert value in self.camera.enabled, "no such word"
            self.camera.chosen = value
        object.__setattr__(self, name, value)


class Enable:
    def __init__(self, camera: Camera) -> None:
        object.__setattr__(self, "camera", camera)

    readable = writable = property(lambda self: self.camera.selectable)
    Value = property(lambda self: self.camera.enabled[self.camera.chosen])

    def __setattr__(self, name: str, value: Any) -> None:
        assert name == "Value"
        assert self.writable
        if self.camera.works(self.camera.chosen):
            self.camera.enabled[self.camera.chosen] = value


@dataclass
class Buffer:
    """A buffer of the camera: its chunks can be read while it is held, and only those that were switched on."""

    camera: Camera
    values: dict[str, float]
    held: bool = True
    reads: list[str] = field(default_factory=list)

    def IsChunkDataAvailable(self) -> bool:
        assert self.held, "used after its release"
        return bool(self.camera.mode.Value) and any(self.camera.enabled.values())

    def GetChunkDataNodeMap(self) -> "Buffer":
        assert self.IsChunkDataAvailable()
        return self

    def GetNode(self, name: str) -> Node:
        word = name.removeprefix("Chunk")
        return Node(self.values[word], writable=False) if self.camera.enabled.get(word) else ABSENT


@pytest.fixture(autouse=True)
def access(monkeypatch: pytest.MonkeyPatch) -> None:
    for function, attribute in (("IsReadable", "readable"), ("IsWritable", "writable"), ("IsAvailable", "readable")):
        monkeypatch.setattr(genicam, function, lambda node, a=attribute: getattr(node, a))


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        pytest.param(Camera(("Image", "ExposureTime", "Gain")), {"exposure_us": 5000.0, "gain": 2.0}, id="USB"),
        pytest.param(Camera(("GainAll", "ExposureTime")), {"exposure_us": 5000.0, "gain": 7.0}, id="classic GigE"),
        pytest.param(Camera(("ExposureTime",), selector_always=True), {"exposure_us": 5000.0}, id="exposure alone"),
        pytest.param(Camera(("ExposureTime", "Gain"), broken="Gain"), {"exposure_us": 5000.0}, id="one does not work"),
    ],
)
def test_each_frames_own_exposure_and_gain_are_read_with_it(camera, expected):
    reader = ChunkReader(camera)
    assert camera.mode.Value is True
    buffer = Buffer(camera, {"ExposureTime": 5000.0, "Gain": 2.0, "GainAll": 7.0, "Image": 0.0})
    assert reader.read(buffer) == expected
    buffer.values["ExposureTime"] = 6000.0
    assert reader.read(buffer)["exposure_us"] == 6000.0
    for nothing in (0.0, float("nan")):
        buffer.values["ExposureTime"] = nothing
        assert "exposure_us" not in reader.read(buffer), "a chunk that was not filled in says nothing"


@pytest.mark.parametrize(
    "camera",
    [
        pytest.param(Camera(()), id="a switch and nothing behind it"),
        pytest.param(Camera(("Image", "CRC")), id="only others"),
    ],
)
def test_a_camera_without_them_stays_as_it_is(camera):
    reader = ChunkReader(camera)
    assert camera.mode.Value is False
    assert reader.names == {}
    buffer = Buffer(camera, {})
    buffer.held = False  # must not even be asked
    assert reader.read(buffer) == {}
