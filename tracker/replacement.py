"""Keeps the number of automatically selected sperm: what is lost for good is released, and the next best is selected.

It decides from what the tracker said of the frames before, by the source's time alone, so that two runs over a file
decide alike. A sperm that was selected by point, or marked as chosen, is never given up here. It gives the same
commands that an operator gives; they are published and recorded with the frame before which they are carried out, and
a replay takes them from the record.
"""

from station.clock import NS_PER_S
from station.transport.messages import AppliedCommand, CommandName, TrackState
from tracker.results import FrameResult

PAUSE_S = 5.0
"""Looking over the whole field for heads takes the time of several frames: while others are followed, not more often
than this. Where none is, it costs nobody anything, and lost sperm are replaced as they become due."""
RETRY_S = 30.0
"""Where too few were found and nothing has changed, it is tried again after so long; where none was, after PAUSE_S."""


class Replacement:
    """Watches the tracks of one run and says what is to be replaced."""

    def __init__(self, lost_s: float) -> None:
        """``lost_s``: a sperm that has been lost for so long is replaced; 0: none ever is."""
        self._lost_ns = lost_s * NS_PER_S
        self._wanted = 0
        self._chosen: set[int] = set()
        """Selected by point, or marked by the operator."""
        self._automatic: set[int] = set()
        """The others that are tracked."""
        self._lost_since_ns: dict[int, int] = {}
        self._tried_ns = 0

    @property
    def chosen(self) -> set[int]:
        """Sperm that are never given up here."""
        return self._chosen

    @property
    def wanted(self) -> int:
        """How many automatically selected sperm there should be."""
        return self._wanted

    @property
    def replaces(self) -> bool:
        """True where lost sperm are replaced at all."""
        return self._lost_ns > 0

    def resume(self, chosen: set[int], automatic: set[int], wanted: int) -> None:
        """Go on where a tracker of before ended."""
        self._chosen, self._automatic, self._wanted = chosen, automatic, wanted

    def note(self, command: AppliedCommand) -> None:
        """Take in a command that was carried out, of this module or anybody's."""
        if command.name is CommandName.SELECT and command.sperm_id is not None:
            self._chosen.add(command.sperm_id)
        elif command.name is CommandName.MARK and command.sperm_id is not None:
            self._wanted = max(0, self._wanted - (command.sperm_id in self._automatic))
            self._automatic.discard(command.sperm_id)
            self._chosen.add(command.sperm_id)
        elif command.name is CommandName.SELECT_AUTO:
            self._wanted += command.count or 0
        elif command.name is CommandName.RELEASE and command.sperm_id in self._chosen:
            self._chosen.discard(command.sperm_id)
        elif command.name is CommandName.RELEASE and command.sperm_id in self._automatic:
            self._wanted = max(0, self._wanted - 1)
            self._automatic.discard(command.sperm_id)

    def due(self, result: FrameResult, t_source_ns: int, *, selecting: bool = False) -> list[AppliedCommand]:
        """Return what to do before the next frame, after ``result`` of the frame at ``t_source_ns``.

        ``selecting``: an automatic selection has been asked for and not been made yet.
        """
        automatic = [track for track in result.tracks if track.sperm_id not in self._chosen]
        self._automatic = {track.sperm_id for track in automatic}
        if not self._lost_ns or selecting:
            return []
        lost = [track.sperm_id for track in automatic if track.state is TrackState.LOST]
        self._lost_since_ns = {sperm_id: self._lost_since_ns.get(sperm_id, t_source_ns) for sperm_id in lost}
        gone = [s for s, since_ns in self._lost_since_ns.items() if t_source_ns - since_ns >= self._lost_ns]
        missing = self._wanted - (len(automatic) - len(gone))
        if any(track.state is not TrackState.LOST for track in result.tracks):
            pause_s = PAUSE_S if gone else RETRY_S
        else:
            pause_s = 0.0 if gone else PAUSE_S
        if missing < 1 or t_source_ns - self._tried_ns < pause_s * NS_PER_S:
            return []
        self._tried_ns = t_source_ns
        self._wanted = len(automatic)  # the commands below are noted as anybody's and bring it back to what it was
        released = [AppliedCommand(name=CommandName.RELEASE, sperm_id=sperm_id) for sperm_id in gone]
        return [*released, AppliedCommand(name=CommandName.SELECT_AUTO, count=missing)]
