"""The tracker's part in a replay: what is done again comes from the record, what comes out is compared with it.

It knows the record and the tracks; it neither drives the tracker nor mends what it says.
"""

from station.processes.control import Account
from station.processes.process import ProcessContext
from station.session.playback import Playback, RecordedTracks
from station.transport.messages import TracksHeader


def recorded_tracks(context: ProcessContext) -> RecordedTracks | None:
    """Return the recorded tracks where the run is a replay."""
    folder = context.config.replay_of
    return None if folder is None else RecordedTracks(Playback(folder, context.control.beat))


class TracksComparison:
    """Counts in a stage's account which frames' tracks come out as they were recorded, to the last bit."""

    def __init__(self, account: Account, record: RecordedTracks | None) -> None:
        """``record`` None: there is nothing to compare, and nothing is counted."""
        self._record = record
        self._account = account
        if record is not None:
            account.counters |= {"tracks_as_recorded": 0, "tracks_differ": 0}

    def note(self, header: TracksHeader) -> None:
        """Take in the tracks of one frame."""
        recorded = self._record.at(header.frame_seq) if self._record is not None else None
        if recorded is None:
            return
        counters = self._account.counters
        if (header.tracks, header.disturbance) == (recorded.tracks, recorded.disturbance):
            counters["tracks_as_recorded"] += 1
            return
        counters["tracks_differ"] += 1
        if counters["tracks_differ"] == 1:
            self._account.notices.append(f"tracks differ from the recorded ones since frame {header.frame_seq}")
