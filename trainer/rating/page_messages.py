"""What a rater's page and the server say to each other, as typed models; nothing else is taken."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from station.notice import NOTICE
from trainer.rating.records import GivenVote

MOST_ACTS: Final = 200
"""In one request."""
MOST_BODY_BYTES: Final = 256 << 10
MOST_NOTE: Final = 500
FOREVER_MS: Final = 10**14
ID = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Act(_Message):
    """One act of a rater: a grade, or why the clip can't be judged, or neither: the vote is taken back."""

    id: ID
    position: Annotated[int, Field(ge=0, le=1_000_000)]
    base: ID | Literal[""]
    grade: Literal["A", "B", "C", "D", "E", ""]
    reason: Annotated[str, Field(max_length=300)] = ""
    note: Annotated[str, Field(max_length=MOST_NOTE)] = ""
    shown_ms: Annotated[int, Field(ge=0, le=FOREVER_MS)]
    t_page_ms: Annotated[int, Field(ge=0, le=FOREVER_MS)]

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Act":
        if self.grade and self.reason:
            raise ValueError("a clip has a grade or can't be judged, not both")
        if self.note and not self.reason:
            raise ValueError("a note belongs to a clip that can't be judged")
        return self

    def given(self, browser: str) -> GivenVote:
        """Return the act as it is kept; a note is one line of letters that can be shown."""
        note = "".join(char if char.isprintable() else " " for char in self.note).strip()
        return GivenVote(
            self.id, self.position, self.base, self.grade, self.reason, note, self.shown_ms, self.t_page_ms, browser
        )


class Acts(_Message):
    """What a page sends."""

    acts: Annotated[list[Act], Field(min_length=1, max_length=MOST_ACTS)]


class Answer(_Message):
    """What became of one act."""

    id: str
    counts: bool
    why: str


class Calibrated(_Message):
    """The agreed grade of a clip; told only once the rater has graded it."""

    position: int
    grade: str
    why: str


class Answers(_Message):
    """What became of the acts of one request, in their order."""

    answers: list[Answer]
    closed: bool
    agreed: list[Calibrated]
    """Of the calibration clips among them."""
    pace_s: list[float]
    """As in the state."""


class GradeButton(_Message):
    """One grade and the lab's wording."""

    grade: str
    words: str


class Graded(_Message):
    """What counts at one position."""

    position: int
    id: str
    grade: str
    reason: str


class RaterState(_Message):
    """All a page needs to begin: the study's words, and what this rater has graded. Nobody else's votes."""

    notice: str = NOTICE
    key: str
    """Of this study and rater, for what the browser keeps."""
    title: str
    question: str
    rater: str
    grades: list[GradeButton]
    reasons: list[str]
    break_after_min: float
    break_min: float
    closed: bool
    frames: int
    positions: list[int]
    """In the order they are shown; clips that were taken out of the study are not among them."""
    calibration: list[int]
    """Those of them that come with an agreed grade."""
    graded: list[Graded]
    """Oldest first."""
    agreed: list[Calibrated]
    pace_s: list[float]
    """Quartiles of this rater's seconds a clip; empty before there are enough for an honest estimate."""
