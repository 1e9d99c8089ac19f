"""The control link over real sockets: who may speak on it, for whom, and that nobody can hold the supervisor up."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import zmq

from station.processes.control import MOST_PER_ROUND, ControlCentre, ProcessControl
from station.transport.control_messages import ActionHeader, Command, ProcessName, ProcessState, ProcessStatus
from station.transport.endpoints import Endpoints, private_endpoints
from station.transport.inbox import MOST_S
from station.transport.keys import GUEST, RunKeys
from station.transport.messages import CommandName
from station.transport.seal import Seal
from station.transport.wire import encode

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with private_endpoints() as made:
        yield made


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def status(process: ProcessName = ProcessName.ENGINE, seq: int = 0, error: str = "") -> ProcessStatus:
    state = ProcessState.FAILED if error else ProcessState.RUNNING
    return ProcessStatus(seq=seq, process=process, state=state, pid=1, t_ns=1, progress=1, error=error)


def test_nobody_but_the_processes_of_the_run_gets_through(context: Context, endpoints: Endpoints) -> None:
    """No pass, the pass of other programs, and another run's: "engine failed" is not heard, and each is counted."""
    guest = replace(endpoints.control, passes=(endpoints.guest,))
    foreign = replace(endpoints.control, passes=(RunKeys.new().pass_for("engine"),))
    with ControlCentre(context, endpoints.control) as centre:
        for count, endpoint in enumerate((None, guest, foreign), start=1):
            with context.socket(zmq.DEALER) as socket:
                socket.linger, socket.reconnect_ivl, socket.identity = 0, -1, b"engine"
                if endpoint is None:
                    socket.connect(endpoints.control.address)
                else:
                    endpoint.connect(socket, GUEST)
                with contextlib.suppress(zmq.Again):  # it may have been refused by now
                    parts = encode(status(error="boo"), seal=Seal(endpoints.control.seal))
                    socket.send_multipart(parts, zmq.DONTWAIT)
                until(lambda count=count: centre.turned_away == count)
                assert centre.poll(0.05) == []
        with ProcessControl(context, endpoints.control, ProcessName.ENGINE) as control:
            control.report(ProcessState.READY)
            assert [found.state for found in centre.poll(5.0)] == [ProcessState.READY]
        assert centre.bad_messages == 0


def test_a_process_speaks_for_itself_alone_and_says_nothing_twice(context: Context, endpoints: Endpoints) -> None:
    seal = Seal(endpoints.control.seal)
    with ControlCentre(context, endpoints.control) as centre, context.socket(zmq.DEALER) as tracker:
        tracker.identity, tracker.linger = b"tracker", 0
        endpoints.control.connect(tracker, "tracker")
        own = encode(status(ProcessName.TRACKER), seal=seal)
        for parts in (
            encode(status(ProcessName.ENGINE), seal=seal),
            encode(status(ProcessName.TRACKER)),
            encode(Command(seq=0, name=CommandName.STOP), seal=seal),
            [b""] * 100,
            own,
            own,
        ):
            tracker.send_multipart(parts)
        heard: list[ProcessStatus] = []
        until(lambda: heard.extend(centre.poll(0.01)) is None and centre.bad_messages == 5)
        assert [found.process for found in heard] == [ProcessName.TRACKER]
        with context.socket(zmq.DEALER) as impostor:
            impostor.identity, impostor.linger = b"engine", 0
            endpoints.control.connect(impostor, "tracker")
            impostor.send_multipart(encode(status(ProcessName.ENGINE, seq=9), seal=seal))
            until(lambda: centre.poll(0.01) == [] and centre.bad_messages == 6)


def test_a_process_that_is_started_again_is_heard_under_its_name(context: Context, endpoints: Endpoints) -> None:
    with ControlCentre(context, endpoints.control) as centre:
        first = ProcessControl(context, endpoints.control, ProcessName.ENGINE)
        for _ in range(3):
            first.report(ProcessState.RUNNING)
        until(lambda: bool(centre.poll(0.1)))
        with ProcessControl(context, endpoints.control, ProcessName.ENGINE) as second:
            second.report(ProcessState.STARTING)
            heard: list[ProcessState] = []
            until(lambda: heard.extend(s.state for s in centre.poll(0.1)) is None and ProcessState.STARTING in heard)
            centre.send(ProcessName.ENGINE, CommandName.STOP)
            until(lambda: second.beat() is None and second.stopped)
            assert not first.stopped
        first.close()


def test_a_flood_holds_up_neither_supervisor_nor_process(context: Context, endpoints: Endpoints) -> None:
    """Both ends: a poll takes a bounded number in bounded time, whatever waits; what waits is bounded as well."""
    junk = [b"status", bytes(10_000)]
    with ControlCentre(context, endpoints.control) as centre, context.socket(zmq.DEALER) as flood:
        flood.identity, flood.linger = b"view", 0
        endpoints.control.connect(flood, "view")
        slowest, sent = 0.0, 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            for _ in range(500):
                if not flood.poll(0, zmq.POLLOUT):
                    break
                flood.send_multipart(junk, zmq.DONTWAIT)
                sent += 1
            before, start = centre.bad_messages, time.monotonic()
            assert centre.poll(0.02) == []
            slowest = max(slowest, time.monotonic() - start)
            assert centre.bad_messages - before <= MOST_PER_ROUND
        assert sent > 1000
        assert slowest < 10 * MOST_S, "on a busy machine too"


def test_a_process_obeys_its_supervisor_alone_and_once(context: Context, endpoints: Endpoints) -> None:
    """A stranger in the supervisor's place, a command sent twice, and a message that is not for this process."""
    seal = Seal(endpoints.control.seal)
    stop = Command(seq=4, name=CommandName.STOP)
    with context.socket(zmq.ROUTER) as raw, ProcessControl(context, endpoints.control, ProcessName.TRACKER) as control:
        raw.linger, raw.router_mandatory = 0, True
        door = endpoints.control.bind(context, raw)
        assert door is not None
        control.report(ProcessState.RUNNING)
        assert raw.poll(10_000)
        for header, by in (
            (stop, Seal(b"")),
            (stop, Seal(RunKeys.new().seal)),
            (ActionHeader(seq=0, t_ns=1, name="key k"), seal),
            (Command(seq=5, name=CommandName.RELEASE, sperm_id=1), seal),
            (Command(seq=5, name=CommandName.RELEASE, sperm_id=1), seal),
            (stop, seal),
        ):
            raw.send_multipart([b"tracker", *encode(header, seal=by)])
        until(lambda: control.beat() is None and control.bad_messages == 5)
        assert [command.seq for command in control.commands] == [5]
        assert not control.stopped
        door.close()
