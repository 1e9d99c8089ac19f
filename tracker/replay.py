"""The tracker's part in a replay: what is done again comes from the record, what comes out is compared with it.

It knows the record and the tracks; it neither drives the tracker nor corrects what it says.
"""

from typing import TYPE_CHECKING, Final

from station.processes.control import Account
from station.processes.process import ProcessContext
from station.transport.control_messages import Parameters
from station.transport.counters import TrackerCounters
from station.transport.messages import TrackInfo, TracksHeader
from tracker.params import differences

if TYPE_CHECKING:
    from station.session.playback import RecordedTracks

SHOWN: Final = 3
"""So many of the parameters that differ are named."""


def recorded_tracks(context: ProcessContext) -> "RecordedTracks | None":
    """Return the recorded tracks where the run is a replay."""
    folder = context.config.replay_of
    if folder is None:
        return None
    from station.session.playback import Playback, RecordedTracks  # a live run starts without what reads sessions

    playback = Playback(folder, context.control.beat)
    if notice := parameters_notice(playback.opened.tracker):
        context.control.account.notices.append(notice)
    return RecordedTracks(playback)


def parameters_notice(recorded: Parameters) -> str:
    """Return that a session was recorded with other tuned constants, and which; empty where they are the same.

    Empty also for a session of before they were recorded: nothing can be said of it.
    """
    other = differences(recorded) if recorded else []
    more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
    return f"recorded with other tracker parameters: {'; '.join(other[:SHOWN])}{more}" if other else ""


class TracksComparison:
    """Counts in a process's account which frames' tracks come out as they were recorded, to the last bit."""

    def __init__(self, account: Account, counters: TrackerCounters, record: "RecordedTracks | None") -> None:
        """``record`` None: there is nothing to compare, and nothing is counted."""
        self._record = record
        self._account = account
        self._counters = counters
        if record is not None:
            counters.tracks_as_recorded = counters.tracks_differ = 0

    def note(self, header: TracksHeader) -> None:
        """Take in the tracks of one frame."""
        recorded = self._record.at(header.frame_seq) if self._record is not None else None
        if recorded is None:
            return
        counters = self._counters
        if (_followed(header), header.disturbance) == (_followed(recorded), recorded.disturbance):
            counters.tracks_as_recorded = 1 + (counters.tracks_as_recorded or 0)
            return
        counters.tracks_differ += 1
        if counters.tracks_differ == 1:
            self._account.notices.append(f"tracks differ from the recorded ones since frame {header.frame_seq}")


def _followed(header: TracksHeader) -> list[TrackInfo]:
    """Return the tracks without what is reckoned from them: sessions of before do not have all of it."""
    return [track.model_copy(update={"kinematics": None, "broken_by": ""}) for track in header.tracks]
