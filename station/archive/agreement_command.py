"""The command ``agreement SESSIONS``: operator against model over sessions, as a table and a plot.

It finds sessions, prints, and writes files; ``station.archive.agreement`` compares.
"""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from station.archive.agreement import Agreement, Compared, compare, summarise
from station.archive.catalogue import catalogue
from station.archive.story import read_story
from station.command_line import Parser, invocation
from station.errors import InputError, SessionError
from station.files import write_atomically
from station.notice import NOTICE
from station.output import one_line, say, say_line
from station.session.layout import require_outside_sessions, sessions_folder
from station.session.lookup import find_session

DESCRIPTION: Final = """Compares what operators marked as chosen with how the model graded what was on the screen at
that moment: how often the chosen one was the model's first by mean grade, with 95 % intervals (Wilson), beside
what chance would give, by model and operator's pseudonym. Sessions of a demonstration model and recorded replays are
left out unless asked for. Agreement is not rightness: it says nothing about who was right."""
CHOICES: Final = (
    "session", "operator", "t_s", "sperm", "blind", "candidates", "rank", "top", "left_out_because", "model",
    "demonstration", "replay",
)  # fmt: skip
SUMMARY: Final = (
    "model", "operator", "compared", "left_out", "top", "share", "low_95", "high_95", "chance", "mean_place",
)  # fmt: skip
WIDTH, LEFT, RIGHT, ROW = 720, 230, 40, 34


def agreement(argv: Sequence[str]) -> int:
    """Carry out ``agreement``; return the exit code. Raises InputError, OSError."""
    parser = Parser(prog=f"{invocation()} agreement", description=f"{DESCRIPTION} {NOTICE}")
    parser.add_argument("sessions", nargs="*", metavar="SESSION", help="ids or folders (default: all there are)")
    parser.add_argument("--blind", action="store_true", help="only choices before which no candidate's grade was shown")
    parser.add_argument("--all", action="store_true", help="also sessions of a demonstration model and replays")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write choices.csv, agreement.csv, agreement.svg")
    parser.add_argument(
        "--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)"
    )
    given = parser.parse_args(argv)
    if given.out is not None:
        require_outside_sessions(given.out, "--out")
        if given.out.exists():
            raise InputError(f"{given.out}: is there already; remove it or give another folder with --out")
    found, read = _compared(given.sessions, given.parent)
    asked = [one for one in found if given.all or not (one.demonstration or one.replay)]
    compared = [one for one in asked if one.blind or not given.blind]
    unasked = _unasked(found) if len(asked) < len(found) else ""
    if not compared:
        kind = "blind choice" if given.blind else "choice"
        besides = f" ({unasked})" if unasked else ""
        raise InputError(
            f"no {kind} is marked in {read} session{'s' * (read != 1)}{besides}; there is nothing to compare"
        )
    rows = summarise(compared)
    say(f"{len(compared)} choices in {len({one.session for one in compared})} sessions, "
        f"{sum(one.blind for one in compared)} of them blind")  # fmt: skip
    for line in _lines(rows):
        say(line)
    if unasked:
        say(f"left out: {unasked}")
    for why, count in _left_out(compared):
        say_line(f"left out: {count}, {why}")
    if any(one.demonstration for one in compared):
        say("! DEMONSTRATION model in some sessions: its grades mean nothing about real sperm")
    if given.out is not None:
        given.out.mkdir(parents=True)
        write_atomically(given.out / "choices.csv", _table(CHOICES, [_choice_row(one) for one in compared]))
        write_atomically(given.out / "agreement.csv", _table(SUMMARY, [_summary_row(row) for row in rows]))
        write_atomically(given.out / "agreement.svg", plot(rows).encode())
        say(f"choices.csv, agreement.csv and agreement.svg are in {given.out}")
    say(NOTICE)
    return 0


def _compared(named: Sequence[str], parent: str | None) -> tuple[list[Compared], int]:
    """Return the choices of the sessions, and how many sessions were looked at."""
    if named:
        folders = list(dict.fromkeys(find_session(name, parent) for name in named))
    else:
        entries = catalogue(sessions_folder(parent))
        folders = [entry.folder for entry in entries if entry.marks != 0 and not entry.trouble]
    found: list[Compared] = []
    for folder in folders:
        try:
            found += compare(read_story(folder))
        except SessionError as error:
            if named:
                raise
            say_line(f"! {error}")
    return found, len(folders)


def _unasked(found: Sequence[Compared]) -> str:
    """Return in words which sessions are taken with ``--all`` only."""
    demonstrations = {one.session for one in found if one.demonstration}
    replayed = {one.session for one in found if one.replay} - demonstrations
    parts = [f"{len(demonstrations)} of a demonstration model"] if demonstrations else []
    parts += [f"{len(replayed)} replayed"] if replayed else []
    return f"sessions: {', '.join(parts)}; --all takes them too"


def _lines(rows: Sequence[Agreement]) -> list[str]:
    head = (
        "operator", "model", "choices", "the model's first", "95 % interval", "by chance",
        "mean place (0 first, 1 last)",
    )  # fmt: skip
    cells = [head]
    for row in rows:
        if row.compared:
            cells.append(
                (one_line(row.who), one_line(row.model), str(row.compared), f"{row.top} ({row.share:.0%})",
                 f"{row.low:.0%} to {row.high:.0%}", f"{row.chance:.0%}", f"{row.mean_place:.2f}")
            )  # fmt: skip
        else:
            cells.append((one_line(row.who), one_line(row.model), "0", "-", "-", "-", "-"))
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _left_out(compared: Sequence[Compared]) -> list[tuple[str, int]]:
    reasons = [one.why_not for one in compared if one.why_not]
    return [(why, reasons.count(why)) for why in dict.fromkeys(reasons)]


def plot(rows: Sequence[Agreement]) -> str:
    """Return the shares with their intervals, and chance beside them, as SVG."""
    height = 74 + ROW * len(rows)
    scale = WIDTH - LEFT - RIGHT

    def x(share: float) -> float:
        return LEFT + share * scale

    title = "Chosen sperm that was the model's first, by operator and model (95 % interval)"
    parts = [f'<text x="{LEFT}" y="18">{title}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<path class="grid" d="M{x(share):.1f} 28V{height - 44}"/>')
        parts.append(f'<text class="mid" x="{x(share):.1f}" y="{height - 30}">{share:.0%}</text>')
    for number, row in enumerate(rows):
        y = 44 + ROW * number
        named = escape(one_line(f"{row.who}, {row.model}"), {'"': "&quot;"})
        parts.append(f'<text class="end" x="{LEFT - 10}" y="{y + 5}">{named} (n = {row.compared})</text>')
        if not row.compared:
            continue
        parts.append(f'<path class="interval" d="M{x(row.low):.1f} {y}H{x(row.high):.1f}"/>')
        parts.append(f'<circle cx="{x(row.share):.1f}" cy="{y}" r="5"/>')
        parts.append(f'<path class="chance" d="M{x(row.chance):.1f} {y - 10}v20"/>')
    parts.append(f'<text x="10" y="{height - 10}">circle: share; dashed line: by chance. {escape(NOTICE)}</text>')
    style = (
        "svg{background:#fff;color:#111}text{font:12px system-ui,sans-serif;fill:currentColor}.mid{text-anchor:middle}"
        ".end{text-anchor:end}.grid{stroke:#999;stroke-width:.5}.interval{stroke:#1b6ca8;stroke-width:3}"
        "circle{fill:#1b6ca8}.chance{stroke:currentColor;stroke-dasharray:3 2;stroke-width:1.5}"
        "@media (prefers-color-scheme:dark){svg{background:#14181c;color:#e6eaee}.interval{stroke:#5aa9c9}"
        "circle{fill:#5aa9c9}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="Agreement of operators with the model"><style>{style}</style>{"".join(parts)}</svg>\n'
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    out = StringIO(newline="")
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    return out.getvalue().encode()


def _choice_row(one: Compared) -> tuple[object, ...]:
    return (
        one.session, one.operator, f"{one.t_s:.3f}", one.sperm_id, int(one.blind), one.candidates,
        "" if one.rank is None else one.rank, "" if one.rank is None else int(one.top), one.why_not,
        one.model, int(one.demonstration), int(one.replay),
    )  # fmt: skip


def _summary_row(row: Agreement) -> tuple[object, ...]:
    if not row.compared:
        return (row.model, row.who, 0, row.left_out, 0, "", "", "", "", "")
    return (
        row.model, row.who, row.compared, row.left_out, row.top, f"{row.share:.4f}", f"{row.low:.4f}",
        f"{row.high:.4f}", f"{row.chance:.4f}", f"{row.mean_place:.4f}",
    )  # fmt: skip
