"""What the screen shows at one moment.

A :class:`Snapshot` is put together by whoever gathers the messages (:class:`RateMeter` helps with the frame rates) and
is never changed. What follows from it (ages, what is stale, what is wrong) is in ``station.dashboard.assessment``. This
module knows nothing of terminals, colours or words on screen.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from station.clock import NS_PER_S
from station.transport.messages import (
    GradeInfo,
    ModelInfo,
    ProcessName,
    ProcessStatus,
    RecordingInfo,
    SourceInfo,
    TracksHeader,
)

RATE_WINDOW_S = 3.0
RATE_COUNTERS = {
    ProcessName.CAPTURE: "captured",
    ProcessName.TRACKER: "tracked",
    ProcessName.ENGINE: "grades",
    ProcessName.RECORDER: "recorded",
}
"""The counter of each stage whose rise per second is its rate."""


@dataclass(frozen=True, slots=True)
class ProcessView:
    """What is known of one stage."""

    status: ProcessStatus | None = None
    """What it said last; None: nothing yet."""
    progress_ns: int | None = None
    """When it last made progress (station clock)."""
    rate_hz: float | None = None
    """Frames (capture, tracker) or grades (engine) per second lately."""
    died: str = ""
    """In plain words, where the process ended without saying why itself."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the screen shows at a moment."""

    now_ns: int
    """The moment, on the station clock."""
    elapsed_s: float
    """Since the start of the run."""
    speed: Literal["live", "max"] = "live"
    replay: bool = False
    """What is shown was recorded before: nothing of it is happening now."""
    window_fps: float | None = None
    """Frames per second of source time in a window, once the source is known."""
    stages: Mapping[ProcessName, ProcessView] = field(default_factory=dict)
    """A stage that is missing here counts as not heard of yet; without a recorder here nothing is recorded."""
    tracks: TracksHeader | None = None
    """The newest."""
    grades: Mapping[int, GradeInfo] = field(default_factory=dict)
    """The newest of each sperm, by sperm id."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """Frames or windows lost so far by link, named as on screen: "capture to tracker"."""
    notices: tuple[str, ...] = ()
    """The station's own; those of the stages are in their status."""
    keys: tuple[str, ...] = ("q quit",)
    """What the keyboard does."""

    def stage(self, name: ProcessName) -> ProcessView:
        """Return what is known of a stage, an empty view where nothing is."""
        return self.stages.get(name, ProcessView())

    @property
    def source(self) -> SourceInfo | None:
        """The source, once the capture stage has opened it."""
        status = self.stage(ProcessName.CAPTURE).status
        return status.source if status else None

    @property
    def recording(self) -> RecordingInfo | None:
        """The recording, once it has begun."""
        status = self.stage(ProcessName.RECORDER).status
        return status.recording if status else None

    @property
    def model(self) -> ModelInfo | None:
        """The model, once the engine has loaded it."""
        status = self.stage(ProcessName.ENGINE).status
        return status.model if status else None


class RateMeter:
    """Measures a stage's rate from its counters, over the latest few seconds."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._history: deque[tuple[int, int]] = deque()

    def update(self, status: ProcessStatus) -> float | None:
        """Take in the stage's latest status, again if need be; return the rate in 1/s, None until there is one.

        A status from another process (the stage was started again) begins anew.
        """
        count = status.counters.get(RATE_COUNTERS[status.stage])
        if count is None:
            return None
        history = self._history
        if status.pid != self._pid:
            history.clear()
            self._pid = status.pid
        if not history or status.t_ns > history[-1][0]:
            history.append((status.t_ns, count))
        # One entry from before the window is kept, so that the rate always spans the whole window.
        while len(history) > 2 and status.t_ns - history[1][0] >= RATE_WINDOW_S * NS_PER_S:
            history.popleft()
        if len(history) < 2:
            return None
        return (history[-1][1] - history[0][1]) * NS_PER_S / (history[-1][0] - history[0][0])
