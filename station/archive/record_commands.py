"""The commands ``verify SESSION`` and ``tables SESSION``: is a session what was recorded, and its tables."""

from collections.abc import Sequence
from pathlib import Path

from station.command_line import Parser, invocation
from station.errors import InputError, SessionError
from station.notice import NOTICE
from station.output import one_line, say
from station.session.annotations import Annotations, read_annotations
from station.session.layout import LOG, TABLES, SessionOutcome
from station.session.lookup import find_session
from station.session.verify import Verification, verify_session

VERIFY = """Checks a recorded session: the hash chain of its log, and the hash of every file that the log states.
Names the first place that is not as it was recorded. Exit code: 0 intact (complete, or cut off and intact up to
there), 1 not."""
MODEL_MANIFEST = "manifest.json"
WRITE_TABLES = """Writes the tables (Parquet and CSV) of a session that was cut off before they were finished."""


def verify(argv: Sequence[str]) -> int:
    """Carry out ``verify``; return the exit code. Raises InputError."""
    folder = _folder("verify", VERIFY, argv)
    try:
        found = verify_session(folder)
        later = read_annotations(folder, found.session)
    except OSError as error:
        raise SessionError(f"session {folder}: cannot be read ({error.strerror or error}); check the disk") from error
    say(report(found, later))
    return 0 if found.intact and not later.faults else 1


def tables(argv: Sequence[str]) -> int:
    """Carry out ``tables``; return the exit code. Raises InputError."""
    from station.session.tables import write_tables  # verify needs no Arrow

    folder = _folder("tables", WRITE_TABLES, argv)
    paths = write_tables(folder)
    say(f"{len(paths)} files in {folder / TABLES}")
    return 0


def report(found: Verification, later: Annotations) -> str:
    """Return what was found, for people; the last line but the notice is the verdict."""
    places = [*map(str, found.breaks), *later.faults]
    lines = [
        f"session  {found.session or 'unknown'}, {found.duration_s:.1f} s",
        f"log      {found.events} events, last chain value {found.chain or 'none'}",
        f"video    {found.frames} frames, {found.video_bytes / 1e6:.1f} MB",
    ]
    if later.written or later.faults:
        lines.append(f"later    {len(later.written)} later labels, notes and marks, last chain value {later.chain}")
    if places:
        lines.append(f"BROKEN  first at {places[0]}")
        if more := len(places) - 1 + found.more_faults:
            lines.append(f"        and {more} more places")
    elif found.outcome is SessionOutcome.CUT_OFF:
        behind = f"; {found.unproved_bytes} bytes of video after that are not covered" if found.unproved_bytes else ""
        torn = f"; an incomplete last line of {found.torn_bytes} bytes was ignored" if found.torn_bytes else ""
        lines.append(
            f"CUT OFF, INTACT  not closed properly; unchanged as far as it goes: log to {found.duration_s:.1f} s, "
            f"video verified to {found.proved_s:.1f} s{behind}{torn}"
        )
    else:
        early = ", recording was stopped before the run ended" if found.outcome is SessionOutcome.STOPPED else ""
        lines.append(f"COMPLETE, INTACT  as it was recorded{early}")
    return "\n".join([*map(one_line, lines), NOTICE])


def _folder(name: str, description: str, argv: Sequence[str]) -> Path:
    parser = Parser(prog=f"{invocation()} {name}", description=f"{description} {NOTICE}")
    parser.add_argument("session", metavar="SESSION", help="id of a session, or its folder")
    parser.add_argument(
        "--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)"
    )
    given = parser.parse_args(argv)
    folder = find_session(given.session, given.parent)
    try:
        there = folder.is_dir()
    except OSError as error:
        raise InputError(
            f"{name}: {folder}: cannot be read ({error.strerror}); give the folder of a session"
        ) from error
    if not there:
        raise InputError(f"{name}: {folder}: no such folder; give the folder of a session")
    if (folder / MODEL_MANIFEST).is_file() and not (folder / LOG).is_file():
        raise InputError(
            f"{name}: {folder}: is a model, not a session; verify it with `python -m engine verify {folder}`"
        )
    return folder
