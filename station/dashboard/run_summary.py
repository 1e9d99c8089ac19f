"""The summary of a run as a value. The names of the fields are the keys of the JSON document (``--summary``).

Durations are in ms. What a process did not live to report is None or zero. How it is put together is the business of
``station.dashboard.summary``.
"""

from dataclasses import dataclass

from station.dashboard.assessment import GradeValidity
from station.transport.messages import TrackState, Validity


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of durations in ms; None where nothing was measured, for that is not 0 ms."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Where a grade's time went, from the exposure of its newest frame on."""

    exposure_to_grade: Latency
    transport: Latency
    tracker: Latency
    waiting: Latency
    engine: Latency


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """The model that graded."""

    name: str
    sha256: str
    demonstration: bool
    network: str
    """Which kind it is: "RoSTFine", "r3d", ..."""


@dataclass(frozen=True, slots=True)
class FrameSummary:
    """What became of the frames."""

    captured: int
    tracked: int
    dropped: int
    """By the source and on the way to the tracker."""
    left_out: int = 0
    """Those of them that a film or a simulation left out, as they would have been too late."""


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """Windows that were not graded."""

    replaced: int
    """By a newer one of the same sperm."""
    lost: int


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """How much of a replay came out exactly as it was recorded."""

    tracks_as_recorded: int
    tracks_differ: int
    grades_as_recorded: int
    grades_differ: int
    windows_missing: int
    """Graded in the recorded run, not produced by the replay."""
    windows_left_out: int
    """Produced by the replay, not graded in the recorded run."""


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """A camera's settings as it accepted them, its faults, and how well its clock is known."""

    settings: dict[str, str]
    lost: int
    incomplete: int
    overrun: int
    reconnects: int
    clock_error_ms: float | None


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """How the recording went."""

    folder: str
    mode: str
    codec: str
    frames: int
    lost: int
    size_bytes: int
    kept: int
    stopped: str
    """Why it ended before the run; empty where it did not."""
    complete: bool
    chain: str


@dataclass(frozen=True, slots=True)
class LastGrade:
    """The last grade of a sperm."""

    grade: list[float]
    frame_seq: int
    frames_ago: int | None
    """How many frames were tracked after it."""
    age_ms: float
    """From the exposure of its newest frame until it was published."""
    validity: Validity
    standing: GradeValidity | None
    """What it is worth, given what became of the sperm afterwards."""


@dataclass(frozen=True, slots=True)
class SpermSummary:
    """One sperm that was tracked; ``x``, ``y`` in px of the full frame."""

    id: int
    x: float | None
    y: float | None
    state: TrackState | None
    grades: int
    last: LastGrade | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run."""

    notice: str
    ended: str
    """What ended the run, in a few words."""
    cautions: list[str]
    source: str | None
    runtime: str | None
    model: ModelSummary | None
    frames: FrameSummary
    replay: ReplaySummary | None
    windows: WindowSummary
    grades: int
    withheld: int | None
    """Of a run that was blind to its end: the grades that nobody has seen, in no record; None of any other."""
    grades_sha256: str
    frame_interval_ms: Latency
    frame_jitter_ms: Latency
    """How far the time between two exposures is from the nominal frame interval."""
    camera: CameraSummary | None
    latency_ms: LatencySummary
    restarts: dict[str, int]
    """How often each process was started again, by name; without those that never were."""
    recording: RecordingSummary | None
    """None where nothing was to be recorded, or recording never began."""
    sperm: list[SpermSummary]
