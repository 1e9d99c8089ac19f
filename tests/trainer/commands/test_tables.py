"""Studies as a user starts them: killed and started again, and on a cluster that loses a worker."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from station.build_info import ROOT  # noqa: E402
from station.errors import InputError, MissingExtraError  # noqa: E402
from station.notice import NOTICE  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.studies.plan import RESULT  # noqa: E402

STUDY = """
title = "Tiny"
data = "{clips}"
folds = 2
ours = "RoSTFine"
[recipe]
epochs = {epochs}
batch = 6
[recipe.network]
frames = 2
clip_px = 20
image_px = 20
patch_px = 10
width = 16
depth = 2
heads = 2
selected = 2
branch_depth = 1
branch_heads = 2
[systems.RoSTFine]
alpha = 1.0
[systems.TimeSformer]
network = {{ features = ["g"] }}
"""
RUNS, EPOCHS = 4, 60
LIMIT_S = 150.0


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def study(tmp_path: Path, clips: Path, epochs: int) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(clips=clips.as_posix(), epochs=epochs), encoding="utf-8")
    return path


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def results(out: Path) -> dict[str, tuple[int, bytes]]:
    """Return when each result was written, and what it says."""
    return {path.parent.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob(f"runs/*/{RESULT}")}


def epochs_done(out: Path) -> int:
    """Return how many epochs all runs together have done."""
    return sum(len(path.read_bytes().splitlines()) for path in out.glob("runs/*/log.jsonl"))


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """A study that was carried out by two drivers, of which the first was killed."""

    path: Path
    out: Path
    before: dict[str, tuple[int, bytes]]
    """Results that the first had left."""
    epochs_before: int
    said: str
    """By the second."""


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory, tiny_clips: Path) -> CarriedOut:
    """Kill a driver in the middle of a study, and one of the second driver's runs."""
    root = tmp_path_factory.mktemp("study")
    path, out = study(root, tiny_clips, EPOCHS), root / "here"
    words = ["tables", str(path), "--out", str(out), "--workers", "2"]
    driver = subprocess.Popen([sys.executable, "-m", "trainer", *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_until(lambda: epochs_done(out) > 5)
    runs = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    wait_until(lambda: all(map(is_gone, runs)))  # nothing goes on without its driver
    before, done, said = results(out), epochs_done(out), io.StringIO()
    threads = torch.get_num_threads()
    killer = threading.Thread(target=kill_a_run)
    killer.start()
    with contextlib.redirect_stdout(said):
        code = main(words)
    killer.join()
    torch.set_num_threads(threads)
    assert code == 0, said.getvalue()
    return CarriedOut(path, out, before, done, said.getvalue())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_run_twice(carried_out: CarriedOut) -> None:
    out, before = carried_out.out, carried_out.before
    after = results(out)
    assert len(after) == RUNS
    assert {name: after[name] for name in before} == before, "what was finished was not touched"
    assert carried_out.epochs_before < RUNS * EPOCHS, "the first was killed in the middle"
    assert epochs_done(out) == RUNS * EPOCHS
    assert "killed and started again (1)" in carried_out.said
    assert NOTICE in carried_out.said
    text = (out / "tables.md").read_text(encoding="utf-8")
    assert "Table 2: systems" in text
    assert "beside the paper" in text
    assert NOTICE in text
    assert main(["tables", str(carried_out.path), "--out", str(out)]) == 0
    assert results(out) == after, "the same command a third time does nothing"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_gives_the_same_figures(carried_out: CarriedOut, tmp_path: Path) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="ray is not installed (the extra cluster)")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    out = tmp_path / "cluster"
    try:
        worker = cluster.add_node(num_cpus=1)
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        killer = threading.Thread(target=kill_worker, args=(worker, out))
        killer.start()
        assert main(["tables", str(carried_out.path), "--out", str(out), "--ray", cluster.address]) == 0
        killer.join()
    finally:
        cluster.shutdown()
    assert len(results(out)) == RUNS
    assert epochs_done(out) == RUNS * EPOCHS
    for name in ("runs.csv", "table2.csv", "table2-comparison.csv"):
        assert (out / name).read_text() == (carried_out.out / name).read_text(), name


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; one that nobody has asked for its exit code counts."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def words_of(process: psutil.Process) -> list[str]:
    """Return a process's command line, nothing where it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def kill_a_run() -> None:
    """Kill the first process of a run that this process's driver starts."""

    def runs() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if "--run" in words_of(child)]

    wait_until(runs)
    runs()[0].kill()


def kill_worker(node: object, out: Path) -> None:
    """Kill one node's processes as soon as it trains."""
    raylets = [started.process.pid for info in node.all_processes.values() for started in info]  # type: ignore[attr-defined]

    def its_own() -> list[psutil.Process]:
        return [child for pid in raylets for child in psutil.Process(pid).children(recursive=True)]

    def training() -> bool:
        names = [word for process in its_own() for word in words_of(process) if "-fold" in word]
        return any((out / "runs" / name / "log.jsonl").exists() for name in names)

    wait_until(training)
    for process in [*its_own(), *map(psutil.Process, raylets)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def test_the_plan_costs_nothing_and_one_run_can_be_done_alone(
    tmp_path: Path, tiny_clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study(tmp_path, tiny_clips, 1)
    assert main(["tables", str(path), "--plan"]) == 0
    said = capsys.readouterr().out
    assert "2 steps" in said
    assert "0 of 4 runs are finished; each needs 1 core" in said
    assert not list((tmp_path / "study").glob("runs/*"))
    assert main(["tables", str(path), "--run", "2"]) == 0
    assert list(results(tmp_path / "study")) == [name for name in results(tmp_path / "study") if "timesformer" in name]
    assert main(["tables", str(path), "--plan"]) == 0
    said = capsys.readouterr().out
    assert "1 run that ended" in said
    assert "1 of 4 runs are finished" in said
    for words, message in (
        (["--run", "9"], "the plan has runs 1 to 4"),
        (["--workers", "0"], "expected 1 to 1024"),
    ):
        with pytest.raises(InputError, match=message):
            run(path, *words)
    with pytest.raises(InputError, match="cannot be read"):
        run(tmp_path / "none.toml")
    assert not (tmp_path / "none").exists()
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="cluster"):
        run(path, "--ray", "auto")


def run(path: Path, *words: str) -> None:
    """Run the command as ``main`` does, but let errors through."""
    from trainer import __main__ as program

    program._run(["tables", str(path), *words])
