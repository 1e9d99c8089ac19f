"""From a camera's buffers to frames: their times on both axes, and how many are missing before each.

It knows numbers and clocks; threads and reconnecting are in ``capture.camera.camera``.
"""

import math

from capture.camera.clock import CameraClock
from capture.camera.device import Device, Grab
from capture.source import Frame
from station.clock import NS_PER_S

SAME_EXPOSURE = 0.02
"""Relative change of exposure or gain above which frames count as taken with another setting."""
UNSETTLED_S = 0.3
"""So long after a change, frames of the old setting may still come."""


class Timeline:
    """Turns buffers into frames: their times on both axes, and how many are missing before each."""

    def __init__(self, device: Device) -> None:
        self.clock = CameraClock()
        self.device = device
        self._latched = False
        self._interval_ns = NS_PER_S / device.info.fps
        self._previous_id: int | None = None
        self._incomplete = 0
        self._exposure_id = 0
        self._exposed_like: Grab | None = None
        """The first buffer of the current exposure setting."""
        self._unsettled = 0
        """Frames to come that may still be of the setting before."""
        self._reopened = False
        self._camera_ns: int | None = None
        """Of the last frame."""
        self._first_camera_ns: int | None = None
        """Camera time at which source time was ``_base_ns``, in this connection."""
        self._base_ns = 0
        self._t_source_ns = -1
        self._t_exposure_ns = -1

    def reopen(self, device: Device) -> None:
        """Continue with the same camera after it was lost: its counters restart, its settings may differ."""
        if device.info.settings != self.device.info.settings:
            self._exposure_id += 1
            self._exposed_like = None
        self.device = device
        self._begin_clock_anew()
        self._previous_id = None
        self._reopened = True

    def _begin_clock_anew(self) -> None:
        """Forget how the camera's clock ran: it counts from somewhere else now."""
        self.clock = CameraClock()
        self._latched = False
        self._camera_ns = self._first_camera_ns = None

    def expose_anew(self, fps: float) -> None:
        """Begin a new exposure setting: the camera was told to take one.

        Some frames on their way are still of the old one. Where the camera does not send the exposure with each frame,
        none of the next ``UNSETTLED_S`` belongs together with any other.
        """
        self._exposure_id += 1
        self._exposed_like = None
        self._unsettled = math.ceil(UNSETTLED_S * fps) + 1

    def synchronise(self, device: Device) -> None:
        """Ask the camera for its time, if it has a latch."""
        pair = device.latch()
        if (pair is not None) is not self._latched:
            self.clock = CameraClock()  # readings at arrival are later than latched ones: the two kinds do not mix
        self._latched = pair is not None
        if pair is not None:
            self.clock.add(*pair)

    def place(self, grab: Grab, t_arrival_ns: int) -> Frame | None:
        """Return a buffer's frame; None if the buffer is incomplete: then the next frame says that one is missing."""
        if grab.pixels is None:
            self._incomplete += 1
            return None
        self._compare_exposure(grab)
        if grab.camera_ns is not None:
            if self._camera_ns is not None and grab.camera_ns < self._camera_ns:
                self._begin_clock_anew()  # the counter has wrapped round, or was reset
            self._camera_ns = grab.camera_ns
        exposed_ns = self._exposure_end_ns(grab, t_arrival_ns)
        lost = self._lost_before(grab.frame_id, exposed_ns)
        self._t_source_ns = self._source_ns(grab.camera_ns, exposed_ns)
        self._t_exposure_ns = exposed_ns
        self._previous_id, self._incomplete, self._reopened = grab.frame_id, 0, False
        grab.pixels.flags.writeable = False
        return Frame(grab.pixels, self._t_source_ns, exposed_ns, lost, self._exposure_id, grab.exposure_us, grab.gain)

    def _compare_exposure(self, grab: Grab) -> None:
        """Begin a new exposure setting if exposure or gain differ from the current one."""
        like = self._exposed_like
        if self._unsettled > 0:
            self._unsettled -= 1
            if grab.exposure_us is None:
                self._exposure_id += 1
        if like is None:
            self._exposed_like = grab
        elif _differ(like.exposure_us, grab.exposure_us) or _differ(like.gain, grab.gain):
            self._exposed_like = grab
            self._exposure_id += 1

    def _exposure_end_ns(self, grab: Grab, t_arrival_ns: int) -> int:
        """Return the end of exposure on the station clock.

        With a latch: the camera's time at the start of exposure, plus the exposure. Without: by arrivals, as if the
        fastest transfer took no time. Without a clock in the camera: the arrival itself.
        """
        camera_ns = grab.camera_ns
        if camera_ns is None:
            return t_arrival_ns
        if self._latched:
            exposure_ns = self.device.exposure_ns if grab.exposure_us is None else round(grab.exposure_us * 1000)
            exposed_ns = self.clock.station_ns(camera_ns) + exposure_ns
        else:
            self.clock.add(camera_ns, t_arrival_ns)
            exposed_ns = self.clock.station_ns(camera_ns)
        return max(self._t_exposure_ns + 1, min(exposed_ns, t_arrival_ns))

    def _lost_before(self, frame_id: int | None, exposed_ns: int) -> int:
        if self._reopened and self._t_source_ns >= 0:
            missing = (exposed_ns - self._t_exposure_ns) / self._interval_ns - 1
            return max(1, round(missing))
        if frame_id is None or self._previous_id is None:
            return self._incomplete
        if frame_id <= self._previous_id:  # the count has wrapped round, at a number that differs from camera to camera
            missing = (exposed_ns - self._t_exposure_ns) / self._interval_ns - 1
            return max(self._incomplete, round(missing))
        return max(self._incomplete, frame_id - self._previous_id - 1)

    def _source_ns(self, camera_ns: int | None, exposed_ns: int) -> int:
        """Return the time since the first frame; within a connection by the camera's clock, which jitters least."""
        first = self._t_source_ns < 0
        elapsed_ns = 0 if first else self._t_source_ns + exposed_ns - self._t_exposure_ns
        if camera_ns is not None:
            if self._first_camera_ns is None:
                self._first_camera_ns, self._base_ns = camera_ns, elapsed_ns
            elapsed_ns = self._base_ns + camera_ns - self._first_camera_ns
        return max(self._t_source_ns + 1, elapsed_ns)


def _differ(before: float | None, now: float | None) -> bool:
    """Return whether a setting changed by more than ``SAME_EXPOSURE``."""
    if before is None or now is None:
        return False
    return abs(now - before) > SAME_EXPOSURE * max(abs(before), abs(now))
