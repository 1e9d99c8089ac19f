"""What the screen shows at one moment.

A :class:`Snapshot` is made by the monitor, which gathers the messages (:class:`RateMeter` measures the rates), and
never changes. What follows from it (ages, what is stale, what is wrong) is in ``station.dashboard.assessment``. This
module knows nothing of terminals, colours or words on screen.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_S
from station.transport.control_messages import (
    ROSTFINE,
    ModelInfo,
    PlaybackInfo,
    ProcessName,
    ProcessStatus,
    RecordingInfo,
    SourceInfo,
)
from station.transport.messages import GradeInfo, KinematicsInfo, TracksHeader

RATE_WINDOW_S = 3.0
LATE_WINDOW_S = 5.0
"""Lateness is measured over so many latest seconds,"""
LATE_FRAMES = 20
"""and at least so many frames."""


@dataclass(frozen=True, slots=True)
class ProcessView:
    """What is known of one process."""

    status: ProcessStatus | None = None
    """Its latest report; None: none yet."""
    progress_ns: int | None = None
    """When it last made progress (station clock)."""
    rate_hz: float | None = None
    """Frames (capture, tracker) or grades (engine) per second lately."""
    died: str = ""
    """Why it is gone, in plain words, where it did not say so itself."""
    returning: str = ""
    """Why it is being started again; empty where it is not."""
    restarts: int = 0
    """How often it was started again."""
    suspended: bool = False
    """The system has stopped it: by SIGSTOP, Ctrl-Z or a debugger."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How a sperm swam, and when: the tracker says it twice a second, not with every frame."""

    info: KinematicsInfo
    t_exposure_ns: int


@dataclass(frozen=True, slots=True)
class ScreenState:
    """What the operator has done to the screen itself."""

    focus: int | None = None
    """The sperm that is shown in detail."""
    marked: frozenset[int] = frozenset()
    """The sperm that the operator marked as chosen."""
    keys: tuple[tuple[str, str], ...] = ()
    """All keys with what they do, while they are listed."""
    ranked: bool = False
    """The order by expected grade was asked for."""
    question: str = ""
    """Waits for a key."""
    message: str = ""
    """The answer to the last key."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the screen shows at a moment."""

    now_ns: int
    """The moment, on the station clock."""
    elapsed_s: float
    """Since the start of the run."""
    speed: Literal["live", "max"] = "live"
    replay: bool = False
    """What is shown was recorded earlier and is not happening now."""
    blind: bool = False
    """Grades are hidden until a choice is marked: there are none in here."""
    window_fps: float | None = None
    """Frames per second of source time in a window, once the source is known."""
    processes: Mapping[ProcessName, ProcessView] = field(default_factory=dict)
    """A process missing here has not reported yet; without a recorder here nothing is recorded."""
    tracks: TracksHeader | None = None
    """The newest."""
    grades: Mapping[int, GradeInfo] = field(default_factory=dict)
    """The newest of each sperm, by sperm id."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """Frames or windows lost so far by link, named as on screen: "capture to tracker"."""
    late_share: float | None = None
    """Share of the latest frames that came more than a frame interval late; None where that is not known."""
    tracks_received_ns: int | None = None
    """When ``tracks`` arrived (station clock)."""
    shed: tuple[str, ...] = ()
    """What gave way lately because the machine is too slow, a sentence each."""
    ungraded: str = ""
    """Why nothing has been graded lately; empty where something has, or nothing could have."""
    notices: tuple[str, ...] = ()
    """The station's own; those of the processes are in their reports."""
    keys: tuple[str, ...] = ("q quit",)
    """What the keyboard does, as the footer has room for it."""
    screen: ScreenState = ScreenState()
    history: tuple[GradeInfo, ...] = ()
    """The grades of the focused sperm over the last minute, oldest first."""
    motion: Motion | None = None
    """How the focused sperm swims; None where the tracker has not said so yet."""
    crop: NDArray[np.uint8] | None = None
    """The focused sperm in the newest tracked frame (S, S), as the network gets it; None where there is none."""
    has_crops: bool = False
    """Such pictures can be had in this run."""

    def process(self, name: ProcessName) -> ProcessView:
        """Return what is known of a process, an empty view where nothing is."""
        return self.processes.get(name, ProcessView())

    @property
    def source(self) -> SourceInfo | None:
        """The source, once the capture process has opened it."""
        status = self.process(ProcessName.CAPTURE).status
        return status.source if status else None

    @property
    def playback(self) -> PlaybackInfo | None:
        """Where a replay at its own pace is; None in any other run."""
        status = self.process(ProcessName.CAPTURE).status
        return status.playback if status else None

    @property
    def recording(self) -> RecordingInfo | None:
        """The recording, once it has begun."""
        status = self.process(ProcessName.RECORDER).status
        return status.recording if status else None

    @property
    def model(self) -> ModelInfo | None:
        """The model, once the engine has loaded it."""
        status = self.process(ProcessName.ENGINE).status
        return status.model if status else None

    @property
    def network(self) -> str:
        """Whose grades are shown: "RoSTFine", or the kind of network that the model is."""
        return self.model.network if self.model else ROSTFINE

    @property
    def view_link(self) -> str:
        """Where the live view is, for this machine's user alone; empty where there is none."""
        status = self.process(ProcessName.VIEW).status
        return status.notices[0] if status and status.notices and not self.process(ProcessName.VIEW).died else ""


class LateMeter:
    """Measures which share of the latest frames came late: one late frame says nothing about a machine."""

    def __init__(self) -> None:
        self._history: deque[tuple[int, int, int]] = deque()

    def update(self, t_ns: int, captured: int, late: int) -> float | None:
        """Take in the counts at a time, again if need be; return the share, None before there are enough frames."""
        history = self._history
        if history and captured < history[-1][1]:  # the process was started again
            history.clear()
        if not history or t_ns > history[-1][0]:
            history.append((t_ns, captured, late))
        while len(history) > 2 and t_ns - history[1][0] >= LATE_WINDOW_S * NS_PER_S:
            history.popleft()
        frames = history[-1][1] - history[0][1]
        return (history[-1][2] - history[0][2]) / frames if frames >= LATE_FRAMES else None


class RateMeter:
    """Measures a process's rate from its counters, over the latest few seconds."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._history: deque[tuple[int, int]] = deque()

    def update(self, status: ProcessStatus) -> float | None:
        """Take in the process's latest status, again if need be; return the rate in 1/s, None until there is one.

        A report with another process id (the process was started again) begins anew.
        """
        count = status.counters.handled
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
