"""``python run_station.py doctor``: is this machine fit to run a station, and if not, what cures it?

Runs checks, prints a verdict, what was found and the cure for each, and ends with an exit code that scripts can go by:
0 all pass or warn, 1 something fails. What this package may not know (cameras, runtimes) comes in as callables. What
is checked stands in ``station.doctor.checks``.
"""

import argparse
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, Protocol

from station.errors import InputError, MissingExtraError
from station.session.layout import sessions_folder

LINE_WIDTH = 80
DESCRIPTION = """Checks whether this machine is fit to run a station: cameras, USB and network limits, disk, clock,
runtimes, threads, terminal. Each is pass, warn or fail, with the cure. Exit code: 0 no failure, 1 a failure."""


class Verdict(StrEnum):
    """How a check came out."""

    PASS = "pass"
    WARN = "warn"
    """Works, but not for everything."""
    FAIL = "fail"
    """A station does not work like this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    name: str
    verdict: Verdict
    found: str
    cure: str = ""


class FoundCamera(Protocol):
    """A camera that answered, as the capture package describes it; ``str`` gives its name for people."""

    @property
    def device_class(self) -> str:
        """How it is connected, by the SDK's word: "BaslerUsb", "BaslerGigE"."""
        ...


@dataclass(frozen=True, slots=True)
class Cameras:
    """Which cameras there are, or why that is not known."""

    found: tuple[FoundCamera, ...] = ()
    missing: str = ""
    """The optional package that would know, with the cure."""
    broken: str = ""
    """What that package says where it is installed and does not work."""

    def count(self, connection: str) -> int:
        """Return how many are connected by "usb" or "gige"."""
        return sum(connection in camera.device_class.lower() for camera in self.found)


Check = Callable[[], Iterable[Finding]]


def look_for_cameras(list_cameras: Callable[[], Sequence[FoundCamera]]) -> Cameras:
    """Ask for the cameras once; several checks depend on them."""
    try:
        return Cameras(tuple(list_cameras()))
    except MissingExtraError as error:
        return Cameras(missing=str(error))
    except Exception as error:  # whatever a vendor's SDK throws
        return Cameras(broken=str(error).splitlines()[0] if str(error) else type(error).__name__)


def examine(checks: Sequence[tuple[str, Check]]) -> list[Finding]:
    """Run the checks, each named for the case that it breaks: a doctor that dies of what it finds is of no use."""
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except Exception as error:
            findings.append(Finding(name, Verdict.FAIL, f"the check broke off: {type(error).__name__}: {error}"))
    return findings


def render(findings: Sequence[Finding]) -> str:
    """Return the report: verdict, name, what was found; the cure below; a closing line."""
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    for finding in findings:
        head = f"{finding.verdict.value.upper():4}  {finding.name:{width}}  "
        rest = " " * len(head)
        lines += textwrap.wrap(finding.found, LINE_WIDTH, initial_indent=head, subsequent_indent=rest)
        if finding.cure:
            lines += textwrap.wrap(
                finding.cure, LINE_WIDTH, initial_indent=rest + "-> ", subsequent_indent=rest + "   "
            )
    counts = {verdict: sum(f.verdict is verdict for f in findings) for verdict in Verdict}
    lines.append(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items()))
    return "\n".join(lines)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 where something fails, else 0."""
    return int(any(finding.verdict is Verdict.FAIL for finding in findings))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"doctor: {message}; `python run_station.py doctor --help` lists the options")


def _recordings() -> Path:
    """Return the folder of the sessions, or the nearest one above it that there is."""
    folder = sessions_folder(None)
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path.home())


def parse_folder(argv: Sequence[str]) -> Path:
    """Return the folder whose disk is to be tried, from the command line behind "doctor". Raises InputError."""
    parser = _Parser(prog="run_station.py doctor", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--folder",
        type=Path,
        default=_recordings(),
        metavar="DIR",
        help="where recordings will go (default: where they go unless told otherwise)",
    )
    folder: Path = parser.parse_args(argv).folder
    if not folder.is_dir():
        raise InputError(f"doctor: --folder {folder}: no such folder; give one that exists")
    return folder
