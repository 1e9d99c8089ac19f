"""What the log of a session holds: one typed record per event, by kind.

Headers of the wire (``station.transport.messages``) are stored as they came, so that a replay can send them again.
This module knows what is said, not how lines are chained (``station.session.event_log``) nor who says it.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from station.session.layout import CHUNK_PATTERN
from station.transport.control_messages import ActionHeader, ModelInfo, Parameters, ProcessStatus, SourceInfo
from station.transport.counters import Count
from station.transport.hello import HelloHeader
from station.transport.messages import FrameHeader, GradesHeader, TracksHeader, WindowsHeader

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Crc32 = Annotated[int, Field(ge=0, lt=1 << 32)]
ChunkPath = Annotated[str, Field(pattern=CHUNK_PATTERN)]
SessionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")]
"""It becomes a part of other files' names; empty before a session begins."""
FilePath = Annotated[str, Field(pattern=r"^(video|tables)/[a-z0-9_]{1,40}\.[a-z0-9]{1,10}$")]


class Record(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StartRecord(Record):
    """The first event: what made this session, with which settings, on what."""

    format: Literal[1] = 1
    notice: str
    session: SessionName
    started_utc: str
    """Wall time of this event, ISO 8601: ties the station clock to the calendar."""
    mode: Literal["all", "keep"]
    """"all": every frame is recorded; "keep": frames only where the operator kept the pre-trigger buffer."""
    program: str
    git_commit: str | None
    """None where the program does not run from a git checkout; "+" behind it: with changes that are not committed."""
    config: dict[str, Any]
    """The configuration, with the source's path replaced by its pseudonym and folders left out."""
    machine: dict[str, Any]
    packages: dict[str, str]


class OpenedRecord(Record):
    """What the processes opened, before the first frame."""

    source: SourceInfo
    model: ModelInfo
    stride: Annotated[Count, Field(ge=1)]
    """Every stride-th frame enters a window."""
    tracker: Parameters = {}
    """The tracker's tuned constants, by "group.name"; empty in sessions of before they were recorded."""


class HelloRecord(Record):
    """What is said to those who join late: when it is first said, and whenever it changes."""

    header: HelloHeader


class FrameRecord(Record):
    """One frame that was recorded."""

    header: FrameHeader
    file: ChunkPath
    index: Count
    """Number of the frame in its chunk, from 0."""
    pts_ms: Count
    """Its time stamp in the chunk: finds it there even where frames before it are damaged."""
    crc32: Crc32
    """Of the pixels, row by row (zlib)."""


class TracksRecord(Record):
    """All selected sperm after one frame."""

    header: TracksHeader


class WindowsRecord(Record):
    """Which windows went to the network; their pixels follow from the video and the tracks."""

    header: WindowsHeader
    crc32: list[Crc32]
    """Of the pixels of each window."""


class GradesRecord(Record):
    """Grades as they were published."""

    header: GradesHeader


class ActionRecord(Record):
    """What the operator did, or what ended the run."""

    action: ActionHeader


class StatusRecord(Record):
    """How a process is: at each change of its state, now and then between, and at the end."""

    status: ProcessStatus


class ChunkRecord(Record):
    """How far a chunk has got: its first ``bytes`` bytes have this hash. ``closed``: that is all of it."""

    file: ChunkPath
    codec: str
    frames: Count
    bytes: Count
    sha256: Sha256
    closed: bool


class FileRecord(Record):
    """A file beside the video that was finished: a table."""

    file: FilePath
    bytes: Count
    sha256: Sha256


class LossRecord(Record):
    """Messages that are missing in this record since the loss record before it, by link and why."""

    link: Literal["frames", "tracks", "windows", "grades", "events"]
    count: Annotated[int, Field(ge=1)]
    reason: str


class KeepRecord(Record):
    """The operator's "keep": these frames are the pre-trigger buffer, all of them recorded."""

    first_seq: Count
    last_seq: Count
    frames: Count
    seconds: Annotated[float, Field(ge=0)]
    """From the first to the last of them, on the source's time axis."""


class StopRecord(Record):
    """Recording stopped before the run ended; no frame follows."""

    reason: str


class EndRecord(Record):
    """The last event of a session that was not cut off."""

    ended_utc: str
    counters: dict[str, Count]


KINDS: Final[dict[str, type[Record]]] = {
    "start": StartRecord,
    "opened": OpenedRecord,
    "hello": HelloRecord,
    "frame": FrameRecord,
    "tracks": TracksRecord,
    "windows": WindowsRecord,
    "grades": GradesRecord,
    "action": ActionRecord,
    "status": StatusRecord,
    "chunk": ChunkRecord,
    "file": FileRecord,
    "loss": LossRecord,
    "keep": KeepRecord,
    "stop": StopRecord,
    "end": EndRecord,
}
KIND_OF: Final = {record: kind for kind, record in KINDS.items()}
