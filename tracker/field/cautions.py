"""What people are told about bad pictures: a sentence for each fault that lasts.

A fault is said once it has lasted ``SAID_AFTER_S`` and until it has been gone for ``SILENT_AFTER_S``, so that a flash
says nothing and the sentence stays long enough to be read. A frozen picture is said at once. Time is the source's. This
module words faults and knows when; it measures nothing.
"""

from dataclasses import dataclass
from typing import Final

from station.clock import NS_PER_S
from station.transport.messages import Cause
from tracker.matching.prepared_frame import PreparedFrame

SAID_AFTER_S: Final = 0.5
SILENT_AFTER_S: Final = 1.0
NOTHING, FROZEN = "nothing", "frozen"
NOT_VALID: Final = "grades are marked as disturbed"
SENTENCES: Final = {
    NOTHING: "the picture is black, white or of one grey: nothing is graded. Check the lamp, the shutter and the cap",
    FROZEN: "the camera sends the same picture again and again: nothing is graded. Check the camera; what it shows is "
    "old",
    Cause.FOCUS.value: f"the picture is out of focus: {NOT_VALID}. Turn the focus",
    Cause.REPEATED.value: f"single pictures come twice: {NOT_VALID}. Check the camera's or the file's frame rate",
    Cause.BRIGHT.value: f"the picture is too bright, many pixels are saturated: {NOT_VALID}. Lower lamp, exposure or "
    "gain",
    Cause.DARK.value: f"the picture is too dark: {NOT_VALID}. Raise lamp, exposure or gain",
}


@dataclass(slots=True)
class _Span:
    """When a fault was seen first and last, source time."""

    first_ns: int
    last_ns: int
    said: bool = False


class PictureCautions:
    """The sentences that hold now."""

    def __init__(self) -> None:
        self._spans: dict[str, _Span] = {}

    def after(self, prepared: PreparedFrame) -> tuple[str, ...]:
        """Take the next frame in; return the sentences that hold."""
        t_ns = prepared.t_source_ns
        for name in _faults(prepared):
            self._spans.setdefault(name, _Span(t_ns, t_ns)).last_ns = t_ns
        self._spans = {
            name: span for name, span in self._spans.items() if t_ns - span.last_ns < SILENT_AFTER_S * NS_PER_S
        }
        for name, span in self._spans.items():
            span.said = span.said or name == FROZEN or span.last_ns - span.first_ns >= SAID_AFTER_S * NS_PER_S
        return tuple(sentence for name, sentence in SENTENCES.items() if name in self._spans and self._spans[name].said)


def _faults(prepared: PreparedFrame) -> list[str]:
    """Return what is wrong with a frame; where there is nothing to see, nothing else is of interest."""
    if prepared.blank:
        return [NOTHING]
    if prepared.frozen:
        return [FROZEN]
    return [fault.value for fault in prepared.picture.faults]
