"""The way out for grades: to the grades link and into the engine's account, or, in a blind study, nowhere for now.

While a run is blind its grades are in this process's memory alone: no link, no heartbeat and so no screen, page,
summary or file has them. Once a choice has been marked they go out in the batches in which they were graded, with
their times, the oldest first, before any newer one; in a live run, as stale where they are. It knows grades and the
link; not who may see them and when.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgpack  # type: ignore[import-untyped]

from engine.validity import validity_later
from station.clock import now_ns
from station.processes.control import Account
from station.recent import put_recent
from station.transport.bus import Publisher
from station.transport.control_messages import SpermTally
from station.transport.counters import EngineCounters
from station.transport.messages import GradeInfo, GradesHeader

MOST_BYTES: Final = 1_000_000_000
"""Of grades that are withheld: more than ten hours of four sperm. What is older then goes, and is counted."""
TURN_S: Final = 0.05
"""So long at a time withheld grades go out: grading goes on in between."""
PATIENCE_S: Final = 0.5
"""So long a reader may hold up what goes out late; then it may lose some, as of any live link."""


class Outlet:
    """Sends batches of grades, and keeps the tally of what each sperm got."""

    def __init__(
        self, link: Publisher, account: Account, counters: EngineCounters, *, blind: bool = False, live: bool = True
    ) -> None:
        """``live``: the age of a grade means something."""
        self._live = live
        self._link = link
        self._counters = counters
        self._account = account
        self.blind = False
        """True while grades are withheld."""
        self._waiting: deque[tuple[int, bytes]] = deque()
        """Batches that have not gone out: how many grades, and these, packed."""
        self._bytes = self._grades_waiting = 0
        self._careful = True
        self._counts: dict[int, int] = {}
        """Grades by sperm, of all that ever went out: a number each, where the tallies are of the latest alone."""
        self._sperm: dict[int, SpermTally] = {}
        self.hide(blind)

    def hide(self, blind: bool) -> None:
        """Withhold grades from now on, or let them go again."""
        self.blind = blind
        self._report()

    def send(self, grades: list[GradeInfo]) -> None:
        """Send a batch, or keep it back behind those that wait."""
        if not self.blind and not self._waiting:
            self._link.send(GradesHeader(seq=self._link.next_seq, grades=grades))
            self._note(grades)
        else:
            packed = msgpack.packb([grade.model_dump() for grade in grades])
            self._waiting.append((len(grades), packed))
            self._bytes += len(packed)
            self._grades_waiting += len(grades)
            while self._bytes > MOST_BYTES:
                self._counters.withheld_lost += self._take()[0]
        self._report()

    def let_go(self, carry_on: Callable[[], object], turn_s: float = TURN_S) -> None:
        """Send what was withheld and may go now, for about ``turn_s``; ``carry_on``: called where a reader is slow."""
        if self.blind or not self._waiting:
            return
        until_s = time.monotonic() + turn_s
        patient_s = until_s + PATIENCE_S

        def wait() -> bool:
            carry_on()
            return time.monotonic() < patient_s

        while self._waiting and time.monotonic() < until_s:
            _, packed = self._take()
            grades = [self._as_of_now(GradeInfo.model_validate(grade)) for grade in msgpack.unpackb(packed)]
            header = GradesHeader(seq=self._link.next_seq, grades=grades)
            if not (self._careful and self._link.send_to_all(header, wait)):
                self._careful = False
                self._link.send(header)
            self._note(grades)
        self._careful = self._careful or not self._waiting
        self._report()

    def _as_of_now(self, grade: GradeInfo) -> GradeInfo:
        """Return a withheld grade with the word that holds as it is published: a reader may have no other."""
        age_ns = now_ns() - grade.trace.t_exposure_ns if self._live else None
        return grade.model_copy(update={"validity": validity_later(grade.validity, age_ns)})

    def _take(self) -> tuple[int, bytes]:
        count, packed = self._waiting.popleft()
        self._bytes -= len(packed)
        self._grades_waiting -= count
        return count, packed

    def _note(self, grades: list[GradeInfo]) -> None:
        for grade in grades:
            count = self._counts[grade.sperm_id] = self._counts.get(grade.sperm_id, 0) + 1
            # Nobody reads these here, and a heartbeat should be small.
            last = grade.model_copy(update={"patches": None, "evidence": None})
            put_recent(self._sperm, grade.sperm_id, SpermTally(sperm_id=grade.sperm_id, grades=count, last=last))

    def _report(self) -> None:
        """Say in the account what is public: of a blind run, how many grades are withheld and no more."""
        hidden = self.blind or bool(self._waiting)
        self._account.withheld = self._grades_waiting if hidden else None
        self._account.sperm = {} if hidden else self._sperm
