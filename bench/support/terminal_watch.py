"""Runs the station on a terminal of its own and reads what is drawn there: how old is what the operator sees?

The screen shows where each sperm is, in whole px; the tracks link says in which frame it was there, and when that
frame was exposed. A position that a sperm had in several frames tells nothing and is left out.
"""

import contextlib
import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import zmq

from station.build_info import ROOT
from station.clock import NS_PER_MS, now_ns
from station.commands.registry import running_stations
from station.errors import MessageError, ProcessError
from station.transport.messages import TracksHeader
from station.transport.wire import decode

ROW: Final = re.compile(r"(\d+)[* ]\S [^\d]{4,40}?(\d{1,4}), (\d{1,4}) +[01]\.\d\d")
ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
START_S: Final = 60.0
WAIT_S: Final = 0.002
PLACES: Final = 3000
Place = tuple[int, int, int]
"""Sperm, x and y in whole px."""


@dataclass
class Watched:
    """What was seen on the terminal."""

    first_paint_ms: float = 0.0
    """From the start of the program to the first screen."""
    delays_ms: list[float] = field(default_factory=list)
    """From exposure until a position of that frame was read from the terminal."""


def watch(command: Sequence[str], name: str, seconds: float, warm_up_s: float, each_s: Callable[[], object]) -> Watched:
    """Run ``command`` on a terminal of 120 x 40 and watch it; ``each_s`` is called about once a second."""
    start_s = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [*command], os.environ | {"COLUMNS": "120", "LINES": "40", "TERM": "xterm-256color"})
    try:
        os.set_blocking(terminal, False)
        found = Watched()
        seen = ""
        while "RoSTFine station" not in seen:
            seen += _read(terminal)
            if time.monotonic() - start_s > START_S:
                raise ProcessError(f"the station drew no screen: {seen[-500:]}")
        found.first_paint_ms = 1000 * (time.monotonic() - start_s)
        while not (entries := [entry for entry in running_stations() if entry.name == name and entry.model]):
            _read(terminal)
            if time.monotonic() - start_s > START_S:
                raise ProcessError("the station did not start")
        with zmq.Context() as context, context.socket(zmq.SUB) as tracks:
            tracks.linger = 0
            tracks.subscribe(b"tracks")
            entries[0].endpoint("tracks").connect(tracks)
            _listen(terminal, tracks, found, seconds, warm_up_s, each_s)
        return found
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _wait(pid, terminal)
        os.close(terminal)


def _listen(
    terminal: int, tracks: "zmq.Socket[bytes]", found: Watched, seconds: float, warm_up_s: float,
    each_s: Callable[[], object],
) -> None:  # fmt: skip
    exposed: dict[Place, int | None] = {}
    """When the frame was exposed in which a sperm was there; None where there were several."""
    drawn: set[Place] = set()
    begin_s = time.monotonic() + warm_up_s
    next_s = time.monotonic()
    while (now_s := time.monotonic()) < begin_s + seconds:
        if now_s >= next_s:
            each_s()
            next_s = now_s + 1.0
        while tracks.poll(0, zmq.POLLIN):
            with contextlib.suppress(MessageError):
                header, _ = decode(tracks.recv_multipart())
                if isinstance(header, TracksHeader):
                    for track in header.tracks:
                        place = (track.sperm_id, int(f"{track.x:.0f}"), int(f"{track.y:.0f}"))
                        exposed[place] = None if place in exposed else header.trace.t_exposure_ns
        text = _read(terminal)
        t_ns = now_ns()
        for match in ROW.finditer(text):
            place = (int(match[1]), int(match[2]), int(match[3]))
            t_exposure_ns = exposed.get(place)
            if place not in drawn and t_exposure_ns is not None and now_s >= begin_s:
                found.delays_ms.append((t_ns - t_exposure_ns) / NS_PER_MS)
            drawn.add(place)
        if len(exposed) > PLACES:
            exposed.clear()
            drawn.clear()


def _read(terminal: int) -> str:
    """Return what has been drawn since, without orders to the terminal; waits a moment where nothing has."""
    if not select.select([terminal], [], [], WAIT_S)[0]:
        return ""
    try:
        return ESCAPE.sub("", os.read(terminal, 1 << 20).decode(errors="ignore"))
    except OSError:  # the other end is gone
        return ""


def _wait(pid: int, terminal: int) -> None:
    until_s = time.monotonic() + 20.0
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        _read(terminal)  # a full terminal would hold the program up
        if time.monotonic() > until_s:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
