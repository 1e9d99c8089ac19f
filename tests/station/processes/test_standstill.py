"""Offline, senders wait for their readers; one that never reads must not do so in silence."""

import threading
import time

import numpy as np
import pytest
import zmq

from station.config import Config
from station.processes import process
from station.processes.control import ControlCentre, ProcessControl
from station.processes.process import ProcessContext
from station.transport.bus import Publisher
from station.transport.control_messages import ProcessName
from station.transport.endpoints import private_endpoints
from station.transport.messages import FrameHeader

EDGE = 1000
LIMIT_S = 20.0


def test_a_reader_that_never_reads_is_named(
    context: "zmq.Context[zmq.Socket[bytes]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STANDSTILL_S", 0.3)
    with (
        private_endpoints() as endpoints,
        ControlCentre(context, endpoints.control) as centre,
        ProcessControl(context, endpoints.control, ProcessName.CAPTURE) as control,
        Publisher(context, endpoints.frames, lossless=True) as frames,
    ):
        reader = context.socket(zmq.SUB)
        reader.rcvhwm = 2
        reader.linger = 0
        here = ProcessContext(Config(speed="max"), endpoints, control, context)
        sent: list[bool] = []

        def send() -> None:
            while not control.stopped and len(sent) < 200:
                header = FrameHeader(
                    seq=frames.next_seq, t_exposure_ns=0, t_source_ns=0, t_sent_ns=0, height=EDGE, width=EDGE
                )
                sent.append(here.send(frames, "frames", header, np.zeros((EDGE, EDGE), np.uint8)))

        thread = threading.Thread(target=send)
        try:
            reader.subscribe(b"")
            endpoints.frames.connect(reader)
            assert frames.wait_for_readers(1, lambda: True)
            thread.start()
            deadline_s = time.monotonic() + LIMIT_S
            said: list[str] = []
            while not any("STANDSTILL: a reader of the frames" in line for line in said):
                assert time.monotonic() < deadline_s, "never said"
                said += [notice for status in centre.poll(0.05) for notice in status.notices]
            while len(sent) < 200:  # it reads after all
                assert time.monotonic() < deadline_s
                if reader.poll(20):
                    reader.recv_multipart()
            thread.join()
            assert control.standstill == "", "it goes on, and nothing is said any more"
        finally:
            control.stop()
            if thread.ident is not None:
                thread.join()
            reader.close()
