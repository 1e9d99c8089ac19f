"""The design of a study as it stands in ``study.toml``: which clips, how many raters, in what words.

It knows values and their bounds. It does not know whether the clips exist (``trainer.rating.plan``) nor who the raters
are: pseudonyms and links are in the database, and who is who stays with the lab.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from station.errors import InputError
from station.files import TEXT_BYTES, read_bounded
from station.transport.messages import GRADES
from station.validation import explain

STUDY: Final = "study.toml"
MOST_WORDS: Final = 300
"""Characters of one wording."""

Words = Annotated[str, Field(min_length=1, max_length=MOST_WORDS)]
GradeName = Literal["A", "B", "C", "D", "E"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GradeWords(_Strict):
    """What the lab calls each grade; raters see these words on the buttons."""

    A: Words = "the best"
    B: Words = "good"
    C: Words = "ordinary"
    D: Words = "poor"
    E: Words = "the worst"


class CalibrationClip(_Strict):
    """A clip with a grade that was agreed on before: it is shown first, the agreed grade after the rater's own."""

    clip: Words
    grade: GradeName
    why: Annotated[str, Field(max_length=MOST_WORDS)] = ""


class ServerSettings(_Strict):
    """Where the server listens, and the address under which raters reach it."""

    host: Words = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8765
    url: str = ""
    """Of the reverse proxy, such as ``https://rating.example.org``; empty: raters sit at this machine."""

    @field_validator("url")
    @classmethod
    def _is_a_base(cls, url: str) -> str:
        base = url.rstrip("/")
        scheme, _, rest = base.partition("://")
        if url and (scheme not in ("http", "https") or not rest or set("?#@ ") & set(rest)):
            raise ValueError("the address of the server, such as https://rating.example.org")
        return base


class Study(_Strict):
    """One study. Every default is what a lab would choose that has not thought of it."""

    title: Words
    question: Words = "Which grade would you give this sperm?"
    clips: Literal["all"] | Annotated[tuple[Words, ...], Field(min_length=1)] = "all"
    """Ids in ``clips.csv``."""
    raters_per_clip: Literal["all"] | Annotated[int, Field(ge=1)] = "all"
    raters: Annotated[int, Field(ge=1, le=1000)] = 40
    """How many are planned; with ``raters_per_clip`` it says how many clips each one grades."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of the orders and the repeats."""
    repeats: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share of the clips that a rater sees a second time without being told."""
    break_after_min: Annotated[float, Field(ge=0, le=240)] = 20.0
    """Minutes of grading after which a break is proposed; 0: never."""
    break_min: Annotated[float, Field(ge=0, le=60)] = 2.0
    browsers: Annotated[int, Field(ge=1, le=50)] = 5
    """Browsers in which one link may be opened; a link that went round is noticed by this."""
    reasons: Annotated[tuple[Words, ...], Field(min_length=1, max_length=12)] = (
        "out of focus", "another sperm is in the way", "it leaves the picture", "no sperm in the middle", "other",
    )  # fmt: skip
    """Why a clip can't be judged."""
    grades: GradeWords = GradeWords()
    calibration: Annotated[tuple[CalibrationClip, ...], Field(max_length=100)] = ()
    server: ServerSettings = ServerSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        if isinstance(self.raters_per_clip, int) and self.raters_per_clip > self.raters:
            raise ValueError(f"raters_per_clip is {self.raters_per_clip}, but raters only {self.raters}; raise raters")
        shown = [one.clip for one in self.calibration]
        given = list(self.clips) if isinstance(self.clips, tuple) else []
        for where, names in (("calibration", shown), ("clips", given)):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"clip {twice!r} is twice in {where}; leave one out")
        return self

    def words_of(self, grade: str) -> str:
        """Return the lab's wording of a grade."""
        return str(getattr(self.grades, grade))


def read_study(path: Path) -> tuple[Study, str]:
    """Return the study of a file and the file's text. Raises InputError with every mistake in one line."""
    try:
        text = read_bounded(path, TEXT_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a study's folder") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    return parse_study(text, str(path)), text


def parse_study(text: str, origin: str) -> Study:
    """Return the study that a text states. ``origin`` opens the error message. Raises InputError."""
    try:
        return Study.model_validate(tomllib.loads(text))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        if len(problems) == 1 and not problems[0]["loc"]:  # the whole, which no key names
            raise InputError(f"{origin}: {problems[0]['msg'].removeprefix('Value error, ')}") from error
        raise InputError(f"{origin}: {explain(error, Study)}") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{origin}: not valid TOML ({error}); fix that line") from error
    except ValueError:
        raise InputError(f"{origin}: a number has thousands of digits; give a smaller one") from None
    except RecursionError:
        raise InputError(f"{origin}: is nested too deep; give sections of plain values") from None


def new_study(title: str) -> str:
    """Return the text of a study file to begin with: every key, its default and what it means."""
    default = Study(title=title)
    words = "\n".join(f'{grade} = "{default.words_of(grade)}"' for grade in GRADES)
    reasons = ", ".join(f'"{reason}"' for reason in default.reasons)
    return f"""\
# The design of a study (docs/labelling.md). Changes take effect when the server starts, and are logged.
title = "{title}"
question = "{default.question}"
clips = "all"               # or a list of ids: ["clip-000001", "clip-000002"]
raters = {default.raters}                 # how many are planned
raters_per_clip = "all"     # or a number: then each rater gets a share of the clips
seed = {default.seed}                    # of every rater's own order; do not change it later
repeats = {default.repeats}              # share of clips shown again, unannounced: is a rater self-consistent?
break_after_min = {default.break_after_min:g}        # of grading; 0: never
break_min = {default.break_min:g}
browsers = {default.browsers}                # in how many browsers one link may be opened
reasons = [{reasons}]

[grades]                    # your own wording; raters see it on the buttons
{words}

# Clips with agreed grades come first; the rater then sees the agreed one. They are not part of the result.
# [[calibration]]
# clip = "clip-000003"
# grade = "B"
# why = "moves well, small droplet"

[server]
host = "{default.server.host}"
port = {default.server.port}
url = ""                    # what raters open, where a proxy stands in front: "https://rating.example.org"
"""
