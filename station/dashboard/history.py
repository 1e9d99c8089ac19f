"""The grades of the last minute, sperm by sperm. It keeps what came and judges nothing."""

from collections import deque
from collections.abc import Iterable

from station.clock import NS_PER_S
from station.recent import put_recent
from station.transport.messages import GradeInfo

HISTORY_S = 60.0
MOST_GRADES = 2000
"""Of one sperm: what a camera of 30 frames/s brings in a minute when every window is graded."""


class GradeHistory:
    """Grades by sperm, oldest first; those of sperm that are no longer graded go with their minute."""

    def __init__(self) -> None:
        self._grades: dict[int, deque[GradeInfo]] = {}

    def add(self, grades: Iterable[GradeInfo]) -> None:
        """Take in grades as they come."""
        newest_ns = 0
        for grade in grades:
            newest_ns = max(newest_ns, grade.trace.t_exposure_ns)
            known = self._grades.get(grade.sperm_id) or deque[GradeInfo](maxlen=MOST_GRADES)
            known.append(grade)
            put_recent(self._grades, grade.sperm_id, known)
        self._forget_before(newest_ns - int(HISTORY_S * NS_PER_S))

    def of(self, sperm_id: int | None, now_ns: int) -> tuple[GradeInfo, ...]:
        """Return the grades of one sperm whose newest frame was exposed in the last minute."""
        self._forget_before(now_ns - int(HISTORY_S * NS_PER_S))
        return tuple(self._grades.get(sperm_id, ())) if sperm_id is not None else ()

    def _forget_before(self, t_ns: int) -> None:
        for sperm_id, grades in list(self._grades.items()):
            while grades and grades[0].trace.t_exposure_ns < t_ns:
                grades.popleft()
            if not grades:
                del self._grades[sperm_id]
