"""Every process is killed (SIGKILL) and stopped (SIGSTOP) at random moments of a recorded run with four sperm.

Lost sperm are replaced after a second, so that there are four: with none followed nothing can be graded.
A stopped process is continued after one to three seconds: it has done nothing wrong and is not started again. Time
counts from the kill, or from the continuation, to the first grade of a frame exposed after it.
"""

import math
import os
import random
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.support.chaos.record import across_gaps, intact, replayed
from bench.support.chaos.scenarios import Outcome, Setting
from bench.support.chaos.station import FOUR, ChaosStation
from station.clock import NS_PER_S, now_ns
from station.errors import ProcessError
from station.transport.control_messages import ProcessName

SUMMARY = "kill -9 and SIGSTOP of each process at random moments"
AGAIN_S: Final = 4.0
WAIT_S: Final = 20.0
"""So long a grade is waited for, so that what takes longer than it may is measured too."""
STEADY_S: Final = 1.5
"""Grades flow for so long before the next blow."""
APART_S: Final = 13.0
"""Between two kills of the same process: more than four a minute, and it would stay down, as it must."""
VICTIMS: Final = tuple(ProcessName)
CONFIG: Final = "replace_lost_s = 1.0\n"
MUST: Final = f"graded again within {AGAIN_S:g} s"


@dataclass(slots=True)
class Tally:
    """What came of one kind of blow."""

    took_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def run(setting: Setting) -> Iterator[Outcome]:
    """Strike each process so many times, a run a round; then look at all records."""
    rounds = setting.repeats(full=20, quick=1)
    rng = random.Random(setting.seed)
    tallies: dict[str, Tally] = defaultdict(Tally)
    broken: list[str] = []
    differing: list[str] = []
    sessions = inexact = 0
    for number in range(rounds):
        # Where the recorder itself is killed, the record has a hole, and its replay can't be exact.
        for which, victims in enumerate((_without_recorder(), (ProcessName.RECORDER,))):
            folder = setting.folder / f"{number}-{which}"
            try:
                record = _round(folder, victims, rng, tallies)
            except ProcessError as error:
                broken.append(f"round {number + 1}: {error}")
                continue
            sessions += 1
            for session in record:
                broken += intact(session) + across_gaps(session)
                summary = replayed(session, setting.folder)
                if not summary:
                    broken.append(f"session {session.name}: cannot be replayed")
                elif which == 0:
                    differing += _differences(session.name, summary)
                    inexact += any(caution.startswith("the record lacks ") for caution in summary["cautions"])
    for name, tally in sorted(tallies.items()):
        good = sum(took_s <= AGAIN_S for took_s in tally.took_s)
        yield Outcome(name, len(tally.took_s), good, MUST, _spread(tally.took_s), tuple(tally.wrong))
    must = "every session intact and replayable, no valid grade from a window with a gap, nothing left behind"
    yield Outcome("the records", sessions, sessions - len({line.split(":")[0] for line in broken}), must, "",
                  tuple(broken))  # fmt: skip
    must = "tracks and grades of the replay to the last bit as recorded, or it says which frames the record lacks"
    said = f"{inexact} said so: frames on their way when capture was killed" if inexact else "all exact"
    yield Outcome("the replays, recorder not killed", rounds, rounds - len(differing), must, said, tuple(differing))


def _differences(name: str, summary: dict[str, Any]) -> list[str]:
    """Return that a replay came out otherwise and did not say why; empty where it did."""
    replay = summary["replay"]
    found = [f"{replay[key]} {key}" for key in ("tracks_differ", "grades_differ", "windows_missing") if replay[key]]
    said = any(caution.startswith("the record lacks ") for caution in summary["cautions"])
    return [f"session {name}: {', '.join(found)}"] if found and not said else []


def _without_recorder() -> tuple[ProcessName, ...]:
    return tuple(name for name in VICTIMS if name is not ProcessName.RECORDER)


def _round(folder: Path, victims: tuple[ProcessName, ...], rng: random.Random, tallies: dict[str, Tally]) -> list[Path]:
    """Run a station, strike each of its processes with both signals in random order; return its sessions."""
    blows = [(name, signum) for name in victims for signum in (signal.SIGKILL, signal.SIGSTOP)]
    rng.shuffle(blows)
    with ChaosStation(folder, *FOUR, "--view", config=CONFIG) as station:
        assert station.listener is not None
        station.wait_for(lambda: len(station.pids()) == len(VICTIMS), WAIT_S, "recorder and view")
        killed_s: dict[ProcessName, float] = {}
        for name, signum in blows:
            _settle(station)
            time.sleep(rng.uniform(0.0, 1.0))
            if signum is signal.SIGKILL and name in killed_s:
                time.sleep(max(0.0, killed_s[name] + APART_S - time.monotonic()))
            tally = tallies[f"{name}: {'kill -9' if signum is signal.SIGKILL else 'SIGSTOP, SIGCONT'}"]
            try:
                tally.took_s.append(_strike(station, name, signum, rng, tally))
            except ProcessError:
                tally.took_s.append(math.inf)
                raise
            killed_s[name] = time.monotonic()
        _settle(station)
        station.end()
        left = station.left()
    if left:
        raise ProcessError(f"left behind: {', '.join(left)}")
    return sorted(station.sessions.iterdir())


def _settle(station: ChaosStation) -> None:
    """Wait until grades flow."""
    start_ns = now_ns()
    listener = station.listener
    assert listener is not None

    def flows() -> bool:
        heard = listener.grades(start_ns)
        return bool(heard) and heard[-1].t_ns - start_ns > STEADY_S * NS_PER_S

    station.wait_for(flows, WAIT_S, "steady grades")


def _strike(station: ChaosStation, name: ProcessName, signum: int, rng: random.Random, tally: Tally) -> float:
    """Strike one process; return the seconds until a frame exposed afterwards was graded."""
    listener, before = station.listener, station.pids()
    assert listener is not None
    os.kill(before[name], signum)
    if signum == signal.SIGSTOP:
        time.sleep(rng.uniform(1.0, 3.0))
        os.kill(before[name], signal.SIGCONT)
    struck_ns = now_ns()
    station.wait_for(lambda: listener.grades(struck_ns), WAIT_S, f"a grade after {name} was struck")
    took_s = (listener.grades(struck_ns)[0].t_ns - struck_ns) / NS_PER_S
    station.wait_for(lambda: name in station.pids(), WAIT_S, f"{name} to be back")
    if signum == signal.SIGSTOP and station.pids()[name] != before[name]:
        tally.wrong.append(f"{name} was started again although it was only stopped")
    return took_s


def _spread(took_s: list[float]) -> str:
    return f"p50 {statistics.median(took_s):.2f} s, longest {max(took_s):.2f} s" if took_s else ""
