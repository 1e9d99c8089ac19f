"""The command ``report SESSION``: the page of a session, and a PDF of it where that is asked for."""

from collections.abc import Sequence
from pathlib import Path

from station.archive.sessions_command import size
from station.archive.story import read_story
from station.command_line import Parser, invocation
from station.errors import InputError
from station.files import write_atomically
from station.notice import NOTICE
from station.output import say
from station.report.content import content_of
from station.report.page import render_page
from station.report.pdf import find_browser, print_pdf
from station.session.layout import require_outside_sessions
from station.session.lookup import find_session

DESCRIPTION = """Writes the report of a session for the lab record: one HTML page with everything in it. It opens from
the disk in any browser, prints on A4 and asks nothing of any network. A report of the same name is replaced."""


def report(argv: Sequence[str]) -> int:
    """Carry out ``report``; return the exit code. Raises InputError, OSError."""
    parser = Parser(prog=f"{invocation()} report", description=f"{DESCRIPTION} {NOTICE}")
    parser.add_argument("session", metavar="SESSION", help="id of a session, or its folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: SESSION-report.html in the current folder")
    parser.add_argument("--pdf", action="store_true", help="also a PDF beside it; needs Chromium or Chrome")
    parser.add_argument(
        "--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)"
    )
    given = parser.parse_args(argv)
    browser = find_browser() if given.pdf else ""
    story = read_story(find_session(given.session, given.parent))
    out = given.out or Path(f"{story.start.session}-report.html")
    printed = out.with_suffix(".pdf")
    require_outside_sessions(out, "--out")
    if given.pdf and printed == out:
        raise InputError(f"--out {out}: expected the name of the page (.html); the PDF is written beside it")
    if given.pdf and printed.exists() and not out.exists():
        raise InputError(f"{printed}: is there already, without a page beside it; remove it or give another --out")
    page = render_page(content_of(story)).encode()
    write_atomically(out, page, 0o600)
    say(f"report of session {story.start.session}: {out}, {size(len(page))}")
    if browser:
        print_pdf(out, printed, browser)
        say(f"printed: {printed}, {size(printed.stat().st_size)}")
    say(NOTICE)
    return 0
