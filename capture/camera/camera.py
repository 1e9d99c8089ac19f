"""Any camera as a source: a thread that grabs without waiting for the reader, faults, reconnecting.

Grabbed frames wait in a bounded queue; if the reader falls behind, the oldest is dropped and counted. A camera that is
lost is looked for until it is back, and the frames of that time are marked as lost. This module knows no vendor, only
``capture.camera.device``, and leaves times to ``capture.camera.timestamps``.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal, Self

from capture.camera.device import Device, DeviceLostError
from capture.camera.timestamps import Timeline
from capture.source import LONGEST_READ_S, CameraFaults, Condition, ExposureChange, Frame, Pending, Report
from station.clock import now_ns
from station.errors import InputError

QUEUE_FRAMES: Final = 64
GRAB_TIMEOUT_S: Final = 0.1
LATCH_EVERY_S: Final = 1.0
SILENCE_S: Final = 5.0
"""A free-running camera that sends nothing for so long (and for ten frame intervals) is reopened."""
SAID_S: Final = 1.0
"""A camera that sends nothing for so long (and for three frame intervals) is said to be silent."""
RETRY_S: Final = (0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts to find a camera again; the last one repeats."""


class Camera:
    """A Source (see ``capture.source``). Raises what ``connect`` raises if the camera cannot be opened at first."""

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
        self._faults = CameraFaults()
        self._gone: str = ""
        self._silent: str = ""
        self._asked: deque[tuple[ExposureChange, Report]] = deque()
        self._change = ExposureChange()
        """All that was changed since the start: a camera that comes back is given it again."""
        device = connect()
        self.info = device.info
        self._notices = device.notices
        self._timeline = Timeline(device)
        self._thread = threading.Thread(target=self._run, args=(device,), name="grab")
        self._thread.start()

    @property
    def condition(self) -> Condition:
        """Counts of incomplete buffers, frames not fetched in time, and reconnects; what is wrong now."""
        now = self._gone or self._silent
        notices = (*self._notices, now) if now else self._notices
        return Condition(notices, self._faults, clock_error_ms=self._timeline.clock.error_ms)

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

    def adjust(self, change: ExposureChange, report: Report) -> None:
        """Ask for another exposure, gain or trigger; the grabbing thread sees to it."""
        if self._gone:
            report(False, self._gone)
        else:
            self._asked.append((change, report))

    def close(self) -> None:
        """Stop grabbing and release the camera; may be called more than once."""
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
        except Exception as error:  # an error in a thread would go unnoticed: read() raises it again
            self._failure = error

    def _grab_from(self, device: Device) -> None:
        """Grab until told to stop. Raises DeviceLostError."""
        silence_s, said_s = max(SILENCE_S, 10 / device.info.fps), max(SAID_S, 3 / device.info.fps)
        last = next_latch = time.monotonic()
        while not self._stop.is_set():
            if time.monotonic() >= next_latch:
                next_latch += LATCH_EVERY_S
                self._timeline.synchronise(device)
            if self._asked:
                self._adjust(device, *self._asked.popleft())
            grab = device.grab(GRAB_TIMEOUT_S)
            t_arrival_ns = now_ns()
            if grab is None:
                silent_s = time.monotonic() - last
                if silent_s > said_s:
                    self._silent = _silence(device, said_s)
                if not device.triggered and silent_s > silence_s:
                    raise DeviceLostError(f"no frame for {silence_s:.0f} s")
                continue
            last, self._silent = time.monotonic(), ""
            if grab.pixels is None:
                self._faults = replace(self._faults, incomplete=self._faults.incomplete + 1)
            frame = self._timeline.place(grab, t_arrival_ns)
            if frame is not None:
                self._put(frame)

    def _adjust(self, device: Device, change: ExposureChange, report: Report) -> None:
        try:
            device.adjust(change)
        except InputError as error:
            report(False, str(error))
            return
        except DeviceLostError as error:
            report(False, f"the camera was lost: {error}")
            raise
        self._change = ExposureChange(
            change.exposure_us if change.exposure_us is not None else self._change.exposure_us,
            change.gain if change.gain is not None else self._change.gain,
            change.trigger if change.trigger is not None else self._change.trigger,
        )
        self.info = device.info
        self._timeline.expose_anew(device.info.fps)
        accepted = {name: device.info.settings.get(name) for name in ("exposure_us", "gain", "trigger")}
        report(True, ", ".join(f"{name} {value}" for name, value in accepted.items() if value is not None))

    def _put(self, frame: Frame) -> None:
        with self._arrived:
            self._queue.append(frame)
            if len(self._queue) > self._queue_frames:
                gone = self._queue.popleft()
                self._faults = replace(self._faults, overrun=self._faults.overrun + 1)
                head = self._queue[0]
                self._queue[0] = replace(head, lost_before=head.lost_before + gone.lost_before + 1)
            self._arrived.notify()

    def _reconnect(self, reason: str) -> Device | None:
        """Return the reopened camera, however long that takes; None when told to stop."""
        attempt = 0
        while not self._stop.is_set():
            self._gone, self._silent = f"camera lost ({reason}); looking for it again", ""
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
            try:
                if self._change != ExposureChange():
                    device.adjust(self._change)
            except (InputError, DeviceLostError) as error:
                reason = str(error)
                device.close()
                continue
            self._timeline.reopen(device)
            self.info = device.info
            self._notices = device.notices
            self._gone = ""
            self._faults = replace(self._faults, reconnects=self._faults.reconnects + 1)
            return device
        return None


def _silence(device: Device, for_s: float) -> str:
    """Return the notice for a camera that has sent nothing for some time."""
    if device.triggered:
        line = device.info.settings.get("trigger", "its line")
        return (
            f"no trigger signal on {line}: no frame for more than {for_s:g} s; check the signal and its cable, or set "
            '[camera] trigger = "off"'
        )
    return (
        f"no frame for more than {for_s:g} s; the camera is reopened after {max(SILENCE_S, 10 / device.info.fps):g} s"
    )
