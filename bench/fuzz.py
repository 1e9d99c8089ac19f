"""How are damaged files read? Videos, TIFF stacks and sessions with flipped bits, cut, emptied or misnamed, by seed.

Each file is read to its end by the station's own sources, in a separate process that may crash or hang without harm.
Good is: all readable frames, and one clear line on what is missing or why nothing can be read. The outcomes are
counted. A damaged session must never yield a frame that differs from the recorded one, since each has a checksum; other
files have none, so damage to their pixels may go unnoticed.
"""

import argparse
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from bench.support.fuzz_files import DAMAGES, FRAME_COUNT, KINDS, damaged_copy, frames
from bench.support.fuzz_worker import READY
from bench.support.report import Report
from station.build_info import ROOT
from station.errors import InputError
from station.output import complain

LIMIT_S: Final = 30.0
"""Per file: the readers' own limit for a single read is 20 s."""
START_LIMIT_S: Final = 120.0
WORKER: Final = ("-m", "bench.support.fuzz_worker")
BAD: Final = ("crash", "hang", "defect", "silent loss", "wrong frame", "verified though broken")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--files", type=int, default=300, help="number of files (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first file; each file has its own (default 0)")


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 if a file did harm, else 0."""
    report = Report(
        bench="fuzz",
        counts="damaged files read to their end by the station's sources; the outcome of each",
        settings={"files": args.files, "seed": args.seed},
    )
    outcomes: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="rostfine-bench-") as folder, Reader() as reader:
        originals = write_originals(Path(folder) / "sound")
        for seed in range(args.seed, args.seed + args.files):
            kind, how = case(seed)
            outcome, detail = try_file(reader, originals[kind], Path(folder), kind, how, seed)
            outcomes[outcome] += 1
            by_kind.setdefault(kind.split(".")[-1].split("-")[0], Counter())[outcome] += 1
            if outcome in BAD:
                complain(f"seed {seed}: {kind}, {how}: {outcome}\n{detail}")
        report.figure("seconds a file, longest", reader.longest_s, "s")
    for outcome in sorted(outcomes.keys() | set(BAD)):
        per_kind = ", ".join(f"{kind} {c[outcome]}" for kind, c in sorted(by_kind.items()) if c[outcome])
        report.figure(outcome, outcomes[outcome], "files", per_kind)
    report.emit()
    return int(any(outcomes[outcome] for outcome in BAD))


def case(seed: int) -> tuple[str, str]:
    """Return kind and damage of a file, so that a few hundred in a row cover every combination."""
    return list(KINDS)[seed % len(KINDS)], DAMAGES[seed // len(KINDS) % len(DAMAGES)]


def write_originals(folder: Path) -> dict[str, Path]:
    """Write one intact file of each kind; return their paths."""
    folder.mkdir(parents=True)
    images = frames()
    for name, write in KINDS.items():
        write(folder / name, images)
    return {name: folder / name for name in KINDS}


def try_file(reader: "Reader", original: Path, folder: Path, kind: str, how: str, seed: int) -> tuple[str, str]:
    """Damage a file and read it; return the outcome and the message."""
    target = folder / f"{seed}-{kind}"
    path = damaged_copy(original, target, how, np.random.default_rng(seed))
    answer = reader.read(path)
    if answer is None:
        return reader.died, ""
    if answer["defect"]:
        return "defect", answer["defect"]
    said, count = answer["said"], len(answer["crcs"])
    if kind.startswith("session"):
        sound = reader.read(original)
        if sound is None or answer["crcs"] != sound["crcs"][:count]:
            return "wrong frame", said
        if count < FRAME_COUNT and not said:
            return "silent loss", said
        if answer["verified"] == "complete, intact" and (count < FRAME_COUNT or said):
            return "verified though broken", said
    elif not said and (count == 0 or (how in ("cut", "empty") and count < FRAME_COUNT)):
        return "silent loss", said
    if answer["refused"]:
        return "refused in one line", said
    if said:
        return "read as far as it goes, and said so", said
    return "read whole, nothing to say", said


class Reader:
    """The reading process; restarted after a crash or hang."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.died = ""
        """How the process ended on the last file it did not answer for: "crash" or "hang"."""
        self._start()

    def read(self, path: Path) -> dict[str, Any] | None:
        """Return the outcome of a file; None if the process crashed or hung (see ``died``)."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(str(path)) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=LIMIT_S)
        except queue.Empty:
            line, self.died = "", "hang"
        else:
            self.died = "" if line else "crash"
        if not line:
            self.close()
            self._start()
            return None
        answer: dict[str, Any] = json.loads(line)
        self.longest_s = max(self.longest_s, answer["seconds"])
        return answer

    def close(self) -> None:
        """End the process; may be called more than once."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *WORKER],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._take, args=(self._process, self._lines), name="answers")
        self._thread.start()
        if self._lines.get(timeout=START_LIMIT_S).strip() != READY:
            raise InputError("the reading process does not start; see its output above")

    @staticmethod
    def _take(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")
