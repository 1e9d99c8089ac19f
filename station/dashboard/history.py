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
    """Grades by sperm, oldest first."""

    def __init__(self) -> None:
        self._grades: dict[int, deque[GradeInfo]] = {}

    def add(self, grades: Iterable[GradeInfo]) -> None:
        """Take in grades as they come."""
        for grade in grades:
            grades = self._grades.get(grade.sperm_id) or deque[GradeInfo](maxlen=MOST_GRADES)
            grades.append(grade)
            put_recent(self._grades, grade.sperm_id, grades)

    def of(self, sperm_id: int | None, now_ns: int) -> tuple[GradeInfo, ...]:
        """Return the grades of one sperm whose newest frame was exposed in the last minute."""
        grades = self._grades.get(sperm_id, deque()) if sperm_id is not None else deque[GradeInfo]()
        while grades and now_ns - grades[0].trace.t_exposure_ns > HISTORY_S * NS_PER_S:
            grades.popleft()
        return tuple(grades)
