"""The whole station, but for a tracker that has sixteen new sperm in every frame and follows none of them any longer.

So ten thousand go through capture, engine, recorder, view and main process within a minute, where a real field would
take a day. ``python -m tests.support.crowded_station`` takes the options of a run.
"""

import sys
from collections.abc import Sequence

import numpy as np

from run_station import OPTIONAL, PROCESSES
from station.arguments import read_arguments
from station.clock import now_ns
from station.launch import launch
from station.options import options_of
from station.processes.herald import Herald
from station.processes.process import ProcessContext
from station.startup import keep_to_one_thread
from station.transport.buffers import Fifo, Received
from station.transport.bus import Publisher
from station.transport.control_messages import ProcessState
from station.transport.counters import TrackerCounters
from station.transport.messages import (
    CommandName,
    FrameHeader,
    GradesHeader,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
    WindowInfo,
    WindowsHeader,
)
from station.transport.receivers import open_receiver

SPERM = 10_000
AT_ONCE = 16
MOST_WAITING = 128
"""Windows that are being graded: with more no new sperm comes, so that none is replaced however busy the machine is."""
WAIT_S = 0.02


def run(context: ProcessContext) -> None:
    """Be the tracker process."""
    control, endpoints = context.control, context.endpoints
    with (
        open_receiver(context.zmq, endpoints.frames, Fifo(64), lossless=False) as frames,
        open_receiver(context.zmq, endpoints.grades, Fifo(None), lossless=False) as grades,
        Publisher(context.zmq, endpoints.windows) as windows,
        Publisher(context.zmq, endpoints.tracks) as tracks,
    ):
        counters = control.account.counters = TrackerCounters()
        control.report(ProcessState.READY)
        start = context.wait_for(CommandName.START)
        if start is None or not context.await_readers(windows, start):
            return
        control.report(ProcessState.RUNNING)
        herald = Herald(tracks, context.config, start)
        last, graded, stride = 0, 0, start.stride or 1
        while context.carry_on():
            herald.speak()
            while (heard := grades.receive(0)) is not None:
                graded += len(heard.header.grades) if isinstance(heard.header, GradesHeader) else 0
            message = frames.receive(WAIT_S)
            if message is None:
                if frames.ended:
                    break
                continue
            counters.tracked += 1
            fills = counters.tracked > context.config.window.frames * stride
            comes = fills and last < SPERM and last - graded < MOST_WAITING
            here = range(last + 1, last + 1 + AT_ONCE) if comes else range(0)
            last += len(here)
            _send(message, here, stride, context, windows, tracks)
        context.finish(windows, tracks)


def _send(
    message: Received, here: Sequence[int], stride: int, context: ProcessContext, windows: Publisher, tracks: Publisher
) -> None:
    """Say that these sperm are where they are in this frame, and send a window of each."""
    header, pixels = message.header, message.pixels
    assert isinstance(header, FrameHeader)
    assert pixels is not None
    window = context.config.window
    trace = Trace(
        t_exposure_ns=header.t_exposure_ns, t_sent_ns=header.t_sent_ns, t_tracker_in_ns=message.t_received_ns,
        t_tracker_out_ns=now_ns(),
    )  # fmt: skip
    seqs = [header.seq - stride * back for back in reversed(range(window.frames))]
    step_ns = round(1e9 * stride / 30)
    times_ns = [header.t_source_ns - step_ns * back for back in reversed(range(window.frames))]
    found = [
        TrackInfo(sperm_id=number, x=40.0, y=40.0, state=TrackState.LOCKED, score=1.0, filled=window.frames)
        for number in here
    ]
    tracks.send(
        TracksHeader(
            seq=tracks.next_seq, frame_seq=header.seq, trace=trace, window_frames=window.frames, tracks=found
        )
    )  # fmt: skip
    if not here:
        return
    crop = pixels[: window.size, : window.size]
    clips = np.ascontiguousarray(np.broadcast_to(crop, (len(here), window.frames, *crop.shape)))
    infos = [
        WindowInfo(sperm_id=number, x=40.0, y=40.0, frame_seqs=seqs, t_source_ns=times_ns, padded=False)
        for number in here
    ]
    windows.send(
        WindowsHeader(
            seq=windows.next_seq, frame_seq=header.seq, trace=trace, shape=list(clips.shape), windows=infos
        ),
        clips,
    )  # fmt: skip


if __name__ == "__main__":
    keep_to_one_thread()
    sys.exit(launch(options_of(read_arguments(sys.argv[1:], {})), PROCESSES | {"tracker": __spec__.name}, OPTIONAL))
