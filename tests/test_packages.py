"""The imported packages are this project's, not others with the same generic names."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from station.build_info import ROOT


@pytest.mark.parametrize("name", ["station", "capture", "tracker", "engine", "trainer", "bench"])
def test_package_is_ours(name: str) -> None:
    assert Path(str(importlib.import_module(name).__file__)).parent == ROOT / name


def test_live_path_imports_no_torch() -> None:
    program = (
        "import sys, run_station, capture.process, tracker.process, engine.process;"
        "sys.exit(', '.join(sorted({'torch', 'onnx', 'av', 'tensorrt', 'pycuda'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
