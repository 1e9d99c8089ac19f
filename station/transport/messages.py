"""What travels between the processes: typed headers, checked on arrival.

A message on the wire is three parts: a short topic, a MessagePack header (one of the models below), and raw pixels
where the header announces them (``docs/wire.md``). This module knows the headers; ``station.transport.wire`` turns
them into bytes and back, ``station.transport.bus`` moves them.

Times ending in ``_ns`` are nanoseconds on the station clock (``station.clock``), except ``t_source_ns``: the time on
the source's own axis (media time of a file, simulated time, exposure time of a camera), which alone is used for
motion, so that an offline run at any speed sees the same motion. Positions are (x, y) in px of the full frame, x right,
y down, pixel centres at whole numbers.
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

WIRE_VERSION: Final = 1
GRADES = ("A", "B", "C", "D", "E")
"""The five grades, best first. The bare letter is never shown without the word "grade": WHO classes use letters too."""

TimeNs = Annotated[int, Field(ge=0)]
PositiveReal = Annotated[float, Field(gt=0)]
Five = Annotated[list[float], Field(min_length=5, max_length=5)]


class Topic(StrEnum):
    """First part of each message, what the header is."""

    FRAME = "frame"
    WINDOWS = "windows"
    TRACKS = "tracks"
    GRADES = "grades"
    STATUS = "status"
    COMMAND = "command"
    ACTION = "action"
    END = "end"


class Header(BaseModel):
    """Base of all headers: unknown fields are refused, nothing is coerced, nothing changes after it was made."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_by_name=True, serialize_by_alias=True
    )

    v: Literal[1] = WIRE_VERSION
    """Wire version. A receiver refuses any other."""
    seq: Count
    """Number of this message on its link, from 0, without holes: a hole means a lost message."""


class FrameHeader(Header):
    """One camera frame, mono 8 bit; pixels follow, row by row."""

    t_exposure_ns: TimeNs
    """End of the exposure, as close as the source can tell, on the station clock."""
    t_source_ns: TimeNs
    t_sent_ns: TimeNs
    height: Annotated[int, Field(ge=1, le=65535)]
    width: Annotated[int, Field(ge=1, le=65535)]
    dtype: Literal["uint8"] = "uint8"
    lost_before: Count = 0
    """Frames that the source lost between the frame before and this one."""
    exposure_id: Count = 0
    """Changes whenever exposure, gain or region of interest change: windows do not mix such frames."""
    exposure_us: PositiveReal | None = None
    """Exposure of this very frame where the camera sends it along with the pixels (chunk data)."""
    gain: float | None = None
    """Its gain likewise, in the camera's own unit."""


class EndHeader(Header):
    """The sender has nothing more to send on this link. ``seq`` counts on as for any message."""


class Trace(BaseModel):
    """When a frame passed each process on its way to a grade (station clock). Zero: not there yet."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    t_exposure_ns: TimeNs
    t_sent_ns: TimeNs
    """The capture process handed the frame to its socket."""
    t_tracker_in_ns: TimeNs = 0
    t_tracker_out_ns: TimeNs = 0
    t_engine_in_ns: TimeNs = 0
    t_infer_ns: TimeNs = 0
    """The batch that holds the window went into the network."""
    t_grade_ns: TimeNs = 0
    """The grade was published."""


class WindowInfo(BaseModel):
    """One window of the batch that follows: what it shows. Only complete windows of locked frames are sent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    sperm_id: Count
    x: float
    y: float
    frame_seqs: list[Count]
    """(T,) frame numbers, oldest first."""
    t_source_ns: list[TimeNs]
    """(T,) source times of those frames."""
    padded: bool
    """True where at least one crop reached over the frame's edge and was filled with the edge's mean."""


class WindowsHeader(Header):
    """The windows that became complete with one frame; pixels (N, T, H, W) uint8 follow."""

    frame_seq: Count
    trace: Trace
    shape: Annotated[list[Annotated[int, Field(ge=1, le=65535)]], Field(min_length=4, max_length=4)]
    dtype: Literal["uint8"] = "uint8"
    windows: list[WindowInfo]


class TrackState(StrEnum):
    """How far the tracker vouches for a position. Only ``locked`` frames enter a window."""

    ACQUIRING = "acquiring"
    LOCKED = "locked"
    UNCERTAIN = "uncertain"
    LOST = "lost"


def _is_none(value: object) -> bool:
    return value is None


class KinematicsInfo(BaseModel):
    """How a sperm has been swimming lately, by the definitions of the WHO manual (``tracker.kinematics``).

    A value is None where the frame rate does not allow it, all are where ``refused`` says why. Values that come from
    different frame rates must not be compared.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_by_name=True, serialize_by_alias=True
    )

    refused: str = ""
    vcl_um_s: float | None = None
    vsl_um_s: float | None = None
    vap_um_s: float | None = None
    lin: float | None = None
    straightness: Annotated[float | None, Field(alias="str")] = None
    wob: float | None = None
    alh_max_um: float | None = None
    alh_mean_um: float | None = None
    bcf_hz: float | None = None
    mad_deg: float | None = None
    motility: Annotated[str, Field(max_length=40)] = ""
    """WHO 2021 class in words: the manual's letters a to d are not used, as grades have letters too."""
    confidence: float | None = None
    """0 to 1."""
    rate_hz: float | None = None
    """Samples per second that this comes from."""
    duration_s: float | None = None


class TrackInfo(BaseModel):
    """One selected sperm in one frame."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    sperm_id: Count
    x: float
    y: float
    state: Annotated[TrackState, Field(strict=False)]
    score: Annotated[float, Field(ge=0.0, le=1.0)]
    """How well the position is supported, 0 to 1."""
    reason: str = ""
    """Why it is not locked, in a few words: "crossing", "near the border", "left the frame"."""
    filled: Count
    """Frames in the window so far, of the frames it needs: "n/16"."""
    unbroken_since: Count = 0
    """Frame number since which no gap has broken the window: a grade of an older frame is from before the gap."""
    kinematics: KinematicsInfo | None = Field(default=None, exclude_if=_is_none)
    """In the frames for which they were worked out, twice a second; left out of the message in all others."""


class CommandName(StrEnum):
    """What the supervisor can ask of a process."""

    START = "start"
    STOP = "stop"
    SELECT = "select"
    SELECT_AUTO = "select_auto"
    RELEASE = "release"
    MARK = "mark"
    CAMERA = "camera"


class AppliedCommand(BaseModel):
    """A selection or release that the tracker carried out just before a frame; the fields as in ``Command``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[CommandName, Field(strict=False)]
    x: float | None = None
    y: float | None = None
    sperm_id: Count | None = None
    """Of a release: whose. Of a selection by point: the number it was given."""
    count: Annotated[int, Field(ge=1)] | None = None


class TracksHeader(Header):
    """All selected sperm after one frame."""

    frame_seq: Count
    trace: Trace
    window_frames: Count
    tracks: list[TrackInfo]
    disturbance: str = ""
    """What disturbs the whole field at this frame, in a few words: "stage moving", "exposure changed"; else empty."""
    applied_commands: Annotated[list[AppliedCommand], Field(alias="obeyed")] = []
    """What was asked of the tracker and done just before this frame, in order; the first selection is in the first."""


class Validity(StrEnum):
    """Whether a grade can be taken at its word. The worst that applies is given."""

    VALID = "valid"
    PADDED = "padded"
    """The window reached over the frame's edge."""


class GradeInfo(BaseModel):
    """The grade distribution of one window."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    sperm_id: Count
    frame_seq: Count
    """Newest frame of the window."""
    x: float
    y: float
    grade: Five
    """Probability of each grade, A to E; the sum is 1 within 1e-5."""
    heads: Annotated[list[Five], Field(min_length=3, max_length=3)]
    """The same from the global, spatial and temporal head alone, in this order."""
    validity: Annotated[Validity, Field(strict=False)]
    trace: Trace
    patches: list[list[Count]] | None = Field(default=None, exclude_if=_is_none)
    """(T, K) which patches of each frame the network selected, the most attended first; ``ModelInfo.patch_grid`` says
    where they are. Left out of the message where None: older records have none."""


class GradesHeader(Header):
    """The grades of one batch."""

    grades: list[GradeInfo]


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
    settings: dict[str, str] = {}
    """A camera's settings as it accepted them, by name; empty for files."""


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
    patch_grid: Count | None = Field(default=None, exclude_if=_is_none)
    """Patches along one edge of the clip, numbered row by row from 0. Left out of the message where None."""


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


Parameters = dict[str, float | list[float]]
"""Tuned constants by "group.name"."""


def _is_empty(value: Parameters | str) -> bool:
    return not value


class CameraAdjustment(BaseModel):
    """What came of a CAMERA command."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command_seq: Count
    done: bool
    text: str
    """What the camera accepted, or why it did not."""


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
    latency_ms: dict[str, Percentiles] = {}
    """Durations by name, since the start."""
    recent_ms: dict[str, Percentiles] = {}
    """The same over the latest few hundred values."""
    error: str = ""
    """One line, for state failed."""
    user_error: bool = False
    """True where the error lies in what the user gave (exit code 2)."""
    details: str = ""
    """Traceback, where the error is a defect of the program."""
    notices: list[str] = []
    """What people should know while it runs: "source scale unknown"."""
    source: SourceInfo | None = None
    model: ModelInfo | None = None
    recording: RecordingInfo | None = None
    sperm: list[SpermTally] = []
    digest: str = ""
    """Engine: SHA-256 over all grades published so far, to compare runs bit for bit."""
    adjustment: CameraAdjustment | None = Field(default=None, exclude_if=_is_none)
    """Capture: what came of the latest CAMERA command. Left out of the message where there was none."""
    parameters: Parameters = Field(default={}, exclude_if=_is_empty)
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
    count: Annotated[int, Field(ge=1)] | None = None
    """With SELECT_AUTO: how many more sperm to select by the automatic rule."""
    stride: Annotated[int, Field(ge=1)] | None = None
    """With START, to tracker and recorder: every stride-th frame enters a window."""
    readers: Annotated[int, Field(ge=1)] | None = None
    """With START: how many readers the process's link has; nothing is sent before all are there."""
    source: SourceInfo | None = None
    model: ModelInfo | None = None
    """With START, to the recorder: what the others have opened. To the tracker: the source."""
    exposure_us: PositiveReal | None = Field(default=None, exclude_if=_is_none)
    """With CAMERA, to capture, as the next: what the camera shall take. Left out of the message where None."""
    gain: float | None = Field(default=None, exclude_if=_is_none)
    parameters: Parameters = Field(default={}, exclude_if=_is_empty)
    """With START, to the recorder: the tracker's tuned constants. Left out of the message where empty."""


class ActionHeader(Header):
    """What the operator did at the station, or what ended the run; for the record."""

    t_ns: TimeNs
    name: str
    """"key k", "key a", "key q", "end"; or a request's name (``station.commands.requests``)."""
    details: str = ""
    """What it led to, in a few words."""
    asked_by: str = Field(default="", exclude_if=_is_empty)
    """"screen", "socket", "shell", "view". Left out of the message where empty: nobody asked, as for the end."""
