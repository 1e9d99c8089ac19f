"""What the operator's keys do: to the screen (focus, help, questions) and to the run (select, mark, keep, quit).

One table names every key (``KEYS``); the list that ``?`` shows is made from it. It knows no terminal: keys come in as
``station.dashboard.keyboard`` names them, and what is to be drawn goes out as a :class:`ScreenState`.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from station.dashboard.keyboard import BACKSPACE, DOWN, ENTER, ESCAPE, PAGE_DOWN, PAGE_UP, UP
from station.dashboard.snapshot import ScreenState

DIGITS_S = 1.0
"""Digits that follow each other within this time make one number."""
MESSAGE_S = 4.0
"""How long the answer to a key stays on the screen."""
ASK_S = 10.0
"""How long a question waits; no answer is no."""
PAGE = 5
"""Rows that one page moves the focus."""
MOST_TEXT, SHOWN_TEXT = 500, 40
QUESTION = "Recording is on. Quit and end the recording?  q yes   any other key no"
ENTRY = "Note, Enter saves it, Esc drops it: "
Answer = Callable[[str], None]
"""Is told, now or a moment later, what was done or why not, in one sentence."""


class Run(Protocol):
    """What the operator can ask of a run."""

    @property
    def sperm_ids(self) -> Sequence[int]:
        """The sperm that are tracked now, in the order of the rows."""
        ...

    @property
    def recording(self) -> bool:
        """True while something is being recorded."""
        ...

    @property
    def marked(self) -> Collection[int]:
        """The sperm that are marked as chosen, by any means."""
        ...

    @property
    def offers(self) -> Collection[str]:
        """What can be asked for in this run, by the names in ``KEYS``."""
        ...

    def ask(self, name: str, answer: Answer, *, sperm_id: int | None = None, text: str = "") -> None:
        """Ask for something that the run offers; ``answer`` is called once."""
        ...


@dataclass(frozen=True, slots=True)
class Key:
    """One key, as people read it, and what of the run it asks for."""

    shown: str
    does: str
    asks: str = ""
    focused: bool = False
    """It is about the focused sperm."""
    written: bool = False
    """It takes a line of text."""


KEYS = (
    Key("q", "quit; asks if recording"),
    Key("?", "show or hide these keys"),
    Key("1 2 3 ...", "focus that sperm"),
    Key("n p arrows", "focus next, previous"),
    Key("PgUp PgDn", "five further"),
    Key("Esc", "focus none"),
    Key("s", "select the next best", "select_next"),
    Key("u", "undo the last selection", "select_previous"),
    Key("r", "release the focused sperm", "release", focused=True),
    Key("m", "mark it as chosen: *", "mark", focused=True),
    Key("t", "write a note", "note", written=True),
    Key("a", "replace lost sperm", "replace_lost"),
    Key("k", "keep the last seconds", "keep"),
    Key("g", "order by grade, or hide it"),
    Key("o", "next objective", "objective"),
    Key("b", "hide grades, until a mark", "blind"),
    Key("Space", "pause, go on", "pause"),
    Key(".", "one frame on", "step"),
    Key(",", "one frame back", "back"),
    Key(">", "10 s on", "forward"),
    Key("<", "10 s back", "rewind"),
    Key("[", "slower", "slower"),
    Key("]", "faster", "faster"),
    Key("Ctrl-C", "quit at once"),
)
REPLAY_ONLY = frozenset({"pause", "step", "back", "forward", "rewind", "slower", "faster"})
"""What can be asked of a replay alone."""
ASKING = {" " if key.shown == "Space" else key.shown: key for key in KEYS if key.asks}
STEPS = {"n": 1, DOWN: 1, "p": -1, UP: -1, PAGE_DOWN: PAGE, PAGE_UP: -PAGE}


class KeyHandler:
    """Takes keys, acts, and remembers what the screen should show of it."""

    def __init__(
        self,
        run: Run,
        clock_s: Callable[[], float] = time.monotonic,
        *,
        asks: bool = True,
        before: ScreenState | None = None,
    ) -> None:
        """``asks``: there is a screen for questions; without one q quits at once. ``before``: what it showed before.

        The focus of before is taken up again once that sperm is tracked.
        """
        self._run = run
        self._clock_s = clock_s
        self._asks = asks
        self._focus: int | None = None
        self._help = False
        self._ranked = before is not None and before.ranked
        self._waited = before.focus if before is not None else None
        self._asked_s: float | None = None
        self._entry: str | None = None
        self._digits = ""
        self._digit_s = 0.0
        self._message = before.message if before is not None else ""
        self._message_s = clock_s() if before is not None else 0.0

    def press(self, keys: Sequence[str]) -> bool:
        """Do what the keys say, in their order; return True where the run is to end."""
        return any(self._press(key) for key in keys)

    @property
    def screen(self) -> ScreenState:
        """What the screen shows of it now."""
        now_s = self._clock_s()
        if self._focus not in self._run.sperm_ids:
            self._focus = None  # released, or replaced
        if self._focus is None and self._waited in self._run.sperm_ids:
            self._focus, self._waited = self._waited, None
        question = QUESTION if self._asking(now_s) else ""
        if self._entry is not None:
            question = f"{ENTRY}{self._entry[-SHOWN_TEXT:]}_"
        listed = [key for key in KEYS if not key.asks or key.asks in self._run.offers]
        return ScreenState(
            focus=self._focus,
            marked=frozenset(self._run.marked),
            keys=tuple((key.shown, key.does) for key in listed) if self._help else (),
            ranked=self._ranked,
            question=question,
            message=self._message if now_s - self._message_s < MESSAGE_S else "",
        )

    def _press(self, key: str) -> bool:
        now_s = self._clock_s()
        if self._entry is not None:
            self._write(key)
            return False
        key = key.lower()
        if key.isdigit() or key in STEPS or key == ESCAPE:
            self._waited = None
        if self._asking(now_s):
            self._asked_s = None
            if key != "q":
                self._say("The run goes on.")
            return key == "q"
        if key.isdigit():
            self._focus_number(key, now_s)
        elif key in STEPS:
            self._step(STEPS[key])
        elif key == "q":
            return self._quit(now_s)
        elif key == "g":
            self._ranked = not self._ranked
        elif key == "?":
            self._help = not self._help
        elif key == ESCAPE:
            self._focus, self._help = (self._focus if self._help else None), False
        elif key in ASKING:
            self._ask(ASKING[key])
        return False

    def _quit(self, now_s: float) -> bool:
        if not (self._asks and self._run.recording):
            return True
        self._asked_s = now_s
        return False

    def _asking(self, now_s: float) -> bool:
        return self._asked_s is not None and now_s - self._asked_s < ASK_S

    def _ask(self, key: Key) -> None:
        if key.asks not in self._run.offers:
            self._say(f"Not in this run: {key.does}.")
        elif key.focused and self.screen.focus is None:
            self._say("Focus a sperm first: its number, or n.")
        elif key.written and self._asks:
            self._entry = ""
        elif not key.written:
            self._run.ask(key.asks, self._say, sperm_id=self._focus if key.focused else None)

    def _write(self, key: str) -> None:
        """Take a key into the line of text that is being written."""
        text = self._entry or ""
        if key == ENTER:
            self._entry = None
            if text.strip():
                self._run.ask("note", self._say, text=text.strip())
        elif key == ESCAPE:
            self._entry = None
        elif key == BACKSPACE:
            self._entry = text[:-1]
        elif len(key) == 1 and key.isprintable() and len(text) < MOST_TEXT:
            self._entry = text + key

    def _focus_number(self, digit: str, now_s: float) -> None:
        ids = [str(sperm_id) for sperm_id in self._run.sperm_ids]
        longer = self._digits + digit if now_s - self._digit_s < DIGITS_S else digit
        begun = any(sperm_id.startswith(longer) for sperm_id in ids)
        self._digits, self._digit_s = longer if begun else digit, now_s
        self._focus = int(self._digits) if self._digits in ids else None  # else m would mark the one of before
        if not any(sperm_id.startswith(self._digits) for sperm_id in ids):
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
