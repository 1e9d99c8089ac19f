"""``python -m bench NAME``: one module per bench, each with ``add_arguments(parser)`` and ``run(args) -> int``."""

import argparse
import importlib
import sys

from station.errors import StationError

BENCHES = {
    "capture": "camera capture on an emulated camera: losses, jitter, faults",
    "camera": "the whole station on an emulated camera: losses, jitter, faults, recovery",
    "fuzz": "damaged video, TIFF and session files: the outcome of each",
    "tracking": "track sperm in a video and score the tracks; time per frame and per sperm",
    "record": "the whole station with and without its recorder: frames lost, latency",
    "curve": "error against latency of networks of different sizes",
    "engine": "time from a window to its grades",
}


def main(argv: list[str]) -> int:
    """Run the bench that is named first; return the exit code (2: a mistake in the arguments)."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measures the program. The last line of output is one JSON document."
    )
    parser.add_argument("name", choices=sorted(BENCHES), help="; ".join(f"{k}: {v}" for k, v in BENCHES.items()))
    if not argv or argv[0] in ("-h", "--help") or argv[0] not in BENCHES:
        parser.parse_args(argv[:1])
        return 2
    bench = importlib.import_module(f"bench.{argv[0]}")
    own = argparse.ArgumentParser(
        prog=f"python -m bench {argv[0]}",
        description=bench.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_arguments(own)
    try:
        return int(bench.run(own.parse_args(argv[1:])))
    except StationError as error:
        print(f"rostfine: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rostfine: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
