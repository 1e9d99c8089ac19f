"""The first start of a run's processes: all at once, and as early as can be.

What takes a process long at first is loading NumPy, pydantic, ZeroMQ and our messages: as much as its own work. On
Linux the processes of a run are therefore forked from the main one when it has loaded these and nothing else: it has no
thread, no socket and nothing of the terminal yet. Elsewhere, and where one is started again, they are spawned and load
everything themselves. It knows neither what they do nor how they are: ``station.processes.supervisor`` takes them over.
"""

import gc
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from station.config import Config
from station.errors import InputError
from station.processes.ledger import TOTAL_BYTES, Ledger
from station.processes.process import ledger_path, run_process
from station.transport.control_messages import ProcessName
from station.transport.endpoints import Endpoints, private_endpoints


@dataclass(frozen=True, slots=True)
class Launch:
    """The addresses of a run, and its processes where they have been started."""

    endpoints: Endpoints
    processes: Mapping[ProcessName, BaseProcess] = field(default_factory=dict)


@contextmanager
def launched(config: Config, modules: Mapping[ProcessName, str]) -> Iterator[Launch]:
    """Start a run's processes where they can be forked; those that nobody has ended are killed when the block is left.

    ``modules``: what each process runs, by its name.
    """
    with private_endpoints() as endpoints:
        reserve_ledgers(endpoints.folder)
        processes: dict[ProcessName, BaseProcess] = {}
        try:
            if may_fork():
                gc.freeze()  # for good: a collection that looks through it copies all memory that they share
                fork = multiprocessing.get_context("fork")
                for name in sorted(modules, key=lambda name: name is not ProcessName.ENGINE):  # it takes longest
                    arguments = (name, modules[name], config, endpoints)
                    processes[name] = fork.Process(target=run_process, args=arguments, name=name.value)
                    processes[name].start()
            yield Launch(endpoints, {name: processes[name] for name in modules if name in processes})
        finally:
            for process in processes.values():
                _end(process)


def reserve_ledgers(folder: Path) -> None:
    """Make the ledgers of a run's processes, before any of these begins. Raises InputError where there is no room."""
    for name in ProcessName:
        try:
            Ledger(ledger_path(folder, name)).close()
        except OSError as error:
            raise InputError(
                f"{folder.parent}: a run needs {len(ProcessName)} files of {TOTAL_BYTES >> 10} kB there "
                f"({error.strerror}); free some space, raise the limit (ulimit -f), or give another folder as TMPDIR"
            ) from None


def may_fork() -> bool:
    """Return whether a copy of this process is sound: on Linux, while it has no other thread, a library's neither.

    What another thread holds at that moment, the copy would wait for without end.
    """
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1


def _end(process: BaseProcess) -> None:
    """Kill a process unless the supervisor has ended it."""
    with suppress(ValueError, AttributeError):  # it has been ended and closed, or never began
        process.kill()
        process.join()
