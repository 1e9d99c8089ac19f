"""What the operator can do to the run, carried out through the supervisor, each thing answered in one sentence.

It knows no keys and no screen.
"""

from collections.abc import Collection, Sequence

from station.config import Config
from station.dashboard.key_handler import Answer
from station.dashboard.monitor import Monitor
from station.processes.supervisor import Supervisor
from station.transport.messages import ProcessName, TrackState

KEEP = "key k"
"""The name of the action that the recorder keeps frames for."""


class RunControls:
    """The controls of one run."""

    def __init__(self, config: Config, supervisor: Supervisor, monitor: Monitor) -> None:
        self._config = config
        self._supervisor = supervisor
        self._monitor = monitor

    @property
    def sperm_ids(self) -> Sequence[int]:
        """The sperm that are tracked now, in the order of the rows."""
        return sorted(track.sperm_id for track in self._monitor.current)

    @property
    def recording(self) -> bool:
        """True while something is being recorded."""
        return not self._why_not_recording()

    @property
    def offers(self) -> Collection[str]:
        """What can be asked for in this run."""
        return {"keep"} if self._config.replay_of is not None else {"keep", "replace_lost"}

    def ask(self, name: str, answer: Answer, *, sperm_id: int | None = None, text: str = "") -> None:  # noqa: ARG002
        """Ask for something that the run offers."""
        if name == "keep":
            answer(self._keep())
        if name == "replace_lost":
            answer(self._replace_lost())

    def _replace_lost(self) -> str:
        self._supervisor.note_action("key a", asked_by="screen")
        tracks, wanted = self._monitor.current, len(self._config.select) or self._config.select_auto
        lost = sum(track.state is TrackState.LOST for track in tracks)
        more = max(0, wanted - (len(tracks) - lost))
        if not lost and not more:
            return f"No sperm is lost: {len(tracks)} of {wanted} are tracked."
        self._supervisor.replace_lost(tracks, wanted)
        return f"{lost} lost sperm released, selecting {more} more."

    def _keep(self) -> str:
        why_not = self._why_not_recording()
        if why_not:
            return f"Nothing to keep: {why_not}."
        self._supervisor.note_action(KEEP, asked_by="screen")
        return f"Keeping the last {self._config.record.pre_trigger_s:g} s."

    def _why_not_recording(self) -> str:
        if self._config.record.mode == "off":
            return "nothing is recorded in this run"
        status = self._supervisor.statuses.get(ProcessName.RECORDER)
        if ProcessName.RECORDER in self._supervisor.faults or (
            status and status.recording and status.recording.stopped
        ):
            return "recording has stopped"
        return "" if status is not None and status.recording is not None else "recording has not started yet"
