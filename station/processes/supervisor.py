"""Starts the processes, watches that they progress, and ends them: nothing is left running, whatever happens.

Processes start downstream first: frames flow only once everything behind is ready for them, so that a file loses none.
In a live run a process that dies or hangs is started again while the others go on (``station.processes.restarts``);
offline, where nothing may be missing, the run ends. This module knows processes and heartbeats; what the processes do
and what is shown is not its business.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from multiprocessing.process import BaseProcess
from typing import Any, Self

import zmq

from station.clock import NS_PER_S, AwakeClock, now_ns
from station.config import Config
from station.errors import InputError, ProcessError, StationError
from station.model_fit import require_fit
from station.processes.control import ControlCentre, Watched
from station.processes.life import Lives
from station.processes.process import log_path, run_process
from station.processes.restarts import Restarts
from station.processes.spawning import start_spawned
from station.processes.starvation import Starvation
from station.processes.suspension import is_suspended
from station.same_source import require_same
from station.stride import window_stride
from station.transport.control_messages import (
    PIPELINE,
    ActionHeader,
    ProcessName,
    ProcessState,
    ProcessStatus,
    SourceInfo,
)
from station.transport.endpoints import Endpoints
from station.transport.messages import CommandName, TrackInfo, TrackState

UPSTREAM_OF = {ProcessName.ENGINE: ProcessName.TRACKER, ProcessName.TRACKER: ProcessName.CAPTURE}
START_TIMEOUT_S = 60.0
SILENT_S = 0.3
"""After so long without progress the system is asked whether the process is suspended, or starved."""
STARVED_S = 30.0
"""So much longer at most may a process be silent that gets no processor time."""
FIRST_TRIES = 2
"""So often an optional process is started again that dies or hangs before it ever ran: the others wait for it."""
END_S = 0.5
"""After a kill; what is still there then is held by the system, a driver or a dead disk, and cannot be ended."""
GRACE_S = 1.2
"""Between asking the processes to stop and terminating them; with KILL_S within the 2 s that ending may take."""
KILL_S = 0.4
RECORDER_GRACE_S = 8.0
"""A slow disk may take longer than the two seconds, and what it is waiting for is a recording."""
FORWARD_S = {ProcessName.RECORDER: 1.0, ProcessName.VIEW: 0.2}
"""How often these hear how another process is doing, changes aside."""
KEEP_ACTIONS = 1000
"""So many are kept until the recorder has written them."""


class Supervisor:
    """The processes of one run. Entering starts them, leaving ends them."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        config: Config,
        endpoints: Endpoints,
        modules: dict[ProcessName, str],
        optional: Collection[ProcessName] = (),
        begun: Mapping[ProcessName, BaseProcess] | None = None,
    ) -> None:
        """Prepare one process per entry of ``modules``: the process's name and the module with its ``run``.

        Without the ``optional`` ones the run goes on: what became of them stands in ``faults``. Those that have
        ``begun`` are taken over on entering.
        """
        spawn = multiprocessing.get_context("spawn")
        self.statuses: dict[ProcessName, ProcessStatus] = {}
        """The latest word of each process."""
        self.progressed_ns: dict[ProcessName, int] = {}
        """When each process last made progress, station clock."""
        self.faults: dict[ProcessName, str] = {}
        """Why a process is no more, one line: an optional one, or one that was started again too often."""
        self.suspended: set[ProcessName] = set()
        """Processes that somebody has stopped (SIGSTOP, a debugger): they do not count as hanging."""
        self._scale: dict[str, Any] = {}
        """Of another objective than the one of the start: what its processes are told."""
        self.blind = config.blind
        """The engine withholds its grades, or has been told to."""
        self._marked: set[int] = set()
        self._spawn, self._modules = spawn, modules
        self._optional = optional
        self._ran: set[ProcessName] = set()
        """In this life or one before."""
        self._up: set[ProcessName] = set()
        """In this life."""
        self._forwarded_ns: dict[tuple[ProcessName, ProcessName], int] = {}
        self._actions = 0
        self._config = config
        self._endpoints = endpoints
        self._centre = ControlCentre(context, endpoints.control)
        self._started: set[ProcessName] = set()
        self._clock = AwakeClock()
        self._restarts = Restarts(lambda: self._clock.seconds())
        self._lives = Lives(endpoints.folder)
        self._starvation = {name: Starvation() for name in modules}
        self._opened: SourceInfo | None = None
        """The source when the run began."""
        self._actions_held: deque[ActionHeader] = deque(maxlen=KEEP_ACTIONS)
        self._has_stopped = False
        self._next_action = 0
        """Number of the first that was not sent to the recorder in its present life."""
        self._suspended_s = 0.0
        self._others_suspended_s = 0.0
        self._polled_s = 0.0
        begun = begun or {}
        self._processes = {name: begun[name] if name in begun else self._prepare(name) for name in modules}

    @property
    def finished(self) -> bool:
        """True once the last process of the chain, and the recorder, have dealt with all that came and said so.

        Behind a process that stays down nothing ends by itself; with the first of the chain down, nothing at all does.
        """
        if self.broken:
            whole = PIPELINE[: min(PIPELINE.index(name) for name in self.broken)]
            return bool(whole) and self._ended(whole[-1])
        return self._ended(ProcessName.ENGINE) and (not self._listening or self._ended(ProcessName.RECORDER))

    @property
    def broken(self) -> list[ProcessName]:
        """Processes of the pipeline that stay down."""
        return [name for name in PIPELINE if name in self.faults]

    @property
    def restarts(self) -> dict[ProcessName, int]:
        """How often each process was started again; without those that never were."""
        return self._restarts.counts

    def reason(self, name: ProcessName) -> str:
        """Return why a process was started again the last time, one line."""
        return self._restarts.reason(name)

    @property
    def returning(self) -> dict[ProcessName, str]:
        """Why a process is being started again, for those that do not run yet."""
        return {
            name: self._restarts.reason(name)
            for name in self._processes
            if name not in self.faults and self._is_returning(name)
        }

    @property
    def control(self) -> Watched:
        """The socket on which the processes report: what it dropped and refused."""
        return self._centre

    @property
    def suspended_s(self) -> float:
        """Seconds of this run in which this process or one of the others was suspended."""
        return self._suspended_s + self._others_suspended_s

    def poll(self, timeout_s: float) -> None:
        """Take in heartbeats for at most ``timeout_s``, start processes that are due, and check on all of them.

        Raises InputError where a process found the user's input unusable, ProcessError where one died or hangs.
        """
        self._clock.seconds()
        for status in self._centre.poll(timeout_s):
            if status.process not in self._processes or status.pid != self._processes[status.process].pid:
                continue  # the last word of one that was killed meanwhile
            before = self.statuses.get(status.process)
            if before is None or status.progress > before.progress or status.state != before.state:
                self._progress(status.process)
                if status.state is ProcessState.RUNNING:
                    self._restarts.progress(status.process)
            self._take_in(status)
        before_s, self._polled_s = self._polled_s, self._clock.seconds()
        if self._clock.suspended_s > self._suspended_s:
            # Either between two calls or while waiting for heartbeats: nobody else's silence of that time counts.
            self._suspended_s = self._clock.suspended_s
            self.progressed_ns = dict.fromkeys(self.progressed_ns, now_ns())
        elif self.suspended:
            self._others_suspended_s += max(0.0, self._polled_s - before_s)
        for name in self._processes:
            if self._restarts.due(name):
                self._start_again(name)
            elif not self._restarts.waits(name):
                self._check_or_give_up(name)
        self._start_due_processes()

    def replace_lost(self, tracks: Sequence[TrackInfo], wanted: int) -> list[int]:
        """Let the tracker release what is lost and select others by its automatic rule, up to ``wanted`` in all.

        Returns the numbers of the commands.
        """
        lost = [track.sperm_id for track in tracks if track.state is TrackState.LOST]
        numbers = [self._centre.send(ProcessName.TRACKER, CommandName.RELEASE, sperm_id=sperm_id) for sperm_id in lost]
        if wanted > len(tracks) - len(lost):
            count = wanted - (len(tracks) - len(lost))
            numbers.append(self._centre.send(ProcessName.TRACKER, CommandName.SELECT_AUTO, count=count))
        return numbers

    def mark(self, sperm_id: int) -> None:
        """Let the tracker know that a sperm was marked as chosen, and every tracker that is started again."""
        self._marked.add(sperm_id)
        self._centre.send(ProcessName.TRACKER, CommandName.MARK, sperm_id=sperm_id)

    def command(self, process: ProcessName, name: CommandName, **fields: Any) -> int:
        """Send one command to a process and return the command's number."""
        return self._centre.send(process, name, **fields)

    def set_scale(self, objective: str, um_per_px: float) -> None:
        """Let all processes know which objective is in use from now on, and its scale."""
        self._scale = {"objective": objective, "um_per_px": um_per_px}
        for name in PIPELINE:
            self._centre.send(name, CommandName.SCALE, **self._scale)

    def hide_grades(self, *, blind: bool) -> int:
        """Let the engine withhold its grades, or let them go; return the number that it has to have ``obeyed``."""
        self.blind = blind
        return self._centre.send(ProcessName.ENGINE, CommandName.BLIND, blind=blind)

    def note_action(
        self, name: str, details: str = "", asked_by: str = "", *, sperm_id: int | None = None, note: str = ""
    ) -> None:
        """Let the recorder know what the operator did and how it was asked for, or what ends the run.

        ``sperm_id`` and ``note`` are those of a mark.
        """
        if self._listening:
            action = ActionHeader(
                seq=self._actions, t_ns=now_ns(), name=name, details=details, asked_by=asked_by, sperm_id=sperm_id,
                note=note,
            )  # fmt: skip
            self._actions += 1
            self._actions_held.append(action)
            self._pass_actions_on()

    def stop(self) -> None:
        """End all processes: ask, then terminate, then kill. May be called more than once."""
        self._see_to_dead_recorder()
        returns = self._recorder_returns
        asked = {name: process for name, process in self._processes.items() if process.is_alive()}
        if returns:
            asked.pop(ProcessName.RECORDER, None)
        for name, process in asked.items():
            self._resume(process)
            self._centre.send(name, CommandName.STOP)
            status = self.statuses.get(name)
            if name not in self._started and (status is None or status.state is ProcessState.STARTING):
                process.kill()  # it listens to nobody while it loads, and holds nothing yet
        deadline_s = self._clock.seconds() + GRACE_S
        while any(process.is_alive() for process in asked.values()) and self._clock.seconds() < deadline_s:
            for process in asked.values():  # a stop that was on its way may take hold only now
                if process.is_alive():
                    self._resume(process)
            for status in self._centre.poll(0.01):
                self._take_in(status)
        if returns:
            self._bring_recorder_back()
        self._let_recorder_finish()
        if self._see_to_dead_recorder():  # it died over the end of its session
            self._bring_recorder_back()
            self._let_recorder_finish()
        self._has_stopped = True
        alive = [process for process in self._processes.values() if process.is_alive()]
        for process in alive:
            if process.is_alive():
                process.terminate()
        for process in alive:
            process.join(KILL_S / len(alive))
            if process.is_alive():
                self._kill(process)
        for status in self._centre.poll(0):
            self._take_in(status)

    def __enter__(self) -> Self:
        try:
            for name, process in self._processes.items():
                if process.pid is None:
                    start_spawned(process)
                self.progressed_ns[name] = now_ns()
            self._clock = AwakeClock()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        started = {name: process for name, process in self._processes.items() if process.pid is not None}
        self._processes = started
        self.stop()
        for name, process in started.items():
            process.join(END_S)
            if process.is_alive():
                self.faults.setdefault(name, f"the {name} process cannot be ended: the system does not let go of it")
                vars(multiprocessing.process)["_children"].discard(process)  # else Python waits for it in the end
            else:
                process.close()
        self._processes = {}
        self.close()

    def close(self) -> None:
        """Close the socket; may be called more than once. Leaving does it too: this is for one never entered."""
        self._centre.close()

    def _start_due_processes(self) -> None:
        """Send START to a process that is ready and whose downstream neighbour runs; engine and recorder go first."""
        expected = set(self._processes) - set(self.faults)
        for name in expected & self.restarts.keys() & self._ran:
            if self.statuses[name].state is ProcessState.READY:  # the others run already
                self._start(name)
        if not expected <= set(self.statuses):
            return
        if not self._started and any(self.statuses[name].state is ProcessState.STARTING for name in expected):
            return
        self._start(ProcessName.ENGINE)
        if self._listening:
            self._start(ProcessName.RECORDER)
        for downstream, upstream in UPSTREAM_OF.items():
            recorder_due = upstream is ProcessName.CAPTURE and self._listening
            if self._runs(downstream) and (not recorder_due or self._runs(ProcessName.RECORDER)):
                self._start(upstream)
        if ProcessName.VIEW in expected and self._runs(ProcessName.CAPTURE):  # capture must not wait for it as a reader
            self._start(ProcessName.VIEW)

    def _start(self, name: ProcessName) -> None:
        if name in self._started or self.statuses[name].state is not ProcessState.READY:
            return
        self._started.add(name)
        source, model = self._lives.source, self._lives.model
        if source is None or model is None:
            raise ProcessError(f"the {name} process cannot start: capture or engine did not say what it has opened")
        stride = window_stride(self._config.window.stride, source.fps, model.fps)
        readers = 1 + self._listening
        if name is ProcessName.ENGINE and name not in self._ran and self._config.replay_of is None:
            require_fit(model, source, stride, forced=self._config.engine.force_model)
        if name is ProcessName.CAPTURE:
            self._opened = self._opened or source
            require_same(self._opened, source, f"the source ({source.name})")
        source = source.model_copy(update=self._scale)
        opened: dict[str, Any] = {"source": source, "model": model}
        if name is ProcessName.RECORDER:
            opened["parameters"] = self._lives.parameters
        if name is ProcessName.ENGINE:
            opened["blind"] = self.blind
        if name is ProcessName.TRACKER:
            opened["marked"] = sorted(self._marked)
        if name is ProcessName.CAPTURE:
            opened |= self._scale
        self._centre.send(name, CommandName.START, stride=stride, readers=readers, **opened)

    def _check_or_give_up(self, name: ProcessName) -> None:
        """See to a process that died, hangs or has failed: start it again, or give it up, or raise its error.

        Its error is raised where the run can't do without it and it can't be started again, and where what the user
        gave is of no use, unless an optional process finds that out late. For one that was started again that is not
        the user's mistake: what it can't use now, a camera that is away, may be there again a moment later.
        """
        if name in self.faults:
            return
        try:
            self._check(name)
        except InputError as error:
            if name in self.restarts and name not in self._up:
                self._fail(name, error)
            elif name in self._optional and name in self._ran:
                self._give_up(name, error)
            else:
                raise
        except ProcessError as error:
            if self._may_return(name) and (name in self._ran or self._may_try_again(name)):
                self._fail(name, error)
            elif name in self._optional:
                self._give_up(name, error)
            else:
                raise

    def _may_return(self, name: ProcessName) -> bool:
        """Return whether a process can be started again: offline nothing may be missing, so there the view alone."""
        return name is ProcessName.VIEW or not self._config.lossless

    def _may_try_again(self, name: ProcessName) -> bool:
        """Return whether one that died or hung before it ever ran is started again; one that says why, is not."""
        status = self.statuses.get(name)
        says_why = status is None or status.state is ProcessState.FAILED
        return name in self._optional and not says_why and self.restarts.get(name, 0) < FIRST_TRIES

    def _is_returning(self, name: ProcessName) -> bool:
        """Return whether a process is gone, or was started again and does not run yet."""
        if self._restarts.waits(name):
            return True
        status = self.statuses.get(name)
        begins = status is None or status.state in (ProcessState.STARTING, ProcessState.READY)
        return name in self.restarts and begins

    def _fail(self, name: ProcessName, error: StationError) -> None:
        """See that a process is gone, and have it started again in a moment; give it up where that was too often."""
        reason = str(error).splitlines()[0]
        hidden = self.statuses[name].withheld if name in self.statuses else None
        reason += f"; {hidden} hidden grades are lost with it" if hidden else ""
        gone = self._kill(self._processes[name])
        self.suspended.discard(name)
        self._started.discard(name)
        self._up.discard(name)
        if name is ProcessName.RECORDER:
            self._next_action = 0
        if not gone:
            self.note_action("down", f"{reason}; it cannot be ended")
            self._give_up(name, ProcessError(f"{reason}; it cannot be ended and stays as it is"))
            return
        if not self._restarts.fail(name, reason):
            self.note_action("down", f"{reason}; it was started again too often")
            self._give_up(name, ProcessError(f"{reason}; it was started again too often and stays down"))
            return
        self.note_action("restart", reason)
        self._take_in(self._lives.end(name, self.statuses[name]))

    def _start_again(self, name: ProcessName) -> None:
        self._restarts.begin(name)
        self._processes[name].close()
        self._processes[name] = self._prepare(name)
        self._progress(name)
        try:
            start_spawned(self._processes[name])
        except OSError as error:  # no memory, no process, no descriptor left: it may be there a moment later
            self._fail(name, ProcessError(f"the {name} process could not be started again ({error.strerror or error})"))

    @staticmethod
    def _kill(process: BaseProcess) -> bool:
        """Kill a process; return whether it is gone."""
        if process.pid is not None:
            process.kill()
            process.join(END_S)
        return not process.is_alive()

    def _progress(self, name: ProcessName) -> None:
        self.progressed_ns[name] = now_ns()
        self._starvation[name].clear()

    def _prepare(self, name: ProcessName) -> BaseProcess:
        arguments = (name, self._modules[name], self._config, self._endpoints)
        return self._spawn.Process(target=run_process, args=arguments, name=name.value)

    def _give_up(self, name: ProcessName, error: StationError) -> None:
        self.faults[name] = str(error).splitlines()[0]
        self._kill(self._processes[name])
        status = self.statuses.get(name)
        if status is not None and self._hears(ProcessName.VIEW, name):
            failed = status.model_copy(update={"state": ProcessState.FAILED, "error": self.faults[name]})
            self._centre.tell(ProcessName.VIEW, failed)

    def _check(self, name: ProcessName) -> None:
        """Raise the error of a process that has failed, died or hangs."""
        if self._dead(name):
            for late in self._centre.poll(0.1):  # its last words may still be on their way
                self._take_in(late)
        status = self.statuses.get(name)
        if status is not None and status.state is ProcessState.FAILED:
            if status.user_error:
                raise InputError(status.error)
            raise ProcessError(f"the {name} process failed: {status.error}\n{status.details}")
        if self._dead(name):  # a process that has ended well waits to be told to stop
            exitcode = self._processes[name].exitcode
            raise ProcessError(f"the {name} process died ({_how(exitcode)}){self._log_tail(name)}")
        silent_s = (now_ns() - self.progressed_ns[name]) / NS_PER_S
        if self._is_suspended(name, silent_s):
            return
        silent_s = (now_ns() - self.progressed_ns[name]) / NS_PER_S
        starting = status is None or status.state is ProcessState.STARTING
        limit_s = START_TIMEOUT_S if starting or status is None else status.patience_s
        starvation, pid = self._starvation[name], self._processes[name].pid
        if silent_s > SILENT_S and pid is not None:
            starvation.look(pid, self._clock.seconds())
        starved_s = min(starvation.seconds, STARVED_S)
        if silent_s > limit_s + starved_s:
            self._clock.seconds()
            if self._clock.suspended_s > self._suspended_s:
                return  # this process was suspended since the last poll, and the next one sees to it
            starved = f", starved of processor time for {starved_s:.1f} s of it" if starved_s else ""
            raise ProcessError(
                f"the {name} process hangs: no progress for {silent_s:.1f} s{starved}{self._log_tail(name)}"
            )

    def _is_suspended(self, name: ProcessName, silent_s: float) -> bool:
        """Return whether a silent process is suspended; when it goes on again, its silence counts from then."""
        process = self._processes[name]
        if silent_s <= SILENT_S and name not in self.suspended:
            return False
        if process.pid is not None and is_suspended(process.pid):
            if name not in self.suspended:
                self.suspended.add(name)
                self._tell_suspended(name)
        elif name in self.suspended:
            self.suspended.discard(name)
            self._progress(name)
        return name in self.suspended

    @staticmethod
    def _resume(process: BaseProcess) -> None:
        """Let a suspended process go on, so that it can end in good order."""
        if process.pid is not None and is_suspended(process.pid):
            os.kill(process.pid, signal.SIGCONT)

    @property
    def _listening(self) -> bool:
        """True where there is a recorder that has not failed."""
        return ProcessName.RECORDER in self._processes and ProcessName.RECORDER not in self.faults

    def _hears(self, listener: ProcessName, name: ProcessName) -> bool:
        """Return whether ``listener`` runs and is told about ``name``; nobody is told the view's notice, its link."""
        runs = listener in self._processes and listener not in self.faults
        return runs and name not in (listener, ProcessName.VIEW)

    def _tell_suspended(self, name: ProcessName) -> None:
        """Let the view know that a process is suspended, which cannot say so itself."""
        if name in self.statuses and self._hears(ProcessName.VIEW, name):
            self._centre.tell(ProcessName.VIEW, self.statuses[name].model_copy(update={"suspended": True}))

    def _take_in(self, status: ProcessStatus) -> None:
        """Keep a process's word, and let recorder and view know it now and then."""
        name, before = status.process, self.statuses.get(status.process)
        status = self._lives.whole(status)
        self.statuses[name] = status
        if status.state is ProcessState.RUNNING:
            self._ran.add(name)
            if name is ProcessName.VIEW and name not in self._up:
                for one in self.suspended:
                    self._tell_suspended(one)
            self._up.add(name)
            if name is ProcessName.RECORDER:
                while self._actions_held and self._actions_held[0].seq < (status.acted or 0):
                    self._actions_held.popleft()
                self._pass_actions_on()
        changed = before is None or before.state is not status.state or before.notices != status.notices
        changed |= before is not None and (before.withheld is None) is not (status.withheld is None)
        for listener, every_s in FORWARD_S.items():
            due = now_ns() - self._forwarded_ns.get((listener, name), 0) >= every_s * NS_PER_S
            if self._hears(listener, name) and (changed or due):
                self._forwarded_ns[listener, name] = now_ns()
                self._centre.tell(listener, status)

    def _pass_actions_on(self) -> None:
        """Let the recorder know what was done, while it runs; what it has not written, the next one hears again."""
        if not self._listening or ProcessName.RECORDER not in self._up:
            return
        for action in self._actions_held:
            if action.seq >= self._next_action:
                if not self._centre.tell(ProcessName.RECORDER, action):
                    return
                self._next_action = action.seq + 1

    @property
    def _recorder_returns(self) -> bool:
        """True where a recorder with a session is gone, or was started again and does not run yet."""
        recorder = ProcessName.RECORDER
        return self._listening and recorder in self._ran and self._is_returning(recorder)

    def _see_to_dead_recorder(self) -> bool:
        """Have a recorder that died since the last poll started again, as in mid-run; return whether it comes back."""
        recorder = ProcessName.RECORDER
        if self._has_stopped or not self._listening or recorder not in self._ran or not self._dead(recorder):
            return False
        for status in self._centre.poll(0):
            self._take_in(status)
        if not self._is_returning(recorder) and self.statuses[recorder].state is not ProcessState.ENDED:
            self._check_or_give_up(recorder)
        return self._recorder_returns and recorder not in self.faults

    def _bring_recorder_back(self) -> None:
        """Let a recorder that is being started again come up and hear what was done, so that it ends its session."""
        recorder = ProcessName.RECORDER
        deadline_s = self._clock.seconds() + RECORDER_GRACE_S
        while self._recorder_returns and self._clock.seconds() < deadline_s:
            if self._restarts.due(recorder):
                self._start_again(recorder)
            elif not self._restarts.waits(recorder):
                self._check_or_give_up(recorder)
            for status in self._centre.poll(0.01):
                if status.process in self._processes and status.pid == self._processes[status.process].pid:
                    self._take_in(status)
            if recorder not in self.faults and self.statuses[recorder].state is ProcessState.READY:
                self._start(recorder)
        if self._recorder_returns:
            self._give_up(recorder, ProcessError("the recorder did not come back in time: the session is cut off"))
        elif self._listening:
            self._centre.send(recorder, CommandName.STOP)

    def _let_recorder_finish(self) -> None:
        """Wait for a recorder that is still bringing things to the disk, as long as it gets on with it."""
        recorder = self._processes.get(ProcessName.RECORDER)
        deadline_s = self._clock.seconds() + RECORDER_GRACE_S
        while recorder is not None and self._listening and recorder.is_alive() and self._clock.seconds() < deadline_s:
            for status in self._centre.poll(0.01):
                self._take_in(status)

    def _ended(self, name: ProcessName) -> bool:
        status = self.statuses.get(name)
        return status is not None and status.state is ProcessState.ENDED and not self._dead(name)

    def _runs(self, name: ProcessName) -> bool:
        return self.statuses[name].state is ProcessState.RUNNING

    def _dead(self, name: ProcessName) -> bool:
        process = self._processes.get(name)
        return process is not None and not process.is_alive()

    def _log_tail(self, name: ProcessName) -> str:
        """Return the end of what the process printed, on lines of its own."""
        try:
            lines = log_path(self._endpoints.folder, name).read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "".join(f"\n  {name}: {line}" for line in lines[-20:])


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"signal {-exitcode}"
    return "it was told to end from outside" if exitcode == 0 else f"exit code {exitcode}"
