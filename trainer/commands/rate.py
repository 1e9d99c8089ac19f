"""``python -m trainer rate DATA``: raters grade the clips of a folder in a browser; one server, one link a rater.

Without an option it serves the study of DATA, which lies in the folder DATA-rating beside it. Everything else may be
done while a server runs. How a study is set up: docs/labelling.md.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import Final

from station.errors import InputError, MissingExtraError
from station.files import PRIVATE, write_atomically
from station.output import say
from trainer.data.tables import table
from trainer.rating.database import DATABASE, back_up
from trainer.rating.elsewhere import take_in
from trainer.rating.links import has_link, make_link, require_rater, revoke_links
from trainer.rating.plan import (
    Invitation,
    base_of,
    begin_study,
    begun_study,
    bring_into_force,
    invite,
    new_names,
    study_folder,
)
from trainer.rating.records import Person
from trainer.rating.results import VOTES, give_to_clips, utc, write_results
from trainer.rating.session_cutting import cut_sessions
from trainer.rating.store import Store, now_ms
from trainer.rating.study import Study

LEAD: Final = Person("lead", "")
LINKS: Final = "links-{}.csv"
DAYS: Final = 60.0
EPILOG: Final = """\
The study is DATA-rating/study.toml; --new writes one to be edited. Links are shown once: only their hashes are kept.

examples:
  python -m trainer rate DATA --new                   write the study file, then edit it
  python -m trainer rate DATA --new --sessions S1 S2  the same, and cut the clips from recorded sessions
  python -m trainer rate DATA --invite 40             forty pseudonyms and links, in a table for you alone
  python -m trainer rate DATA                         serve; Ctrl-C ends it, and nothing is lost
  python -m trainer rate DATA --backup votes-monday.sqlite
  python -m trainer rate DATA --export RATED --into-clips

next: python -m trainer check DATA"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "%(prog)s DATA [--study FOLDER] [one of the options below]"
    parser.epilog = EPILOG
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of clips")
    parser.add_argument("--study", type=Path, metavar="FOLDER", help="folder of the study (default: DATA-rating)")
    parser.add_argument("--sessions", nargs="+", default=[], metavar="SESSION", help="with --new: first cut DATA from "
                        "recorded sessions, the windows that were graded")  # fmt: skip
    parser.add_argument(
        "--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)"
    )
    parser.add_argument("--windows", type=int, default=1, metavar="N", help="at most N clips of a sperm (default: 1)")
    parser.add_argument(
        "--into-clips", action="store_true", help="with --export: also give the clips of DATA these votes"
    )
    parser.add_argument("--days", type=float, default=DAYS, metavar="N", help="how long new links open (default: 60)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--new", action="store_true", help="write a study file to be edited")
    what.add_argument(
        "--invite", metavar="N|NAMES", help="invite so many raters, or these pseudonyms (commas between them)"
    )
    what.add_argument("--renew", metavar="NAMES", help="new links for these raters; the old ones no longer open")
    what.add_argument("--revoke", metavar="NAMES", help="take back the links of these raters; their votes stay")
    what.add_argument("--lead", action="store_true", help="a new link to the lead's page; the old one no longer opens")
    what.add_argument("--close", action="store_true", help="take no more votes")
    what.add_argument("--reopen", action="store_true", help="take votes again")
    what.add_argument("--export", type=Path, metavar="OUT", help="write votes, ratings, history and a data card")
    what.add_argument("--take-in", type=Path, metavar="FILE", help="take in votes from elsewhere: CSV, id,rater,grade")
    what.add_argument("--log", action="store_true", help="print every change of the study")
    what.add_argument("--backup", type=Path, metavar="FILE", help="write a checked copy of the votes")


def run(args: argparse.Namespace) -> int:
    """Serve, or do the one thing that was asked for."""
    folder: Path = args.study or study_folder(args.data)
    if not 0 < args.days <= 3650:
        raise InputError(f"--days {args.days:g}: expected more than 0 and at most 3650")
    if (args.sessions or args.windows != 1) and not args.new:
        raise InputError("--sessions and --windows belong to --new; add it")
    if args.parent is not None and not args.sessions:
        raise InputError("--session DIR: says where --sessions lie; give --new --sessions SESSION as well")
    if args.new:
        for line in cut_sessions(args.data, args.sessions, args.parent, args.windows) if args.sessions else ():
            say(line)
        path = begin_study(folder, args.data)
        say(f"{path} is written; edit it, then: python -m trainer rate {args.data} --invite {Study(title='-').raters}")
        return 0
    if args.backup:
        back_up(folder / DATABASE, args.backup)
        say(f"{args.backup}: copied and checked")
        return 0
    if args.into_clips and not args.export:
        raise InputError("--into-clips belongs to --export OUT; add it")
    if args.export:
        _export(args, folder)
        return 0
    if any((args.log, args.close, args.reopen, args.revoke)):
        with Store(folder / DATABASE) as store:
            _change(store, args)
        return 0
    if any((args.lead, args.take_in, args.invite, args.renew)):
        _beside_the_server(args, folder)
        return 0
    study, clips, changes = bring_into_force(folder, args.data, now_ms())
    for change in changes:
        say(f"study: {change}")
    try:
        from trainer.rating.server import RatingServer
    except ImportError as error:
        raise MissingExtraError(f"rate: the package {error.name} is missing; pip install '.[rate]'") from error
    with Store(folder / DATABASE) as store, store.all_or_nothing():
        store.write_log("server started", now_ms())
        if not has_link(store, LEAD, now_ms()):
            _say_lead_link(store, study, args.days)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with RatingServer(folder, study, clips) as server:
        say(f"raters' links begin with {base_of(study)}/; Ctrl-C ends the server", flush=True)
        if study.server.host not in ("127.0.0.1", "localhost") and not study.server.url.startswith("https"):
            say("caution: open to other machines and not encrypted; docs/labelling.md shows a proxy with TLS")
        while True:
            server.wait(0.5)


def _beside_the_server(args: argparse.Namespace, folder: Path) -> None:
    """Do what needs the study, and leave it as it is."""
    study, notices = begun_study(folder, args.data, now_ms())
    for notice in notices:
        say(f"study: {notice}")
    with Store(folder / DATABASE) as store:
        if args.lead:
            with store.all_or_nothing():
                _say_lead_link(store, study, args.days)
        elif args.take_in:
            new, raters = take_in(store, args.take_in, now_ms())
            say(f"{new} votes of {raters} raters taken in")
        else:
            _give_links(store, study, folder, args)


def _say_lead_link(store: Store, study: Study, days: float) -> None:
    """Make a link for the lead and print it; an earlier one no longer opens."""
    say(f"the lead's page: {base_of(study)}/{make_link(store, LEAD, days, now_ms())}/")
    store.write_log(f"new link for the lead, {days:g} days", now_ms())


def _export(args: argparse.Namespace, folder: Path) -> None:
    """Write the results and, where that is wanted, give them to the clips."""
    count = write_results(folder, args.export)
    say(f"{args.export}: {count} votes, with every rating, the history, the study and DATA_CARD.md")
    if args.into_clips:
        given = give_to_clips(args.export, args.data)
        say(f"{args.data}: {given.clips} clips got votes, {given.waiting} of {given.kept} have none yet")
        if given.cleared:
            say(f"{args.data}: {given.cleared} clips lost the votes of an earlier export; they have none in this one")
    else:
        say(f"next: python -m trainer votes {args.data} --votes {args.export / VOTES}")


def _change(store: Store, args: argparse.Namespace) -> None:
    """Do what needs no clips."""
    if args.log:
        for t_ms, what in store.log():
            say(f"{utc(t_ms)}  {what}")
        return
    with store.all_or_nothing():
        if args.revoke:
            for name in _names(args.revoke):
                revoke_links(store, require_rater(store, name, "--revoke"))
                store.write_log(f"link of rater {name} taken back", now_ms())
            say(f"{args.revoke}: these links open nothing any more; the votes stay")
        else:
            store.set_closed(args.close)
            store.write_log("study closed" if args.close else "study reopened", now_ms())
            say("the study takes no more votes" if args.close else "the study takes votes again")


def _give_links(store: Store, study: Study, folder: Path, args: argparse.Namespace) -> None:
    """Invite raters or renew their links, and write the links where their owner alone reads them."""
    if args.invite:
        try:
            names = new_names(store, int(args.invite)) if args.invite.isdigit() else _names(args.invite)
        except ValueError as error:
            raise InputError(f"--invite {args.invite}: expected a number or pseudonyms") from error
        found = invite(store, study, names, args.days, now_ms())
    else:
        found = []
        with store.all_or_nothing():
            for name in _names(args.renew):
                person = require_rater(store, name, "--renew")
                found.append(Invitation(name, make_link(store, person, args.days, now_ms())))
                store.write_log(f"new link for rater {name}, {args.days:g} days", now_ms())
    if not found:
        raise InputError(f"--invite {args.invite}: names nobody; give a number above 0 or pseudonyms")
    path = folder / LINKS.format(now_ms())
    rows = [(one.rater, f"{base_of(study)}/{one.word}/") for one in found]
    write_atomically(path, table(("rater", "link"), rows), PRIVATE)
    say(f"{len(found)} links in {path}, for {args.days:g} days; give each rater his or her own and delete the table")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
