"""Ten thousand sperm, one after the other, through the engine's way out: nothing grows but a number each."""

import tracemalloc

import zmq

from engine.outlet import Outlet
from station.processes.control import Account
from station.recent import RECENT_SPERM
from station.transport.bus import Publisher
from station.transport.counters import EngineCounters
from station.transport.endpoints import private_endpoints
from station.transport.messages import GradeInfo, Trace, Validity

FIFTH = [0.2] * 5
MOST_BYTES = 200
"""A sperm may leave so much behind: its number and its count."""


def grade(sperm_id: int, frame_seq: int) -> GradeInfo:
    return GradeInfo(
        sperm_id=sperm_id, frame_seq=frame_seq, x=0.0, y=0.0, grade=FIFTH, heads=[FIFTH] * 3,
        validity=Validity.VALID, trace=Trace(t_exposure_ns=1, t_sent_ns=2), patches=[[1, 2, 3]] * 16,
    )  # fmt: skip


def test_heartbeat_and_memory_stay_small_however_many_sperm_were_graded(
    context: "zmq.Context[zmq.Socket[bytes]]",
) -> None:
    account = Account()
    with private_endpoints() as endpoints, Publisher(context, endpoints.grades) as link:
        outlet = Outlet(link, account, EngineCounters())

        def pass_through(first: int, end: int) -> None:
            for sperm_id in range(first, end):
                outlet.send([grade(sperm_id, 2 * sperm_id), grade(sperm_id, 2 * sperm_id + 1)])

        pass_through(0, 5_000)
        tracemalloc.start()
        try:
            pass_through(5_000, 10_000)
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert grown < 5_000 * MOST_BYTES + 500_000, "and the tallies of the latest, which are new objects"
    assert len(account.sperm) == RECENT_SPERM
    assert account.sperm[9_999].grades == 2
