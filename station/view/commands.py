"""What the page can ask for, and the one way by which it is asked: the station's own command socket.

The view carries nothing out itself. A :class:`CommandClient` sends what the page asks to the main process and returns
its answer; where there is none the view only shows.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; which fields apply depends on ``name``, as in docs/wire.md."""

    name: str
    x: float | None = None
    y: float | None = None
    sperm_id: int | None = None
    text: str | None = None
    values: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What was done, or why not, in one sentence."""

    done: bool
    text: str


class CommandClient(Protocol):
    """Asks the main process; called in a thread that may wait, at most about a second."""

    def ask(self, asked: Asked) -> Answered:
        """Send one request and return its answer. Never raises for a refusal or a timeout: the answer says so."""
        ...


class ShowOnly:
    """Where no command socket is there: every request is refused in words."""

    def ask(self, asked: Asked) -> Answered:
        """Refuse."""
        return Answered(False, f"{asked.name}: this view only shows; use the keys of the terminal")
