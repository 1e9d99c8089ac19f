"""The process of the live view: it listens to frames, tracks and grades and serves them to browsers.

Like the recorder it only listens: everything it reads is newest-only, so that it cannot hold anybody up, and without it
the run goes on. It imports no torch.
"""

import os
import sys
import time

import cv2

from station.errors import MissingExtraError
from station.processes.process import ProcessContext
from station.transport.buffers import Fifo
from station.transport.control_messages import ProcessState, ProcessStatus
from station.transport.counters import ViewCounters
from station.transport.messages import CommandName
from station.transport.receivers import ThreadedReceiver
from station.view.commands import StationCommands
from station.view.pairing import FramesIn, TracksIn

WAIT_S = 0.02
MOST_GRADES = 256
ASK_S = 1.0
"""How often it asks which sperm are marked, and which objectives there are, while a page looks on."""
NICE = 5
"""Tracker and network come first."""


def run(context: ProcessContext) -> None:
    """Serve the view until told to stop."""
    try:
        from station.view.hub import Hub
        from station.view.server import ViewServer
    except ImportError as error:
        raise MissingExtraError(f"--view: the package {error.name} is missing; pip install '.[view]'") from error

    control, settings, endpoints = context.control, context.config.view, context.endpoints
    if sys.platform != "win32":
        os.nice(NICE)
    cv2.setNumThreads(1)
    counters = control.account.counters = ViewCounters()
    with (
        StationCommands(context.zmq, endpoints) as commands,
        Hub(context.config, commands) as hub,
        ViewServer(hub, settings.host, *_place(control.ledger.note, settings.port)) as server,
    ):
        control.ledger.write_note(f"{server.address.port} {server.address.token}".encode())
        control.account.notices = [server.address.announcement]
        control.report(ProcessState.READY)
        if context.wait_for(CommandName.START) is None:
            return
        with (
            ThreadedReceiver(context.zmq, endpoints.tracks, TracksIn(hub.pairing)) as tracks,
            ThreadedReceiver(context.zmq, endpoints.frames, FramesIn(hub.pairing)) as frames,
            ThreadedReceiver(context.zmq, endpoints.grades, Fifo(MOST_GRADES)) as grades,
        ):
            control.account.sockets = (tracks, frames, grades)
            control.report(ProcessState.RUNNING)
            next_ask_s = 0.0
            while context.carry_on():
                if time.monotonic() >= next_ask_s and server.pages:
                    next_ask_s = time.monotonic() + ASK_S
                    commands.ask_what_is_known()
                hub.known = commands.known() or hub.known
                while control.reports:
                    word = control.reports.popleft()
                    if isinstance(word, ProcessStatus):
                        hub.take_in(word)
                message = grades.receive(WAIT_S)
                while message is not None:
                    hub.take_in(message)
                    message = grades.receive(0)
                if grades.ended:
                    context.nap(WAIT_S)
                for link in (frames, tracks):
                    link.receive(0)  # raises what ended its thread, if anything has
                server.check()
                counters.passed_over = hub.pairing.passed_over
                counters.refused = server.guard.refused


def _place(note: bytes, port: int) -> tuple[int, str | None]:
    """Return port and token: those of before where the view was started again, so that its link stays the same."""
    kept, _, token = note.decode().partition(" ")
    return (int(kept), token) if token else (port, None)
