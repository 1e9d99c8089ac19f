"""Shared by all tests: nothing may be left behind, and where the real video lies."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from tests.support.pylon_emulator import emulator
from tests.support.station_program import Station

__all__ = ["emulator"]

VISEM = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "visem"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process or a thread running."""
    children = set(psutil.Process().children(recursive=True))
    threads = set(threading.enumerate())
    yield
    left = [
        process
        for process in set(psutil.Process().children(recursive=True)) - children
        if process.is_running() and "resource_tracker" not in " ".join(process.cmdline())
    ]
    left_threads = [thread for thread in set(threading.enumerate()) - threads if not thread.daemon]
    assert not left, f"left running: {left}"
    assert not left_threads, f"left running: {left_threads}"


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    """A ZeroMQ context whose end would hang if a socket were left open, so that it is destroyed and that fails."""
    context = zmq.Context()
    yield context
    context.term()


@pytest.fixture
def visem() -> Path:
    """The folder of the real clips; skips where it is absent."""
    if not VISEM.is_dir():
        pytest.skip(f"the VISEM clips are not at {VISEM}")
    return VISEM


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """The program, with a temporary folder of its own so that anything left behind is found."""
    return Station(tmp_path)
