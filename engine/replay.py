"""The engine's part in a replay: the same windows in the same batches as recorded, and the grades compared.

A live engine grades the newest window of each sperm when it has time. The record says which those were; grading them in
the same batches gives the same bits, because a network sums a batch of two in another order than a batch of one. Where
the record has no grades (a run that was blind to its end), or all are wanted, every recorded window is graded. This
module knows the record, windows and grades; it runs no network.
"""

import sys
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.comparison import Comparison
from engine.scheduler import Batch, EveryWindow, PendingWindow, split
from station.errors import InputError
from station.processes.process import ProcessContext
from station.session.playback import Playback, first_frame_from
from station.transport.buffers import Received
from station.transport.control_messages import ModelInfo
from station.transport.counters import EngineCounters
from station.transport.messages import GradeInfo, GradesHeader, Validity, WindowsHeader

Key = tuple[int, int]
"""Sperm, newest frame of the window."""


class RecordedBatches:
    """Batching policy of the window link in a replay."""

    def __init__(self, batches: Iterable[GradesHeader]) -> None:
        self._batches = deque([(grade.sperm_id, grade.frame_seq) for grade in header.grades] for header in batches)
        self._wanted = Counter(key for batch in self._batches for key in batch)
        self._held: dict[Key, PendingWindow] = {}
        self._newest = -1
        self.left_out = 0
        """Windows that the live engine did not grade: replaced by a newer one, or the record ends before."""
        self.missing = 0
        """Windows that were graded live and did not appear in the replay."""

    def give_up(self) -> None:
        """No more windows will come: count the missing ones. Grades of frames that were not played do not count."""
        self.missing += sum(seq <= self._newest for batch in self._batches for _, seq in batch)
        self._batches.clear()

    def put(self, message: Received) -> int:
        """Take in the windows of a message; drop those that were not graded live, which is no loss."""
        for window in split(message):
            key = (window.info.sperm_id, window.info.frame_seqs[-1])
            if self._wanted[key]:
                self._held[key] = window
            else:
                self.left_out += 1
        assert isinstance(message.header, WindowsHeader)
        self._newest = message.header.frame_seq
        return 0

    def take(self) -> Batch | None:
        """Return the next recorded batch once all its windows are here or can no longer come."""
        while self._batches:
            keys = self._batches[0]
            complete = all(key in self._held for key in keys)
            if not complete and self._newest < max(seq for _, seq in keys):
                return None
            self._batches.popleft()
            batch = [self._held.pop(key) for key in keys if key in self._held]
            self.missing += len(keys) - len(batch)
            if batch:
                return batch
        return None


class GradesReplay:
    """Compares recorded and new grades: counts among the engine's own, and the comparison file."""

    def __init__(self, context: ProcessContext, counters: EngineCounters, playback: Playback, model: ModelInfo) -> None:
        """``model``: the one in use now. Raises InputError if the comparison file cannot be written."""
        recorded, account = playback.opened.model, context.control.account
        self._counters = counters
        begin = context.config.replay.from_s
        first = first_frame_from(playback, begin) if begin and playback.whole else 0
        batches = (b for b in playback.batches() if first == 0 or any(g.frame_seq >= first >= 0 for g in b.grades))
        every = context.config.replay.every_window or next(playback.batches(), None) is None
        as_recorded = playback.whole and not every
        self._headers = playback.batches() if as_recorded else iter(())
        self._open: dict[Key, GradeInfo] = {}
        self.buffer: RecordedBatches | EveryWindow
        self.buffer = (
            RecordedBatches(batches) if as_recorded else EveryWindow(first=first if first >= 0 else sys.maxsize)
        )
        same_model = model.sha256 == recorded.sha256
        file = context.config.replay.comparison
        if not same_model and not file:
            file = f"{playback.name}-{model.sha256[:8]}.csv"
        if file and not playback.whole:
            raise InputError(
                f"session {playback.name}: only its pre-trigger part was recorded, whose windows cannot be cut again "
                "exactly, so its grades cannot be compared; replay it without a comparison"
            )
        self._comparison = Comparison(Path(file), playback.name, recorded, model) if file else None
        counters.grades_as_recorded = counters.grades_differ = counters.windows_missing = counters.left_out = 0
        if playback.whole and every:
            account.notices.append(
                "every recorded window is graded"
                + ("" if context.config.replay.every_window else ": no grades are recorded, so none can be compared")
            )
        if not same_model:
            account.notices.append(
                f"graded with {model.name} ({model.sha256[:8]}), recorded with {recorded.name} "
                f"({recorded.sha256[:8]}): compared in {file}"
            )
        elif model.runtime != recorded.runtime:
            account.notices.append(f"recorded with {recorded.runtime}: grades may differ in their last bits")

    def note(self, grades: Sequence[GradeInfo]) -> None:
        """Take in the grades of one batch."""
        counters = self._counters
        if isinstance(self.buffer, RecordedBatches):
            counters.windows_missing, counters.left_out = self.buffer.missing, self.buffer.left_out
        for new in grades:
            recorded = self._recorded(new)
            if recorded is None:
                continue
            heads = new.heads is None or new.heads == recorded.heads  # older records have them of every network
            same = new.grade == recorded.grade and heads and same_worth(recorded, new)
            counters.grades_as_recorded += same
            counters.grades_differ += not same
            if self._comparison is not None:
                self._comparison.add(recorded, new)

    def finish(self, *, ended: bool) -> None:
        """Finish the counts and the comparison file. ``ended``: all windows came; else the replay was interrupted."""
        if ended and isinstance(self.buffer, RecordedBatches):
            self.buffer.give_up()
        self.note(())
        if self._comparison is not None:
            self._comparison.close()

    def _recorded(self, new: GradeInfo) -> GradeInfo | None:
        """Return the recorded grade of the same window. Called in the recorded order, so little is kept."""
        key = (new.sperm_id, new.frame_seq)
        while key not in self._open:
            header = next(self._headers, None)
            if header is None:
                return None
            self._open = {(grade.sperm_id, grade.frame_seq): grade for grade in header.grades}
        return self._open.pop(key)


def same_worth(recorded: GradeInfo, new: GradeInfo) -> bool:
    """Return whether the evidence came out again, and what follows from it; sessions of before have none.

    Left out is what the clock of the recorded run decided: staleness, and from which grade on the engine knew of
    another objective.
    """
    if recorded.evidence is None or new.evidence is None:
        return recorded.evidence is None
    then, now = recorded.evidence, new.evidence
    by_clock = recorded.validity is Validity.STALE or then.doubts != now.doubts
    same = then.model_copy(update={"doubts": now.doubts}) == now
    return same and (by_clock or recorded.validity is new.validity)
