"""Too few open files are refused before anything has begun; what can be had is taken."""

import subprocess
import sys

import pytest

from station.build_info import ROOT

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from station.limits import require_open_files
require_open_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (32, 512, "(512, 512)"),
        (32, 2000, "(1024, 2000)"),
        (64, 64, "(64, 64)"),
        (1500, 2000, "(1500, 2000)"),
        (32, 32, "InputError: a process may open 32 files at once here, a run needs 64; raise the limit"),
    ],
)
def test_open_files(soft: int, hard: int, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(soft), str(hard)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert expected in done.stdout + done.stderr
