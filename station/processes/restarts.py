"""When a process that died or hung is started again, and when it stays down.

Each attempt waits longer than the one before; after five that did not lead to a minute of work the process stays down.
This module counts and keeps time; it starts nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from station.transport.control_messages import ProcessName

MOST: Final = 5
"""So many restarts of one process in a row: one fault more, and it stays down."""
HEALTHY_S: Final = 60.0
"""A life that ran and progressed for so long ends the row."""
PAUSES_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Before the first restart of the row, the second, and so on. Never none: what ends this program from outside
often ends its processes a moment earlier."""


@dataclass(slots=True)
class _History:
    tries: int = 0
    """Restarts in a row."""
    ran_s: float | None = None
    """When it was first seen at work in its present life."""
    progressed_s: float = 0.0
    """When it was last."""
    count: int = 0
    reason: str = ""
    due_s: float | None = None
    """When it is to be started; None: it has been."""


class Restarts:
    """The restarts of all processes of one run."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock``: seconds, not counting those of a suspension."""
        self._clock = clock
        self._of: dict[ProcessName, _History] = {}

    @property
    def counts(self) -> dict[ProcessName, int]:
        """How often each process was started again; without those that never were."""
        return {name: history.count for name, history in self._of.items() if history.count}

    def reason(self, name: ProcessName) -> str:
        """Return why a process had to be started again the last time; empty where it never had."""
        return self._of[name].reason if name in self._of else ""

    def fail(self, name: ProcessName, reason: str) -> bool:
        """Take in that a process is gone; return whether it is to be started again, False: it stays down."""
        history = self._of.setdefault(name, _History())
        now_s = self._clock()
        if history.ran_s is not None and history.progressed_s - history.ran_s >= HEALTHY_S:
            history.tries = 0
        history.ran_s, history.due_s, history.reason = None, None, reason
        if history.tries >= MOST:
            return False
        history.due_s = now_s + PAUSES_S[min(history.tries, len(PAUSES_S) - 1)]
        return True

    def progress(self, name: ProcessName) -> None:
        """Take in that a process runs and gets on with its work."""
        if name in self._of:
            history, now_s = self._of[name], self._clock()
            history.ran_s = now_s if history.ran_s is None else history.ran_s
            history.progressed_s = now_s

    def waits(self, name: ProcessName) -> bool:
        """Return whether a process is gone and has not been started again yet."""
        return name in self._of and self._of[name].due_s is not None

    def due(self, name: ProcessName) -> bool:
        """Return whether it is time to start a process that waits for it."""
        due_s = self._of[name].due_s if name in self._of else None
        return due_s is not None and self._clock() >= due_s

    def begin(self, name: ProcessName) -> None:
        """Take in that a process is being started again."""
        history = self._of[name]
        history.due_s = None
        history.count += 1
        history.tries += 1
