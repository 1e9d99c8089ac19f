"""Where a capture process goes on that was started again: at its place in a film, or with the camera as it is now.

A film or a simulation goes on behind the last frame that was sent, with nothing to catch up, as after a suspension. A
camera did not wait: its frames of the time in between are lost, which the first one says; its new time axis is laid
onto the old one, and it is given the exposure that was asked for. It knows frames and the ledger, not how a source is
opened.
"""

from dataclasses import asdict, replace

from pydantic import TypeAdapter, ValidationError

from capture.source import Adjustable, ExposureChange, Frame, Skipping, Source
from station.clock import NS_PER_S
from station.processes.ledger import Ledger, Place
from station.transport.messages import FrameHeader

CHANGE = TypeAdapter(ExposureChange)


class Resumption:
    """Of one run of the process. Where it was not started again, frames come through as they are."""

    def __init__(self, ledger: Ledger, fps: float) -> None:
        """``fps``: nominal frame rate of the source."""
        self._ledger = ledger
        self._interval_ns = NS_PER_S / fps
        self._first = ledger.number(Place.FIRST_NS)
        self._source = ledger.number(Place.T_SOURCE_NS)
        self._exposure = ledger.number(Place.T_EXPOSURE_NS)
        self._noted = ledger.number(Place.NOTED)
        self._resumes = ledger.resumed and ledger.number(Place.FRAMES).value > 0
        self._sent_ns = self._source.value
        """Source time of the last frame that was sent before."""
        self._shift_ns: int | None = None
        """From a camera's new time axis to the old one."""

    @property
    def first_ns(self) -> int | None:
        """Source time of the first frame of the run; None where none has been sent."""
        return self._first.value if self._resumes else None

    @property
    def next_seq(self) -> int:
        """Number that the next frame must have at least."""
        return self._noted.value

    def prepare(self, source: Source) -> None:
        """Bring a source that has just been opened to where the one before was."""
        if not self._resumes:
            return
        if isinstance(source, Skipping):
            source.skip_to(self._sent_ns + 1)
        if isinstance(source, Adjustable) and self._ledger.note:
            try:
                change = CHANGE.validate_json(self._ledger.note)
            except ValidationError:
                return
            source.adjust(change, lambda _done, _text: None)

    def continued(self, frame: Frame) -> Frame | None:
        """Return a frame as it belongs to the run; None for one that was sent before."""
        if not self._resumes:
            return frame
        if frame.t_exposure_ns is None:
            return frame if frame.t_source_ns > self._sent_ns else None
        if self._shift_ns is None:
            gap_ns = max(1, frame.t_exposure_ns - self._exposure.value)
            self._shift_ns = self._sent_ns + gap_ns - frame.t_source_ns
            lost = max(1, round(gap_ns / self._interval_ns) - 1)
            frame = replace(frame, lost_before=max(frame.lost_before, lost))  # which the gap contains
        return replace(frame, t_source_ns=frame.t_source_ns + self._shift_ns)

    def note(self, header: FrameHeader, first_ns: int) -> None:
        """Keep the place, before the frame is sent: killed in between, it is missing, and none comes twice."""
        self._noted.value = header.seq + 1
        self._first.value = first_ns
        self._source.value = header.t_source_ns
        self._exposure.value = header.t_exposure_ns

    def note_change(self, change: ExposureChange) -> None:
        """Keep what the camera was asked to take."""
        try:
            before = CHANGE.validate_json(self._ledger.note)
        except ValidationError:
            before = ExposureChange()
        asked = {name: value for name, value in asdict(change).items() if value is not None}
        self._ledger.write_note(CHANGE.dump_json(replace(before, **asked)))
