"""From recorded sperm to a lab's own model, command by command: how long does each take?

Records two sessions of the simulated microscope, cuts what was graded into clips, lets three raters grade them on the
real server (by script, grades drawn at random), trains and cross-validates a small network on their votes, exports it,
and runs the station with it: the commands of docs/labelling.md. The grades of the resulting model mean nothing. Needs
the extras train and rate.
"""

import argparse
import asyncio
import contextlib
import csv
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bench.support.rating_rater import SimulatedRater
from bench.support.report import Report
from station.build_info import ROOT
from station.errors import ProcessError
from trainer.data.dataset import open_clips

NETWORK = (
    "--network depth=3 --network width=96 --network heads=3 --network patch_px=25 --branch-depth 1 --branch-heads 3"
)
START_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--seconds", type=float, default=30.0, help="of each recording (default 30)")
    parser.add_argument("--windows", type=int, default=4, help="clips of a sperm at most (default 4)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)


def run(args: argparse.Namespace) -> int:
    """Walk the loop; an error ends it with the command and its last words."""
    report = Report(
        bench="loop",
        counts="wall seconds of each command of the loop, the start of Python included",
        settings={key: getattr(args, key) for key in ("seconds", "windows", "epochs", "threads")},
    )
    with tempfile.TemporaryDirectory(prefix="bench-loop-") as name:
        walk = _Walk(Path(name), report)
        for seed in (1, 2):
            (walk.root / f"donor{seed}.toml").write_text(f"[simulated]\nseed = {seed}\nsperm = 12\n", encoding="utf-8")
            walk.step(f"record session {seed}", f"run_station.py --config donor{seed}.toml --headless --select auto:8 "
                      f"--duration {args.seconds:g} --session SESSIONS")  # fmt: skip
        sessions = " ".join(f"SESSIONS/{path.name}" for path in sorted((walk.root / "SESSIONS").iterdir()))
        walk.step("cut clips, new study", f"-m trainer rate DATA --new --sessions {sessions} --windows {args.windows}")
        study = walk.root / "DATA-rating" / "study.toml"
        clips = len(open_clips(walk.root / "DATA", unlabelled=True))
        report.figure("clips", clips)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            study.write_text(study.read_text().replace("port = 8765", f"port = {probe.getsockname()[1]}"))
        walk.step("invite three raters", "-m trainer rate DATA --invite 3")
        votes = walk.rate()
        walk.step("votes into the clips", "-m trainer rate DATA --export RATED --into-clips")
        walk.step("check", "-m trainer check DATA")
        small = f"{NETWORK} --threads {args.threads} --epochs {args.epochs}"
        walk.step("cross-validate, two folds", f"-m trainer crossval --data DATA --folds 2 --out CV {small}")
        walk.step("evaluate", "-m trainer evaluate --crossval CV --data DATA --out SCORES")
        walk.step("train", f"-m trainer train --data DATA --out RUN {small}")
        walk.step("export", "-m trainer export --real --weights RUN/best.pt --metrics SCORES/figures.json --clips DATA "
                  f"--training 'sperm of 2 simulated donors' --training-clips {clips} --out MODEL")  # fmt: skip
        walk.step("engine verify", "-m engine verify MODEL")
        walk.step("run the station with it, 10 s", "run_station.py --model MODEL --headless --duration 10 --no-record")
    report.figure("votes", votes)
    report.emit()
    return 0


class _Walk:
    """A working folder, and the commands that run in it one after the other."""

    def __init__(self, root: Path, report: Report) -> None:
        self.root = root
        self._report = report
        self._env = os.environ | {"PYTHONPATH": str(ROOT)}

    def step(self, what: str, command: str) -> None:
        """Run one command in the folder and note its time. Raises ProcessError where it fails."""
        start_s = time.monotonic()
        done = subprocess.run(self._words(command), cwd=self.root, env=self._env, capture_output=True, text=True)
        if done.returncode:
            last = " | ".join((done.stdout + done.stderr).strip().splitlines()[-5:])
            raise ProcessError(f"python {command}: exit code {done.returncode}: {last}")
        self._report.figure(what, time.monotonic() - start_s, "s")

    def rate(self) -> int:
        """Let three raters grade every clip on the real server; return how many acts."""
        start_s = time.monotonic()
        (links,) = (self.root / "DATA-rating").glob("links-*.csv")
        with links.open(encoding="utf-8") as file:
            found = [urlsplit(row["link"]) for row in csv.DictReader(file)]
        with self._server():
            logs = asyncio.run(_grade([(link.port or 0, link.path.strip("/")) for link in found]))
        self._report.figure("three raters grade, 0.2 s a clip", time.monotonic() - start_s, "s")
        return logs

    @contextlib.contextmanager
    def _server(self) -> Iterator[None]:
        words = self._words("-m trainer rate DATA")
        with subprocess.Popen(words, cwd=self.root, env=self._env, stdout=subprocess.DEVNULL) as server:
            try:
                yield
            finally:
                server.terminate()
                server.wait(30)

    def _words(self, command: str) -> list[str]:
        program, *rest = shlex.split(command)
        return [sys.executable, *([str(ROOT / program)] if program.endswith(".py") else [program]), *rest]


async def _grade(links: list[tuple[int, str]]) -> int:
    """Return how many acts the raters got answered."""
    raters = [SimulatedRater("127.0.0.1", port, word, 0.2, k) for k, (port, word) in enumerate(links)]
    async with asyncio.timeout(START_S + 600):
        await asyncio.gather(*(rater.grade_all() for rater in raters))
    if refused := [text for rater in raters for text in rater.log.refused]:
        raise ProcessError(f"the rating server refused {len(refused)} requests, the first: {refused[0]}")
    return sum(len(rater.log.answered) for rater in raters)
