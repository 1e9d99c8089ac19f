"""What a study gives away: votes for training, every rating for research, the study, the log and a data card.

Raters are pseudonyms everywhere; links and browsers are left out. Times of the day are kept to the second, in UTC. It
reads the database and writes a new folder.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from station.build_info import git_commit
from station.errors import InputError
from station.files import write_atomically
from station.notice import NOTICE
from trainer.data.tables import table
from trainer.data.votes import Given, give_votes
from trainer.rating.data_card import data_card
from trainer.rating.database import DATABASE
from trainer.rating.orders import Kind
from trainer.rating.plan import study_in_force
from trainer.rating.records import KeptVote
from trainer.rating.store import Store, now_ms

FORMAT: Final = "rostfine-ratings/1"
VOTES: Final = "votes.csv"
RATINGS: Final = "ratings.csv"
HISTORY: Final = "history.csv"
LOG: Final = "log.csv"
CLIPS: Final = "rated_clips.csv"
STUDY_COPY: Final = "study.toml"
CARD: Final = "DATA_CARD.md"
MANIFEST: Final = "ratings.json"
FORMULA: Final = ("=", "+", "-", "@")
"""A cell that begins with one of these would be computed by a spreadsheet."""


def write_results(folder: Path, out: Path) -> int:
    """Write a study's results into a new folder; return how many votes. Raises InputError where there are none."""
    if out.exists():
        raise InputError(f"--export {out} exists already; remove it or give another folder")
    with Store(folder / DATABASE) as store:
        study, text = study_in_force(store), store.study_text()
        votes, history, log, clips = store.votes(), store.history(), store.log(), store.clips()
        raters = [row for row in store.raters(now_ms()) if row.items]
        closed, identity = store.closed, store.identity
    counted = [vote for vote in votes if vote.kind == Kind.CLIP.value and vote.grade]
    if not counted:
        raise InputError(f"{folder}: nobody has graded a clip yet; nothing is written")
    files = {
        VOTES: table(("id", "rater", "grade"), [(vote.clip, vote.rater, vote.grade) for vote in counted]),
        RATINGS: _ratings(votes),
        HISTORY: _ratings(history),
        LOG: table(("time_utc", "what"), [(utc(t_ms), cell(what)) for t_ms, what in log]),
        CLIPS: table(("id", "sha256", "in_study"), [(clip, sha, int(is_in)) for clip, (sha, is_in) in clips.items()]),
        STUDY_COPY: text.encode(),
        CARD: data_card(study, votes, [row.name for row in raters], closed=closed).encode(),
    }
    out.mkdir(parents=True)
    for name, content in files.items():
        write_atomically(out / name, content)
    manifest = {
        "format": FORMAT,
        "notice": NOTICE,
        "study": identity,
        "made_utc": utc(now_ms()),
        "git_commit": git_commit(),
        "closed": closed,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    write_atomically(out / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return len(counted)


def give_to_clips(out: Path, data: Path) -> Given:
    """Join the votes to the clips as ``trainer votes`` does, with study, ratings and card beside them.

    Votes that an earlier export of the same study gave are replaced. Raises InputError where clips have others.
    """
    beside = {name: (out / name).read_bytes() for name in (STUDY_COPY, RATINGS, MANIFEST, CARD)}
    identity = str(json.loads(beside[MANIFEST])["study"])
    try:
        return give_votes(data, out / VOTES, replace=False, leave_out=False, study=identity, further=beside)
    except InputError as error:
        raise InputError(
            f"{out} is written, {data} is as it was: {error}; or: python -m trainer votes {data} --votes {out / VOTES}"
        ) from error


def utc(t_ms: int) -> str:
    """Return a time since 1970 as a date and time, to the second. Raises InputError for what is none."""
    try:
        return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError, OverflowError, OSError):
        raise InputError(f"the study's votes hold {t_ms!r} as a time; they are damaged, bring back a backup") from None


def cell(text: str) -> str:
    """Return text that somebody typed as a cell that stays text in a spreadsheet."""
    return "'" + text if text.startswith(FORMULA) else text


def _ratings(votes: Sequence[KeptVote]) -> bytes:
    """Return one row for each act."""
    return table(
        ("id", "rater", "kind", "position", "grade", "reason", "note", "seconds", "time_utc", "counts", "why_not"),
        [
            (vote.clip, vote.rater, vote.kind, vote.position, vote.grade, cell(vote.reason), cell(vote.note),
             f"{vote.shown_ms / 1000:.1f}", utc(vote.t_server_ms), int(vote.counts), vote.why)
            for vote in votes
        ],
    )  # fmt: skip
