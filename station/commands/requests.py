"""What may be asked of a running station, and its answer: typed, versioned, bounded, checked on arrival.

A request is two parts, the topic ``request`` and a MessagePack map; its answer is ``reply`` and a map
(``docs/wire.md``). This module knows the messages; it knows no sockets, and not how anything is carried out.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar

import msgpack  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from station.config import Trigger
from station.errors import MessageError
from station.objectives import ObjectiveName
from station.transport.control_messages import is_empty
from station.transport.counters import Count
from station.transport.messages import Five, TrackState

COMMAND_VERSION: Final = 1
REQUEST, REPLY = b"request", b"reply"
MAX_REQUEST_BYTES: Final = 16 << 10
MAX_REPLY_BYTES: Final = 1 << 20
MAX_TEXT: Final = 500
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Asker = Annotated[str, Field(pattern=r"^[a-z][a-z0-9 _-]{0,31}$")]


class Message(BaseModel):
    """Base: unknown fields are refused, nothing is coerced. What checks is built at first use, after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    v: Literal[1] = COMMAND_VERSION
    id: Count = 0
    """The asker's own number of the request; the reply carries it too."""


class Request(Message):
    """Base of all requests."""

    key: Annotated[str, Field(max_length=128)]
    """Of this run, from its registry file."""
    asked_by: Asker = "socket"
    """Who asks, for the record: "socket", "shell", "view"."""
    name: str
    """What is asked for; each request has its own."""


class StatusRequest(Request):
    """How is the station?"""

    name: Literal["status"] = "status"


class SelectRequest(Request):
    """Track the sperm nearest to a point, px of the full frame."""

    name: Literal["select"] = "select"
    x: float
    y: float


class SelectNextRequest(Request):
    """Track the best candidate that is not tracked yet."""

    name: Literal["select_next"] = "select_next"


class SelectPreviousRequest(Request):
    """Take the newest selection back."""

    name: Literal["select_previous"] = "select_previous"


class CandidatesRequest(Request):
    """Say where heads are that nobody follows: they come with the tracks of one frame, on the tracks link."""

    name: Literal["candidates"] = "candidates"


class ReleaseRequest(Request):
    """Track a sperm no longer."""

    name: Literal["release"] = "release"
    sperm_id: Count


class ReplaceLostRequest(Request):
    """Release what is lost and select as many by the automatic rule: the key a."""

    name: Literal["replace_lost"] = "replace_lost"


class MarkRequest(Request):
    """Mark a sperm as chosen, in the record."""

    name: Literal["mark"] = "mark"
    sperm_id: Count
    note: Text = ""


class NoteRequest(Request):
    """Write a line of text into the record."""

    name: Literal["note"] = "note"
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class KeepRequest(Request):
    """Keep the last seconds of video: the key k."""

    name: Literal["keep"] = "keep"


class BlindRequest(Request):
    """Hide all grades until a choice is marked."""

    name: Literal["blind"] = "blind"


class UnblindRequest(Request):
    """Show grades again; in study mode only after a choice was marked."""

    name: Literal["unblind"] = "unblind"


class ObjectiveRequest(Request):
    """Another objective is in use from now on: its scale is in force."""

    name: Literal["objective"] = "objective"
    objective: ObjectiveName


class CalibrateRequest(Request):
    """Keep the scale that a length in the picture gives as that of an objective, and use it."""

    name: Literal["calibrate"] = "calibrate"
    objective: ObjectiveName
    length_px: Annotated[float, Field(gt=0)]
    length_um: Annotated[float, Field(gt=0)]


class CameraRequest(Request):
    """Let the camera take another exposure, gain or trigger; its answer says what it accepted."""

    name: Literal["camera"] = "camera"
    exposure_us: Annotated[float, Field(gt=0)] | None = None
    gain: float | None = None
    """In the camera's own unit."""
    trigger: Trigger | None = None
    """"off": free run; else the input whose signals each expose one frame."""


class PauseRequest(Request):
    """Pause a replay, or let it go on: the space bar."""

    name: Literal["pause"] = "pause"


class StepRequest(Request):
    """Let a replay on by one frame, and pause it there: the key ``.``."""

    name: Literal["step"] = "step"


class BackRequest(Request):
    """Go back by one frame in a replay, and pause it there: the key ``,``. The replay begins again."""

    name: Literal["back"] = "back"


class RewindRequest(Request):
    """Go back by ten seconds in a replay: the key ``<``. The replay begins again."""

    name: Literal["rewind"] = "rewind"


class ForwardRequest(Request):
    """Let a replay on by ten seconds, as fast as the tracker follows: the key ``>``."""

    name: Literal["forward"] = "forward"


class SlowerRequest(Request):
    """Play a replay at half its pace: the key ``[``."""

    name: Literal["slower"] = "slower"


class FasterRequest(Request):
    """Play a replay at twice its pace: the key ``]``."""

    name: Literal["faster"] = "faster"


PLAYS: Final[Mapping[str, type[Request]]] = {
    "pause": PauseRequest,
    "step": StepRequest,
    "back": BackRequest,
    "forward": ForwardRequest,
    "rewind": RewindRequest,
    "slower": SlowerRequest,
    "faster": FasterRequest,
}
"""What can be asked of a replay, by name."""


class QuitRequest(Request):
    """End the run: the key q."""

    name: Literal["quit"] = "quit"


AnyRequest = Annotated[
    StatusRequest
    | SelectRequest
    | SelectNextRequest
    | SelectPreviousRequest
    | CandidatesRequest
    | ReleaseRequest
    | ReplaceLostRequest
    | MarkRequest
    | NoteRequest
    | KeepRequest
    | BlindRequest
    | UnblindRequest
    | ObjectiveRequest
    | CalibrateRequest
    | CameraRequest
    | PauseRequest
    | StepRequest
    | BackRequest
    | ForwardRequest
    | RewindRequest
    | SlowerRequest
    | FasterRequest
    | QuitRequest,
    Field(discriminator="name"),
]
REQUESTS: Final[TypeAdapter[Request]] = TypeAdapter(AnyRequest, config=ConfigDict(defer_build=True))


class Outcome(StrEnum):
    """What became of a request."""

    DONE = "done"
    REFUSED = "refused"
    """It was understood and cannot be carried out; ``text`` says why."""
    UNCONFIRMED = "unconfirmed"
    """It was passed on, and what it led to is not known yet."""
    INVALID = "invalid"
    """It was not understood, or its key is not that of the run."""


class SpermStatus(BaseModel):
    """One tracked sperm."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    sperm_id: Count
    x: float
    y: float
    state: Annotated[TrackState, Field(strict=False)]
    reason: str = ""
    filled: Count
    """Frames in its window."""
    marked: bool = False
    grade: Five | None = None
    """Probability of each grade, A to E, of the newest window graded; None: none yet."""
    grade_worth: str = ""
    """What that grade is worth now, as the screen says it: "valid", or why not."""
    grade_age_ms: float | None = None


class StationStatus(BaseModel):
    """The station at one moment."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    notice: str
    """For research use only."""
    state: str
    """"RUNNING", "ATTENTION", ..., as on screen."""
    elapsed_s: float
    source: str | None = None
    fps: float | None = None
    um_per_px: float | None = None
    objective: str = ""
    """In use; empty where none was named."""
    objectives: dict[str, float] = {}
    """All that are known, um/px by name."""
    width: Count | None = None
    height: Count | None = None
    model: str | None = None
    system: str = Field(default="", exclude_if=is_empty)
    """Which kind of network, where not RoSTFine: "timesformer", "r3d", ... Left out of the message where empty."""
    model_sha256: str | None = None
    demonstration: bool | None = None
    """True: the grades mean nothing about real sperm."""
    replay: bool = False
    blind: bool = False
    """Grades are hidden until a choice is marked."""
    session: str | None = None
    """Folder of the recorded session."""
    window_frames: Count | None = None
    frame_seq: Count | None = None
    sperm: list[SpermStatus] = []
    alarms: list[str] = []
    cautions: list[str] = []


class Reply(Message):
    """The answer to one request."""

    name: str
    """Of the request; empty where it could not be read."""
    outcome: Annotated[Outcome, Field(strict=False)]
    text: str
    """What was done, or why not, in one sentence."""
    sperm_id: Count | None = None
    """Of a selection: the number it was given."""
    status: StationStatus | None = None

    @property
    def done(self) -> bool:
        """True where it was carried out."""
        return self.outcome is Outcome.DONE


Sent = TypeVar("Sent", Request, Reply)


def encode_request(request: Request) -> list[bytes]:
    """Return the two parts of a request."""
    return [REQUEST, msgpack.packb(request.model_dump())]


def encode_reply(reply: Reply) -> list[bytes]:
    """Return the two parts of a reply."""
    return [REPLY, msgpack.packb(reply.model_dump())]


def decode_request(parts: Sequence[bytes]) -> Request:
    """Return a request, checked. Raises MessageError, in words for its sender."""
    return _decode(parts, REQUEST, MAX_REQUEST_BYTES, REQUESTS)


def decode_reply(parts: Sequence[bytes]) -> Reply:
    """Return a reply, checked. Raises MessageError."""
    return _decode(parts, REPLY, MAX_REPLY_BYTES, TypeAdapter(Reply))


def _decode(parts: Sequence[bytes], topic: bytes, limit_bytes: int, model: TypeAdapter[Sent]) -> Sent:
    if len(parts) != 2 or parts[0] != topic:
        raise MessageError(f"expected two parts, {topic.decode()!r} and a MessagePack map")
    if len(parts[1]) > limit_bytes:
        raise MessageError(f"{len(parts[1])} bytes, at most {limit_bytes} are read")
    try:
        return model.validate_python(msgpack.unpackb(parts[1], raw=False))
    except ValidationError as error:
        raise MessageError(_first(error)) from error
    except Exception as error:  # msgpack raises half a dozen kinds, down to plain ValueError, on damaged bytes
        raise MessageError(f"not MessagePack ({type(error).__name__})") from error


def _first(error: ValidationError) -> str:
    found: Any = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in found["loc"]]
    return f"field {'.'.join(place[-1:])}: {found['msg']}" if place else str(found["msg"])
