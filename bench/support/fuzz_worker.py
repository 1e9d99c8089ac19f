"""Reads files as the station does, one per line of standard input, and answers each with a line of JSON.

A separate process for ``bench fuzz``: a decoder that crashes or hangs takes down this process only. The files are read
by the capture package's own sources.
"""

import itertools
import json
import sys
import time
import traceback
import warnings
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from capture.factory import open_source
from capture.source import Frame
from station.config import REPLAY, build_config
from station.errors import InputError
from station.output import say
from station.session.verify import verify_session

READY: Final = "ready"
"""Printed first, so that start-up time does not count against a file."""


@dataclass(slots=True)
class Answer:
    """The outcome of one file."""

    crcs: list[int] = field(default_factory=list)
    """CRC-32 of each frame's pixels."""
    said: str = ""
    """What was said about missing or unreadable frames, or why the file was refused."""
    refused: bool = False
    defect: str = ""
    """A traceback, or what is wrong with the frames."""
    verified: str = ""
    """Of a session: the result of ``verify``."""
    seconds: float = 0.0


def read(path: Path) -> Answer:
    """Read a file, or a session folder, to its end."""
    answer, start = Answer(), time.monotonic()
    kind = f"{REPLAY}{path}" if path.is_dir() else str(path)
    times: list[int] = []
    try:
        with open_source(build_config({"source": {"kind": kind}}, "fuzz")) as source:
            while isinstance(frame := source.read(), Frame):
                if frame.pixels.shape != (source.info.height, source.info.width):
                    answer.defect = f"a frame of {frame.pixels.shape}"
                answer.crcs.append(zlib.crc32(frame.pixels.tobytes()))
                times.append(frame.t_source_ns)
            answer.said = " | ".join(source.condition.damage)
            if any("\n" in notice for notice in source.condition.notices):
                answer.defect = f"more than one line: {source.condition.notices}"
    except InputError as error:
        answer.said, answer.refused = str(error), True
    except Exception:
        answer.defect = traceback.format_exc()
    if path.is_dir():
        _verify(path, answer)
    if not all(b > a for a, b in itertools.pairwise(times)):
        answer.defect = answer.defect or "times do not rise"
    if "\n" in answer.said:
        answer.defect = answer.defect or f"more than one line: {answer.said!r}"
    answer.seconds = time.monotonic() - start
    return answer


def _verify(path: Path, answer: Answer) -> None:
    try:
        found = verify_session(path)
    except InputError as error:
        answer.verified = str(error)
    except Exception:
        answer.defect = traceback.format_exc()
    else:
        answer.verified = f"{found.outcome.value}, {'intact' if found.intact else 'broken'}"


def main() -> None:
    """Answer until standard input ends."""
    warnings.simplefilter("error")
    say(READY, flush=True)
    for line in sys.stdin:
        say(json.dumps(asdict(read(Path(json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
