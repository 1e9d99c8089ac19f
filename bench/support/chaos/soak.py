"""A long run at 60 frames/s with four sperm, recorded; lost ones are replaced, every few seconds.

After a warm-up, memory and age of grades of the first fifth are compared with those of the last: nothing may grow with
time or with the number of sperm seen. Memory is that of all processes together (PSS), as a median over the fifth.
"""

import math
import statistics
from collections.abc import Iterator
from typing import Final

from bench.support.chaos.ages import ages, memory_mb, quantile
from bench.support.chaos.record import intact
from bench.support.chaos.scenarios import Outcome, Setting
from bench.support.chaos.station import FOUR, ChaosStation
from station.errors import ProcessError

SUMMARY = "60 frames/s, four sperm, recorded, lost ones replaced"
FPS: Final = 60
CONFIG: Final = f"""replace_lost_s = 1.0
[simulated]
fps = {FPS}
width = 640
height = 480
sperm = 12
[record]
reserve_mb = 200
"""
"""A small picture, so that two cores can draw, track, grade and record it at this rate."""
WARM_UP: Final = 0.2
LEAST_WARM_UP_S: Final = 30.0
MEMORY_SHARE, AGE_SHARE = 0.01, 0.10


def run(setting: Setting) -> Iterator[Outcome]:
    """Run for half an hour, or a minute."""
    seconds = setting.seconds(full=1800.0, quick=60.0)
    memory: list[dict[str, float]] = []
    try:
        with ChaosStation(setting.folder / "soak", *FOUR, config=CONFIG) as station:
            ages(station, max(LEAST_WARM_UP_S, WARM_UP * seconds))
            found = ages(station, seconds, lambda: memory.append(memory_mb(station)))
            summary = station.end()
            left = station.left()
        (session,) = station.sessions.iterdir()
    except ProcessError as error:
        yield Outcome(f"{seconds / 60:g} min", 1, 0, "it runs", "", (str(error),))
        return
    fifths = [[one for one in found if seconds * k / 5 <= one[0] < seconds * (k + 1) / 5] for k in range(5)]
    size = max(1, len(memory) // 5)
    before_mb, after_mb = _median_mb(memory[:size]), _median_mb(memory[-size:])
    grown = after_mb / before_mb - 1
    parts = [
        f"{name} {_median_mb(memory[:size], name):.0f} to {_median_mb(memory[-size:], name):.0f}" for name in memory[-1]
    ]
    name = f"{seconds / 60:g} min"
    sperm = max((one["id"] for one in summary["sperm"]), default=0)
    yield Outcome(
        f"{name}, memory", 1, int(grown <= MEMORY_SHARE), f"at most {MEMORY_SHARE:.0%} more in the last fifth",
        f"{before_mb:.1f} MB, then {after_mb:.1f} MB ({grown:+.1%}: {', '.join(parts)}); {sperm} sperm seen",
    )  # fmt: skip
    p99 = [quantile(part, 0.99) for part in fifths]
    slower = p99[-1] / p99[0] - 1 if found and math.isfinite(p99[0]) else math.inf
    yield Outcome(
        f"{name}, age of grades", 1, int(slower <= AGE_SHARE), f"p99 of the last fifth at most {AGE_SHARE:.0%} higher",
        f"p99 of the fifths {', '.join(f'{one * 1000:.0f}' for one in p99)} ms ({slower:+.0%}); {len(found)} grades",
    )  # fmt: skip
    recording = summary["recording"]
    wrong = (*intact(session), *(f"left behind: {one}" for one in left))
    good = recording["complete"] and not summary["restarts"] and not wrong
    yield Outcome(
        f"{name}, record", 1, int(good), "complete, intact, no restart",
        f"{recording['frames']} frames, {recording['lost']} missing, {summary['frames']['dropped']} dropped", wrong,
    )  # fmt: skip


def _median_mb(memory: list[dict[str, float]], name: str | None = None) -> float:
    """Return what all processes took together, or one of them, MB."""
    return statistics.median(sum(one.values()) if name is None else one.get(name, 0.0) for one in memory)
