"""The live crop over real sockets: it is of the very frame in which the sperm was found, and read only while needed."""

import time
from pathlib import Path

import numpy as np
import zmq

from station.clock import now_ns
from station.dashboard.live_crop import LiveCrop, affordable
from station.transport.bus import Publisher
from station.transport.control_messages import SourceInfo
from station.transport.endpoints import Endpoint
from station.transport.messages import FrameHeader, Trace, TrackInfo, TracksHeader, TrackState

SOURCE = SourceInfo(name="s", height=60, width=80, fps=15.0)


def frame(seq: int) -> FrameHeader:
    t_ns = now_ns()
    return FrameHeader(seq=seq, t_exposure_ns=t_ns, t_source_ns=t_ns, t_sent_ns=t_ns, height=60, width=80)


def tracks(frame_seq: int, x: float, y: float, state: TrackState = TrackState.LOCKED) -> TracksHeader:
    track = TrackInfo(sperm_id=3, x=x, y=y, state=state, score=0.9, filled=16)
    trace = Trace(t_exposure_ns=1, t_sent_ns=2)
    return TracksHeader(seq=0, frame_seq=frame_seq, trace=trace, window_frames=16, tracks=[track])


def test_the_crop_is_of_the_frame_that_was_tracked(context: "zmq.Context[zmq.Socket[bytes]]", tmp_path: Path) -> None:
    endpoint = Endpoint("frames", f"ipc://{tmp_path}/f")
    with Publisher(context, endpoint) as publisher, LiveCrop(context, endpoint, 10) as crop:
        assert crop.look(None, 3) is None
        publisher.wait_for_readers(1, lambda: True)
        for seq in range(3):
            pixels = np.full((60, 80), 50 + seq, np.uint8)
            pixels[30, 40 + seq] = 255
            publisher.send(frame(seq), pixels)
        deadline = time.monotonic() + 5.0
        while (found := crop.look(tracks(1, 41.0, 30.0), 3)) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert found is not None
        assert (found[5, 5], found[0, 0]) == (255, 51), "frame 1, centred on its sperm"
        assert crop.look(tracks(1, 41.0, 30.0), 4) is None, "another sperm"
        assert crop.look(tracks(1, 41.0, 30.0, TrackState.LOST), 3) is None, "lost: it shows something else"
        assert crop.look(tracks(9, 41.0, 30.0), 3) is None, "a frame that has not come"
        assert crop.look(tracks(1, 41.0, 30.0), None) is None
        assert crop.look(tracks(1, 41.0, 30.0), 3) is None, "reading began anew"


def test_a_fast_camera_is_not_read_once_more() -> None:
    assert affordable(SOURCE.model_copy(update={"width": 1392, "height": 976, "fps": 30.0}))
    assert not affordable(SOURCE.model_copy(update={"width": 1392, "height": 976, "fps": 160.0}))
