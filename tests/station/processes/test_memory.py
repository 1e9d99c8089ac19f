"""Memory freed by one frame is reused by the next."""

import platform
import subprocess
import sys

import pytest

from station.processes import memory

FRAMES_COME_AND_GO = """
import resource
from station.processes.memory import keep_freed_memory

keep_freed_memory()

def faults_of_rounds(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        frames = [bytearray(1_400_000) for _ in range(4)]
        del frames
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of_rounds(3)
print(faults_of_rounds(20))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is told")
def test_frames_that_come_and_go_cause_no_page_faults() -> None:
    command = [sys.executable, "-c", FRAMES_COME_AND_GO]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100, "fresh pages would be 20 x 4 x 342"


A_QUEUE_GROWS_AND_EMPTIES = """
from pathlib import Path
from station.processes.memory import give_back_freed_memory, keep_freed_memory

keep_freed_memory()

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

before = resident_mb()
frames, between = [], []
for number in range(80):
    frames.append(bytes([number]) * 1_400_000)
    between.append(bytes([number]) * 1_000)  # what stays, among what goes
full = resident_mb()
frames.clear()
give_back_freed_memory()
print(full - before, resident_mb() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is told")
def test_the_memory_of_a_queue_that_has_emptied_goes_back() -> None:
    command = [sys.executable, "-c", A_QUEUE_GROWS_AND_EMPTIES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    full_mb, emptied_mb = (float(part) for part in done.stdout.split())
    assert full_mb > 100
    assert emptied_mb < 10


def test_memory_is_given_back_once_in_a_while_and_in_a_calm_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, given = [0.0], []
    monkeypatch.setattr(memory.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(memory, "give_back_freed_memory", lambda: given.append(now_s[0]))
    tidying = memory.Tidying(60.0)
    for second in range(200):
        now_s[0] = float(second)
        tidying.attend(calm=not 55 <= second < 70)
    assert given == [70.0, 130.0, 190.0]
