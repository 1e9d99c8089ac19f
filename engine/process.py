"""The engine process: windows in, grade distributions out.

It knows the links, the order of work and the clock; a Runtime computes the grades.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.artifact import MAX_BATCH, Artifact, NetworkConfig
from engine.factory import open_chosen
from engine.lanes import Lanes, lanes_of, one_by_one
from engine.network_shape import NetworkShape
from engine.outlet import Outlet
from engine.overlay import selected_patches
from engine.runtime import Grades, Runtime, WindowId
from engine.scheduler import Batch, EveryWindow, NewestPerSperm, PendingWindow
from engine.validity import evidence_of, validity_of
from station.clock import ms_between, now_ns
from station.config import WindowSettings
from station.errors import InputError
from station.model_fit import model_doubts
from station.processes.control import PATIENCE_S, ProcessControl
from station.processes.herald import Herald
from station.processes.latency import LatencyRecorder
from station.processes.ledger import Place
from station.processes.memory import Tidying
from station.processes.process import ProcessContext
from station.transport.buffers import Buffer
from station.transport.bus import Publisher
from station.transport.control_messages import ModelInfo, ProcessState
from station.transport.counters import EngineCounters
from station.transport.messages import CommandName, GradeInfo, ModelDoubt, Trace
from station.transport.receivers import open_receiver

if TYPE_CHECKING:
    from engine.replay import GradesReplay
    from station.session.playback import Playback

WAIT_S = 0.02
LAST_TURN_S = 1.0
"""At the end of a run: for grades that were withheld and may go, so that the record has them."""
WORTHWHILE_BATCH = 1.5
"""A batch may make its first sperm wait at most this many times as long as a batch of one."""


def run(context: ProcessContext) -> None:
    """Open the model, then grade windows from the first to the end of the link."""
    control, config, endpoints = context.control, context.config, context.endpoints
    artifact = Artifact.open(config.engine.model)
    check_window(artifact, config.window)
    playback = None if config.replay_of is None else _playback(config.replay_of, control)
    settings, like = config.engine, playback.opened.model.runtime if playback is not None else ""
    choice, opened = open_chosen(artifact, settings.runtime, settings.precision, settings.threads, like=like)
    if choice.notice:
        control.account.notices.append(choice.notice)
    with opened as runtime:
        seconds = warm_up(runtime, config.window, context.carry_on)
        control.patience_s = max(PATIENCE_S, 5 * MAX_BATCH * seconds[1])
        model = model_info(artifact, runtime)
        grader = Grader(context, runtime, artifact.manifest.network)
        replay = _replay(context, grader.counters, playback, model) if playback is not None else None
        buffer: Buffer[Batch]
        if replay is not None:
            buffer = replay.buffer
        else:
            newest = NewestPerSperm(worthwhile_batch(seconds), config.engine.grades_per_s)
            buffer = EveryWindow() if context.lossless else newest
        with (
            open_receiver(
                context.zmq,
                endpoints.windows,
                buffer,
                lossless=context.lossless,
                expected=control.ledger.number(Place.READ),
            ) as windows,
            Publisher(context.zmq, endpoints.grades, number=control.ledger.number(Place.GRADES)) as grades,
            Lanes(grader.compute, lanes_of(runtime, lossless=context.lossless)) as lanes,
        ):
            control.account.model = model
            control.account.sockets = (windows, grades)
            control.report(ProcessState.READY)
            start = context.wait_for(CommandName.START)
            if start is None:
                return
            if start.source is not None:
                window_fps = start.source.fps / (start.stride or 1)
                grader.suit = partial(model_doubts, model, window_fps=window_fps)
                grader.doubts = grader.suit(start.source.um_per_px)
            counters, blind = grader.counters, config.blind if start.blind is None else start.blind
            outlet = Outlet(grades, control.account, counters, blind=blind, live=not context.lossless)
            control.account.obeyed = start.seq
            herald = Herald(grades, config, start)
            control.report(ProcessState.RUNNING)
            tidying = Tidying()
            while context.carry_on():
                _obey(control, outlet, grader, herald)
                herald.tell(withheld=control.account.withheld is not None)
                herald.speak()
                outlet.let_go(context.carry_on)
                batch = windows.receive(0.0 if lanes.busy else WAIT_S)
                counters.replaced = windows.counters.replaced
                counters.lost = windows.counters.lost
                tidying.attend(calm=batch is None and not lanes.busy)
                if batch is not None:
                    lanes.put(batch)
                if lanes.full or (lanes.busy and batch is None):
                    graded = grader.grades(lanes.take())
                    outlet.send(graded)
                    if replay is not None:
                        replay.note(graded)
                elif batch is None and windows.ended:
                    break
            if replay is not None:
                replay.finish(ended=windows.ended)
            _obey(control, outlet, grader, herald)  # what came together with the word to stop
            outlet.let_go(context.carry_on, LAST_TURN_S)
            context.finish(grades)


def _playback(folder: Path, control: ProcessControl) -> "Playback":
    from station.session.playback import Playback  # a live run starts without what reads sessions

    return Playback(folder, control.beat)


def _replay(
    context: ProcessContext, counters: EngineCounters, playback: "Playback", model: ModelInfo
) -> "GradesReplay":
    from engine.replay import GradesReplay

    return GradesReplay(context, counters, playback, model)


def _obey(control: ProcessControl, outlet: Outlet, grader: "Grader", herald: Herald) -> None:
    """Do what was asked since the last time."""
    while control.commands:
        command = control.commands.popleft()
        if command.name is CommandName.BLIND and command.blind is not None:
            outlet.hide(command.blind)
            control.account.obeyed = command.seq
        if command.name is CommandName.SCALE and command.um_per_px is not None:
            herald.rescale(command.objective, command.um_per_px)
            grader.doubts = grader.suit(command.um_per_px)


@dataclass(frozen=True, slots=True)
class Computed:
    """A batch that has been through the network."""

    batch: Batch
    answer: Grades
    patches: list[list[list[int]]] | None
    """For each window, which patches of each frame the network selected; None: it selects none."""
    t_infer_ns: int
    t_grade_ns: int


class Grader:
    """Runs batches through the network and accounts for the grades."""

    def __init__(self, context: ProcessContext, runtime: Runtime, network: NetworkShape) -> None:
        self._network = network
        self.suit: Callable[[float | None], list[ModelDoubt]] = lambda _: []
        """What speaks against the model at a scale, um/px."""
        self.doubts: list[ModelDoubt] = []
        """Why this model's grades may be wrong for this source."""
        self._lossless = context.lossless
        self._runtime = runtime
        self._account = context.control.account
        self.counters = EngineCounters(grades=0, batches=0, replaced=0, lost=0)
        self._account.counters = self.counters
        self._account.latency = {
            name: LatencyRecorder() for name in ("exposure_to_grade", "capture", "transport", "tracker_to_window",
                                                 "waiting", "engine")
        }  # fmt: skip
        self._digest = hashlib.sha256()

    def compute(self, batch: Batch) -> Computed:
        """Run a batch through the network. Keeps and changes nothing: may be called from several threads."""
        clips = np.stack([window.pixels for window in batch])
        t_infer_ns = now_ns()
        answer = self._runtime.infer(clips, [_window_id(window) for window in batch])
        network = self._network
        patches: list[list[list[int]]] | None = None
        if isinstance(network, NetworkConfig) and network.selects_patches and answer.attention is not None:
            patches = selected_patches(answer.attention, network.selected).tolist()
        return Computed(batch, answer, patches, t_infer_ns, now_ns())

    def grades(self, computed: Computed) -> list[GradeInfo]:
        """Return what was computed as grades, in the batch's order, and account for them."""
        batch, answer, patches = computed.batch, computed.answer, computed.patches
        t_infer_ns, t_grade_ns = computed.t_infer_ns, computed.t_grade_ns
        heads = answer.heads if self._network.has_three_heads else None
        evidence = [evidence_of(window.info, self.doubts) for window in batch]
        grades = [
            GradeInfo(
                sperm_id=window.info.sperm_id,
                frame_seq=window.info.frame_seqs[-1],
                x=window.info.x,
                y=window.info.y,
                grade=answer.grade[row].tolist(),
                heads=None if heads is None else heads[row].tolist(),
                validity=validity_of(
                    window.info, evidence[row], None if self._lossless else t_grade_ns - window.trace.t_exposure_ns
                ),
                trace=window.trace.model_copy(update={"t_infer_ns": t_infer_ns, "t_grade_ns": t_grade_ns}),
                patches=None if patches is None else patches[row],
                evidence=evidence[row],
            )
            for row, window in enumerate(batch)
        ]
        self._note(grades, answer.grade)
        return grades

    def _note(self, grades: list[GradeInfo], values: NDArray[np.float32]) -> None:
        account = self._account
        self.counters.batches += 1
        self.counters.grades += len(grades)
        for row, grade in enumerate(grades):
            for name, duration_ms in durations_ms(grade.trace).items():
                account.latency[name].add(duration_ms)
            self._digest.update(f"{grade.sperm_id} {grade.frame_seq} ".encode() + values[row].tobytes())
        account.digest = self._digest.hexdigest()


def _window_id(window: PendingWindow) -> WindowId:
    return WindowId(window.info.sperm_id, tuple(window.info.frame_seqs))


def durations_ms(trace: Trace) -> dict[str, float]:
    """Return how the time from exposure to grade was spent, in ms; the parts add up to ``exposure_to_grade``."""
    return {
        "exposure_to_grade": ms_between(trace.t_exposure_ns, trace.t_grade_ns),
        "capture": ms_between(trace.t_exposure_ns, trace.t_sent_ns),
        "transport": ms_between(trace.t_sent_ns, trace.t_tracker_in_ns)
        + ms_between(trace.t_tracker_out_ns, trace.t_engine_in_ns),
        "tracker_to_window": ms_between(trace.t_tracker_in_ns, trace.t_tracker_out_ns),
        "waiting": ms_between(trace.t_engine_in_ns, trace.t_infer_ns),
        "engine": ms_between(trace.t_infer_ns, trace.t_grade_ns),
    }


def check_window(artifact: Artifact, window: WindowSettings) -> None:
    """Raise InputError if the configured window is not the one the model was trained for."""
    network = artifact.manifest.network
    trained_for, configured = (network.frames, network.clip_px), (window.frames, window.size)
    if trained_for != configured:
        raise InputError(
            f"window: model {artifact.manifest.name} was trained for {trained_for[0]} frames of {trained_for[1]} px, "
            f"the configuration asks for {configured[0]} of {configured[1]}; change [window] or choose another model"
        )


def warm_up(runtime: Runtime, window: WindowSettings, beat: Callable[[], object]) -> dict[int, float]:
    """Run batches of growing size while they pay off; return the seconds each took. ``beat`` is called in between.

    A runtime that runs the clips of a batch one by one is not asked for more than one, and has run the golden clips so.
    """
    seconds: dict[int, float] = {}
    for size in (1,) if one_by_one(runtime) else (1, 2, 4, MAX_BATCH):
        clips = np.full((size, window.frames, window.size, window.size), 128, np.uint8)
        if not one_by_one(runtime):
            runtime.infer(clips)  # the first run of a shape allocates memory
        beat()
        start = time.perf_counter()
        runtime.infer(clips)
        seconds[size] = time.perf_counter() - start
        beat()
        if seconds[size] > WORTHWHILE_BATCH * seconds[1]:
            break
    return seconds


def worthwhile_batch(seconds: dict[int, float]) -> int:
    """Return the largest batch that does not make its first sperm wait much longer than a batch of one.

    A GPU grades eight in little more than the time of one. On a CPU eight take eight times as long, so they are graded
    one by one, each on the window that is newest when its turn comes.
    """
    return max(size for size, duration in seconds.items() if duration <= WORTHWHILE_BATCH * seconds[1])


def model_info(artifact: Artifact, runtime: Runtime) -> ModelInfo:
    """Return what is shown and recorded about the model in use."""
    manifest, network = artifact.manifest, artifact.manifest.network
    return ModelInfo(
        name=manifest.name,
        sha256=artifact.model_sha256,
        plan_sha256=runtime.plan_sha256,
        runtime=runtime.name,
        demonstration=manifest.demonstration,
        um_per_px=manifest.um_per_px,
        fps=manifest.fps,
        patch_grid=network.grid if isinstance(network, NetworkConfig) and network.selects_patches else None,
        system="" if network.system == "rostfine" else network.system,
    )
