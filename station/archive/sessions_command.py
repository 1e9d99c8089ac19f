"""The command ``sessions``: what was recorded, found again, labelled, remarked on, removed.

It words what the catalogue and the annotations know, and asks before anything is lost.
"""

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from station.archive.catalogue import Entry, catalogue, describe, folder_bytes, lasts_s
from station.archive.removal import REMOVING, is_leftover, leftovers, remove_session
from station.command_line import Parser, invocation
from station.config import RecordSettings
from station.errors import InputError, SessionError
from station.notice import NOTICE
from station.output import one_line, say, say_line
from station.session.annotations import (
    ANNOTATIONS,
    MOST_LABEL,
    MOST_TEXT,
    Label,
    Note,
    ReviewMark,
    annotate,
    clean,
    read_annotations,
)
from station.session.layout import LOG, MANIFEST, TABLES, VIDEO, sessions_folder
from station.session.lookup import find_session
from station.session.records import ActionRecord, LossRecord, StopRecord
from station.session.session_reader import Session

WORDS: Final = "show label note remove"
LIST = """Lists the recorded sessions, oldest first: when, label, length, how many sperm were followed, marks and notes,
size, and whether the session is whole, stopped early or cut off; then what the disk still takes."""
SHOW = """Shows one session: where it comes from, what was marked and noted, when and later, what is missing in it."""
LABEL = """Gives a session a label; an earlier one stays in its file. An empty text takes the label away."""
NOTE = """Writes a remark about a session, beside its record: the record itself is never changed."""
REMOVE = """Removes sessions from the disk, for good. Says first what is lost, and asks."""
OWN: Final = (MANIFEST, LOG, VIDEO, TABLES, ANNOTATIONS)
RESERVE_BYTES: Final = RecordSettings().reserve_mb * 1_000_000
COLUMNS: Final = ("session", "began", "length", "sperm", "marks", "notes", "size", "ended", "label")


def sessions(argv: Sequence[str]) -> int:
    """Carry out ``sessions``; return the exit code. Raises InputError."""
    name = argv[0] if argv and not argv[0].startswith("-") else ""
    if name not in _COMMANDS:
        known = ", ".join(word for word in _COMMANDS if word)
        raise InputError(f"sessions {name}: expected {known}, or nothing for the list")
    return _COMMANDS[name](argv[1:] if name else argv)


def _list(argv: Sequence[str]) -> int:
    given = _parser("", LIST).parse_args(argv)
    parent = sessions_folder(given.parent)
    if given.parent is not None and not parent.is_dir():
        what = "a file, not a folder" if parent.exists() else "no such folder"
        raise InputError(f"session folder {parent}: {what}; give the folder that holds the sessions")
    entries = catalogue(parent)
    if not entries and (parent / LOG).is_file():
        raise InputError(
            f"session folder {parent}: is itself a session, which `sessions show {parent}` shows; give the folder that "
            "holds it"
        )
    left = leftovers(parent)
    if not entries:
        say(f"no session in {parent}")
        _say_leftovers(left)
        return 0
    rows = [COLUMNS, *(_row(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    right = {"length", "sperm", "marks", "notes", "size"}
    for row in rows:
        cells = zip(row, widths, COLUMNS, strict=True)
        line = "  ".join(f"{text:>{w}}" if name in right else f"{text:<{w}}" for text, w, name in cells).rstrip()
        say(line if width is None or len(line) <= width else f"{line[: width - 3]}...")
    say(_totals(entries, parent))
    _say_leftovers(left)
    say(NOTICE)
    return 0


def _say_leftovers(folders: Sequence[Path]) -> None:
    for folder in folders:
        say_line(f"! {_rest(folder)}; `sessions remove {folder.name.removeprefix(REMOVING)}` removes it")


def _show(argv: Sequence[str]) -> int:
    parser = _parser("show", SHOW)
    parser.add_argument("session", metavar="SESSION", help="its id, the beginning or end of it, or its folder")
    given = parser.parse_args(argv)
    folder = find_session(given.session, given.parent)
    session = Session(folder)
    entry = describe(folder)
    say_line(f"session  {entry.session}" + (f'  "{entry.label}"' if entry.label else ""))
    say_line(f"folder   {folder}, {size(entry.size_bytes)}")
    say_line(f"began    {_local(entry.began)}, {length(entry.length_s)}, {entry.ended}")
    say_line(f"program  {session.start.program}, commit {session.start.git_commit or 'unknown'}")
    if (opened := session.opened) is not None:
        source, model = opened.source, opened.model
        scale = "scale not known" if source.um_per_px is None else f"{source.um_per_px:.3g} um/px"
        say_line(f"source   {source.name}, {source.width} x {source.height} px, {source.fps:g} frames/s, {scale}")
        demonstration = ", DEMONSTRATION: its grades mean nothing about real sperm" if model.demonstration else ""
        say_line(f"model    {model.name} {model.sha256[:12]}, {model.runtime}{demonstration}")
    say_line(f"holds    {_count(entry.sperm, 'sperm', 'sperm')}, {_count(entry.marks, 'mark')}, "
             f"{_count(entry.notes, 'note')}; {_count(entry.remarks, 'later remark')}")  # fmt: skip
    first_ns, chain = None, ""
    lost: Counter[str] = Counter()
    for event in session.events():
        first_ns, chain = event.t_ns if first_ns is None else first_ns, event.chain
        record = event.record
        if isinstance(record, ActionRecord) and record.action.name in ("mark", "note"):
            say_line(f"  {length((event.t_ns - first_ns) / 1e9):>8}  {record.action.name}: {record.action.details}")
        elif isinstance(record, LossRecord):
            lost[record.link] += record.count
        elif isinstance(record, StopRecord):
            say_line(f"stopped  {record.reason}")
    annotations = read_annotations(folder, session.start.session)
    for one in annotations.written:
        what, when = one.what, _local(one.when)
        at = "" if isinstance(what, Label) or what.at is None else f" at {length(what.at.t_s)}"
        marked = f" sperm {what.sperm_id}:" if isinstance(what, ReviewMark) else ""
        kind = "label" if isinstance(what, Label) else "later mark" if marked else "later note"
        say_line(f"  {when}  {kind}{at}:{marked} {what.text}")
    for link, missing in lost.items():
        say_line(f"missing  {missing} of {link}")
    for line in (*session.damage, *annotations.faults):
        say_line(f"! {line}")
    say_line(f"chain    {chain}{f', of what was written later {annotations.chain}' if annotations.chain else ''}")
    say_line(NOTICE)
    return 0


def _label(argv: Sequence[str]) -> int:
    folder, session, text = _text(argv, "label", LABEL, MOST_LABEL)
    annotate(folder, Label(session=session, text=text))
    say(f'session {session} is labelled "{text}"' if text else f"session {session} has no label any more")
    return 0


def _note(argv: Sequence[str]) -> int:
    folder, session, text = _text(argv, "note", NOTE, MOST_TEXT)
    if not text:
        raise InputError("sessions note: the text is empty; write what is to be noted")
    annotate(folder, Note(session=session, text=text))
    say(f"noted beside session {session}: {text}")
    return 0


def _text(argv: Sequence[str], name: str, description: str, most: int) -> tuple[Path, str, str]:
    parser = _parser(name, description)
    parser.add_argument("session", metavar="SESSION", help="its id, the beginning or end of it, or its folder")
    parser.add_argument("text", metavar="TEXT", nargs="+", help=f"at most {most} characters; no names of persons")
    given = parser.parse_args(argv)
    folder = find_session(given.session, given.parent)
    return folder, Session(folder).start.session, clean(" ".join(given.text), most, name)


def _remove(argv: Sequence[str]) -> int:
    parser = _parser("remove", REMOVE)
    parser.add_argument("sessions", metavar="SESSION", nargs="+", help="ids, or folders")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    given = parser.parse_args(argv)
    named = [_to_remove(one, given.parent) for one in given.sessions]
    folders = list({os.path.realpath(folder): folder for folder in named}.values())
    for folder in folders:
        if not is_leftover(folder):
            _require_removable(folder)
    say("These are lost for good:")
    for folder in folders:
        say_line(f"  {_rest(folder) if is_leftover(folder) else _lost(describe(folder))}")
    if not given.yes:
        if not sys.stdin.isatty():
            raise InputError("sessions remove: nobody can be asked here; give --yes to remove them without asking")
        say(f"Remove {_count(len(folders), 'session')}? Type yes:", flush=True)
        if sys.stdin.readline().strip().lower() != "yes":
            say("nothing was removed")
            return 1
    for folder in folders:
        freed = folder_bytes(folder)
        remove_session(folder)
        say_line(f"removed {folder.name}, {size(freed)} freed")
    return 0


def _to_remove(named: str, parent: str | None) -> Path:
    """Return the folder of a session, or what is left of one that could not be removed whole."""
    folder = sessions_folder(parent)
    left = [one for one in leftovers(folder) if named in (str(one), one.name, one.name.removeprefix(REMOVING))]
    return left[0] if left else find_session(named, parent)


def _rest(folder: Path) -> str:
    return f"{folder.name}: what is left of a session that could not be removed whole, {size(folder_bytes(folder))}"


def _require_removable(folder: Path) -> None:
    """Raise SessionError where a folder is no session, or is one that is being recorded."""
    if folder.is_symlink() or not (folder / LOG).is_file():
        raise SessionError(f"{folder}: is not a recorded session; nothing was removed")
    if describe(folder).recording:
        raise SessionError(f"session {folder.name}: is being recorded; end that run first. Nothing was removed")


def _lost(entry: Entry) -> str:
    """Return what is lost with a session, in a line."""
    others = sum(1 for path in entry.folder.iterdir() if path.name not in OWN and not path.name.startswith("."))
    named = f' "{entry.label}"' if entry.label else ""
    foreign = f", and {_count(others, 'other file')} that somebody put there" if others else ""
    return (
        f"{entry.session}{named}: {length(entry.length_s)} of {_local(entry.began)}, "
        f"{_count(entry.sperm, 'sperm', 'sperm')}, {_count(entry.marks, 'mark')}, {_count(entry.notes, 'note')}, "
        f"{_count(entry.remarks, 'later remark')}, {size(entry.size_bytes)}{foreign}"
    )


def _row(entry: Entry) -> tuple[str, ...]:
    def number(value: int | None) -> str:
        return "?" if value is None else str(value)

    notes = None if entry.notes is None else entry.notes + entry.remarks
    label = f"! {entry.trouble}" if entry.trouble else entry.label
    return (
        one_line(entry.folder.name), _local(entry.began), length(entry.length_s), number(entry.sperm),
        number(entry.marks), number(notes), size(entry.size_bytes), entry.ended, one_line(label),
    )  # fmt: skip


def _totals(entries: Sequence[Entry], parent: Path) -> str:
    total = sum(entry.size_bytes for entry in entries)
    there = shutil.disk_usage(parent)
    lasts = lasts_s(entries, parent, RESERVE_BYTES)
    like = (
        "" if lasts is None else f": room for {duration(lasts)} like the newest, with {size(RESERVE_BYTES)} kept free"
    )
    lines = [f"{_count(len(entries), 'session')}, {size(total)} in {parent}; {size(there.free)} free{like}"]
    if any(entry.marks is None and not entry.trouble for entry in entries):
        lines.append("?: not counted here, these were cut off or are old; `sessions show SESSION` counts them")
    return "\n".join(lines)


def _parser(name: str, description: str) -> Parser:
    words = ["sessions", name] if name else ["sessions"]
    more = f"Commands: {WORDS}, each with its own --help." if not name else None
    parser = Parser(
        prog=f"{invocation()} {' '.join(words)}",
        description=f"{description} {NOTICE}",
        epilog=more,
        formatter_class=argparse.HelpFormatter,
    )
    parser.add_argument(
        "--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)"
    )
    return parser


def _count(count: int | None, one: str, many: str = "") -> str:
    if count is None:
        return f"{many or one + 's'} not counted"
    return f"{count} {one if count == 1 else many or one + 's'}"


def _local(when: datetime | None) -> str:
    return "unknown" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M}"


def length(seconds: float | None) -> str:
    """Return a length as minutes and seconds."""
    if seconds is None or seconds < 0:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    for unit, long_s in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * long_s:
            return f"{seconds / long_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: int) -> str:
    """Return a size in the unit that suits it."""
    for unit, large in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= large:
            return f"{count / large:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


_COMMANDS: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    "": _list,
    "show": _show,
    "label": _label,
    "note": _note,
    "remove": _remove,
}
