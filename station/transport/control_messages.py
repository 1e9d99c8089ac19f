"""What the processes say to the supervisor about themselves, and what they are told: status, commands, actions.

The messages of the data links are in ``station.transport.messages``.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_serializer, field_validator

from station.ranges import FrameRate, Scale
from station.transport.counters import (
    CaptureCounters,
    Count,
    Counters,
    EngineCounters,
    RecorderCounters,
    TrackerCounters,
    ViewCounters,
)
from station.transport.messages import CommandName, GradeInfo, Header, PositiveReal, TimeNs, is_none


class ProcessName(StrEnum):
    """The processes beside the main one, in data-flow order."""

    CAPTURE = "capture"
    TRACKER = "tracker"
    ENGINE = "engine"
    RECORDER = "recorder"
    """Beside the others: it only listens, and they go on without it."""
    VIEW = "view"
    """The live view in the browser: beside the others likewise."""


PIPELINE: Final = (ProcessName.CAPTURE, ProcessName.TRACKER, ProcessName.ENGINE)
"""The processes that a frame passes on its way to a grade."""
COUNTERS: Final[dict[ProcessName | None, type[Counters]]] = {
    ProcessName.CAPTURE: CaptureCounters,
    ProcessName.TRACKER: TrackerCounters,
    ProcessName.ENGINE: EngineCounters,
    ProcessName.RECORDER: RecorderCounters,
    ProcessName.VIEW: ViewCounters,
}


class ProcessState(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    READY = "ready"
    RUNNING = "running"
    ENDED = "ended"
    FAILED = "failed"


Parameters = dict[str, float | list[float]]
"""Tuned constants by "group.name"."""


def is_empty(value: Parameters | str) -> bool:
    """Whether a field says nothing, and is left out of its message."""
    return not value


class Percentiles(BaseModel):
    """A distribution of durations in ms."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    count: Count = 0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    max: float = 0.0


class SourceInfo(BaseModel):
    """Where the frames come from, as the source itself reports it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    """As shown to people: "simulated microscope", "12/video.mp4"."""
    height: Count
    width: Count
    fps: FrameRate
    """Nominal frame rate, 1/s."""
    um_per_px: Scale | None = None
    """Micrometres per px, where known."""
    objective: str = Field(default="", exclude_if=is_empty)
    """Name of the objective that the scale belongs to. Left out of the message where empty: none was named."""
    settings: dict[str, str] = {}
    """A camera's settings as it accepted them, by name; empty for files."""


MOST_PATCH_GRID: Final = 1024
"""Along one edge of a clip."""
ROSTFINE: Final = "RoSTFine"
"""Whose grades are shown where no other network is named."""


class ModelInfo(BaseModel):
    """Which model grades, on what."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    sha256: str
    """Of the model file."""
    plan_sha256: str = ""
    """Of the compiled plan that runs; empty where the model file itself is run."""
    runtime: str
    """Such as "onnxruntime (CPU, 1 thread)"."""
    demonstration: bool
    """True for a model made from simulated clips: its grades mean nothing about real sperm."""
    um_per_px: Scale | None = None
    fps: FrameRate | None = None
    patch_grid: Count | None = Field(default=None, le=MOST_PATCH_GRID, exclude_if=is_none)
    """Patches along one edge of the clip, numbered row by row from 0. Left out of the message where None: the network
    selects none."""
    system: str = Field(default="", exclude_if=is_empty)
    """Which kind of network, where not RoSTFine: "timesformer", "r3d", ... Left out of the message where empty."""

    @property
    def title(self) -> str:
        """Its name, and its kind where that is not RoSTFine."""
        return f"{self.name} ({self.system})" if self.system else self.name

    @property
    def network(self) -> str:
        """Whose grades they are: "RoSTFine", or the kind of network that it is."""
        return self.system or ROSTFINE


class RecordingInfo(BaseModel):
    """How the recording of this run is doing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    folder: str
    """Of the session."""
    mode: Literal["all", "keep"]
    codec: str
    frames: Count = 0
    """In the record."""
    lost: Count = 0
    """Frames that are missing in the record."""
    size_bytes: Count = 0
    left_s: float | None = None
    """Until the disk is full or a limit reached, at the present rate; None while that is not known."""
    pre_trigger_s: float | None = None
    """How far back "keep" reaches now."""
    kept: Count = 0
    """How often it was asked for."""
    stopped: str = ""
    """Why recording stopped before the run; empty while it goes on."""
    complete: bool = False
    """True once the session was ended in good order."""
    chain: str = ""
    """The newest value of the log's hash chain: with a note of it anyone can tell later that nothing was changed."""


class SpermTally(BaseModel):
    """What the engine has published for one sperm."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sperm_id: Count
    grades: Count
    last: GradeInfo


class CameraAdjustment(BaseModel):
    """What came of a CAMERA command."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command_seq: Count
    done: bool
    text: str
    """What the camera accepted, or why it did not."""


class PlayStep(StrEnum):
    """What a reviewer can ask of a replay."""

    PAUSE = "pause"
    """And, when it is paused, to go on."""
    STEP = "step"
    """To the next frame; pauses first."""
    FORWARD = "forward"
    """Ten seconds on, as fast as the tracker follows."""
    SLOWER = "slower"
    FASTER = "faster"


class PlaybackInfo(BaseModel):
    """Where a replay is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    position_s: float
    """Seconds from the session's first frame, on the source's own axis."""
    before_s: float | None = Field(default=None, exclude_if=is_none)
    """Position of the frame before; None: there was none."""
    length_s: float
    frame_seq: Count
    pace: float
    """1: as recorded."""
    paused_ns: TimeNs | None = None
    """Since when it is paused, or was let on by a frame (station clock); None: it goes on."""
    going_to_s: float | None = None
    """It goes there as fast as the tracker follows."""
    command_seq: Count | None = None
    """Of the newest PLAY command that it obeyed."""


class ProcessStatus(Header):
    """Heartbeat with progress, from a process to the supervisor, several times a second and at each change of state."""

    process: Annotated[ProcessName, Field(strict=False, alias="stage")]
    state: Annotated[ProcessState, Field(strict=False)]
    pid: Count
    t_ns: TimeNs
    progress: Count
    """Rounds of the process's loop so far, idle ones included; the supervisor watches that it rises."""
    patience_s: Annotated[float, Field(gt=0)] = 3.0
    """How long one round may take before the process counts as hung (a large network on a CPU needs seconds)."""
    counters: Counters = Counters()
    """Counts since the start, of the process's own type (``station.transport.counters``)."""
    latency_ms: dict[str, Percentiles] = Field(default={})
    """Durations by name, since the start."""
    recent_ms: dict[str, Percentiles] = Field(default={})
    """The same over the latest few hundred values."""
    error: str = ""
    """One line, for state failed."""
    user_error: bool = False
    """True where the error lies in what the user gave (exit code 2)."""
    details: str = ""
    """Traceback, where the error is a defect of the program."""
    notices: list[str] = Field(default=[])
    """What people should know while it runs: "source scale unknown"."""
    source: SourceInfo | None = None
    model: ModelInfo | None = None
    recording: RecordingInfo | None = None
    sperm: list[SpermTally] = Field(default=[])
    withheld: Count | None = Field(default=None, exclude_if=is_none)
    """Engine: grades that have not been published yet, the run being blind. Left out where nothing is withheld."""
    obeyed: Count | None = Field(default=None, exclude_if=is_none)
    """Engine: number of the START or BLIND command that ``withheld`` follows. Left out before there was one."""
    digest: str = ""
    """Engine: SHA-256 over all grades published so far, to compare runs bit for bit."""
    adjustment: CameraAdjustment | None = Field(default=None, exclude_if=is_none)
    """Capture: what came of the latest CAMERA command. Left out of the message where there was none."""
    playback: PlaybackInfo | None = Field(default=None, exclude_if=is_none)
    """Capture, in a replay at its own pace: where it is. Left out of the message else."""
    suspended: bool = Field(default=False, exclude_if=lambda value: not value)
    """Said of it by the supervisor, to the view: the system has stopped it. Left out of the message where it runs."""
    acted: Count | None = Field(default=None, exclude_if=is_none)
    """Recorder: number behind that of the last action that is in the record. Left out of the message where none is."""
    parameters: Parameters = Field(default={}, exclude_if=is_empty)
    """Tracker, until it is started: its tuned constants, for the record. Left out of the message where empty."""

    @field_validator("counters", mode="before")
    @classmethod
    def _counters_of_the_process(cls, given: Any, info: ValidationInfo) -> Any:
        """Read what came over the wire as the counters of the process that it comes from."""
        if isinstance(given, dict):
            kind = COUNTERS.get(info.data.get("process")) if given else None
            return (kind or Counters).model_validate(given)
        return given

    @field_serializer("counters")
    def _counters_that_were_set(self, counters: Counters) -> dict[str, int]:
        return counters.model_dump(exclude_unset=True)


class Command(Header):
    """From the supervisor to one process."""

    name: Annotated[CommandName, Field(strict=False)]
    x: float | None = None
    y: float | None = None
    sperm_id: Count | None = None
    count: Annotated[Count, Field(ge=1)] | None = None
    """With SELECT_AUTO: how many more sperm to select by the automatic rule."""
    stride: Annotated[Count, Field(ge=1)] | None = None
    """With START, to tracker and recorder: every stride-th frame enters a window."""
    readers: Annotated[Count, Field(ge=1)] | None = None
    """With START: how many readers the process's link has; nothing is sent before all are there."""
    source: SourceInfo | None = None
    model: ModelInfo | None = None
    """With START, to the recorder: what the others have opened. To tracker, engine and view: the source."""
    play: Annotated[PlayStep | None, Field(strict=False)] = Field(default=None, exclude_if=is_none)
    """With PLAY, to capture in a replay. Left out of the message where None, as the next ones."""
    exposure_us: PositiveReal | None = Field(default=None, exclude_if=is_none)
    """With CAMERA, to capture, as the next: what the camera shall take. Left out of the message where None."""
    gain: float | None = Field(default=None, exclude_if=is_none)
    trigger: str = Field(default="", exclude_if=is_empty)
    um_per_px: Scale | None = Field(default=None, exclude_if=is_none)
    """With SCALE, and with START to capture: the scale of another objective than the one of the start, and its name."""
    objective: str = Field(default="", exclude_if=is_empty)
    blind: bool | None = Field(default=None, exclude_if=is_none)
    """With BLIND, and with START to the engine: whether grades are withheld. Left out of the message where None."""
    parameters: Parameters = Field(default={}, exclude_if=is_empty)
    """With START, to the recorder: the tracker's tuned constants. Left out of the message where empty."""
    marked: list[Count] = Field(default=[], exclude_if=is_empty)
    """With START, to the tracker: the sperm that were marked as chosen. Left out of the message where empty."""


class ActionHeader(Header):
    """What the operator did at the station, or what ended the run; for the record."""

    t_ns: TimeNs
    name: str
    """"key k", "key a", "key q", "end"; or a request's name (``station.commands.requests``)."""
    details: str = ""
    """What it led to, in a few words."""
    asked_by: str = Field(default="", exclude_if=is_empty)
    """"screen", "socket", "shell", "view". Left out of the message where empty: nobody asked, as for the end."""
    sperm_id: Count | None = Field(default=None, exclude_if=is_none)
    """Of a mark: the sperm that was chosen. Left out where None, as by stations of before."""
    note: str = Field(default="", exclude_if=is_empty)
    """Of a mark: what was written with it; ``details`` ends with it too."""
