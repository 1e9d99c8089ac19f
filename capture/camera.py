"""Any camera as a source: a thread that grabs and never waits for anyone, the camera's clock, faults, reconnecting.

What the thread has grabbed waits in a bounded queue of ours; when the reader falls behind, the oldest frame goes and is
counted. A camera that vanishes is looked for until it is back; the frames of that time are marked as lost. This module
knows no vendor: ``Device`` is what it needs of one.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from capture.camera_clock import CameraClock
from capture.source import LONGEST_READ_S, Condition, Frame, Pending
from station.clock import NS_PER_S, now_ns
from station.errors import InputError
from station.messages import SourceInfo

QUEUE_FRAMES: Final = 64
GRAB_TIMEOUT_S: Final = 0.1
LATCH_EVERY_S: Final = 1.0
SILENCE_S: Final = 5.0
"""A free-running camera that sends nothing for so long (and for ten frames) is opened anew."""
RETRY_S: Final = (0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts to find a camera again; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Grab:
    """One buffer as it came from the camera."""

    pixels: NDArray[np.uint8] | None
    """(H, W) uint8, memory of its own; None: the buffer arrived incomplete."""
    frame_id: int | None = None
    """The camera's own count, rising by 1 per frame exposed; None where it does not count."""
    camera_ns: int | None = None
    """The camera's time at the start of the exposure; None where it has no clock."""


class DeviceLostError(Exception):
    """The camera does not answer any more. Raised by a Device, caught here; the message is for people."""


class Device(Protocol):
    """An open camera that is grabbing. Used by one thread at a time."""

    info: SourceInfo
    settings: dict[str, str]
    """As the camera accepted them, by name."""
    notices: tuple[str, ...]
    exposure_ns: int
    triggered: bool
    """True where frames come when an outside signal says so: silence is then no fault."""

    def grab(self, timeout_s: float) -> Grab | None:
        """Return the next buffer in order, None where none came in time. Raises DeviceLostError."""
        ...

    def latch(self) -> tuple[int, int] | None:
        """Return the camera's time and the station's at one moment, ns; None where the camera cannot be asked."""
        ...

    def close(self) -> None:
        """Give the camera back; may be called more than once, and after it vanished."""
        ...


class Camera:
    """A Source (see ``capture.source``). Raises what ``connect`` raises where the camera cannot be opened at first."""

    def __init__(self, connect: Callable[[], Device], queue_frames: int = QUEUE_FRAMES) -> None:
        """``connect`` opens the camera with its settings; called again, from a thread, whenever it was lost.

        Raises InputError or DeviceLostError.
        """
        self._connect = connect
        self._queue: deque[Frame] = deque()
        self._queue_frames = queue_frames
        self._arrived = threading.Condition()
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._counts = {"incomplete": 0, "overrun": 0, "reconnects": 0}
        self._gone: str = ""
        device = connect()
        self.info: Final = device.info
        self._notices = device.notices
        self._timeline = _Timeline(device)
        self._thread = threading.Thread(target=self._run, args=(device,), name="grab")
        self._thread.start()

    @property
    def settings(self) -> dict[str, str]:
        """The settings as the camera accepted them, by name."""
        return dict(self._timeline.device.settings)

    @property
    def condition(self) -> Condition:
        """Counts of incomplete buffers, frames that nobody fetched, and reconnects; what is wrong now."""
        notices = (*self._notices, self._gone) if self._gone else self._notices
        return Condition(notices, dict(self._counts), self._timeline.clock.error_ms)

    def read(self) -> Frame | Literal[Pending.NOTHING_YET]:
        """Return the next frame, or NOTHING_YET after 50 ms. Raises what ended the grabbing thread."""
        with self._arrived:
            if not self._queue:
                self._arrived.wait(LONGEST_READ_S)
            if self._queue:
                return self._queue.popleft()
        if self._failure is not None:
            raise self._failure
        return Pending.NOTHING_YET

    def close(self) -> None:
        """Stop grabbing and give the camera back; may be called more than once."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _run(self, device: Device | None) -> None:
        try:
            while device is not None:
                try:
                    self._grab_from(device)
                    reason = ""
                except DeviceLostError as error:
                    reason = str(error)
                finally:
                    device.close()
                device = self._reconnect(reason)
        except Exception as error:  # a defect in a thread would go unseen: it is raised again by read()
            self._failure = error

    def _grab_from(self, device: Device) -> None:
        """Grab until told to stop. Raises DeviceLostError."""
        silence_s = max(SILENCE_S, 10 / device.info.fps)
        last = next_latch = time.monotonic()
        while not self._stop.is_set():
            if time.monotonic() >= next_latch:
                next_latch += LATCH_EVERY_S
                self._timeline.synchronise(device)
            grab = device.grab(GRAB_TIMEOUT_S)
            t_arrival_ns = now_ns()
            if grab is None:
                if not device.triggered and time.monotonic() - last > silence_s:
                    raise DeviceLostError(f"no frame for {silence_s:.0f} s")
                continue
            last = time.monotonic()
            if grab.pixels is None:
                self._counts["incomplete"] += 1
            frame = self._timeline.place(grab, t_arrival_ns)
            if frame is not None:
                self._put(frame)

    def _put(self, frame: Frame) -> None:
        with self._arrived:
            self._queue.append(frame)
            if len(self._queue) > self._queue_frames:
                gone = self._queue.popleft()
                self._counts["overrun"] += 1
                head = self._queue[0]
                self._queue[0] = replace(head, lost_before=head.lost_before + gone.lost_before + 1)
            self._arrived.notify()

    def _reconnect(self, reason: str) -> Device | None:
        """Return the camera opened anew, however long that takes; None when told to stop."""
        attempt = 0
        while not self._stop.is_set():
            self._gone = f"camera lost ({reason}); looking for it again"
            self._stop.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1
            if self._stop.is_set():
                break
            try:
                device = self._connect()
            except (InputError, DeviceLostError) as error:
                reason = str(error)
                continue
            if (device.info.width, device.info.height) != (self.info.width, self.info.height):
                reason = f"it came back with {device.info.width} x {device.info.height} px"
                device.close()
                continue
            self._timeline.reopen(device)
            self._notices = device.notices
            self._gone = ""
            self._counts["reconnects"] += 1
            return device
        return None


class _Timeline:
    """Turns buffers into frames: their times on both axes, and how many are missing before each."""

    def __init__(self, device: Device) -> None:
        self.clock = CameraClock()
        self.device = device
        self._latched = False
        self._interval_ns = NS_PER_S / device.info.fps
        self._previous_id: int | None = None
        self._incomplete = 0
        self._exposure_id = 0
        self._reopened = False
        self._first_camera_ns: int | None = None
        """Camera time from which source time is counted, ``_base_ns`` later, in this connection."""
        self._base_ns = 0
        self._t_source_ns = -1
        self._t_exposure_ns = -1

    def reopen(self, device: Device) -> None:
        """Go on with the same camera after it was away: its counters start anew, its settings may differ."""
        if device.settings != self.device.settings:
            self._exposure_id += 1
        self.clock = CameraClock()
        self.device = device
        self._latched = False
        self._previous_id = None
        self._reopened = True
        self._first_camera_ns = None

    def synchronise(self, device: Device) -> None:
        """Ask the camera for its time, where it answers that."""
        pair = device.latch()
        if pair is None and self._latched:
            self.clock = CameraClock()  # from now on by arrivals, which lie later: the two kinds do not mix
        self._latched = pair is not None
        if pair is not None:
            self.clock.add(*pair)

    def place(self, grab: Grab, t_arrival_ns: int) -> Frame | None:
        """Return the frame of a buffer, None where it is incomplete: then the next frame says that one is missing."""
        if grab.pixels is None:
            self._incomplete += 1
            return None
        exposed_ns = self._exposure_end_ns(grab.camera_ns, t_arrival_ns)
        lost = self._lost_before(grab.frame_id, exposed_ns)
        self._t_source_ns = self._source_ns(grab.camera_ns, exposed_ns)
        self._t_exposure_ns = exposed_ns
        self._previous_id, self._incomplete, self._reopened = grab.frame_id, 0, False
        grab.pixels.flags.writeable = False
        return Frame(grab.pixels, self._t_source_ns, exposed_ns, lost, self._exposure_id)

    def _exposure_end_ns(self, camera_ns: int | None, t_arrival_ns: int) -> int:
        """Return the end of exposure on the station clock.

        With a latch: the camera's stamp of the exposure's start, plus the exposure. Without: as if the transfer of the
        fastest frames took no time. Without a clock in the camera: the arrival.
        """
        if camera_ns is None:
            return t_arrival_ns
        if self._latched:
            exposed_ns = self.clock.station_ns(camera_ns) + self.device.exposure_ns
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
        return max(self._incomplete, frame_id - self._previous_id - 1)

    def _source_ns(self, camera_ns: int | None, exposed_ns: int) -> int:
        """Return the time since the first frame: by the camera's clock within a connection, which is the most even."""
        first = self._t_source_ns < 0
        elapsed_ns = 0 if first else self._t_source_ns + exposed_ns - self._t_exposure_ns
        if camera_ns is not None:
            if self._first_camera_ns is None:
                self._first_camera_ns, self._base_ns = camera_ns, elapsed_ns
            elapsed_ns = self._base_ns + camera_ns - self._first_camera_ns
        return max(self._t_source_ns + 1, elapsed_ns)
