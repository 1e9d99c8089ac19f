"""Two processes give the same result as one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from tests.support.tiny_training import checkpoint, command, furthest, resume  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.training.recipe import BEST, LAST  # noqa: E402


def torchrun(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the trainer in two processes on the CPU."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "trainer"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *launcher, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_two_processes_train_what_one_does(tiny_clips: Path, tmp_path: Path) -> None:
    # 36 clips in batches of 7: shares of four and three, and a last batch of one clip, of which one process has none.
    options = ("--batch", "7", "--accumulate", "2", "--clip-norm", "0.5", "--lr", "0.05", "--epochs", "3")
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(command("train", tiny_clips, one, *options)) == 0
    first = torchrun(command("train", tiny_clips, two, *options, "--stop-after", "2"))
    assert first.returncode == 0, first.stderr
    assert len(re.findall(r"^epoch +\d", first.stdout, re.MULTILINE)) == 2  # one process alone speaks
    assert len(list((two / "tensorboard").iterdir())) == 1  # and writes
    assert main(resume("train", tiny_clips, two)) == 0  # a run need not go on with as many
    apart = max(furthest(one / name, two / name) for name in (LAST, BEST))
    print(f"furthest weights: {apart:.1e}")
    assert apart < 1e-4
    for mine, theirs in zip(checkpoint(one / LAST)["log"], checkpoint(two / LAST)["log"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
