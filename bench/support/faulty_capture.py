"""The station's capture process with an emulated camera that fails on command: for ``bench camera``.

Everything but the timing of the faults is the station's own code: this module opens the camera in a way that keeps it
within reach, and a separate thread triggers the faults. What it did, and when, goes to a file in station time. The
plan comes in through the environment, which child processes inherit.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.support.emulator import Connection
from capture import process
from capture.camera.camera import Camera
from station.clock import now_ns
from station.config import Config
from station.processes.process import ProcessContext

PLAN: Final = "ROSTFINE_BENCH_FAULTS"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen, in seconds after the process began to send frames, and the file to report to."""

    serial: str
    report: str
    fail_at_s: float
    failed: int
    remove_at_s: float
    away_s: float


@dataclass(slots=True)
class Done:
    """What has happened, in ns of the station clock."""

    failed_ns: int = 0
    removed_ns: int = 0
    back_ns: int = 0


def run(context: ProcessContext) -> None:
    """Run the station's capture process and trigger the planned faults."""
    plan = Plan(**json.loads(os.environ[PLAN]))
    over = threading.Event()
    opened: list[Connection] = []

    def open_source(config: Config, _beat: Callable[[], object]) -> Camera:
        opened.append(Connection(plan.serial, config.camera))
        return Camera(opened[0])

    def command_faults() -> None:
        while not context.control.account.counters.handled:
            if over.wait(0.05):
                return
        connection, start, done = opened[0], time.monotonic(), Done()
        if over.wait(plan.fail_at_s):
            return
        done.failed_ns = now_ns()
        connection.command("ForceFailedBuffer", ForceFailedBufferCount=plan.failed)
        if over.wait(max(0.0, start + plan.remove_at_s - time.monotonic())):
            return
        connection.back_at = time.monotonic() + plan.away_s
        done.removed_ns = now_ns()
        done.back_ns = done.removed_ns + round(plan.away_s * 1e9)
        connection.command("FirePnPCallback")
        whole = Path(plan.report).with_suffix(".partial")
        whole.write_text(json.dumps(asdict(done)), encoding="utf-8")
        whole.replace(plan.report)

    setattr(process, "open_source", open_source)  # noqa: B010 (the name that the process looks up)
    thread = threading.Thread(target=command_faults, name="faults")
    thread.start()
    try:
        process.run(context)
    finally:
        over.set()
        thread.join()
