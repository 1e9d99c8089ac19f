"""A camera as a source, with a fake of the vendor's part: times, gaps, slow readers, loss and return."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from capture.camera.camera import Camera
from capture.camera.device import DeviceLostError, Grab
from capture.source import ExposureChange, Frame, Pending
from station.clock import now_ns
from station.errors import InputError
from station.transport.control_messages import SourceInfo

MS = 1_000_000


def grab(frame_id: int | None = None, camera_ms: float | None = None, complete: bool = True) -> Grab:
    pixels = np.full((4, 6), 0 if frame_id is None else frame_id % 256, np.uint8) if complete else None
    return Grab(pixels, frame_id, None if camera_ms is None else round(camera_ms * MS))


class FakeDevice:
    """Plays a list of buffers, errors and pauses, as fast as it is asked, then times out."""

    def __init__(
        self,
        script: list[Grab | Exception | float],
        *,
        latch: Callable[[], tuple[int, int] | None] = lambda: None,
        size: tuple[int, int] = (6, 4),
        exposure_us: str = "1000",
    ) -> None:
        self.info = SourceInfo(
            name="fake", width=size[0], height=size[1], fps=100.0, settings={"exposure_us": exposure_us}
        )
        self.notices: tuple[str, ...] = ()
        self.exposure_ns = 1 * MS
        self.triggered = True
        self.latch = latch
        self.closed = threading.Event()
        self._script: Iterator[Grab | Exception | float] = iter(script)

    def grab(self, timeout_s: float) -> Grab | None:
        item = next(self._script, 0.0)
        if isinstance(item, Exception):
            raise item
        if isinstance(item, float):
            time.sleep(min(item or 0.005, timeout_s))
            return None
        return item

    def adjust(self, change: ExposureChange) -> None:
        if change.exposure_us is not None and change.exposure_us > 5000:
            raise InputError("[camera] exposure_us: too long")
        exposure_us = change.exposure_us or 1000.0
        self.exposure_ns = round(exposure_us * 1000)
        self.info = self.info.model_copy(update={"settings": {"exposure_us": f"{exposure_us:g}"}})

    def close(self) -> None:
        self.closed.set()


def read(camera: Camera, count: int, limit_s: float = 5.0) -> list[Frame]:
    frames: list[Frame] = []
    deadline = time.monotonic() + limit_s
    while len(frames) < count and time.monotonic() < deadline:
        frame = camera.read()
        if frame is not Pending.NOTHING_YET:
            frames.append(frame)
    return frames


@pytest.mark.parametrize(
    ("script", "lost", "incomplete"),
    [
        pytest.param([grab(5), grab(6), grab(7)], [0, 0, 0], 0, id="nothing lost, whatever the first number"),
        pytest.param([grab(0), grab(3), grab(4)], [0, 2, 0], 0, id="the camera's numbers have a hole"),
        pytest.param([grab(0), grab(1, complete=False), grab(2)], [0, 1], 1, id="an incomplete buffer"),
        pytest.param([grab(0), grab(1, complete=False), grab(4)], [0, 3], 1, id="incomplete, and a hole"),
        pytest.param([grab(), grab(complete=False), grab()], [0, 1], 1, id="a camera that does not count"),
    ],
)
def test_missing_frames_are_marked_on_the_next(script, lost, incomplete):
    with Camera(lambda: FakeDevice(script)) as camera:
        frames = read(camera, len(lost))
        assert [f.lost_before for f in frames] == lost
        assert camera.condition.faults.incomplete == incomplete
        assert not frames[0].pixels.flags.writeable


def test_source_time_is_the_cameras_and_even_however_late_the_frames_arrive():
    script: list[Grab | Exception | float] = []
    for k in range(20):
        script += [grab(k, camera_ms=77_000 + 10 * k), 0.003 * (k % 3)]
    with Camera(lambda: FakeDevice(script)) as camera:
        frames = read(camera, 20)
    assert [f.t_source_ns for f in frames] == [10 * MS * k for k in range(20)]


def test_with_a_latch_exposure_ends_are_exact():
    """The camera's clock shows the station's minus 1 hour; exposure takes 1 ms; arrivals are 20 ms late."""
    hour_ns = 3_600_000_000_000
    exposed_ns = [now_ns() - 200 * MS + 10 * MS * k for k in range(5)]
    script = [Grab(np.zeros((4, 6), np.uint8), k, t - 1 * MS - hour_ns) for k, t in enumerate(exposed_ns)]
    device = FakeDevice(script, latch=lambda: (now_ns() - hour_ns, now_ns()))
    with Camera(lambda: device) as camera:
        frames = read(camera, 5)
    assert [f.t_exposure_ns for f in frames] == pytest.approx(exposed_ns, abs=2 * MS)


def test_a_latch_that_stops_working_gives_way_to_arrivals(monkeypatch):
    """By its latch the camera's clock is an hour behind; the latch answers once, then arrivals give the time."""
    monkeypatch.setattr("capture.camera.camera.LATCH_EVERY_S", 0.05)
    hour_ns = 3_600_000_000_000
    answers = iter([(now_ns() - hour_ns, now_ns() - 500 * MS)])
    script: list[Grab | Exception | float] = []
    for _ in range(20):
        script += [0.02, Grab(np.zeros((4, 6), np.uint8), None, now_ns() - hour_ns + len(script) * 10 * MS)]
    with Camera(lambda: FakeDevice(script, latch=lambda: next(answers, None))) as camera:
        frames = read(camera, 20)
    assert now_ns() - frames[-1].t_exposure_ns < 300 * MS


def test_without_a_clock_frames_are_stamped_on_arrival():
    before = now_ns()
    with Camera(lambda: FakeDevice([grab(0), 0.02, grab(1)])) as camera:
        first, second = read(camera, 2)
    assert before < first.t_exposure_ns < second.t_exposure_ns < now_ns()
    assert second.t_source_ns == second.t_exposure_ns - first.t_exposure_ns


def test_the_grabbing_thread_never_waits_for_a_reader():
    """Of 30 frames not fetched, the newest 8 stay; the first says how many were dropped, and all are counted."""
    device = FakeDevice([grab(k) for k in range(30)])
    with Camera(lambda: device, queue_frames=8) as camera:
        deadline = time.monotonic() + 5
        while camera.condition.faults.overrun < 22 and time.monotonic() < deadline:
            time.sleep(0.005)
        frames = read(camera, 8)
    assert [int(f.pixels[0, 0]) for f in frames] == list(range(22, 30))
    assert [f.lost_before for f in frames] == [22] + [0] * 7


def test_a_read_without_a_frame_returns_soon():
    with Camera(lambda: FakeDevice([])) as camera:
        start = time.monotonic()
        assert camera.read() is Pending.NOTHING_YET
        assert time.monotonic() - start < 0.5


def test_a_triggered_camera_without_a_signal_says_so_until_it_comes():
    """By default within two seconds; the camera is not taken for lost."""
    device = FakeDevice([grab(0), *[0.05] * 30, grab(1)])
    device.info = device.info.model_copy(update={"settings": {"trigger": "line1"}})
    with Camera(lambda: device) as camera:
        assert len(read(camera, 1)) == 1
        start = time.monotonic()
        while not camera.condition.notices and time.monotonic() - start < 5:
            time.sleep(0.01)
        assert 0.8 < time.monotonic() - start < 2
        assert camera.condition.notices == (
            "no trigger signal on line1: no frame for more than 1 s; check the signal and its cable, or set [camera] "
            'trigger = "off"',
        )
        assert len(read(camera, 1)) == 1
        assert camera.condition.notices == ()
        assert camera.condition.faults.reconnects == 0


def test_a_free_running_camera_that_is_silent_says_so_before_it_is_reopened(monkeypatch):
    monkeypatch.setattr("capture.camera.camera.SAID_S", 0.1)
    device = FakeDevice([grab(0)])
    device.triggered = False
    with Camera(lambda: device) as camera:
        assert len(read(camera, 1)) == 1
        time.sleep(0.4)
        assert camera.condition.notices == ("no frame for more than 0.1 s; the camera is reopened after 5 s",)


def test_a_lost_camera_is_found_again_and_the_gap_is_marked():
    devices = iter(
        [
            FakeDevice([grab(0, 0), grab(1, 10), DeviceLostError("it was unplugged")]),
            InputError("source x: found none"),
            FakeDevice([grab(0, 500_000), grab(1, 500_010)]),
        ]
    )
    made = []

    def connect() -> FakeDevice:
        device = next(devices)
        if isinstance(device, Exception):
            raise device
        made.append(device)
        return device

    with Camera(connect) as camera:
        assert len(read(camera, 2)) == 2
        notices = set()
        frame = camera.read()
        while frame is Pending.NOTHING_YET:
            notices.update(camera.condition.notices)
            frame = camera.read()
        after = [frame, *read(camera, 1)]
        assert camera.condition.notices == ()
        assert camera.condition.faults.reconnects == 1
    assert {n for n in notices if "unplugged" in n}
    assert {n for n in notices if "found none" in n}
    gap_frames = after[0].lost_before
    assert 60 <= gap_frames <= 200  # 0.2 s and 0.5 s of looking at 100 frames/s
    assert after[0].t_source_ns - 10 * MS == pytest.approx((gap_frames + 1) * 10 * MS, abs=10 * MS)
    assert after[1].t_source_ns - after[0].t_source_ns == 10 * MS
    assert after[0].exposure_id == 0
    assert all(device.closed.is_set() for device in made)


def test_a_camera_that_returns_with_another_exposure_begins_a_new_exposure_setting():
    devices = iter([FakeDevice([grab(0), DeviceLostError("gone")]), FakeDevice([grab(0)], exposure_us="2000")])
    with Camera(lambda: next(devices)) as camera:
        assert [f.exposure_id for f in read(camera, 2)] == [0, 1]
        assert camera.info.settings == {"exposure_us": "2000"}


@pytest.mark.parametrize(
    ("exposures_us", "gains", "exposure_ids"),
    [
        pytest.param([1000, 1000, 1000], [1, 1, 1], [0, 0, 0], id="steady"),
        pytest.param([1000, 1500, 1500], [1, 1, 1], [0, 1, 1], id="another exposure"),
        pytest.param([1000, 1000, 1000], [0, 0, 3], [0, 0, 1], id="another gain"),
        pytest.param([1000, 1010, 1019, 1021], [1] * 4, [0, 0, 0, 1], id="creeping away"),
        pytest.param([1000, None, 1000], [1, None, 1], [0, 0, 0], id="a frame that does not say"),
    ],
)
def test_an_exposure_that_comes_with_each_frame_decides_which_frames_belong_together(exposures_us, gains, exposure_ids):
    script = [
        replace(grab(k), exposure_us=exposure, gain=gain)
        for k, (exposure, gain) in enumerate(zip(exposures_us, gains, strict=True))
    ]
    with Camera(lambda: FakeDevice(script)) as camera:
        frames = read(camera, len(script))
    assert [f.exposure_id for f in frames] == exposure_ids
    assert [(f.exposure_us, f.gain) for f in frames] == list(zip(exposures_us, gains, strict=True))


def test_with_a_latch_the_frames_own_exposure_tells_its_end():
    start_ns = now_ns() - 200 * MS
    script = [
        Grab(np.zeros((4, 6), np.uint8), k, start_ns + 40 * MS * k, exposure_us=1000.0 * (k + 1)) for k in range(3)
    ]
    with Camera(lambda: FakeDevice(script, latch=lambda: (now_ns(), now_ns()))) as camera:
        frames = read(camera, 3)
    ends_ms = [(f.t_exposure_ns - start_ns) / MS for f in frames]
    assert ends_ms == pytest.approx([1, 42, 83], abs=1)


def test_a_camera_that_returns_with_another_size_is_not_taken():
    devices = iter([FakeDevice([grab(0), DeviceLostError("gone")]), FakeDevice([], size=(8, 4)), FakeDevice([grab(0)])])
    with Camera(lambda: next(devices)) as camera:
        assert len(read(camera, 2)) == 2
        assert camera.condition.faults.reconnects == 1


def test_a_defect_in_the_thread_comes_out_of_read():
    with Camera(lambda: FakeDevice([grab(0), ZeroDivisionError("defect")])) as camera:
        assert len(read(camera, 1)) == 1
        with pytest.raises(ZeroDivisionError, match="defect"):
            read(camera, 1)


def test_closing_while_the_camera_is_away_does_not_wait_for_it():
    devices = iter([FakeDevice([DeviceLostError("gone")])])

    def connect() -> FakeDevice:
        try:
            return next(devices)
        except StopIteration:
            raise InputError("found none") from None

    camera = Camera(connect)
    time.sleep(0.3)
    start = time.monotonic()
    camera.close()
    camera.close()
    assert time.monotonic() - start < 0.5


def adjust(camera: Camera, exposure_us: float) -> tuple[bool, str]:
    """Ask, and wait for the answer."""
    answers: list[tuple[bool, str]] = []
    camera.adjust(ExposureChange(exposure_us), lambda done, text: answers.append((done, text)))
    deadline = time.monotonic() + 5.0
    while not answers:
        assert time.monotonic() < deadline
        camera.read()
    (answer,) = answers
    return answer


def test_exposure_is_changed_while_it_grabs_and_windows_do_not_mix_settings():
    """Frames on their way may still be of the old setting: each stands for itself, until they must have arrived."""
    device = FakeDevice([item for n in range(200) for item in (grab(n, 10.0 * n), 0.002)])
    with Camera(lambda: device) as camera:
        before = read(camera, 5)
        assert adjust(camera, 2000.0) == (True, "exposure_us 2000")
        assert camera.info.settings["exposure_us"] == "2000"
        assert adjust(camera, 9000.0) == (False, "[camera] exposure_us: too long")
        assert camera.info.settings["exposure_us"] == "2000"
        after = read(camera, 100)
    assert {frame.exposure_id for frame in before} == {0}
    settled = after[-1].exposure_id
    assert sum(frame.exposure_id == settled for frame in after) > 30
    unsettled = [frame.exposure_id for frame in after if 0 < frame.exposure_id < settled]
    assert len(set(unsettled)) == len(unsettled)


def test_a_camera_that_comes_back_is_given_the_exposure_that_was_set():
    devices = [FakeDevice([grab(0), grab(1), 0.3, DeviceLostError("gone")]), FakeDevice([grab(0), grab(1)])]
    opened = iter(devices)
    with Camera(lambda: next(opened)) as camera:
        read(camera, 2)
        assert adjust(camera, 3000.0)[0]
        read(camera, 2)
        assert camera.condition.faults.reconnects == 1
        assert devices[1].info.settings["exposure_us"] == "3000"
        assert camera.info.settings["exposure_us"] == "3000"
