"""One reader in a process of its own: ``python -m bench.support.transport.reader WAY FOLDER HEIGHT WIDTH SLOW_S``.

It says that it receives with the first frame, and with the end of its standard input what it received: one line of
JSON. A reader with SLOW_S sleeps so long over every frame, as a program does that writes or draws.
"""

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from bench.support.frame_code import BITS, read_code
from bench.support.memory import peak_mb
from bench.support.transport.ways import open_reader
from station.output import say
from station.processes.memory import keep_freed_memory

RECEIVING: Final = "receiving"
CATCH_UP_S: Final = 5.0
"""So long at most what is still on its way is received after the end."""


@dataclass(slots=True)
class Received:
    """What a reader received, in order."""

    numbers: list[int] = field(default_factory=list)
    delays_ns: list[int] = field(default_factory=list)
    """From handing over to having."""
    t_received_ns: list[int] = field(default_factory=list)
    torn: int = 0
    """Frames whose picture was of another number."""
    busy_s: float = 0.0
    """Of the processor, since the first frame."""
    peak_mb: float = 0.0


def read(way: str, folder: Path, shape: tuple[int, int], slow_s: float) -> Received:
    """Receive until the end."""
    found, ended, busy_s = Received(), threading.Event(), 0.0

    def await_end() -> None:
        sys.stdin.buffer.read()
        ended.set()

    if way == "station":
        keep_freed_memory()  # as all its processes do
    if way != "ring":  # which is woken through its standard input
        threading.Thread(target=await_end, name="end", daemon=True).start()
    latest_s = float("inf")
    with open_reader(way, folder, shape, sys.stdin.fileno()) as reader:
        while time.monotonic() < latest_s:
            try:
                arrival = reader.receive()
            except EOFError:
                break
            if ended.is_set():
                latest_s = min(latest_s, time.monotonic() + (0 if slow_s else CATCH_UP_S))
            if arrival is None:
                if ended.is_set():
                    break
                continue
            if not found.numbers:
                say(RECEIVING, flush=True)
                busy_s = time.process_time()
            found.numbers.append(arrival.number)
            found.delays_ns.append(arrival.t_received_ns - arrival.t_sent_ns)
            found.t_received_ns.append(arrival.t_received_ns)
            found.torn += read_code(arrival.pixels) != arrival.number % (1 << BITS)
            if slow_s:
                time.sleep(slow_s)
    found.busy_s = time.process_time() - busy_s
    found.peak_mb = peak_mb()
    return found


def main(argv: list[str]) -> int:
    """Receive, then say what."""
    way, folder, height, width, slow_s = argv
    say(json.dumps(asdict(read(way, Path(folder), (int(height), int(width)), float(slow_s)))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
