"""Forty raters at once on the real rating server, which is killed ten times: how fast is a vote, and is any lost?

Starts ``python -m trainer rate`` on a study of clips of noise and lets simulated raters grade all of it, each by a
connection of its own: fetch the clip, think, vote; two in a hundred votes are taken back and given again, one in a
hundred comes a second time from a "second tab". Meanwhile the server gets SIGKILL and is started again, at random
moments. Afterwards the database is compared with the logs that the raters kept: every act that was answered is there
once, what counts is what the rater was told, and nothing else is there.

Counted with: HTTP, checks of the link, group commit with the disk's own sync. Raters and server share this machine's
cores. Not counted: TLS, a network, a browser. A vote that met a dead server is reported apart. Needs the extra rate.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.support.rating_rater import Log, SimulatedRater
from bench.support.report import Report
from station.build_info import ROOT
from station.errors import ProcessError
from trainer.data.clip_files import write_clip
from trainer.data.clip_table import ClipRow
from trainer.data.dataset import write_table
from trainer.rating.database import DATABASE
from trainer.rating.plan import bring_into_force, invite
from trainer.rating.store import Store, now_ms
from trainer.rating.study import STUDY

HOST = "127.0.0.1"
SHAPE = (16, 150, 150)
START_S = 120.0
AIM_MS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--raters", type=int, default=40)
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--kills", type=int, default=10, help="SIGKILL of the server (default 10)")
    parser.add_argument("--pace", type=float, default=0.3, help="mean seconds of thought before a vote (default 0.3)")
    parser.add_argument("--seed", type=int, default=1)


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 where a vote was lost, doubled or altered, else 0."""
    report = Report(
        bench="rating",
        counts="a vote from sending to its answer, on one machine with the raters; no TLS, no network, no browser",
        settings={key: getattr(args, key) for key in ("raters", "clips", "kills", "pace", "seed")},
    )
    with tempfile.TemporaryDirectory(prefix="bench-rating-") as name:
        folder, words, port = _study(Path(name), args)
        logs, wall_s, killed = asyncio.run(_grade(args, Path(name) / "DATA", words, port))
        wrong = _compare(folder / DATABASE, logs)
    votes = [ms for log in logs.values() for ms in log.vote_ms]
    report.timing("vote, answered at the first try", votes, note=f"aim: p99 under {AIM_MS} ms")
    report.timing("vote that met a dead server", [ms for log in logs.values() for ms in log.outage_ms])
    report.timing("clip", [ms for log in logs.values() for ms in log.clip_ms])
    report.figure("acts answered", sum(len(log.answered) for log in logs.values()))
    report.figure("acts a second", sum(len(log.answered) for log in logs.values()) / wall_s, "1/s")
    report.figure("kill -9 of the server", killed)
    report.figure("acts sent again after one", sum(log.resent for log in logs.values()))
    for what, count in wrong.items():
        report.figure(what, count, note="aim: 0")
    report.emit()
    return 1 if any(wrong.values()) else 0


def _study(root: Path, args: argparse.Namespace) -> tuple[Path, dict[str, str], int]:
    """Make clips and a study with its raters; return its folder, their links' words, and the port."""
    data, folder = root / "DATA", root / "DATA-rating"
    (data / "clips").mkdir(parents=True)
    rng = np.random.default_rng(args.seed)
    rows, hashes = [], {}
    for k in range(args.clips):
        file = f"clips/{k}.npz"
        hashes[file] = write_clip(data / file, rng.normal(120, 6, SHAPE).astype(np.uint8))
        rows.append(ClipRow(f"clip-{k:04d}", file, f"donor{k // 10}", 0.25, 15.0, ()))
    write_table(data, rows, hashes, SHAPE, {})
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    folder.mkdir()
    (folder / STUDY).write_text(f'title = "bench"\nraters = {args.raters}\n[server]\nport = {port}\n', encoding="utf-8")
    study, _, _ = bring_into_force(folder, data, now_ms())
    names = [f"rater-{k:02d}" for k in range(args.raters)]
    with Store(folder / DATABASE) as store:
        return folder, {one.rater: one.word for one in invite(store, study, names, 1, now_ms())}, port


async def _grade(
    args: argparse.Namespace, data: Path, words: dict[str, str], port: int
) -> tuple[dict[str, Log], float, int]:
    """Let all raters grade while the server is killed now and then; return their logs, the time, and the kills."""
    raters = {name: SimulatedRater(HOST, port, word, args.pace, k) for k, (name, word) in enumerate(words.items())}
    rng = random.Random(args.seed)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_server(data))
        await _answers(port, server)
        start_s = time.monotonic()
        tasks = [asyncio.create_task(rater.grade_all()) for rater in raters.values()]
        killed = 0
        total = args.raters * args.clips
        while not all(task.done() for task in tasks):
            await asyncio.sleep(rng.uniform(0.02, 0.2))
            done = sum(len(rater.log.answered) for rater in raters.values())
            if killed < args.kills and done > total * (killed + rng.random()) / (args.kills + 1):
                server.send_signal(signal.SIGKILL)
                server.wait()
                killed += 1
                server = stack.enter_context(_server(data))
                await _answers(port, server)
        await asyncio.gather(*tasks)
        return {name: rater.log for name, rater in raters.items()}, time.monotonic() - start_s, killed


@contextlib.contextmanager
def _server(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "trainer", "rate", str(data)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as server:
        try:
            yield server
        finally:
            if server.poll() is None:
                server.terminate()
            server.wait(30)


async def _answers(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server takes connections. Raises ProcessError where it has ended instead."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        if server.poll() is not None:
            raise ProcessError(f"the rating server ended with exit code {server.returncode}; see its message above")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise ProcessError(f"the rating server did not answer within {START_S:g} s; see whether the machine is busy")


def _compare(path: Path, logs: dict[str, Log]) -> dict[str, int]:
    """Return how many acts are not as the raters' logs have them, by what is wrong."""
    with Store(path) as store:
        kept = Counter((vote.rater, vote.id, bool(vote.counts)) for vote in store.history())
        heads = {name: {head.position: head.id for head in store.heads(name)} for name in logs}
    told = {(name, act, counts) for name, log in logs.items() for act, counts in log.answered.items()}
    return {
        "acts lost": len(told - kept.keys()),
        "acts that nobody was told of": len(kept.keys() - told),
        "acts doubled": sum(count - 1 for count in kept.values()),
        "votes that are not what the rater was told": sum(
            heads[name].get(position) != act for name, log in logs.items() for position, act in log.heads.items()
        )
        + sum(len(heads[name]) != len(log.heads) for name, log in logs.items()),
        "requests refused": sum(len(log.refused) for log in logs.values()),
    }
