"""One process over all its lives: what it has opened, and its counts from the start of the run on.

A process that is started again counts from zero, and for a moment has opened nothing; who looks at the run wants to
know of the whole. The counts of a life that ended come from the ledger, where they stand to the last. Distributions of
times are of the present life alone; a digest of the grades there is none then. It knows statuses; it starts nothing.
"""

from pathlib import Path
from typing import Final

from station.processes.ledger import MOST_COUNTERS, Ledger
from station.processes.process import ledger_path
from station.recent import put_recent
from station.transport.control_messages import (
    COUNTERS,
    ModelInfo,
    Parameters,
    ProcessName,
    ProcessState,
    ProcessStatus,
    SourceInfo,
    SpermTally,
)

FROM_THE_RECORD: Final = (ProcessName.RECORDER,)
"""They count all that is in the record, of earlier lives too."""


class Lives:
    """Of all processes of one run."""

    def __init__(self, folder: Path) -> None:
        """``folder``: of the run, where the ledgers are."""
        self._folder = folder
        self.source: SourceInfo | None = None
        """As the source was opened last."""
        self.model: ModelInfo | None = None
        self.parameters: Parameters = {}
        """The tracker's tuned constants."""
        self._record: ProcessStatus | None = None
        """What the recorder said last of its recording."""
        self._counts: dict[ProcessName, list[int]] = {}
        """Of the lives that ended."""
        self._tallies: dict[int, SpermTally] = {}
        """Likewise."""

    def end(self, name: ProcessName, last: ProcessStatus) -> ProcessStatus:
        """Take in that a process is gone; return its status until it reports again. ``last``: its latest status."""
        if name not in FROM_THE_RECORD:
            self._add_counts(name, last)
        for tally in last.sperm:
            put_recent(self._tallies, tally.sperm_id, tally)
        return ProcessStatus(
            seq=last.seq,
            process=name,
            state=ProcessState.STARTING,
            pid=last.pid,
            t_ns=last.t_ns,
            progress=0,
            counters=last.counters if name in FROM_THE_RECORD else COUNTERS[name](),
            recording=last.recording,
        )

    def _add_counts(self, name: ProcessName, last: ProcessStatus) -> None:
        """Add the counts of a life that has ended, once: the next may end before it has begun to count."""
        try:
            with Ledger(ledger_path(self._folder, name)) as ledger:
                counts = [max(0, count) for count in ledger.counters]
                ledger.write_counters([None] * MOST_COUNTERS)
        except OSError:  # no descriptor or memory left: then what was said last, which is of all lives
            said = [count or 0 for count in last.counters.in_order]
            self._counts[name] = [*said, *[0] * (MOST_COUNTERS - len(said))]
            return
        before = self._counts.get(name, [0] * MOST_COUNTERS)
        self._counts[name] = [a + b for a, b in zip(before, counts, strict=True)]

    def whole(self, status: ProcessStatus) -> ProcessStatus:
        """Return a status with what the process had opened and counted in its lives before.

        A recorder that has not found its recording again yet has the recording and the counts of its life before.
        """
        if status.recording is not None:
            self._record = status
        elif status.process is ProcessName.RECORDER and self._record is not None:
            return status.model_copy(update={"recording": self._record.recording, "counters": self._record.counters})
        if status.process is ProcessName.CAPTURE:
            self.source = status.source or self.source
        elif status.process is ProcessName.ENGINE:
            self.model = status.model or self.model
        self.parameters = status.parameters or self.parameters
        counts = self._counts.get(status.process)
        if counts is None:
            return status
        kind = COUNTERS[status.process]
        present = status.counters if isinstance(status.counters, kind) else kind()  # it has counted nothing yet
        more: dict[str, object] = {"counters": present.plus(counts)}
        if status.process is ProcessName.CAPTURE:
            more["source"] = self.source
        elif status.process is ProcessName.ENGINE:
            more |= {"model": self.model, "digest": "", "sperm": self._with_tallies(status.sperm)}
        return status.model_copy(update=more)

    def _with_tallies(self, present: list[SpermTally]) -> list[SpermTally]:
        whole = dict(self._tallies)
        for tally in present:
            before = whole[tally.sperm_id].grades if tally.sperm_id in whole else 0
            put_recent(whole, tally.sperm_id, tally.model_copy(update={"grades": before + tally.grades}))
        return list(whole.values())
