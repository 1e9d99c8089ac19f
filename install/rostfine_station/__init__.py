"""The installed command ``rostfine``: the program of ``run_station.py``, kept where no other package can meet it.

The program's packages have generic names (station, capture, ...), so they are not installed beside everybody else's but
inside this one, and this module puts them on the path of this process and of those that it starts. In a clone they lie
two folders up. It knows nothing else of the program: docs/decisions/0040.
"""

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
HOME = _HERE if (_HERE / "run_station.py").is_file() else _HERE.parent.parent
"""Holds ``run_station.py`` and the packages: this folder where installed, the clone in an editable installation."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.path.insert(0, str(HOME))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HOME), *([inherited] if inherited else [])])
    from run_station import main as run
    from station.command_line import exit_code_of

    sys.exit(exit_code_of(run, sys.argv[1:]))
