"""What the database holds, as typed values: raters, votes and their history. No SQL, no files."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GivenVote:
    """One act of a rater as the page sends it: a grade, "can't be judged", or neither, which takes a vote back."""

    id: str
    """Made by the page; the same act sent twice has the same."""
    position: int
    """In the rater's order, from 0."""
    base: str
    """The act on this position that it follows; empty: the first one."""
    grade: str
    """A to E, or empty."""
    reason: str
    """Why it can't be judged, or empty."""
    note: str
    shown_ms: int
    """How long the clip was looked at."""
    t_page_ms: int
    """By the clock of the rater's computer, since 1970."""
    browser: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an act."""

    id: str
    counts: bool
    """False: it is kept in the history and changes nothing, and ``why`` says so."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """What counts at one position of a rater's order now."""

    position: int
    id: str
    grade: str
    reason: str
    number: int
    """Of the act in the order of all acts."""

    @property
    def open(self) -> bool:
        """Whether the rater has taken the vote back."""
        return not (self.grade or self.reason)


@dataclass(frozen=True, slots=True)
class KeptVote:
    """One act with all that is known of it."""

    number: int
    id: str
    rater: str
    position: int
    clip: str
    kind: str
    base: str
    grade: str
    reason: str
    note: str
    shown_ms: int
    t_page_ms: int
    t_server_ms: int
    browser: str
    counts: int
    """0: it was kept and changed nothing, and ``why`` says so."""
    why: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who a link belongs to."""

    role: str
    """``rater`` or ``lead``."""
    rater: str
    """Pseudonym; empty for the lead."""


@dataclass(frozen=True, slots=True)
class RaterRow:
    """One rater and the state of the link."""

    name: str
    origin: str
    """``invited``, or ``elsewhere`` for votes that were collected by other means."""
    items: int
    link: str
    """``open``, ``expired``, ``revoked`` or ``none``."""
    browsers: int
