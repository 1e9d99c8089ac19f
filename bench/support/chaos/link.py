"""Two machines, one network between them that is slow, loses packets, and is cut for ten seconds.

Both programs run here, each with its own keys and, as root on Linux, a network namespace; for anybody else
a proxy is the network. It keeps what it carries.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bench.support.chaos.link_proxy import LinkProxy, free_ports
from bench.support.chaos.network import LossyNetwork
from bench.support.chaos.scenarios import Outcome, Setting
from bench.support.chaos.station import FOUR, ChaosStation
from station.build_info import ROOT
from station.clock import NS_PER_S, now_ns
from station.errors import ProcessError
from station.transport.messages import Validity

SUMMARY = "capture at another machine: 20 ms, 2 % lost, a cut of 10 s, wrong keys"
DELAY_S: Final = 0.02
LOST: Final = 0.02
CUT_S: Final = 10.0
BACK_S: Final = 8.0
"""From the end of the cut to the first grade: two seconds for the link, the rest for a window of the model's rate."""
BEFORE_S, BEFORE_QUICK_S = 30.0, 5.0
START_S: Final = 60.0
PORT: Final = 5570
CONFIG: Final = "[simulated]\nwidth = 640\nheight = 480\nsperm = 12\ndebris = 0\nnoise = 0.0\n"


def run(setting: Setting) -> Iterator[Outcome]:
    """Do it, and yield what came of it."""
    for number in range(setting.repeats(full=3, quick=1)):
        folder = setting.folder / str(number)
        yield from _cut(folder, setting)


@dataclass(frozen=True, slots=True)
class _Place:
    """The network, where its two machines have their programs, and their addresses."""

    network: LossyNetwork | LinkProxy
    far: Callable[[Callable[[], Any]], Any]
    near: Callable[[Callable[[], Any]], Any]
    address: str
    source: str
    note: str = ""


def _place(stack: ExitStack, seed: int) -> _Place:
    try:
        network = stack.enter_context(LossyNetwork(delay_s=DELAY_S, lost=LOST, seed=seed))
    except OSError as error:
        port, _ = free_ports(2)
        proxy = stack.enter_context(LinkProxy([port, port + 1], delay_s=DELAY_S, lost=LOST, seed=seed))
        note = f" (through a proxy: {error})"
        addresses = (f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{proxy.ports[0]}")
        return _Place(proxy, lambda work: work(), lambda work: work(), *addresses, note)
    address = f"tcp://{network.far.address}:{PORT}"
    return _Place(network, network.far.do, network.near.do, address, address)


def _cut(folder: Path, setting: Setting) -> Iterator[Outcome]:
    far, near, stranger = (folder / name for name in ("microscope", "grader", "stranger"))
    keys = {path: _keys(path, "make", path.name).splitlines()[1] for path in (far, near, stranger)}
    _keys(far, "authorise", "grader", keys[near])
    _keys(near, "authorise", "microscope", keys[far])
    _keys(stranger, "authorise", "microscope", keys[far])
    (far / "microscope.toml").write_text(CONFIG, encoding="utf-8")
    with ExitStack() as stack:
        place = _place(stack, setting.seed)
        network = place.network
        stack.push(place.far(lambda: _Capture(far, place.address)))
        refused = place.near(lambda: _refused(stranger, place.source))
        nothing = len(network.carried) < 50_000
        yield Outcome(
            f"a machine whose key is not authorised{place.note}", 1, int(refused and nothing),
            "one line, exit code 2, no frame on the network", f"{len(network.carried)} bytes of handshakes",
        )  # fmt: skip
        (folder / "run").mkdir()
        station = ChaosStation(
            folder / "run" / "s", *FOUR, "--source", place.source, environment={"XDG_CONFIG_HOME": str(near)}
        )
        with ExitStack() as running:
            place.near(station.__enter__)
            running.push(station)
            listener = station.listener
            assert listener is not None
            station.wait_for(lambda: len(listener.grades(0)) > 0, START_S, "the first grade")
            time.sleep(setting.seconds(full=BEFORE_S, quick=BEFORE_QUICK_S))
            network.cut()
            cut_ns = now_ns()
            time.sleep(CUT_S)
            network.restore()
            mended_ns = now_ns()
            try:
                station.wait_for(lambda: bool(listener.grades(mended_ns)), START_S, "a grade after the cut")
                back_s = (listener.grades(mended_ns)[0].t_ns - mended_ns) / NS_PER_S
            except ProcessError:
                back_s = START_S
            spanning = [
                heard for heard in listener.grades(cut_ns)
                if heard.grade.trace.t_exposure_ns < mended_ns and heard.t_ns > mended_ns
                and heard.grade.validity is Validity.VALID
            ]  # fmt: skip
            summary = station.end()
        carried = bytes(network.carried)
    wrong = [f"a valid grade from a window of before the cut: {heard.grade.frame_seq}" for heard in spanning]
    lost, clock_ms = summary["frames"]["dropped"], (summary["camera"] or {}).get("clock_error_ms") or 0.0
    yield Outcome(
        "a cut of 10 s", 1, int(back_s <= BACK_S and not wrong), f"graded again within {BACK_S:g} s, by itself",
        f"{back_s:.1f} s, {lost} frames counted lost, exposure to grade p95 "
        f"{summary['latency_ms']['exposure_to_grade']['p95']:.0f} ms, clock within {clock_ms:.1f} ms",
        tuple(wrong),
    )  # fmt: skip
    plain = sum(carried.count(bytes([grey]) * 16) for grey in range(1, 256))  # zeros are in handshakes
    yield Outcome(
        "what went over the network", 1, int(plain == 0 and len(carried) > 1_000_000),
        "no 16 equal bytes in a row, of which every picture of this noiseless film is full",
        f"{len(carried) / 1e6:.0f} MB, {plain} such places",
    )  # fmt: skip


def _keys(folder: Path, *words: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "run_station.py", "keys", *words], cwd=ROOT, check=True, capture_output=True, text=True,
        env=os.environ | {"XDG_CONFIG_HOME": str(folder)},
    ).stdout  # fmt: skip


class _Capture:
    """The program at the microscope."""

    def __init__(self, folder: Path, address: str) -> None:
        words = ["capture", "--bind", address, "--config", str(folder / "microscope.toml")]
        self._process = subprocess.Popen(
            [sys.executable, "run_station.py", *words], cwd=ROOT, stdout=subprocess.DEVNULL,
            env=os.environ | {"XDG_CONFIG_HOME": str(folder)},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)


def _refused(folder: Path, source: str) -> bool:
    """Return whether a station with keys that nobody there knows is told so in one line."""
    environment = os.environ | {"XDG_CONFIG_HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "run_station.py", "--source", source, "--headless", "--no-record", "--name",
         f"s{secrets.token_hex(4)}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode == 2 and "no answer" in done.stderr and "Traceback" not in done.stderr
