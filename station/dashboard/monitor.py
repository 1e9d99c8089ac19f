"""What the main process knows of a run: the newest tracks and grades, and the snapshot made of them.

It only listens: tracker and engine publish whether or not anybody reads, and nothing here can slow them down.
"""

import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Self

import zmq

from station.clock import now_ns
from station.config import Config
from station.dashboard.history import GradeHistory
from station.dashboard.live_crop import LiveCrop, affordable
from station.dashboard.playback import shown_ns
from station.dashboard.shedding import SheddingMeter
from station.dashboard.snapshot import LateMeter, Motion, ProcessView, RateMeter, ScreenState, Snapshot
from station.processes.control import Watched
from station.processes.strangers import strangers
from station.processes.supervisor import Supervisor
from station.recent import put_recent
from station.stride import window_stride
from station.transport.buffers import Fifo
from station.transport.control_messages import PIPELINE, ProcessName, ProcessState, ProcessStatus
from station.transport.counters import CaptureCounters, EngineCounters, TrackerCounters, counters_of
from station.transport.endpoints import Endpoints
from station.transport.messages import AppliedCommand, GradeInfo, GradesHeader, Point, TrackInfo, TracksHeader
from station.transport.receivers import ThreadedReceiver

OVERTIME_S = 1.0
"""How much longer than the duration given a live source may take before the wall clock ends the run."""
KEEP_MESSAGES = 1000
"""How many messages are kept between two rounds of the main loop; older ones are of no use to a person."""
UNTOUCHED = ScreenState()
Statuses = Mapping[ProcessName, ProcessStatus]
"""The latest word of each process."""


class Monitor:
    """Listens to tracker and engine of one run."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], config: Config, endpoints: Endpoints) -> None:
        self._config = config
        self._start = time.monotonic()
        self._tracks_link = ThreadedReceiver(context, endpoints.tracks, Fifo(KEEP_MESSAGES))
        self._grades_link = ThreadedReceiver(context, endpoints.grades, Fifo(KEEP_MESSAGES))
        self._running_since: float | None = None
        self._rates = {process: RateMeter() for process in ProcessName}
        self._late = LateMeter()
        self._shedding = SheddingMeter()
        self._tracks: TracksHeader | None = None
        self._tracks_received_ns: int | None = None
        self._newest_tracks: dict[int, TrackInfo] = {}
        self.applied: deque[AppliedCommand] = deque(maxlen=KEEP_MESSAGES)
        """What the tracker has been asked and has done, in order; the reader takes it out."""
        self.candidates: list[Point] | None = None
        """Heads that nobody follows, when they were last asked for."""
        self._grades: dict[int, GradeInfo] = {}
        self._history = GradeHistory()
        self._motion: dict[int, Motion] = {}
        self._about_addresses = endpoints.notice
        self.watched: dict[str, Watched] = {"screen": self._tracks_link, "screen (grades)": self._grades_link}
        """Sockets of the main process, by the name under which what they drop and refuse is shown."""
        self._crop = LiveCrop(context, endpoints.frames, config.window.size)

    @property
    def tracks(self) -> list[TrackInfo]:
        """The newest state of each sperm, those that were tracked last."""
        return list(self._newest_tracks.values())

    @property
    def current(self) -> list[TrackInfo]:
        """The sperm that are tracked or searched for now."""
        return self._tracks.tracks if self._tracks else []

    @property
    def has_tracks(self) -> bool:
        """True once the tracker has dealt with a frame."""
        return self._tracks is not None

    @property
    def elapsed_s(self) -> float:
        """Seconds since monitoring began."""
        return time.monotonic() - self._start

    def listen(self) -> None:
        """Read what has arrived, without waiting."""
        for message in islice(iter(lambda: self._tracks_link.receive(0), None), KEEP_MESSAGES):
            if isinstance(message.header, TracksHeader):
                self._tracks, self._tracks_received_ns = message.header, now_ns()
                self.applied.extend(message.header.applied_commands)
                self.candidates = self.candidates if message.header.candidates is None else message.header.candidates
                for track in message.header.tracks:
                    put_recent(self._newest_tracks, track.sperm_id, track)
                    if track.kinematics is not None:
                        motion = Motion(track.kinematics, message.header.trace.t_exposure_ns)
                        put_recent(self._motion, track.sperm_id, motion)
        for message in islice(iter(lambda: self._grades_link.receive(0), None), KEEP_MESSAGES):
            if isinstance(message.header, GradesHeader):
                for grade in message.header.grades:
                    put_recent(self._grades, grade.sperm_id, grade)
                self._history.add(message.header.grades)

    def snapshot(self, supervisor: Supervisor, screen: ScreenState = UNTOUCHED) -> Snapshot:
        """Return what the screen should show now; ``screen``: what the operator wants to see."""
        statuses = supervisor.statuses
        capture = statuses.get(ProcessName.CAPTURE)
        source = capture.source if capture else None
        # Where senders wait for their readers, one more reader would slow them.
        blind = is_blind(supervisor.blind, statuses)
        shed, ungraded = self._shedding.update(self.elapsed_s, statuses, self._tracks)
        has_crops = not self._config.lossless and source is not None and affordable(source)
        return Snapshot(
            now_ns=shown_ns(statuses),
            elapsed_s=self.elapsed_s,
            speed=self._config.speed,
            replay=self._config.replay_of is not None,
            processes={
                process: ProcessView(
                    status=statuses.get(process),
                    progress_ns=supervisor.progressed_ns.get(process),
                    rate_hz=self._rates[process].update(statuses[process]) if process in statuses else None,
                    died=supervisor.faults.get(process, ""),
                    returning=supervisor.returning.get(process, ""),
                    restarts=supervisor.restarts.get(process, 0),
                    suspended=process in supervisor.suspended,
                )
                for process in ProcessName
                if process in PIPELINE or process.value in self._config.extras
            },
            tracks=self._tracks,
            blind=blind,
            grades={} if blind else dict(self._grades),
            window_fps=window_fps(self._config, statuses),
            drops=losses(statuses),
            late_share=late_share(self._late, statuses),
            shed=() if self._config.lossless else shed,
            ungraded="" if self._config.lossless else ungraded,
            tracks_received_ns=self._tracks_received_ns,
            notices=(*_restarts(supervisor), *self._about_sockets(supervisor)),
            keys=self._keys(),
            screen=screen,
            history=() if blind else self._history.of(screen.focus, now_ns()),
            motion=self._motion.get(screen.focus) if screen.focus is not None else None,
            crop=self._crop.look(self._tracks, screen.focus if has_crops else None),
            has_crops=has_crops,
        )

    def overtime(self, supervisor: Supervisor) -> bool:
        """Return whether a live run is well past the duration given (a source that stands still never ends)."""
        capture = supervisor.statuses.get(ProcessName.CAPTURE)
        if self._config.duration_s is None or self._config.speed != "live" or capture is None:
            return False
        if capture.state is ProcessState.ENDED:  # the others may need longer: the recorder has a queue
            return False
        running_s = time.monotonic() - supervisor.suspended_s
        if self._running_since is None and capture.state is ProcessState.RUNNING:
            self._running_since = running_s
        return (
            self._running_since is not None and running_s - self._running_since > self._config.duration_s + OVERTIME_S
        )

    def close(self) -> None:
        """Close the links; may be called more than once."""
        self._crop.close()
        self._tracks_link.close()
        self._grades_link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _about_sockets(self, supervisor: Supervisor) -> list[str]:
        watched = {**self.watched, "control": supervisor.control}
        found = [strangers(name, socket.bad_messages, socket.turned_away) for name, socket in watched.items()]
        return [line for lines in ([self._about_addresses] if self._about_addresses else [], *found) for line in lines]

    @property
    def _recorded(self) -> bool:
        return self._config.record.mode != "off"

    def _keys(self) -> tuple[str, ...]:
        replace = [] if self._config.replay_of is not None else ["a replace lost"]
        keep = [f"k keep {self._config.record.pre_trigger_s:g} s"] if self._recorded else []
        plays = self._config.replay_of is not None and self._config.speed == "live"
        play = ["Space pause", ", . step"] if plays else []
        return ("q quit", "? all keys", *replace, *keep, *play)


def _restarts(supervisor: Supervisor) -> list[str]:
    """Return what is to be said of processes that were started again and run."""
    return [
        f"{supervisor.reason(name)}; it was started again ({count} so far)"
        for name, count in supervisor.restarts.items()
        if name not in supervisor.returning and name not in supervisor.faults
    ]


def losses(statuses: Statuses) -> dict[str, int]:
    """Return what each link has lost so far, by its name on screen."""
    capture, tracker, engine = (statuses.get(name) for name in PIPELINE)
    engine_counters = counters_of(EngineCounters, engine)
    return {
        "camera": counters_of(CaptureCounters, capture).lost_by_source + counters_of(CaptureCounters, capture).skipped,
        "to tracker": counters_of(TrackerCounters, tracker).dropped,
        "to engine": engine_counters.lost,
        "windows replaced": engine_counters.replaced,
    }


def is_blind(asked: bool, statuses: Statuses) -> bool:
    """Return whether no grade may be seen: from the moment it is asked for until the engine has let all of them go."""
    engine = statuses.get(ProcessName.ENGINE)
    return asked or (engine is not None and engine.withheld is not None)


def window_fps(config: Config, statuses: Statuses) -> float | None:
    """Return the frames per second of source time in a window, once source and model are known."""
    capture, engine = (statuses.get(name) for name in (ProcessName.CAPTURE, ProcessName.ENGINE))
    if capture is None or engine is None or capture.source is None or engine.model is None:
        return None
    fps = capture.source.fps
    return fps / window_stride(config.window.stride, fps, engine.model.fps)


def late_share(meter: LateMeter, statuses: Statuses) -> float | None:
    """Return which share of the latest frames came late, None while that is not known."""
    capture = statuses.get(ProcessName.CAPTURE)
    if capture is None:
        return None
    counters = counters_of(CaptureCounters, capture)
    return meter.update(capture.t_ns, counters.captured, counters.late)
