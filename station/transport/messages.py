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
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from station.ranges import Scale
from station.transport.counters import (
    Count,
)

WIRE_VERSION: Final = 1
STALE_S: Final = 1.0
"""In a live run a grade older than this is stale: the sperm has moved on."""
GRADES = ("A", "B", "C", "D", "E")
"""The five grades, best first. The bare letter is never shown without the word "grade": WHO classes use letters too."""

TimeNs = Annotated[int, Field(ge=0, le=(1 << 63) - 1)]
PositiveReal = Annotated[float, Field(gt=0)]
Point = Annotated[list[float], Field(min_length=2, max_length=2)]
"""x, y."""
Five = Annotated[list[float], Field(min_length=5, max_length=5)]
MOST_EVERY = 64
Every = Annotated[int, Field(ge=1, le=MOST_EVERY)]
"""One in so many: as many as a window's stride may be."""
Shares = Annotated[list[Annotated[float, Field(ge=0, le=1.01)]], Field(min_length=5, max_length=5)]
"""Probabilities of the five grades, A to E; a network of 16-bit numbers rounds a certain one up to a little over 1."""


class Topic(StrEnum):
    """First part of each message, what the header is."""

    FRAME = "frame"
    WINDOWS = "windows"
    TRACKS = "tracks"
    GRADES = "grades"
    STATUS = "status"
    COMMAND = "command"
    ACTION = "action"
    HELLO = "hello"
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


def is_none(value: object) -> bool:
    """Say of an optional field whether to leave it out of the message."""
    return value is None


def is_empty(value: str) -> bool:
    """Say the same of an optional text."""
    return not value


def is_one(value: int) -> bool:
    """Say the same of "one in so many", where it is each."""
    return value == 1


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
    """Frames that the source lost between the frame before and this one, beside those left out by ``every``."""
    exposure_id: Count = 0
    """Changes whenever exposure, gain or region of interest change: windows do not mix such frames."""
    exposure_us: PositiveReal | None = None
    """Exposure of this very frame where the camera sends it along with the pixels (chunk data)."""
    gain: float | None = None
    """Its gain likewise, in the camera's own unit."""
    every: Every = Field(default=1, exclude_if=is_one)
    """One in so many frames of the source is sent, at even distances: no gap. Left out of the message where all are."""


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


class Cause(StrEnum):
    """What disturbed the frames of a window, so that its grade cannot be taken at its word; in the screens' words."""

    STAGE = "stage"
    """The stage moved."""
    FOCUS = "focus"
    """The picture was out of focus."""
    CROSSING = "crossing"
    """Another head crossed."""
    REPEATED = "repeated"
    """A picture was exactly one of the 64 before: motion looks slower than it is; a camera may be about to freeze."""
    BRIGHT = "bright"
    """Too many pixels were saturated."""
    DARK = "dark"
    """Nearly all of the picture was nearly black."""


class Measured(BaseModel):
    """What was measured in all frames from a window's first to its last, those between its crops included."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    causes: list[Annotated[Cause, Field(strict=False)]] = []
    """What disturbed them, in the order of ``Cause``."""
    stage_px: Annotated[float, Field(ge=0)] = 0.0
    """How far the stage moved the picture: the length of the way, px."""
    sharpness: Annotated[float, Field(ge=0)] | None = None
    """The least of them (``tracker.field.picture``); None where no frame had edges to judge by."""
    saturated: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest share of pixels at 255."""
    brightest: Annotated[float, Field(ge=0, le=255)] = 255.0
    """Least of the grey levels that 99 % of the pixels do not pass."""
    nearest_px: Annotated[float, Field(ge=0)] | None = None
    """Least distance to another head, centre to centre; None where none was near."""
    repeated: Count = 0
    """Pictures that were exactly one of the 64 before."""


class WindowInfo(BaseModel):
    """One window of the batch that follows: what it shows. Only complete windows of locked frames are sent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    sperm_id: Count
    x: float
    y: float
    frame_seqs: Annotated[list[Count], Field(min_length=1)]
    """(T,) frame numbers, oldest first."""
    t_source_ns: Annotated[list[TimeNs], Field(min_length=1)]
    """(T,) source times of those frames."""
    padded: bool
    """True where at least one crop reached over the frame's edge and was filled with the edge's mean."""
    measured: Measured | None = Field(default=None, exclude_if=is_none)
    """Left out of the message where None: older records have none."""


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
    broken_by: str = Field(default="", exclude_if=is_empty)
    """What broke it then, in a few words: "focus changed", "gap". Left out of the message where empty."""
    kinematics: KinematicsInfo | None = Field(default=None, exclude_if=is_none)
    """In the frames for which they were worked out, twice a second; left out of the message in all others."""
    asked: Count | None = Field(default=None, exclude_if=is_none)
    """Number of the command that selected it; left out of the message where a rule or the configuration did."""


class CommandName(StrEnum):
    """What the supervisor can ask of a process."""

    START = "start"
    STOP = "stop"
    SELECT = "select"
    SELECT_AUTO = "select_auto"
    RELEASE = "release"
    MARK = "mark"
    CAMERA = "camera"
    BLIND = "blind"
    SCALE = "scale"
    PLAY = "play"
    RESTART = "restart"
    """Carried out by a tracker that was started again, as the next two: it begins anew, with the number of the next
    sperm."""
    TAKE_UP = "take_up"
    """It follows a sperm of before, which is seen at its last place."""
    MISS = "miss"
    """It says that a sperm of before is lost."""
    CANDIDATES = "candidates"


class AppliedCommand(BaseModel):
    """A selection or release that the tracker carried out just before a frame; the fields as in ``Command``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[CommandName, Field(strict=False)]
    x: float | None = None
    y: float | None = None
    sperm_id: Count | None = None
    """Of a release: whose. Of a selection by point: the number it was given. Of a restart: the next to be given."""
    count: Annotated[Count, Field(ge=1)] | None = None
    um_per_px: Scale | None = Field(default=None, exclude_if=is_none)
    """Of a change of the objective: the scale from this frame on, and the objective's name. Left out where None."""
    objective: str | None = Field(default=None, exclude_if=is_none)
    head_px: PositiveReal | None = Field(default=None, exclude_if=is_none)
    """Of a restart: the head size that had been measured. Left out of the message where None."""
    asked: Count | None = Field(default=None, exclude_if=is_none)
    """Number of the command; left out of the message where nobody asked: a rule, or the configuration."""
    prompt: Literal[True] | None = Field(default=None, exclude_if=is_none)
    """Of a selection by rule: its steps follow each other within a frame. Left out in sessions of before."""
    unbroken: Literal[True] | None = Field(default=None, exclude_if=is_none)
    """Of a selection by rule: where frames are missing, the field is watched anew before. Left out likewise."""


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
    of_sent: Every = Field(default=1, exclude_if=is_one)
    """One in so many frames that are sent is tracked, at even distances. Left out of the message where all are."""
    candidates: list[Point] | None = Field(default=None, exclude_if=is_none)
    """Where in this frame heads are that nobody follows, the most promising first: in the frame after somebody asked
    for them, and left out of the message in all others."""


class Validity(StrEnum):
    """Whether a grade could be taken at its word when it was published. The worst that applies is given.

    What became of the sperm afterwards, and the grade's age now, are the reader's to judge.
    """

    VALID = "valid"
    PADDED = "padded"
    """The window reached over the frame's edge."""
    UNSUITED = "unsuited"
    """The model was made for another scale or frame rate, or the source's scale is not known: see ``doubts``."""
    STALE = "stale"
    """In a live run, it was older than 1 s when it was published."""
    DISTURBED = "disturbed"
    """The window's frames were disturbed: see ``causes``."""
    GAP = "gap"
    """Frames are missing between those of the window. The tracker sends no such window."""


class ModelDoubt(StrEnum):
    """Why a model's grades may be wrong for a source, whatever the window."""

    SCALE = "scale differs"
    SCALE_UNKNOWN = "scale not known"
    RATE = "frame rate differs"


class Evidence(BaseModel):
    """Why a grade is worth what its validity says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    frame_seqs: list[Count]
    """(T,) frames that the network saw, oldest first."""
    span_ms: Annotated[float, Field(ge=0)]
    """Source time from the first to the last of them."""
    measured: Measured | None = Field(default=None, exclude_if=is_none)
    doubts: list[Annotated[ModelDoubt, Field(strict=False)]] = []


class GradeInfo(BaseModel):
    """The grade distribution of one window."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    sperm_id: Count
    frame_seq: Count
    """Newest frame of the window."""
    x: float
    y: float
    grade: Shares
    """Probability of each grade, A to E; the sum is 1 within 1e-5."""
    heads: Annotated[list[Shares], Field(min_length=3, max_length=3)] | None = Field(default=None, exclude_if=is_none)
    """The same from the global, spatial and temporal head alone, in this order. Left out of the message where None: the
    network does not have the three (``ModelInfo.system``)."""
    validity: Annotated[Validity, Field(strict=False)]
    trace: Trace
    patches: list[list[Count]] | None = Field(default=None, exclude_if=is_none)
    """(T, K) which patches of each frame the network selected, the most attended first; ``ModelInfo.patch_grid`` says
    where they are. Left out of the message where None: older records have none."""
    evidence: Evidence | None = Field(default=None, exclude_if=is_none)
    """Left out of the message where None: older records have none."""


class GradesHeader(Header):
    """The grades of one batch."""

    grades: list[GradeInfo]
