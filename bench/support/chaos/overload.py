"""More is asked of the machine than it can do: a slow network, a fast source, a core that somebody else takes.

The network is made four times slower by stopping and continuing the engine (30 ms of work, 90 ms of rest). The source
is the simulated microscope at more frames a second than can be drawn, tracked and recorded. A busy loop takes one core.
Age is that of grades as they arrive at another program.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.support.chaos.ages import ages, longest_pause_s, quantile, slowest_part
from bench.support.chaos.scenarios import Outcome, Setting
from bench.support.chaos.station import FOUR, ChaosStation
from station.clock import NS_PER_S, now_ns
from station.errors import ProcessError
from station.transport.control_messages import ProcessName

SUMMARY = "a network four times too slow, a core taken away, a source twice too fast"
BOUND_S: Final = 1.5
"""0.4 s at the source, the queue before the tracker, one window that waits and one in the network."""
BACK_S: Final = 5.0
USUAL_S: Final = 10.0
WORK_S, REST_S = 0.03, 0.09
FAST_FPS: Final = 120
BURN: Final = "import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass\n"


def run(setting: Setting) -> Iterator[Outcome]:
    """Load a running station, take the load away; then run one whose source is too fast from the start."""
    seconds = setting.seconds(full=300.0, quick=20.0)
    yield from _loaded(setting, seconds)
    yield _fast(setting, seconds)


def _loaded(setting: Setting, seconds: float) -> Iterator[Outcome]:
    what = "network four times slower, a core taken away"
    must = f"p99 of the age of grades under {BOUND_S:g} s"
    back = f"grades as young as before within {BACK_S:g} s when the load goes"
    try:
        with ChaosStation(setting.folder / "loaded", *FOUR) as station:
            assert station.listener is not None
            listener = station.listener
            station.wait_for(lambda: listener.heard_after(0), 60.0, "a grade")
            usual = ages(station, USUAL_S)
            with _slowed(station.pids()[ProcessName.ENGINE]), _core_taken():
                loaded = ages(station, seconds)
            relieved_ns = now_ns()
            after = ages(station, 2 * BACK_S)
            heard = listener.heard_after(relieved_ns)
            station.end()
    except ProcessError as error:
        yield Outcome(what, 1, 0, must, "", (str(error),))
        return
    p99_s = quantile(loaded, 0.99)
    figures = (
        f"{seconds:g} s: p50 {quantile(loaded, 0.5):.2f} s, p99 {p99_s:.2f} s, {len(loaded)} grades, longest pause "
        f"{longest_pause_s(loaded, seconds):.1f} s; before: p50 {quantile(usual, 0.5):.2f} s, p99 "
        f"{quantile(usual, 0.99):.2f} s"
    )
    yield Outcome(what, 1, int(p99_s <= BOUND_S), must, figures)
    young_s = max(1.5 * quantile(usual, 0.95), quantile(usual, 0.5) + 0.1)
    old = [t_s for t_s, age_s in after if age_s > young_s]
    took_s = max(old, default=0.0)
    share = len(old) / len(after) if after else 1.0
    figures = (
        f"last older one (over {young_s:.2f} s) after {took_s:.1f} s, {share:.0%} of {len(after)} in {2 * BACK_S:g} s"
    )
    older = [one for one in heard if one.t_ns - one.grade.trace.t_exposure_ns > young_s * NS_PER_S]
    if older:
        figures += f", most of whose time went by in: {slowest_part(older)}"
    # A busy machine has an old grade now and then; what counts is that from then on nearly all are young.
    late = [t_s for t_s in old if t_s > BACK_S]
    later = [t_s for t_s, _ in after if t_s > BACK_S]
    good = bool(later) and len(late) <= 0.05 * len(later)
    yield Outcome("the same, the load gone", 1, int(good), back, figures)


def _fast(setting: Setting, seconds: float) -> Outcome:
    what = f"source of {FAST_FPS} frames/s"
    must = f"graded, p99 of the age of grades under {BOUND_S:g} s, what is left out is counted and said"
    config = f"[simulated]\nfps = {FAST_FPS}\n"
    try:
        with ChaosStation(setting.folder / "fast", *FOUR, config=config) as station:
            time.sleep(USUAL_S)
            found = ages(station, seconds)
            summary = station.end()
            said = "load shed" in station.output
    except ProcessError as error:
        return Outcome(what, 1, 0, must, "", (str(error),))
    dropped, p99_s = summary["frames"]["dropped"], quantile(found, 0.99)
    taken = [int(number) for caution in summary["cautions"] for number in re.findall(r"one in (\d+) is", caution)]
    figures = (
        f"{seconds:g} s: p50 {quantile(found, 0.5):.2f} s, p99 {p99_s:.2f} s, {len(found)} grades, longest pause "
        f"{longest_pause_s(found, seconds):.1f} s; {dropped} of {dropped + summary['frames']['tracked']} frames left "
        f"out, at the end one in {max(taken, default=1)} taken"
    )
    counted = said or not dropped
    return Outcome(what, 1, int(counted and p99_s <= BOUND_S), must, figures)


@contextmanager
def _slowed(pid: int) -> Iterator[None]:
    """Let a process work a quarter of the time."""
    over = threading.Event()

    def throttle() -> None:
        with contextlib.suppress(ProcessLookupError):
            while not over.is_set():
                os.kill(pid, signal.SIGSTOP)
                over.wait(REST_S)
                os.kill(pid, signal.SIGCONT)
                over.wait(WORK_S)

    thread = threading.Thread(target=throttle, name="throttle")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _core_taken() -> Iterator[None]:
    """Let somebody else take a core."""
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", BURN.format(core=core)]) as burner:
        try:
            yield
        finally:
            burner.kill()
