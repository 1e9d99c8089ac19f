"""What each process counts from its start on: one type per process.

On the wire a status holds them as a map of names to numbers, with the names that were ever set: a replay counts more
than a live run, a camera more than a file. A name that this version does not know is left out on arrival. This module
knows what is counted; not who counts or who shows it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from station.transport.control_messages import ProcessStatus

Count = Annotated[int, Field(ge=0, le=(1 << 63) - 2)]
"""Also the number behind it has 64 bits with a sign, as in a ledger."""


class Counters(BaseModel):
    """Base of all counters; alone: nothing is counted yet. The process's own loop raises them in place."""

    model_config = ConfigDict(extra="ignore", strict=True)

    bad_messages: Count = 0
    """Dropped on arrival, on all sockets of the process: damaged, of another kind than the link carries, not from this
    run, or sent before."""
    turned_away: Count = 0
    """Connections to the process's sockets that were refused: without a pass for this run."""

    @property
    def handled(self) -> int | None:
        """Frames or grades so far, what the process's rate is measured by; None before anything is counted."""
        return None

    @property
    def in_order(self) -> list[int | None]:
        """The counts in the order of the type's fields."""
        return [getattr(self, name) for name in type(self).model_fields]

    def plus(self, values: Sequence[int | None]) -> Self:
        """Return the sum with counts in the order of the type's fields; None adds nothing."""
        pairs = zip(type(self).model_fields, values, strict=False)
        added = {name: value + (getattr(self, name) or 0) for name, value in pairs if value}
        return self.model_copy(update=added)


class CaptureCounters(Counters):
    """Of the capture process."""

    captured: Count = 0
    lost_by_source: Count = 0
    late: Count = 0
    """Live frames that were sent more than a frame interval after their exposure."""
    incomplete: Count = 0
    """Of a camera: buffers that came with holes."""
    overrun: Count = 0
    """Of a camera: frames that nobody fetched in time."""
    reconnects: Count = 0
    skipped: Count = 0
    """Of a film or a simulation, live: frames that were left out because they would have been too late."""
    thinned: Count = 0
    """Those of them that were left out at even distances, so that windows become complete."""

    @property
    def handled(self) -> int:
        """Frames."""
        return self.captured


class TrackerCounters(Counters):
    """Of the tracker process."""

    tracked: Count = 0
    dropped: Count = 0
    """Frames that were sent and not tracked."""
    thinned: Count = 0
    """Those of them that were left out at even distances, so that windows become complete."""
    tracks_as_recorded: Count | None = None
    """In a replay: frames whose tracks come out as they were recorded, to the last bit; None in any other run."""
    tracks_differ: Count = 0

    @property
    def handled(self) -> int:
        """Frames."""
        return self.tracked


class EngineCounters(Counters):
    """Of the engine process."""

    grades: Count = 0
    batches: Count = 0
    replaced: Count = 0
    """Windows that a newer one of the same sperm replaced."""
    lost: Count = 0
    grades_as_recorded: Count = 0
    """In a replay."""
    grades_differ: Count = 0
    windows_missing: Count = 0
    """Windows that were graded when it was recorded and did not come out this time."""
    left_out: Count = 0
    """Windows that were not graded when it was recorded."""
    withheld_lost: Count = 0
    """Grades of a blind run that were withheld for longer than there is memory for."""

    @property
    def handled(self) -> int:
        """Grades."""
        return self.grades


class RecorderCounters(Counters):
    """Of the recorder process."""

    recorded: Count = 0
    """Frames in the record."""
    lost: Count = 0
    """Frames that are missing in it."""
    kept: Count = 0

    @property
    def handled(self) -> int:
        """Frames."""
        return self.recorded


class ViewCounters(Counters):
    """Of the live view."""

    passed_over: Count = 0
    """Frames that a newer one replaced before anybody was shown them."""
    refused: Count = 0
    """Requests that were turned away: wrong token, host or origin."""


Kind = TypeVar("Kind", bound=Counters)


def counters_of(kind: type[Kind], status: "ProcessStatus | None") -> Kind:
    """Return the counters of a status; all zero where there is none, or where it is another process's."""
    found = status.counters if status is not None else None
    return found if isinstance(found, kind) else kind()
