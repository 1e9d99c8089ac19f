"""``rostfine doctor``: is this machine fit to run a station, and if not, what is the remedy?

Runs checks, prints for each the verdict, what was found and the remedy, and ends with an exit code for scripts: 0 all
pass or warn, 1 something fails. What this package may not know (cameras, runtimes) is passed in as callables. The
checks themselves are in ``station.doctor.checks``.
"""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from station.command_line import Parser, invocation
from station.errors import InputError, MissingExtraError
from station.session.layout import sessions_folder

LINE_WIDTH = 80
DESCRIPTION = """Checks whether this machine is fit to run a station: cameras, USB and network limits, disk, clock,
runtimes, threads, terminal. Each passes, warns or fails, with a remedy. Exit code: 0 nothing failed, 1 otherwise."""


class Verdict(StrEnum):
    """The result of a check."""

    PASS = "pass"
    WARN = "warn"
    """Works, but not for everything."""
    FAIL = "fail"
    """A station does not work on such a machine."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, for people."""

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
    """The cameras connected, or why they are not known."""

    found: tuple[FoundCamera, ...] = ()
    missing: str = ""
    """Which optional package is missing, and how to install it."""
    broken: str = ""
    """The error of that package, where it is installed and does not work."""

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
    except Exception as error:  # a vendor's SDK may raise anything
        return Cameras(broken=str(error).splitlines()[0] if str(error) else type(error).__name__)


def examine(checks: Sequence[tuple[str, Check]]) -> list[Finding]:
    """Run the checks. One that raises is reported under its name, and the others still run."""
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except Exception as error:
            findings.append(Finding(name, Verdict.FAIL, f"the check itself failed: {type(error).__name__}: {error}"))
    return findings


def render(findings: Sequence[Finding]) -> str:
    """Return the report: verdict, name, what was found; below it the remedy; a closing line."""
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


def _recordings() -> Path:
    """Return the folder of the sessions, or the nearest existing one above it."""
    folder = sessions_folder(None)
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path.home())


def parse_folder(argv: Sequence[str]) -> Path:
    """Return the folder whose disk is to be tested, from the command line after "doctor". Raises InputError."""
    parser = Parser(prog=f"{invocation()} doctor", description=DESCRIPTION)
    parser.add_argument(
        "--folder",
        type=Path,
        default=_recordings(),
        metavar="DIR",
        help="folder for recordings, whose disk is tested (default: the station's own)",
    )
    folder: Path = parser.parse_args(argv).folder
    if not folder.is_dir():
        raise InputError(f"--folder {folder}: no such folder; give one that exists")
    return folder
