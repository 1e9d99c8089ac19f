"""Where a capture process goes on that was started again: in a film, in a simulation, with a camera."""

import numpy as np
import pytest

from capture.resumption import Resumption
from capture.simulator.microscope import SimulatedMicroscope
from capture.source import Condition, ExposureChange, Frame, Report
from station.clock import NS_PER_S
from station.config import SimulatedSettings
from station.processes.ledger import Ledger, Place
from station.transport.control_messages import SourceInfo
from station.transport.messages import FrameHeader

FPS = 50.0
STEP_NS = round(NS_PER_S / FPS)
PIXELS = np.zeros((4, 6), np.uint8)


def header(seq: int, t_source_ns: int, t_exposure_ns: int) -> FrameHeader:
    return FrameHeader(
        seq=seq, t_source_ns=t_source_ns, t_exposure_ns=t_exposure_ns, t_sent_ns=t_exposure_ns, height=4, width=6
    )


@pytest.fixture
def ledger() -> Ledger:
    """Of a process that had sent frames 0 to 9, exposed from 1 s on, and is started again."""
    ledger = Ledger()
    ledger.begin()
    first = Resumption(ledger, FPS)
    assert (first.first_ns, first.next_seq) == (None, 0)
    frame = Frame(PIXELS, 0)
    assert first.continued(frame) is frame
    for seq in range(10):
        first.note(header(seq, seq * STEP_NS, NS_PER_S + seq * STEP_NS), first_ns=0)
        ledger.number(Place.FRAMES).value = seq + 1
    ledger.begin()
    return ledger


def test_a_film_goes_on_behind_the_last_frame(ledger: Ledger) -> None:
    resumption = Resumption(ledger, FPS)
    assert (resumption.first_ns, resumption.next_seq) == (0, 10)
    frames = [resumption.continued(Frame(PIXELS, k * STEP_NS)) for k in range(12)]
    assert [frame.t_source_ns // STEP_NS for frame in frames if frame is not None] == [10, 11]
    assert [frame.lost_before for frame in frames if frame is not None] == [0, 0]


def test_a_frame_that_was_not_sent_any_more_is_missing_and_none_comes_twice(ledger: Ledger) -> None:
    """Killed between the note and the sending: the number stays free, so that the reader counts it."""
    resumption = Resumption(ledger, FPS)
    resumption.note(header(10, 10 * STEP_NS, NS_PER_S + 10 * STEP_NS), first_ns=0)
    ledger.begin()
    again = Resumption(ledger, FPS)
    assert again.next_seq == 11
    assert again.continued(Frame(PIXELS, 10 * STEP_NS)) is None


def test_a_simulation_goes_on_without_drawing_what_was_sent(ledger: Ledger) -> None:
    settings = SimulatedSettings(width=64, height=64, fps=FPS, sperm=1, debris=0)
    with SimulatedMicroscope(settings) as source:
        Resumption(ledger, FPS).prepare(source)
        assert source.read().t_source_ns == 10 * STEP_NS
        assert source.skip_to(20 * STEP_NS) == 9
        assert source.read().t_source_ns == 20 * STEP_NS
        assert source.skip_to(0) == 0, "it never goes back"


def test_a_camera_lost_what_came_in_between_and_keeps_the_time_axis(ledger: Ledger) -> None:
    resumption = Resumption(ledger, FPS)
    last_ns = NS_PER_S + 9 * STEP_NS
    first = resumption.continued(Frame(PIXELS, 0, t_exposure_ns=last_ns + 100 * STEP_NS, lost_before=1))
    second = resumption.continued(Frame(PIXELS, STEP_NS, t_exposure_ns=last_ns + 101 * STEP_NS))
    assert first is not None
    assert second is not None
    assert (first.t_source_ns, first.lost_before) == ((9 + 100) * STEP_NS, 99), "its own loss is among them"
    assert (second.t_source_ns, second.lost_before) == ((9 + 101) * STEP_NS, 0)


class Adjusted:
    """A camera that is asked for another exposure."""

    info = SourceInfo(name="camera", width=6, height=4, fps=FPS)
    condition = Condition()

    def __init__(self) -> None:
        self.asked: list[ExposureChange] = []

    def adjust(self, change: ExposureChange, report: Report) -> None:
        self.asked.append(change)
        report(True, "")

    def read(self) -> None:
        return None

    def close(self) -> None:
        """Nothing to release."""

    def __enter__(self) -> "Adjusted":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def test_a_camera_is_given_the_exposure_that_was_asked_for(ledger: Ledger) -> None:
    resumption = Resumption(ledger, FPS)
    resumption.note_change(ExposureChange(exposure_us=500.0))
    resumption.note_change(ExposureChange(gain=3.0))
    ledger.begin()
    camera = Adjusted()
    Resumption(ledger, FPS).prepare(camera)
    assert camera.asked == [ExposureChange(exposure_us=500.0, gain=3.0)]
