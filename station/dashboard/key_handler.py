"""What the operator's keys do: to the screen (focus, help, questions) and to the run (keep, replace, quit).

One table names every key (``KEYS``); the help and the footer are made from it. It knows no terminal: keys come in as
``station.dashboard.keyboard`` names them, and what is to be drawn goes out as a :class:`ScreenState`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from station.dashboard.keyboard import DOWN, ESCAPE, PAGE_DOWN, PAGE_UP, UP
from station.dashboard.snapshot import ScreenState

DIGITS_S = 1.0
"""Digits that follow each other within this time make one number."""
MESSAGE_S = 4.0
"""How long the answer to a key stays on the screen."""
ASK_S = 10.0
"""How long a question waits; no answer is no."""
PAGE = 5
"""Rows that one page moves the focus."""
QUESTION = "Recording is on. Quit and end the recording?  q yes   any other key no"


Answer = Callable[[str], None]
"""Is told, now or a moment later, what was done or why not, in one sentence."""


class Run(Protocol):
    """What the operator can do to a run."""

    @property
    def sperm_ids(self) -> Sequence[int]:
        """The sperm that are tracked now, in the order of the rows."""
        ...

    @property
    def recording(self) -> bool:
        """True while something is being recorded."""
        ...

    def replace_lost(self, answer: Answer) -> None:
        """Release lost sperm and select others."""
        ...

    def keep(self, answer: Answer) -> None:
        """Keep the last seconds in the recording."""
        ...


@dataclass(frozen=True, slots=True)
class Key:
    """One key, as people read it."""

    shown: str
    does: str


KEYS = (
    Key("q", "quit; asks first while a recording is on"),
    Key("?", "show or hide these keys"),
    Key("1 2 3 ...", "focus the sperm with that number"),
    Key("n p, arrows", "focus the next, the previous sperm; scrolls"),
    Key("PgUp PgDn", "the same in steps of five"),
    Key("Esc", "focus none; close this list"),
    Key("a", "release lost sperm and select others automatically"),
    Key("k", "keep the last seconds in the recording"),
    Key("Ctrl-C", "quit at once"),
)
STEPS = {"n": 1, DOWN: 1, "p": -1, UP: -1, PAGE_DOWN: PAGE, PAGE_UP: -PAGE}


class KeyHandler:
    """Takes keys, acts, and remembers what the screen should show of it."""

    def __init__(self, run: Run, clock_s: Callable[[], float] = time.monotonic, *, asks: bool = True) -> None:
        """``asks``: there is a screen for questions; without one q quits at once."""
        self._run = run
        self._clock_s = clock_s
        self._asks = asks
        self._focus: int | None = None
        self._help = False
        self._asked_s: float | None = None
        self._digits = ""
        self._digit_s = 0.0
        self._message = ""
        self._message_s = 0.0

    def press(self, keys: Sequence[str]) -> bool:
        """Do what the keys say, in their order; return True where the run is to end."""
        return any(self._press(key) for key in keys)

    @property
    def screen(self) -> ScreenState:
        """What the screen shows of it now."""
        now_s = self._clock_s()
        if self._focus not in self._run.sperm_ids:
            self._focus = None  # released, or replaced
        return ScreenState(
            focus=self._focus,
            help=self._help,
            question=QUESTION if self._asking(now_s) else "",
            message=self._message if now_s - self._message_s < MESSAGE_S else "",
        )

    def _press(self, key: str) -> bool:
        now_s = self._clock_s()
        if self._asking(now_s):
            self._asked_s = None
            if key.lower() == "q":
                return True
            self._say("The run goes on.")
            return False
        key = key.lower()
        if key.isdigit():
            self._focus_number(key, now_s)
        elif key in STEPS:
            self._step(STEPS[key])
        elif key == "q":
            return self._quit(now_s)
        elif key == "?":
            self._help = not self._help
        elif key == ESCAPE:
            self._focus, self._help = (self._focus if self._help else None), False
        elif key == "a":
            self._run.replace_lost(self._say)
        elif key == "k":
            self._run.keep(self._say)
        return False

    def _quit(self, now_s: float) -> bool:
        if not (self._asks and self._run.recording):
            return True
        self._asked_s = now_s
        return False

    def _asking(self, now_s: float) -> bool:
        return self._asked_s is not None and now_s - self._asked_s < ASK_S

    def _focus_number(self, digit: str, now_s: float) -> None:
        ids = [str(sperm_id) for sperm_id in self._run.sperm_ids]
        longer = self._digits + digit if now_s - self._digit_s < DIGITS_S else digit
        begun = any(sperm_id.startswith(longer) for sperm_id in ids)
        self._digits, self._digit_s = longer if begun else digit, now_s
        if self._digits in ids:
            self._focus = int(self._digits)
        elif not any(sperm_id.startswith(self._digits) for sperm_id in ids):
            self._say(f"There is no sperm {self._digits}.")

    def _step(self, by: int) -> None:
        ids = list(self._run.sperm_ids)
        if not ids:
            self._say("No sperm is selected.")
        elif self._focus not in ids:
            self._focus = ids[0] if by > 0 else ids[-1]
        else:
            self._focus = ids[max(0, min(len(ids) - 1, ids.index(self._focus) + by))]

    def _say(self, message: str) -> None:
        self._message, self._message_s = message, self._clock_s()
