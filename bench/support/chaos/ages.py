"""How old grades are when they arrive, over a stretch of a run, and how much memory its processes take.

Age is the time from the exposure of the newest frame of a window to the arrival of its grade at another program. It
measures; it judges nothing.
"""

import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from bench.support.chaos.listener import HeardGrade
from bench.support.chaos.station import ChaosStation
from engine.process import durations_ms
from station.clock import NS_PER_S, now_ns

LOOK_S: Final = 0.25


def ages(
    station: ChaosStation, seconds: float, meanwhile: Callable[[], object] = lambda: None
) -> list[tuple[float, float]]:
    """Return (moment of arrival, age) of every grade of the next ``seconds``, s; ``meanwhile`` is called now and then.

    Raises ProcessError where the station ends meanwhile.
    """
    listener = station.listener
    assert listener is not None
    found: list[tuple[float, float]] = []
    start_ns = seen_ns = now_ns()
    while (left_s := seconds - (now_ns() - start_ns) / NS_PER_S) > 0:
        time.sleep(min(LOOK_S, left_s))
        station.require_running()
        meanwhile()
        for heard in listener.heard_after(seen_ns):
            seen_ns = heard.t_ns
            age_s = (heard.t_ns - heard.grade.trace.t_exposure_ns) / NS_PER_S
            found.append(((heard.t_ns - start_ns) / NS_PER_S, age_s))
    return found


def quantile(found: list[tuple[float, float]], share: float) -> float:
    """Return a quantile of the ages, s; infinite without a grade."""
    return float(np.quantile([age_s for _, age_s in found], share)) if found else float("inf")


def slowest_part(heard: list[HeardGrade]) -> str:
    """Return where these grades spent most of their time, on average, and how much: "waiting 0.41 s"."""
    sums: Counter[str] = Counter()
    for one in heard:
        sums.update({name: ms for name, ms in durations_ms(one.grade.trace).items() if name != "exposure_to_grade"})
    return "".join(f"{name} {ms / 1000 / len(heard):.2f} s" for name, ms in sums.most_common(1))


def longest_pause_s(found: list[tuple[float, float]], seconds: float) -> float:
    """Return the longest time without a grade, s."""
    moments = [0.0, *(t_s for t_s, _ in found), seconds]
    return max(b - a for a, b in itertools.pairwise(moments))


def memory_mb(station: ChaosStation) -> dict[str, float]:
    """Return what each process takes, MB: its own memory and its share of what several use."""
    pids: dict[str, int] = {name.value: pid for name, pid in station.pids().items()} | {"main": station.pid}
    return {name: _pss_mb(pid) for name, pid in pids.items()}


def _pss_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
