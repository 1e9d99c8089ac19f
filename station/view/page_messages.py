"""What the server and the page say to each other, typed and checked.

To the page: pictures (binary: length, JSON, pixels, see :func:`pack`), and text messages with the state of the station
and answers. From the page: small JSON texts; anything else is refused. ``page/link.js`` is the other end.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from station.transport.messages import Five, Point

MOST_TEXT_BYTES = 4096
"""A longer message from a page is refused."""
MOST_CARDS = 16
"""Crops that travel with one picture."""
Whole = Annotated[int, Field(ge=0, le=2**53)]


class PageMessage(BaseModel):
    """Base of all messages: nothing unknown, nothing coerced."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Look(PageMessage):
    """What this page wants to see."""

    kind: Literal["look"]
    scale: Annotated[float, Field(gt=0.0, le=1.0)]
    """Pixels of the picture sent per pixel of the frame."""
    cards: Annotated[list[Whole], Field(max_length=MOST_CARDS)]
    """The sperm whose crops are on the screen."""
    attention: Whole | None = None
    """The sperm of which it wants to know what the network looked at."""
    ranking: bool = False
    """The order by expected grade was asked for."""


class Shown(PageMessage):
    """A picture has been drawn: the next may come."""

    kind: Literal["shown"]
    frame_seq: Whole


class Ask(PageMessage):
    """Something the operator wants done."""

    kind: Literal["ask"]
    number: Whole
    """Comes back with the answer."""
    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z_]+$")]
    x: float | None = None
    y: float | None = None
    sperm_id: Whole | None = None
    note: Annotated[str, Field(max_length=500)] | None = None
    text: Annotated[str, Field(max_length=500)] | None = None
    objective: Annotated[str, Field(max_length=40)] | None = None
    length_px: float | None = None
    length_um: float | None = None
    exposure_us: float | None = None
    gain: float | None = None
    trigger: Annotated[str, Field(max_length=10)] | None = None


FROM_PAGE: TypeAdapter[Look | Shown | Ask] = TypeAdapter(Annotated[Look | Shown | Ask, Field(discriminator="kind")])


def parse(text: str) -> Look | Shown | Ask | None:
    """Return what a page said; None where it cannot be understood."""
    if len(text) > MOST_TEXT_BYTES:
        return None
    try:
        return FROM_PAGE.validate_json(text)
    except ValidationError:
        return None


class Answer(PageMessage):
    """What became of a request."""

    kind: Literal["answer"] = "answer"
    number: Whole
    name: str
    done: bool
    text: str
    sperm_id: Whole | None = None
    """Of a selection: the number it was given."""


class ProcessFacts(PageMessage):
    """How one process fares."""

    name: str
    condition: str
    healthy: bool
    pace: str
    """"15.0/s"; empty where there is nothing to say."""


class KeyHelp(PageMessage):
    """One key."""

    key: str
    does: str


class Histogram(PageMessage):
    """How the newest picture is exposed."""

    counts: Annotated[list[Whole], Field(min_length=64, max_length=64)]
    """Of grey levels 0-3, 4-7, ..., over every fourth pixel of every fourth row."""
    saturated: float
    """Share of pixels at 255."""
    black: float
    """Share of pixels at 0."""


class Overview(PageMessage):
    """The station as a whole; several times a second."""

    kind: Literal["overview"] = "overview"
    title: str
    """"RUNNING", "ATTENTION", ..."""
    source: str
    model: str
    selects_patches: bool
    """False: the network grades whole frames, and there are no patches to show."""
    demonstration: str
    """Sentence; empty for a model that was made for use."""
    notice: str
    replay: bool
    blind: str
    """Sentence while grades are hidden; empty else."""
    playback: str
    """Where a replay at its own pace is; empty in any other run."""
    played: float
    """How much of it has been played, from 0 to 1."""
    paused: bool
    processes: list[ProcessFacts]
    latency: str
    """Exposure to grade."""
    recording: str
    recording_well: bool
    alarms: list[str]
    cautions: list[str]
    um_per_px: float | None
    objective: str
    """In use; empty where none was named."""
    objectives: dict[str, float]
    """All that are known: scale in um/px by name."""
    fps: float | None
    """Measured."""
    exposure: str
    """Of the newest frame or as the camera accepted it; empty where not known."""
    gain: str
    trigger: str
    """As the camera accepted it; empty where not known."""
    camera: bool
    """True where exposure and gain can be asked for."""
    histogram: Histogram | None
    keys: list[KeyHelp]
    commands: bool
    """False: the view only shows."""


class Card(PageMessage):
    """One sperm, as of one frame."""

    sperm_id: Whole
    x: float
    y: float
    state: str
    reason: str
    score: float
    filled: Whole
    marked: bool = False
    """The operator has marked it as chosen."""
    grade: Five | None = None
    heads: list[Five] | None = None
    """None: the network has no three heads."""
    age_ms: float | None = None
    """Of the grade, at the moment this was sent."""
    holds: bool = False
    """False: the grade is old, or of before a gap, doubt or loss; to be shown as such."""
    worth: str
    """What the grade is worth, or why there is none."""
    evidence: str = ""
    """Which frames it was made of and what was measured in them, in plain words."""
    spread: str = ""
    spread_steps: float | None = None
    heads_word: str = ""
    heads_steps: float | None = None
    attention: list[float] | None = None
    """On request: by patch of the crop, row by row, in which share of the graded frames the network selected it."""
    motility: str = ""
    """WHO 2021 class in words; empty where there is none."""
    kinematics: str = ""
    """The main figures, or why there are none; empty where the tracker has not said lately."""


class PastGrade(PageMessage):
    """A grade for the history of the last minute."""

    sperm_id: Whole
    t_ms: float
    """Exposure of its newest frame, station clock."""
    grade: Five


class Crop(PageMessage):
    """A crop whose pixels follow, size x size, row by row."""

    sperm_id: Whole
    size: Annotated[int, Field(ge=1, le=4096)]
    padded: bool


class Picture(PageMessage):
    """One frame with all that is drawn on it; JPEG and crops follow."""

    kind: Literal["picture"] = "picture"
    frame_seq: Whole
    t_exposure_ms: float
    """Station clock."""
    t_source_ms: float
    age_ms: float
    """Since exposure, when sent."""
    width: Whole
    height: Whole
    """Of the frame, px; the JPEG may be smaller."""
    jpeg_bytes: Whole
    stale_ms: float | None
    """A grade older than this is stale; None where age means nothing (a run that is not live)."""
    blind: bool
    """Grades are hidden: none is in here, and none of before may stay on the page."""
    tracked: bool
    """False: the tracker did not answer for this frame, nothing is known about positions."""
    window_frames: Whole
    window_px: Whole
    disturbance: str
    cards: list[Card]
    ranking: list[str] = []
    """On request: the order by expected grade, in sentences."""
    candidates: list[Point] = []
    """Where heads are that nobody follows, as last asked for; empty where that is long ago."""
    candidates_age_ms: float = 0.0
    past: list[PastGrade]
    """Grades since the picture before, on first sight those of the last minute."""
    crops: list[Crop]


def pack(picture: Picture, jpeg: bytes, crops: list[bytes]) -> bytes:
    """Return a picture as one binary message: 4 bytes length of the JSON (little endian), JSON, JPEG, crops."""
    head = picture.model_dump_json().encode()
    return b"".join((len(head).to_bytes(4, "little"), head, jpeg, *crops))
