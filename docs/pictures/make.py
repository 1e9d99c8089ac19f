"""Makes the README's pictures from a real run on the simulated microscope: ``python docs/pictures/make.py``.

The station's own processes run for some seconds; then the dashboard is drawn as on a terminal, and the field of the
same moment with a ring round each followed sperm. Writes ``dashboard.svg`` and ``field.jpg`` beside this file.
"""

import io
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import zmq
from numpy.typing import NDArray
from rich.console import Console

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from run_station import PROCESSES  # noqa: E402
from station.config import Config, RecordSettings  # noqa: E402
from station.dashboard.monitor import Monitor  # noqa: E402
from station.dashboard.render import render  # noqa: E402
from station.dashboard.snapshot import Snapshot  # noqa: E402
from station.notice import NOTICE  # noqa: E402
from station.processes.supervisor import Supervisor  # noqa: E402
from station.transport.buffers import Fifo, Received  # noqa: E402
from station.transport.bus import Receiver  # noqa: E402
from station.transport.control_messages import ProcessName  # noqa: E402
from station.transport.endpoints import private_endpoints  # noqa: E402
from station.transport.messages import TracksHeader, TrackState  # noqa: E402

COLUMNS, ROWS = 110, 30
SETTLED_S = 4.0
"""The picture is taken so long after the start at the earliest, and when every followed sperm is locked and graded."""
LIMIT_S = 60.0
KEPT_FRAMES = 60
"""Frames and tracks arrive apart: so many are kept until the tracks of one of them are there."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
RING_PX = 44
SCALE = 0.7


def main() -> int:
    """Run the station, then draw what it showed; return the exit code."""
    config = Config(record=RecordSettings(mode="off"))
    snapshot, pixels, tracks = observe(config)
    (HERE / "dashboard.svg").write_text(draw_dashboard(snapshot), encoding="utf-8")
    cv2.imwrite(str(HERE / "field.jpg"), draw_field(pixels, tracks), [cv2.IMWRITE_JPEG_QUALITY, 80])
    for name in ("dashboard.svg", "field.jpg"):
        print(f"{name}: {(HERE / name).stat().st_size // 1000} kB")
    return 0


def observe(config: Config) -> tuple[Snapshot, NDArray[np.uint8], TracksHeader]:
    """Run the station for some seconds and return its last snapshot, and a frame (H, W) with the tracks of it."""
    with ExitStack() as stack:
        endpoints = stack.enter_context(private_endpoints())
        context = stack.enter_context(zmq.Context())
        monitor = stack.enter_context(Monitor(context, config, endpoints))
        frames: Receiver[Received] = stack.enter_context(Receiver(context, endpoints.frames, Fifo(KEPT_FRAMES)))
        modules = {ProcessName(name): module for name, module in PROCESSES.items()}
        supervisor = stack.enter_context(Supervisor(context, config, endpoints, modules))
        kept: dict[int, NDArray[np.uint8]] = {}
        start = time.monotonic()
        while time.monotonic() - start < LIMIT_S:
            supervisor.poll(0.02)
            monitor.listen()
            while message := frames.receive(0):
                if message.pixels is not None:
                    kept[message.header.seq] = message.pixels
                    kept.pop(message.header.seq - KEPT_FRAMES, None)
            snapshot = monitor.snapshot(supervisor)
            tracks = snapshot.tracks
            if tracks is None or tracks.frame_seq not in kept or time.monotonic() - start < SETTLED_S:
                continue
            supervisor.replace_lost(monitor.current, config.select_auto)
            if len(tracks.tracks) == config.select_auto and all(
                t.state is TrackState.LOCKED and t.sperm_id in snapshot.grades for t in tracks.tracks
            ):
                return snapshot, kept[tracks.frame_seq].copy(), tracks
    raise SystemExit(f"after {LIMIT_S:g} s the followed sperm were not all locked and graded; try again")


def draw_dashboard(snapshot: Snapshot) -> str:
    """Return the dashboard as SVG that needs no font from elsewhere."""
    console = Console(
        record=True, width=COLUMNS, height=ROWS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(render(snapshot, COLUMNS, ROWS))
    svg = console.export_svg(title="run_station.py")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


def draw_field(pixels: NDArray[np.uint8], tracks: TracksHeader) -> NDArray[np.uint8]:
    """Return the frame (H, W) as (H, W, 3) with a ring, number and state for each followed sperm."""
    picture = np.repeat(pixels[:, :, None], 3, axis=2)
    for track in tracks.tracks:
        if track.state is TrackState.LOST:
            continue
        centre = (round(track.x), round(track.y))
        cv2.circle(picture, centre, RING_PX, BLACK, 4, cv2.LINE_AA)
        cv2.circle(picture, centre, RING_PX, WHITE, 2, cv2.LINE_AA)
        _label(picture, f"{track.sperm_id} {track.state.value}", (centre[0] + RING_PX + 4, centre[1] + 6))
    _label(picture, NOTICE, (10, picture.shape[0] - 12))
    return np.asarray(cv2.resize(picture, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA), np.uint8)


def _label(picture: NDArray[np.uint8], text: str, at: tuple[int, int]) -> None:
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1)
    cv2.rectangle(picture, (at[0] - 4, at[1] - height - 4), (at[0] + width + 4, at[1] + below + 2), BLACK, cv2.FILLED)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, WHITE, 1, cv2.LINE_AA)


if __name__ == "__main__":
    sys.exit(main())
