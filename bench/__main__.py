"""``python -m bench NAME``: one module per bench, each with ``add_arguments(parser)`` and ``run(args) -> int``."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from station.command_line import Parser, exit_code_of

BENCHES = {
    "all": "every bench that needs this machine alone, one after the other",
    "compare": "two runs of a bench side by side: ratios, and what lies outside the noise",
    "capture": "camera capture on an emulated camera: losses, jitter, faults",
    "camera": "the whole station on an emulated camera: losses, jitter, faults, recovery",
    "chaos": "the whole station under kills, stops, overload and long runs: what must hold, and how often it did",
    "fuzz": "damaged video, TIFF and session files: the outcome of each",
    "tracking": "track sperm in a video and score the tracks; time per frame and per sperm",
    "pictures": "bad pictures: how soon they are noticed, and false alarms on good ones",
    "record": "the whole station with and without its recorder: frames lost, latency",
    "curve": "error against latency of networks of different sizes",
    "end-to-end": "exposure to grade, read from the graded pixels; where the time goes, with recorder and view",
    "engine": "time from a window to its grades",
    "gpu": "everything about a GPU in one command: plans, truth, latency, ceilings, matcher, training, tests",
    "rating": "forty raters at once on the rating server, which is killed meanwhile: time of a vote, votes lost",
    "training": "clips a second in training, beside plain PyTorch and Hugging Face",
    "labels": "what pretraining on unlabelled clips is worth, with 50, 150 and 500 labels",
    "loop": "from recorded sperm to a model that runs: wall time of every command",
    "transport": "a frame from one process to others, beside imagezmq and shared memory; what a slow reader does",
    "view": "exposure to screen in a browser, and what the live view costs",
}


def main(argv: Sequence[str]) -> int:
    """Run the bench that is named first; return the exit code (2: a mistake in the arguments)."""
    return exit_code_of(_run, argv, interrupted="interrupted")


def _run(argv: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m bench",
        description="Measures the program. The last line of output is one JSON document.",
        epilog="benches:\n" + "\n".join(f"  {name:12}{summary}" for name, summary in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_version()
    parser.add_argument(
        "name", metavar="NAME", choices=sorted(BENCHES), help="which bench; NAME --help lists its options"
    )
    named = parser.parse_args(argv[:1]).name
    bench = importlib.import_module(f"bench.{named.replace('-', '_')}")
    own = Parser(
        prog=f"python -m bench {named}",
        description=bench.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_arguments(own)
    return int(bench.run(own.parse_args(argv[1:])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
