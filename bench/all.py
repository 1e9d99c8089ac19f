"""Every bench that needs nothing but this machine, one after the other, each in a process of its own.

A bench that fails is a line with its last words, and the others go on. ``python -m bench compare`` takes the file that
--out names. --quick: a few seconds each, for a first look; its figures are rougher. ``python -m bench --help`` lists
what is left out: curve trains networks, camera and capture need the vendor's SDK, rating and chaos take long.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.support.report import Report
from station.build_info import ROOT
from station.errors import InputError

FULL: Final[dict[str, tuple[str, ...]]] = {
    "engine": (),
    "tracking": ("--cases", "20"),
    "record": ("--seconds", "20", "--turns", "2"),
    "transport": ("--seconds", "3", "--turns", "2"),
    "end-to-end": ("--seconds", "5", "--beside", "nothing", "both"),
    "fuzz": ("--files", "100"),
    "gpu": (),
}
QUICK: Final[dict[str, tuple[str, ...]]] = {
    "engine": ("--quick",),
    "tracking": ("--cases", "1"),
    "record": ("--seconds", "4", "--turns", "1"),
    "transport": ("--quick",),
    "end-to-end": ("--quick",),
    "fuzz": ("--files", "10"),
    "gpu": ("--quick",),
}
MOST_S: Final = 1800


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--quick", action="store_true", help="a few seconds each")
    parser.add_argument("--only", nargs="+", choices=sorted(FULL), metavar="NAME", help="some of them")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON document to FILE")


def run(args: argparse.Namespace) -> int:
    """Run them."""
    chosen = {name: options for name, options in (QUICK if args.quick else FULL).items()
              if not args.only or name in args.only}  # fmt: skip
    report = Report("all", "each bench in a process of its own, one after the other", {"quick": args.quick})
    documents: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, options in chosen.items():
            own = ("--out", str(Path(scratch) / name)) if name == "gpu" else ()
            started_s = time.monotonic()
            documents[name], words = measured(name, (*options, *own))
            report.figure(name, time.monotonic() - started_s, "s", words)
    report.settings["documents"] = documents
    if args.out is not None:
        try:
            args.out.write_text(json.dumps(report.document()) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--out {args.out}: cannot be written ({error.strerror}); give another file") from error
    report.emit()
    return 0


def measured(name: str, options: tuple[str, ...]) -> tuple[dict[str, Any] | None, str]:
    """Return a bench's document, None where it failed, and a word about it."""
    words = [sys.executable, "-m", "bench", name, *options]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=MOST_S)
    except subprocess.TimeoutExpired:
        return None, f"failed: took more than {MOST_S} s"
    last = (done.stdout.strip().splitlines() or [""])[-1]
    try:
        document = json.loads(last)
    except ValueError:
        said = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return None, f"failed: {said[:200]}"
    return document, "ok" if done.returncode == 0 else f"exit code {done.returncode}"
