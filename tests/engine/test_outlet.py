"""What a blind run lets out: nothing until it may, then everything, in order, with its times."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zmq

from engine import outlet as module
from engine.outlet import Outlet
from station.clock import now_ns
from station.processes.control import Account
from station.transport.buffers import Fifo
from station.transport.bus import QUEUE_LIVE, Publisher
from station.transport.counters import EngineCounters
from station.transport.endpoints import Endpoint
from station.transport.messages import GradeInfo, GradesHeader, Trace, Validity
from station.transport.receivers import ThreadedReceiver

Context = zmq.Context[zmq.Socket[bytes]]


def batch(seq: int, *sperm: int, validity: Validity = Validity.PADDED) -> list[GradeInfo]:
    return [
        GradeInfo(
            sperm_id=number, frame_seq=seq, x=0.5, y=1.5, grade=[0.1 + 1e-17 * seq, 0.2, 0.3, 0.4, 0.0],
            heads=[[0.2] * 5] * 3, validity=validity, trace=Trace(t_exposure_ns=seq, t_sent_ns=2, t_grade_ns=9),
            patches=[[1, 2], [3, 4]],
        )
        for number in sperm
    ]  # fmt: skip


@dataclass
class Desk:
    link: Publisher
    reader: ThreadedReceiver
    endpoint: Endpoint
    account: Account = field(default_factory=Account)
    counters: EngineCounters = field(default_factory=EngineCounters)

    def got(self, count: int) -> list[list[GradeInfo]]:
        found: list[list[GradeInfo]] = []
        deadline = time.monotonic() + 10
        while len(found) < count and time.monotonic() < deadline:
            message = self.reader.receive(0.05)
            if message is not None:
                assert isinstance(message.header, GradesHeader)
                found.append(message.header.grades)
        assert self.reader.receive(0.05) is None
        return found


@pytest.fixture
def desk(context: Context, tmp_path: Path) -> Iterator[Desk]:
    endpoint = Endpoint("grades", f"ipc://{tmp_path}/grades")
    with ExitStack() as stack:
        reader = stack.enter_context(ThreadedReceiver(context, endpoint, Fifo(None)))
        link = stack.enter_context(Publisher(context, endpoint))
        assert link.wait_for_readers(1, lambda: True)
        yield Desk(link, reader, endpoint)


def test_nothing_gets_out_before_it_may_and_then_all_of_it_first(desk: Desk) -> None:
    outlet = Outlet(desk.link, desk.account, desk.counters, blind=True, live=False)
    assert desk.account.withheld == 0
    batches = [batch(seq, 1, 2) for seq in range(10 * QUEUE_LIVE)]
    for grades in batches:
        outlet.send(grades)
        outlet.let_go(lambda: None)
    assert desk.got(0) == []
    assert (desk.account.withheld, desk.account.sperm) == (20 * QUEUE_LIVE, {})
    outlet.hide(False)
    last = batch(9999, 1)
    outlet.send(last)
    while desk.account.withheld is not None:
        assert desk.account.sperm == {}
        outlet.let_go(lambda: None)
    assert desk.got(len(batches) + 1) == [*batches, last], "more than the link holds for a reader, none lost"
    assert {number: tally.grades for number, tally in desk.account.sperm.items()} == {
        2: 10 * QUEUE_LIVE,
        1: 10 * QUEUE_LIVE + 1,
    }
    assert desk.account.sperm[1].last.frame_seq == 9999


def test_what_was_hidden_until_it_was_old_is_stale_unless_it_is_worse(desk: Desk) -> None:
    outlet = Outlet(desk.link, desk.account, desk.counters, blind=True)
    for validity in Validity:
        outlet.send(batch(1, 7, validity=validity))
    young = batch(1, 7, validity=Validity.VALID)
    young[0] = young[0].model_copy(update={"trace": Trace(t_exposure_ns=now_ns(), t_sent_ns=2, t_grade_ns=9)})
    outlet.send(young)
    outlet.hide(False)
    outlet.let_go(lambda: None, 5.0)
    found = [grade.validity for (grade,) in desk.got(len(Validity) + 1)]
    assert found == [Validity.STALE] * 4 + [Validity.DISTURBED, Validity.GAP, Validity.VALID]


def test_a_run_that_becomes_blind_takes_back_what_its_heartbeat_said(desk: Desk) -> None:
    outlet = Outlet(desk.link, desk.account, desk.counters)
    outlet.send(batch(1, 7))
    assert (desk.account.withheld, list(desk.account.sperm)) == (None, [7])
    outlet.hide(True)
    outlet.send(batch(2, 7))
    assert (desk.account.withheld, desk.account.sperm) == (1, {})
    assert desk.got(1) == [batch(1, 7)]


def test_a_reader_that_stands_still_holds_nobody_up(
    desk: Desk, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    with context.socket(zmq.SUB) as stands_still:
        stands_still.rcvhwm = 1
        stands_still.linger = 0
        stands_still.subscribe(b"")
        desk.endpoint.connect(stands_still)
        assert desk.link.wait_for_readers(1, lambda: True)
        outlet = Outlet(desk.link, desk.account, desk.counters, blind=True)
        for seq in range(5000):
            outlet.send(batch(seq, 1, 2, 3))
        outlet.hide(False)
        start = time.monotonic()
        while desk.account.withheld is not None:
            outlet.let_go(lambda: None)
        assert time.monotonic() - start < 20.0
    assert desk.account.sperm[1].grades == 5000


def test_memory_is_bounded_and_what_goes_is_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 5000)
    outlet = Outlet(desk.link, desk.account, desk.counters, blind=True)
    for seq in range(100):
        outlet.send(batch(seq, 1))
    left = desk.account.withheld
    assert left is not None
    assert 1 <= left < 20
    assert desk.counters.withheld_lost == 100 - left
    outlet.hide(False)
    outlet.let_go(lambda: None, 5.0)
    assert [grades[0].frame_seq for grades in desk.got(left)] == list(range(100 - left, 100))
