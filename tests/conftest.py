"""Shared by all tests: the check that nothing is left behind, and the folder of real video."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from tests.support.pylon_emulator import emulator
from tests.support.station_program import Station

__all__ = ["emulator"]

TESTS = Path(__file__).resolve().parent
VISEM = TESTS.parent.parent / "shared" / "data" / "visem"
WHOLE_PROGRAM = {"run_station", "bench"}
"""Rooms whose tests start the whole program: several processes that watch the clock."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run side by side, keep a file's in one place, and those of the whole program one after the other."""
    for item in items:
        room = item.path.relative_to(TESTS).parts[0]
        item.add_marker(pytest.mark.xdist_group("whole program" if room in WHOLE_PROGRAM else str(item.path)))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process or a thread running."""
    children = set(psutil.Process().children(recursive=True))
    threads = set(threading.enumerate())
    yield
    left = [
        process for process in set(psutil.Process().children(recursive=True)) - children if _is_left(process, children)
    ]
    left_threads = [thread for thread in set(threading.enumerate()) - threads if not thread.daemon]
    assert not left, f"left running: {left}"
    assert not left_threads, f"left running: {left_threads}"


def _is_left(process: psutil.Process, before: set[psutil.Process]) -> bool:
    """Whether a process is one of the test's own; what a browser shared by several tests starts is the browser's."""
    try:
        if not process.is_running() or "resource_tracker" in " ".join(process.cmdline()):
            return False
        return not before & set(process.parents())
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    """A ZeroMQ context; a test that leaves a socket open fails, where ending the context would hang."""
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
    """The program with its own temporary folder, so that anything left behind is found."""
    return Station(tmp_path)
