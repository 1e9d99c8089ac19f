"""What dies or hangs is started again while the others go on; too often, and it stays down."""

import errno
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess

import psutil
import pytest
import zmq

from station.config import Config
from station.processes import supervisor as module
from station.processes.restarts import HEALTHY_S, MOST, PAUSES_S, Restarts
from station.processes.spawning import start_spawned
from station.processes.supervisor import Supervisor
from station.transport.control_messages import PIPELINE, ProcessName, ProcessState
from station.transport.counters import EngineCounters
from station.transport.endpoints import private_endpoints
from station.transport.messages import CommandName
from tests.station.processes.test_supervisor import CHILDREN, PATIENT, monitor_run

Context = zmq.Context[zmq.Socket[bytes]]
ENGINE = ProcessName.ENGINE
COUNTING = PATIENT | {ENGINE: f"{CHILDREN}.counting", ProcessName.RECORDER: f"{CHILDREN}.patient"}


def test_each_attempt_waits_longer_and_after_five_in_a_row_it_stays_down() -> None:
    now_s = 0.0
    restarts = Restarts(lambda: now_s)
    waited: list[float] = []
    for attempt in range(MOST):
        assert restarts.fail(ENGINE, f"died {attempt}")
        assert restarts.waits(ENGINE)
        began_s = now_s
        while not restarts.due(ENGINE):
            now_s += 0.01
        waited.append(now_s - began_s)
        restarts.begin(ENGINE)
        assert not restarts.waits(ENGINE)
    assert [round(s, 1) for s in waited] == [round(s + 0.04, 1) for s in PAUSES_S]
    assert not restarts.fail(ENGINE, "died 5")
    assert (restarts.counts, restarts.reason(ENGINE)) == ({ENGINE: MOST}, "died 5")
    now_s += 10 * HEALTHY_S
    assert not restarts.fail(ENGINE, "died later"), "time alone does not heal"
    assert restarts.fail(ProcessName.VIEW, "died"), "each process counts for itself"


@pytest.mark.parametrize("life_s", [3.0, 13.0, 59.0])
def test_lives_that_end_before_a_minute_of_work_are_a_row_however_long_the_hang_took(life_s: float) -> None:
    now_s, restarted = 0.0, 0
    restarts = Restarts(lambda: now_s)
    while restarts.fail(ENGINE, "hangs"):
        restarts.begin(ENGINE)
        restarts.progress(ENGINE)
        now_s += life_s
        restarts.progress(ENGINE)
        now_s += HEALTHY_S  # silent: that is no work
        restarted += 1
    assert restarted == MOST
    healthy = ProcessName.TRACKER
    for _ in range(3 * MOST):
        assert restarts.fail(healthy, "died")
        restarts.begin(healthy)
        restarts.progress(healthy)
        now_s += HEALTHY_S
        restarts.progress(healthy)


def running(supervisor: Supervisor, name: ProcessName, *, other_than: int = 0) -> Callable[[], bool]:
    def runs() -> bool:
        status = supervisor.statuses.get(name)
        return status is not None and status.state is ProcessState.RUNNING and status.pid != other_than

    return runs


def grades(supervisor: Supervisor) -> int:
    counters = supervisor.statuses[ENGINE].counters
    return counters.grades if isinstance(counters, EngineCounters) else 0


def test_a_killed_process_comes_back_counts_on_and_the_others_do_not_notice(context: Context) -> None:
    with (
        private_endpoints() as endpoints,
        Supervisor(context, Config(), endpoints, COUNTING, optional=[ProcessName.RECORDER]) as supervisor,
    ):
        monitor_run(supervisor, running(supervisor, ProcessName.CAPTURE))
        monitor_run(supervisor, lambda: grades(supervisor) > 10)
        others = {name: supervisor.statuses[name].pid for name in supervisor.statuses if name is not ENGINE}
        first, counted = supervisor.statuses[ENGINE].pid, grades(supervisor)
        assert supervisor.statuses[ENGINE].notices == ["resumed False", "note "]
        os.kill(first, signal.SIGKILL)
        monitor_run(supervisor, lambda: bool(supervisor.returning))
        assert supervisor.returning == {ENGINE: "the engine process died (signal 9)"}
        assert supervisor.statuses[ENGINE].state is ProcessState.STARTING
        assert grades(supervisor) >= counted, "what was counted before stays counted"
        monitor_run(supervisor, running(supervisor, ENGINE, other_than=first))
        monitor_run(supervisor, lambda: grades(supervisor) > counted + 5)
        assert supervisor.statuses[ENGINE].notices == ["resumed True", "note was here"]
        assert (supervisor.restarts, supervisor.returning, supervisor.faults) == ({ENGINE: 1}, {}, {})
        assert {name: supervisor.statuses[name].pid for name in others} == others
        assert not supervisor.finished


def test_a_hanging_process_is_killed_and_started_again(context: Context) -> None:
    with private_endpoints() as endpoints, Supervisor(context, Config(), endpoints, COUNTING) as supervisor:
        monitor_run(supervisor, running(supervisor, ENGINE))
        first = supervisor.statuses[ENGINE].pid
        supervisor.command(ENGINE, CommandName.MARK)
        monitor_run(supervisor, lambda: ENGINE in supervisor.returning)
        assert supervisor.returning[ENGINE].startswith("the engine process hangs: no progress for 0.")
        monitor_run(supervisor, running(supervisor, ENGINE, other_than=first))
        assert not psutil.pid_exists(first)


def test_what_dies_too_often_stays_down_and_the_others_go_on(context: Context) -> None:
    modules = PATIENT | {ProcessName.VIEW: f"{CHILDREN}.leaving"}
    with (
        private_endpoints() as endpoints,
        Supervisor(context, Config(), endpoints, modules, optional=[ProcessName.VIEW]) as supervisor,
    ):
        monitor_run(supervisor, lambda: ProcessName.VIEW in supervisor.faults, timeout_s=60.0)
        assert supervisor.restarts == {ProcessName.VIEW: MOST}
        assert supervisor.faults[ProcessName.VIEW].endswith("it was started again too often and stays down")
        assert supervisor.broken == []
        assert all(supervisor.statuses[name].state is ProcessState.RUNNING for name in PIPELINE)


def test_no_descriptor_left_is_one_more_attempt_and_what_cannot_be_ended_is_left_as_it_is(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_endpoints() as endpoints, Supervisor(context, Config(), endpoints, COUNTING) as supervisor:
        monitor_run(supervisor, running(supervisor, ENGINE))
        first = supervisor.statuses[ENGINE].pid
        failures = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENOMEM, "Cannot allocate memory")]

        def start(process: BaseProcess) -> None:
            if failures:
                raise failures.pop()
            start_spawned(process)

        monkeypatch.setattr(module, "start_spawned", start)
        os.kill(first, signal.SIGKILL)
        monitor_run(supervisor, running(supervisor, ENGINE, other_than=first))
        assert supervisor.restarts == {ENGINE: 3}
        assert supervisor.reason(ENGINE) == "the engine process could not be started again (Too many open files)"
        monkeypatch.setattr(Supervisor, "_kill", staticmethod(lambda _process: False))
        supervisor.command(ENGINE, CommandName.MARK)  # it hangs
        monitor_run(supervisor, lambda: ENGINE in supervisor.faults)
        assert supervisor.faults[ENGINE].endswith("it cannot be ended and stays as it is")
        assert (supervisor.restarts, supervisor.returning) == ({ENGINE: 3}, {})
        monkeypatch.undo()


@pytest.mark.parametrize("when", ["noticed", "not noticed yet", "over the end"])
def test_a_run_that_ends_without_its_recorder_lets_it_come_back_and_hear_what_it_had_not_written(
    context: Context, when: str
) -> None:
    recorder = ProcessName.RECORDER
    modules = COUNTING | {recorder: f"{CHILDREN}.noting"}
    with (
        private_endpoints() as endpoints,
        Supervisor(context, Config(), endpoints, modules, optional=[recorder]) as supervisor,
    ):
        supervisor.note_action("mark")  # nobody listens yet
        monitor_run(supervisor, running(supervisor, ProcessName.CAPTURE))
        supervisor.note_action("note")
        monitor_run(supervisor, lambda: supervisor.statuses[recorder].notices == ["0 mark", "1 note"])
        first = supervisor.statuses[recorder].pid
        if when == "over the end":
            supervisor.note_action("die")
        else:
            os.kill(first, signal.SIGKILL)
        if when == "noticed":
            monitor_run(supervisor, lambda: recorder in supervisor.returning)
        supervisor.note_action("end")
        supervisor.stop()
        last = supervisor.statuses[recorder]
        said = {name for _, name in (notice.split() for notice in last.notices)}
        assert last.state is ProcessState.ENDED
        assert said >= {"note", "restart", "end"}
        assert "mark" not in said, "it had been written"
        assert last.pid != first
        assert supervisor.faults == {}
