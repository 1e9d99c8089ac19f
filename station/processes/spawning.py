"""Starting a spawned process without the main module: it takes every process 0.15 s to import, and none needs it.

``multiprocessing`` has a spawned process import the parent's main module again, for functions that are defined in it.
Ours run a function of ``station.processes.process``, which is found by its own name. A main module without a file is
not imported again; so its file is out of sight while the process starts.
"""

import sys
from multiprocessing.process import BaseProcess
from typing import Any


def start_spawned(process: BaseProcess) -> None:
    """Start a process of the "spawn" context whose target does not lie in the main module."""
    names: dict[str, Any] = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {name: names.pop(name) for name in ("__file__", "__spec__") if name in names}
    names["__spec__"] = None
    try:
        process.start()
    finally:
        names.update(hidden)
