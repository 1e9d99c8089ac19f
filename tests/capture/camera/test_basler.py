"""Basler cameras against the SDK's own emulator, and its faults."""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from capture.camera import basler_settings
from capture.camera.basler import BaslerDevice, open_basler
from capture.camera.basler_discovery import Found, choose, list_cameras
from capture.camera.camera import Camera
from capture.factory import open_source
from capture.source import CameraFaults, ExposureChange, Frame, Pending
from station.config import CameraSettings, build_config
from station.errors import InputError, MissingExtraError

SMALL = CameraSettings(width=128, height=96, fps=100)


class Handle:
    """Keeps the SDK's camera object of the latest connection, to trigger the emulator's faults."""

    def __init__(self, then: Callable[[Any], None] = lambda _: None) -> None:
        self.camera: Any = None
        self._then = then

    def __call__(self, camera: Any) -> None:
        self.camera = camera
        self._then(camera)

    def fail_buffers(self, count: int) -> None:
        self.camera.GetNodeMap().GetNode("ForceFailedBufferCount").Value = count
        self.camera.GetNodeMap().GetNode("ForceFailedBuffer").Execute()

    def unplug(self) -> None:
        """Make the SDK report a removal; the emulator itself would go on sending."""
        from pypylon import genicam

        with contextlib.suppress(genicam.RuntimeException):  # the command's own end may meet the removal
            self.camera.GetNodeMap().GetNode("FirePnPCallback").Execute()


def read(camera: Camera, count: int, limit_s: float = 15.0) -> list[Frame]:
    frames: list[Frame] = []
    deadline = time.monotonic() + limit_s
    while len(frames) < count:
        assert time.monotonic() < deadline, f"only {len(frames)} of {count} frames; {camera.condition}"
        frame = camera.read()
        if frame is not Pending.NOTHING_YET:
            frames.append(frame)
    return frames


def test_cameras_are_listed(emulator):
    assert [str(c) for c in list_cameras()] == [f"Emulation {serial}" for serial in emulator]


def test_frames_settings_and_info(emulator):
    settings = CameraSettings(width=1392, height=976, exposure_us=2500, gain=6, fps=50, offset_x=16)
    with open_basler(emulator[0], settings, um_per_px=0.2) as camera:
        assert camera.info.model_dump(exclude={"settings"}) == {
            "name": "Basler Emulation 0815-0000",
            "height": 976,
            "width": 1392,
            "fps": 50.0,
            "um_per_px": 0.2,
        }
        accepted = {
            "camera": "Emulation 0815-0000",
            "pixel_format": "Mono8",
            "width": "1392",
            "height": "976",
            "offset_x": "16",
            "offset_y": str((4096 - 976) // 2),
            "exposure_us": "2500.0",
            "exposure_auto": "Off",
            "gain_auto": "Off",
            "trigger": "off",
            "fps": "50.0",
            "chunks": "none",
        }
        assert {key: camera.info.settings[key] for key in accepted} == accepted
        assert float(camera.info.settings["gain"]) == pytest.approx(
            6, abs=1e-3
        )  # the camera's steps are finer than that
        frames = read(camera, 10)
    assert all(f.pixels.shape == (976, 1392) and f.pixels.dtype == np.uint8 for f in frames)
    assert all(f.pixels.flags.c_contiguous for f in frames)
    assert frames[0].t_source_ns == 0
    assert np.all(np.diff([f.t_source_ns for f in frames]) > 0)
    assert sum(f.lost_before for f in frames) == 0
    assert np.any(frames[0].pixels != frames[1].pixels)


def test_images_arrive_as_they_are(emulator, tmp_path: Path):
    image = np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)

    def show(camera: Any) -> None:
        nodes = camera.GetNodeMap()
        nodes.GetNode("TestImageSelector").Value = "Off"
        nodes.GetNode("ImageFilename").Value = str(tmp_path / "a.png")
        nodes.GetNode("ImageFileMode").Value = "On"

    with open_basler(emulator[0], SMALL, prepare=Handle(show)) as camera:
        frame = read(camera, 1)[0]
    np.testing.assert_array_equal(frame.pixels, image)


def test_any_feature_of_the_camera_can_be_set_and_is_read_back(emulator, tmp_path: Path):
    image = np.random.default_rng(1).integers(0, 256, (96, 128), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    features = {
        "ReverseX": True, "Gamma": 2, "TestImageSelector": "Off", "ImageFilename": str(tmp_path / "a.png"),
        "ImageFileMode": "On", "ForceFailedBufferCount": 3, "ForceFailedBuffer": True,
    }  # fmt: skip
    with open_basler(emulator[0], SMALL.model_copy(update={"features": features})) as camera:
        settings = camera.info.settings
        assert settings["features.ReverseX"] == "1"
        assert float(settings["features.Gamma"]) == 2
        frame = read(camera, 1)[0]
        assert camera.condition.faults.incomplete == frame.lost_before == 3
    assert frame.pixels.shape == image.shape


@pytest.mark.parametrize(
    ("pixel_format", "tolerance"), [("Mono12", 0), ("Mono16", 0), ("RGB8Packed", 0), ("BayerRG8", 2)]
)
def test_other_pixel_formats_become_grey_at_a_said_cost(emulator, pixel_format, tolerance):
    """The emulator's image is a ramp that rises by 1 per px: it must look so in each format."""
    with open_basler(emulator[0], SMALL.model_copy(update={"pixel_format": pixel_format})) as camera:
        pixels = read(camera, 1)[0].pixels.astype(int)
        assert len(camera.condition.notices) == 1
        assert f"{pixel_format} is converted to grey" in camera.condition.notices[0]
        assert "ms a frame" in camera.condition.notices[0]
    steps = np.abs(np.diff(pixels[2:-2, 2:-2], axis=1) - 1)
    assert np.mean(steps <= tolerance) > 0.95  # the ramp starts again once in 256 px, Bayer smears that over some px


def test_incomplete_buffers_are_counted_and_marked_and_no_frames(emulator):
    handle = Handle()
    with open_basler(emulator[0], SMALL, prepare=handle) as camera:
        read(camera, 5)
        handle.fail_buffers(20)
        lost, deadline = 0, time.monotonic() + 10
        while lost < 20 and time.monotonic() < deadline:
            lost += read(camera, 1)[0].lost_before
        assert lost == 20
        assert camera.condition.faults == CameraFaults(incomplete=20)


def test_an_unplugged_camera_is_opened_again_with_its_settings(emulator):
    handle = Handle()
    with open_basler(emulator[1], SMALL, prepare=handle) as camera:
        before = read(camera, 5)[-1]
        handle.unplug()
        start = time.monotonic()
        while camera.condition.faults.reconnects == 0:
            assert time.monotonic() - start < 5
            time.sleep(0.01)
        after = next(frame for frame in read(camera, 64) if frame.lost_before)
        assert after.lost_before >= 10  # it is looked for after 0.2 s at the earliest, 100 frames/s
        assert after.t_source_ns - before.t_source_ns > 200_000_000
        assert after.pixels.shape == (96, 128)
        assert camera.condition.notices == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"exposure_us": 1e9},
            r"exposure_us: 1e\+09 us is outside .*, 1 to 1e\+07; the nearest is 1e\+07",
            id="exposure",
        ),
        pytest.param({"width": 5000}, r"width: 5000 px is outside .*, 1 to 4096", id="width"),
        pytest.param({"width": 128, "offset_x": 4000}, r"offset_x: 4000 px is outside .*, 0 to 3968", id="place"),
        pytest.param({"pixel_format": "Mono9"}, r"no 'Mono9'; it has Mono8, Mono10", id="pixel format"),
        pytest.param({"gain": 99}, r"gain: 99 is outside .*, 0 to 48", id="gain"),
        pytest.param({"fps": 9999}, r"fps: 9999 frames/s is outside", id="rate"),
        pytest.param({"features": {"Gama": 1}}, r"Gama: this camera has no such .*mean 'Gamma'", id="no such feature"),
        pytest.param({"features": {"Gamma": "x"}}, r"Gamma: the camera does not accept 'x'", id="feature value"),
        pytest.param(
            {"features": {"DeviceVendorName": "x"}}, r"VendorName: .*not allow setting it", id="fixed feature"
        ),
        pytest.param({"trigger": "line4"}, r"trigger: the camera has no 'Line4'; it has .*Line1", id="trigger line"),
    ],
)
def test_what_the_camera_cannot_do_is_refused_in_one_line(emulator, settings, message):
    with pytest.raises(InputError, match=message) as error:
        open_basler(emulator[0], CameraSettings(**settings), fps=10)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("basler:4711", r"no camera has this serial number, found Emulation 0815-0000, Emulation 0815-0001; give one"),
        ("basler", r"found 2 cameras \(Emulation 0815-0000, .*choose with basler:SERIAL"),
    ],
)
@pytest.mark.usefixtures("emulator")
def test_a_camera_that_is_not_meant_is_not_taken(kind, message):
    with pytest.raises(InputError, match=message) as error:
        open_source(build_config({"source": {"kind": kind}}, "test"))
    assert "\n" not in str(error.value)


def test_no_camera_at_all():
    with pytest.raises(InputError, match=r"source basler: expected a camera, found none; check its cable") as error:
        choose("", [])
    assert "\n" not in str(error.value)
    assert choose("", [Found("a", "1", "x")]) == 0


def test_a_camera_that_another_program_has(emulator, monkeypatch):
    """The emulator can be opened twice; a real camera then fails with this error."""
    from pypylon import genicam, pylon

    def refuse(_self: Any) -> None:
        raise genicam.RuntimeException("The device is controlled by another application. : thrown in x")

    monkeypatch.setattr(pylon.InstantCamera, "Open", refuse)
    with pytest.raises(InputError, match=r"Emulation 0815-0000 cannot be opened: another program is using it") as error:
        open_basler(emulator[0], SMALL)
    assert "(The device is controlled by another application)" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_triggered_camera_needs_the_triggers_rate_and_waits_for_it(emulator):
    triggered = SMALL.model_copy(update={"trigger": "line1"})
    with pytest.raises(InputError, match=r"set the trigger's in \[source\] fps"):
        open_basler(emulator[0], triggered)
    device = BaslerDevice(emulator[0], triggered, fps=20, um_per_px=None)
    try:
        assert device.info.fps == 20
        nodes = device._camera.GetNodeMap()
        set_up = [nodes.GetNode(n).Value for n in ("TriggerMode", "TriggerSource", "TriggerActivation")]
        assert set_up == ["On", "Line1", "RisingEdge"]
    finally:
        device.close()
        device.close()


def test_a_triggered_camera_without_a_signal_says_so_within_two_seconds(emulator):
    """The emulator has no trigger input, so its line never fires."""
    with open_basler(emulator[0], SMALL.model_copy(update={"trigger": "line1"}), fps=20) as camera:
        start = time.monotonic()
        while not camera.condition.notices and time.monotonic() - start < 5:
            assert camera.read() is Pending.NOTHING_YET
        assert time.monotonic() - start < 2
        assert camera.condition.notices[0].startswith("no trigger signal on line1: no frame for more than 1 s")


def test_a_rate_that_the_camera_cannot_keep_is_said(emulator, monkeypatch):
    monkeypatch.setattr("capture.camera.basler_settings.SLOWER", 2.0)
    with open_basler(emulator[0], SMALL) as camera:
        assert camera.condition.notices == (
            "100 frames/s requested, but the camera reaches 100.0 at this exposure and image size",
        )


def test_automatic_exposure_is_said(emulator):
    def automatic(camera: Any) -> None:
        camera.GetNodeMap().GetNode("ExposureAuto").Value = "Continuous"

    with open_basler(emulator[0], SMALL, prepare=automatic) as camera:
        assert camera.condition.notices == (
            "the camera's automatic exposure is on, so grades may drift; set [camera] exposure_us",
        )


def test_offline_speed_is_for_files(emulator):
    config = build_config({"source": {"kind": f"basler:{emulator[0]}"}, "speed": "max"}, "test")
    with pytest.raises(InputError, match="a camera sets its own pace"):
        open_source(config)


@pytest.mark.usefixtures("emulator")
def test_an_sdk_that_fails_says_so_in_one_line(monkeypatch):
    from pypylon import genicam, pylon

    def fail(_self: Any) -> None:
        raise genicam.RuntimeException("no transport layer. : thrown in x")

    monkeypatch.setattr(pylon.TlFactory, "EnumerateDevices", fail)
    with pytest.raises(InputError, match=r"cannot enumerate cameras \(no transport layer\); reinstall") as error:
        list_cameras()
    assert "\n" not in str(error.value)


def test_a_missing_sdk_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypylon", None)
    with pytest.raises(MissingExtraError, match=r'pip install "\.\[basler\]"'):
        list_cameras()


@pytest.mark.parametrize(
    ("block_ids", "frame_ids"),
    [
        pytest.param([65533, 65534, 65535, 1, 2], [65533, 65534, 65535, 65536, 65537], id="wraps from 65535 to 1"),
        pytest.param([65535, 3, 2**64 - 1], [65535, 65538, None], id="a hole over the wrap, and no number"),
    ],
)
def test_frame_numbers_of_gige_cameras_count_on(block_ids, frame_ids):
    device = BaslerDevice.__new__(BaslerDevice)
    device._wraps, device._ids_before, device._last_id = True, 0, 0
    assert [device._frame_id(b) for b in block_ids] == frame_ids


def test_exposure_and_gain_are_set_while_it_grabs_and_read_back(emulator):
    answers: list[tuple[bool, str]] = []

    def adjust(camera: Camera, change: ExposureChange) -> tuple[bool, str]:
        count = len(answers)
        camera.adjust(change, lambda done, text: answers.append((done, text)))
        while len(answers) == count:
            camera.read()
        return answers[-1]

    with open_basler(emulator[0], SMALL) as camera:
        read(camera, 3)
        done, text = adjust(camera, ExposureChange(exposure_us=2000.0))
        assert done, text
        assert float(camera.info.settings["exposure_us"]) == 2000.0
        assert text.startswith("exposure_us 2000")
        done, text = adjust(camera, ExposureChange(exposure_us=1e12))
        assert not done
        assert "outside the camera's range" in text
        assert float(camera.info.settings["exposure_us"]) == 2000.0
        frames = read(camera, 60)
    assert frames[-1].exposure_id > 0


def test_an_exposure_that_would_slow_the_camera_is_refused_and_taken_back(emulator, monkeypatch):
    """The emulator keeps any rate, so the rate that results is a real camera's here: one exposure after the other."""
    rate = basler_settings.frame_rate_of

    def of_exposure(nodes: Any) -> float:
        return min(rate(nodes), 1e9 / basler_settings.exposure_ns_of(nodes))

    monkeypatch.setattr(basler_settings, "frame_rate_of", of_exposure)
    device = BaslerDevice(emulator[0], SMALL.model_copy(update={"exposure_us": 1000.0}), fps=None, um_per_px=None)
    try:
        with pytest.raises(InputError, match=r"50000 us would slow the camera from 100 to 20\.0 frames/s"):
            device.adjust(ExposureChange(exposure_us=50_000.0))
        device.adjust(ExposureChange(gain=1.0))
        assert float(device.info.settings["exposure_us"]) == 1000.0
    finally:
        device.close()
