"""What a process leaves to its successor, whatever ends it."""

import os
import subprocess
import sys
from pathlib import Path

from station.build_info import ROOT
from station.processes.ledger import MOST_COUNTERS, NOTE_BYTES, Ledger, Place

KILLED = """
import os, signal, sys
from pathlib import Path
from station.processes.ledger import Ledger, Place
ledger = Ledger(Path(sys.argv[1]))
ledger.begin()
number = ledger.number(Place.FRAMES)
for n in range(1000):
    number.value = n + 1
    ledger.write_note(b"note %d" % n)
ledger.write_counters([7, None, 9])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_its_numbers_and_its_last_note(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, env=os.environ, check=False)
    assert done.returncode < 0
    with Ledger(path) as ledger:
        assert not ledger.resumed
        assert ledger.counters[:3] == [7, -1, 9]
        ledger.begin()
        assert ledger.resumed
        assert ledger.number(Place.FRAMES).value == 1000
        assert ledger.note == b"note 999"
        assert ledger.counters == [-1] * MOST_COUNTERS, "each life counts from zero"
    assert path.stat().st_mode & 0o077 == 0


def test_a_note_is_whole_or_that_of_before() -> None:
    with Ledger() as ledger:
        assert ledger.note == b""
        ledger.write_note(b"a longer one")
        ledger.write_note(b"short")
        assert ledger.note == b"short"
        half = (ledger.number(Place.NOTES).value + 1) % 2  # killed in the middle of the next: its number is not set yet
        ledger.number(Place.NOTE_LENGTHS + half).value = 3
        assert ledger.note == b"short"
        ledger.write_note(bytes(NOTE_BYTES + 1))
        assert ledger.note == b"", "too long: better none than a part"
