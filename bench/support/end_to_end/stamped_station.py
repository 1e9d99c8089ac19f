"""``run_station.py`` with the stamping camera in place of every source, whatever the command line says of one."""

import sys
from collections.abc import Sequence

from run_station import OPTIONAL, PROCESSES
from station.command_line import exit_code_of
from station.launch import launch
from station.options import parse_options

CAPTURE = "bench.support.end_to_end.stamped_capture"


def main(argv: Sequence[str]) -> int:
    """Run the station."""
    return launch(parse_options(argv), PROCESSES | {"capture": CAPTURE}, OPTIONAL)


if __name__ == "__main__":
    sys.exit(exit_code_of(main, sys.argv[1:]))
