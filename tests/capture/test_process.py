"""The capture process: heartbeats continue while a source has no frame, and report the source's condition."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq

import capture.process
from capture.source import CameraFaults, Condition, Frame, Pending
from station.config import Config
from station.processes.control import ControlCentre, ProcessControl
from station.processes.process import ProcessContext
from station.transport.buffers import Fifo
from station.transport.control_messages import ProcessName, ProcessState, ProcessStatus, SourceInfo
from station.transport.endpoints import private_endpoints
from station.transport.messages import CommandName, FrameHeader
from station.transport.receivers import ThreadedReceiver


class Halting:
    """Three frames, each after a pause; then a damaged end."""

    info = SourceInfo(name="halting", width=6, height=4, fps=50.0)

    def __init__(self) -> None:
        self.closed = False
        self._answers: Iterator[Any] = iter(
            [
                *[Pending.NOTHING_YET] * 30,
                Frame(np.zeros((4, 6), np.uint8), 0, t_exposure_ns=1),
                *[Pending.NOTHING_YET] * 30,
                Frame(np.zeros((4, 6), np.uint8), 20_000_000, t_exposure_ns=2, lost_before=2),
                Frame(np.zeros((4, 6), np.uint8), 40_000_000, t_exposure_ns=3),
            ]
        )

    @property
    def condition(self) -> Condition:
        return Condition(("breaks off",), CameraFaults(incomplete=2), clock_error_ms=0.5)

    def read(self) -> Any:
        answer = next(self._answers, None)
        if answer is Pending.NOTHING_YET:
            time.sleep(0.01)
        return answer

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> "Halting":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def test_a_source_with_nothing_yet_keeps_the_stage_beating(
    context: "zmq.Context[zmq.Socket[bytes]]", monkeypatch: pytest.MonkeyPatch
):
    source = Halting()
    monkeypatch.setattr(capture.process, "open_source", lambda _config, _beat: source)
    statuses: list[ProcessStatus] = []

    def watch(state: ProcessState) -> None:
        deadline = time.monotonic() + 10
        while not (statuses and statuses[-1].state is state):
            assert time.monotonic() < deadline, f"never {state}"
            statuses.extend(centre.poll(0.05))

    with private_endpoints() as endpoints, ControlCentre(context, endpoints.control) as centre:

        def run() -> None:
            with ProcessControl(context, endpoints.control, ProcessName.CAPTURE) as control:
                capture.process.run(ProcessContext(Config(), endpoints, control, context))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            watch(ProcessState.READY)
            with ThreadedReceiver(context, endpoints.frames, Fifo(None)) as frames:
                centre.send(ProcessName.CAPTURE, CommandName.START)
                watch(ProcessState.ENDED)
                received = []
                while (message := frames.receive(0.2)) is not None:
                    assert isinstance(message.header, FrameHeader)
                    received.append(message.header)
        finally:
            centre.send(ProcessName.CAPTURE, CommandName.STOP)
            thread.join()
    assert [(h.seq, h.t_exposure_ns, h.lost_before) for h in received] == [(0, 1, 0), (1, 2, 2), (2, 3, 0)]
    beating = [s.progress for s in statuses if s.state is ProcessState.RUNNING and s.counters.captured == 0]
    assert len(beating) >= 2
    assert beating[-1] > beating[0]
    last = statuses[-1]
    assert last.notices == ["breaks off"]
    counters = {"captured": 3, "lost_by_source": 2, "late": 3, "incomplete": 2}  # exposed when the clock began
    assert last.counters.model_dump(include=set(counters)) == counters
    assert last.latency_ms["camera_clock_error"].max == 0.5
    assert source.closed
