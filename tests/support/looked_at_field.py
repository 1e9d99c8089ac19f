"""A live view without a station: the simulated microscope's frames with the truth about them, and made-up grades.

The server, the page and all they do are the real ones; only capture, tracker and engine are played.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from bench.support.frame_code import draw_code
from capture.simulator.microscope import SimulatedMicroscope
from station.clock import now_ns
from station.config import Config, RecordSettings, SimulatedSettings
from station.transport.buffers import Received
from station.transport.control_messages import (
    ModelInfo,
    Percentiles,
    ProcessName,
    ProcessState,
    ProcessStatus,
    SourceInfo,
)
from station.transport.messages import (
    FrameHeader,
    GradeInfo,
    GradesHeader,
    KinematicsInfo,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
    Validity,
)
from station.view.commands import Answered, Asked
from station.view.hub import Hub
from station.view.server import ViewServer

SETTINGS = SimulatedSettings(width=640, height=480, sperm=8, debris=20, fps=15)
FRAMES = 200
FOLLOWED = 4


@dataclass
class Obedient:
    """A command client that records what it is asked."""

    asked: list[Asked] = field(default_factory=list)

    def ask(self, asked: Asked) -> Answered:
        self.asked.append(asked)
        return Answered(True, f"{asked.name}: done")


class PlayedStation:
    """Plays frames, tracks and grades into a hub, at the frame rate."""

    def __init__(self, hub: Hub, settings: SimulatedSettings = SETTINGS, *, followed: int = FOLLOWED) -> None:
        self.hub = hub
        self.microscope = SimulatedMicroscope(settings)
        self.settings = settings
        first = [sperm for sperm in self.microscope.truth(0).sperm if sperm.visible]
        middle = (settings.width / 2, settings.height / 2)
        first.sort(key=lambda sperm: abs(sperm.x - middle[0]) + abs(sperm.y - middle[1]))
        self.numbers = {sperm.sperm_id: k + 1 for k, sperm in enumerate(first[:followed])}
        """By the sperm's id in the truth: its number as followed."""
        self.coded = False
        """Draw each frame's number into it."""
        self.paused = threading.Event()
        self.silent_tracker = threading.Event()
        self.disturbance = ""
        self.blind = False
        self.kinematics: KinematicsInfo | None = None
        self.candidates: list[list[float]] | None = None
        self.states: dict[int, tuple[TrackState, str]] = {}
        self.played = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="played station")

    def __enter__(self) -> "PlayedStation":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _play(self) -> None:
        rng = np.random.default_rng(1)
        next_s = time.monotonic()
        while not self._stop.is_set():
            if not self.paused.is_set():
                self._frame(rng)
            next_s += 1 / self.settings.fps
            time.sleep(max(0.0, next_s - time.monotonic()))

    def _frame(self, rng: np.random.Generator) -> None:
        frame, seq = self.microscope.read(), self.played
        pixels = frame.pixels
        if self.coded:
            pixels = pixels.copy()
            draw_code(pixels, seq)
        t_ns = now_ns()
        header = FrameHeader(
            seq=seq, t_exposure_ns=t_ns, t_source_ns=frame.t_source_ns, t_sent_ns=t_ns,
            height=self.settings.height, width=self.settings.width,
        )  # fmt: skip
        self.hub.pairing.add_frame(Received(header, pixels, t_ns))
        tracks = self.tracks(seq)
        trace = Trace(t_exposure_ns=t_ns, t_sent_ns=t_ns, t_tracker_in_ns=t_ns, t_tracker_out_ns=t_ns)
        if not self.silent_tracker.is_set():
            said = TracksHeader(
                seq=seq,
                frame_seq=seq,
                trace=trace,
                window_frames=16,
                tracks=tracks,
                disturbance=self.disturbance,
                candidates=self.candidates,
            )
            self.hub.pairing.add_tracks(Received(said, None, t_ns))
        if seq % 3 == 0 and seq >= 16:
            grades = [self._grade(track, seq, trace, rng) for track in tracks if track.state is TrackState.LOCKED]
            self.hub.take_in(Received(GradesHeader(seq=seq, grades=grades), None, t_ns))
        for status in self._statuses(seq):
            self.hub.take_in(status)
        self.played += 1

    def tracks(self, seq: int) -> list[TrackInfo]:
        """The truth about a frame, as a tracker would say it; what ``states`` says of a sperm holds wherever it is."""
        truth = {self.numbers.get(sperm.sperm_id): sperm for sperm in self.microscope.truth(seq).sperm}
        width, height = self.settings.width, self.settings.height
        found = []
        for number in self.numbers.values():
            sperm = truth.get(number)
            x, y = (sperm.x, sperm.y) if sperm is not None else (width / 2, height / 2)
            state, reason = TrackState.LOCKED, ""
            if sperm is None or not sperm.visible:
                state, reason = TrackState.LOST, "left the frame"
            state, reason = self.states.get(number, (state, reason))
            filled = min(seq, 16) if state is TrackState.LOCKED else 0
            x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
            info = TrackInfo(sperm_id=number, x=x, y=y, state=state, reason=reason, score=0.9, filled=filled,
                             kinematics=self.kinematics)  # fmt: skip
            found.append(info)
        return found

    def _grade(self, track: TrackInfo, seq: int, trace: Trace, rng: np.random.Generator) -> GradeInfo:
        heads = rng.dirichlet(np.array([3, 6, 5, 2, 1]) * (4 if track.sperm_id % 2 else 0.7), 3)
        return GradeInfo(
            sperm_id=track.sperm_id, frame_seq=seq, x=track.x, y=track.y, grade=heads.mean(axis=0).tolist(),
            heads=heads.tolist(), validity=Validity.VALID, patches=[[0, 7]] * 8 + [[0, 24]] * 8,
            trace=trace.model_copy(update={"t_grade_ns": now_ns()}),
        )  # fmt: skip

    def _statuses(self, seq: int) -> Iterator[ProcessStatus]:
        source = SourceInfo(
            name="simulated microscope", height=self.settings.height, width=self.settings.width, fps=self.settings.fps,
            um_per_px=self.settings.um_per_px,
        )  # fmt: skip
        model = ModelInfo(
            name="demo", sha256="0" * 64, runtime="played", demonstration=True, um_per_px=0.25, fps=15.0, patch_grid=5
        )
        for name, more in (
            (ProcessName.CAPTURE, {"source": source, "counters": {"captured": seq}}),
            (ProcessName.TRACKER, {"counters": {"tracked": seq}}),
            (ProcessName.ENGINE, {
                "model": model, "counters": {"grades": seq}, "withheld": 7 if self.blind else None,
                "recent_ms": {"exposure_to_grade": Percentiles(count=9, p50=31.0, p95=44.0, p99=50.0, max=60.0)},
            }),
        ):  # fmt: skip
            yield ProcessStatus.model_validate(
                {"seq": seq, "stage": name, "state": ProcessState.RUNNING, "pid": 1, "t_ns": now_ns(), "progress": seq}
                | more
            )


@contextmanager
def looked_at(
    settings: SimulatedSettings = SETTINGS, commands: Obedient | None = None, *, followed: int = FOLLOWED
) -> Iterator[tuple[ViewServer, PlayedStation]]:
    """A server on a free port and the station that it shows."""
    config = Config(simulated=settings, record=RecordSettings(mode="off"))
    with (
        Hub(config, commands) as hub,
        ViewServer(hub, "127.0.0.1", 0) as server,
        PlayedStation(hub, settings, followed=followed) as played,
    ):
        yield server, played
