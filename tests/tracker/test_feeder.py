"""What the tracker process does with commands: who asked for a sperm is known, and candidates change nothing."""

from collections.abc import Iterator

import pytest
import zmq

from capture.simulator.microscope import SimulatedMicroscope
from station.clock import now_ns
from station.config import Config, SimulatedSettings
from station.processes.control import ProcessControl
from station.processes.process import ProcessContext
from station.transport.buffers import Received
from station.transport.control_messages import Command, ProcessName
from station.transport.endpoints import private_endpoints
from station.transport.messages import CommandName, FrameHeader
from tracker.process import FrameFeeder
from tracker.results import FrameResult

SETTINGS = SimulatedSettings(width=480, height=360, sperm=10, debris=10)


class Bench:
    """A feeder, and the frames of a simulated microscope."""

    def __init__(self, context: ProcessContext) -> None:
        self.feeder = FrameFeeder(context, 1)
        self.asked = context.control.commands
        self._microscope = SimulatedMicroscope(SETTINGS)
        self._seq = 0

    def ask(self, seq: int, name: CommandName, **fields: object) -> None:
        self.asked.append(Command.model_validate({"seq": seq, "name": name} | fields))

    def feed(self) -> FrameResult:
        frame, t_ns = self._microscope.read(), now_ns()
        header = FrameHeader(
            seq=self._seq, t_exposure_ns=t_ns, t_source_ns=frame.t_source_ns, t_sent_ns=t_ns,
            height=SETTINGS.height, width=SETTINGS.width,
        )  # fmt: skip
        self._seq += 1
        return self.feeder.feed(Received(header, frame.pixels, t_ns))


@pytest.fixture
def bench(context: "zmq.Context[zmq.Socket[bytes]]") -> Iterator[Bench]:
    config = Config(select_auto=2, replace_lost_s=0.0, simulated=SETTINGS)
    with (
        private_endpoints() as endpoints,
        ProcessControl(context, endpoints.control, ProcessName.TRACKER) as control,
    ):
        yield Bench(ProcessContext(config, endpoints, control, context))


def test_it_is_known_by_whose_command_a_sperm_is_selected(bench: Bench) -> None:
    """Two ask for the next best at once, while the selection of the configuration is still to be made."""
    bench.ask(7, CommandName.SELECT_AUTO, count=1)
    bench.ask(9, CommandName.SELECT_AUTO, count=1)
    bench.ask(8, CommandName.SELECT, x=240.0, y=180.0)
    while len(bench.feed().tracks) < 5:
        pass
    askers = bench.feeder.askers
    assert sorted(asked or 0 for asked in askers.values()) == [0, 0, 7, 8, 9]
    by_rule = {asked: number for number, asked in askers.items() if asked in (7, 9)}
    assert by_rule[7] < by_rule[9], "in the order in which they were asked for"


def test_candidates_come_once_where_asked_for_and_change_nothing(bench: Bench) -> None:
    while len(bench.feed().tracks) < 2:
        pass
    bench.ask(3, CommandName.CANDIDATES)
    result = bench.feed()
    assert bench.feeder.applied_commands == []
    assert len(result.tracks) == 2
    assert result.candidates
    for x, y in result.candidates:
        assert min(abs(x - track.x) + abs(y - track.y) for track in result.tracks) > 8, "these are followed"
    assert bench.feed().candidates is None
