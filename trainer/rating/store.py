"""Votes and raters in the database: what is written, in one transaction each, and what is read.

Every act of a rater is kept for ever; at each position the newest act that counts is the vote. An act that does not
build on what counts now (another tab was first), or comes after the study was closed, is kept and changes nothing.
"""

import contextlib
import re
import secrets
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from station.errors import InputError
from trainer.rating.database import cure_of, open_database, transaction
from trainer.rating.orders import Item, Kind
from trainer.rating.records import GivenVote, Head, KeptVote, Outcome, RaterRow

PSEUDONYM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
MOST_REFUSALS: Final = 20_000
"""Rows of the table of refusals: a flood must not fill the disk."""
CLOSED: Final = "closed"
IDENTITY: Final = "identity"
ELSEWHERE: Final = "elsewhere"
INVITED: Final = "invited"


def now_ms() -> int:
    """Return the time since 1970."""
    return time.time_ns() // 1_000_000


class Store:
    """One connection to a study's votes; belongs to one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open. Raises InputError."""
        self.path = path
        self._db = open_database(path)

    def close(self) -> None:
        """Close; may be called more than once."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise InputError(f"{self.path}: cannot be used ({error}); {cure_of(error)}") from error

    def all_or_nothing(self) -> contextlib.AbstractContextManager[None]:
        """Return a transaction for several writes."""
        return transaction(self._db)

    # The acts of raters

    def vote(self, rater: str, given: Sequence[GivenVote], t_ms: int) -> list[Outcome]:
        """Keep acts, inside a transaction, and say what became of each. A repeated act gets its first answer.

        Raises InputError for a position that the rater has not, or an id that belongs to another act.
        """
        closed = self.closed
        return [self._vote(rater, one, t_ms, closed) for one in given]

    def _vote(self, rater: str, given: GivenVote, t_ms: int, closed: bool) -> Outcome:
        kept = self._db.execute(
            "SELECT rater, position, base, grade, reason, note, counts, why FROM votes WHERE id = ?", (given.id,)
        ).fetchone()
        if kept is not None:
            if kept[:6] != (rater, given.position, given.base, given.grade, given.reason, given.note):
                raise InputError("an act with this id and another content is kept already")
            return Outcome(given.id, bool(kept[6]), kept[7])
        item = self._db.execute(
            "SELECT chosen FROM items JOIN clips USING (clip) WHERE rater = ? AND position = ?", (rater, given.position)
        ).fetchone()
        if item is None:
            raise InputError(f"there is no clip at position {given.position} of this rater")
        head = self._db.execute(
            "SELECT votes.id FROM heads JOIN votes ON votes.number = heads.vote "
            "WHERE heads.rater = ? AND heads.position = ?", (rater, given.position),
        ).fetchone()  # fmt: skip
        why = ""
        if closed:
            why = "the study was closed"
        elif not item[0]:
            why = "the clip was taken out of the study"
        elif given.base != (head[0] if head else ""):
            why = "this clip was graded in another tab or browser before"
        number = self._db.execute(
            "INSERT INTO votes (id, rater, position, base, grade, reason, note, shown_ms, t_page_ms, t_server_ms, "
            "browser, counts, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (given.id, rater, given.position, given.base, given.grade, given.reason, given.note, given.shown_ms,
             given.t_page_ms, t_ms, given.browser, not why, why),
        ).lastrowid  # fmt: skip
        if not why:
            self._db.execute("INSERT OR REPLACE INTO heads VALUES (?, ?, ?)", (rater, given.position, number))
        return Outcome(given.id, not why, why)

    def heads(self, rater: str) -> list[Head]:
        """Return what counts at each position that the rater has graded, oldest act first."""
        rows = self._db.execute(
            "SELECT votes.position, id, grade, reason, votes.number FROM heads JOIN votes ON votes.number = heads.vote "
            "WHERE heads.rater = ? ORDER BY votes.number", (rater,),
        )  # fmt: skip
        return [Head(*row) for row in rows]

    def seconds(self, rater: str, newest: int) -> list[float]:
        """Return how long a rater looked at each of the newest clips before grading it, newest first."""
        rows = self._db.execute(
            "SELECT shown_ms FROM votes WHERE rater = ? AND counts AND (grade != '' OR reason != '') "
            "ORDER BY number DESC LIMIT ?", (rater, newest),
        )  # fmt: skip
        return [shown_ms / 1000 for (shown_ms,) in rows]

    @property
    def aside(self) -> int:
        """How many acts are kept and do not count."""
        return int(self._db.execute("SELECT COUNT(*) FROM votes WHERE NOT counts").fetchone()[0])

    def history(self) -> list[KeptVote]:
        """Return every act there ever was, oldest first."""
        return self._kept("JOIN items USING (rater, position) ORDER BY number")

    def votes(self) -> list[KeptVote]:
        """Return what counts now: grades and what can't be judged; clips that were taken out left aside."""
        return self._kept(
            "JOIN items USING (rater, position) JOIN heads ON heads.vote = votes.number JOIN clips USING (clip) "
            "WHERE chosen AND (grade != '' OR reason != '') ORDER BY number"
        )

    def _kept(self, where: str) -> list[KeptVote]:
        rows = self._db.execute(
            "SELECT number, id, votes.rater, votes.position, items.clip, kind, base, grade, reason, note, shown_ms, "
            f"t_page_ms, t_server_ms, browser, counts, why FROM votes {where}"
        )
        return [KeptVote(*row) for row in rows]

    # Raters and their orders

    def add_rater(self, name: str, origin: str) -> None:
        """Add a rater without clips. Raises InputError for a pseudonym that cannot be one, or is taken."""
        if not PSEUDONYM.fullmatch(name):
            raise InputError(f"rater {name!r}: a pseudonym has 1 to 40 letters, digits, '.', '_' or '-'")
        if self._db.execute("SELECT 1 FROM raters WHERE name = ?", (name,)).fetchone():
            raise InputError(f"rater {name!r} is there already; --renew {name} makes a new link")
        number = self._db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM raters").fetchone()[0]
        self._db.execute("INSERT INTO raters VALUES (?, ?, ?)", (name, origin, number))

    def add_items(self, rater: str, items: Iterable[Item]) -> int:
        """Put clips at the end of a rater's order; return the first new position."""
        first = int(
            self._db.execute("SELECT COALESCE(MAX(position) + 1, 0) FROM items WHERE rater = ?", (rater,)).fetchone()[0]
        )
        rows = ((rater, first + k, item.clip, item.kind.value) for k, item in enumerate(items))
        self._db.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", rows)
        return first

    def items(self, rater: str) -> list[tuple[Item, bool]]:
        """Return a rater's order, and of each clip whether it is still in the study."""
        rows = self._db.execute(
            "SELECT clip, kind, chosen FROM items JOIN clips USING (clip) WHERE rater = ? ORDER BY position", (rater,)
        )
        return [(Item(clip, Kind(kind)), bool(chosen)) for clip, kind, chosen in rows]

    def item(self, rater: str, position: int) -> Item | None:
        """Return what stands at one position of a rater's order."""
        found = self._db.execute(
            "SELECT clip, kind FROM items WHERE rater = ? AND position = ?", (rater, position)
        ).fetchone()
        return Item(found[0], Kind(found[1])) if found else None

    def raters(self, t_ms: int) -> list[RaterRow]:
        """Return every rater in the order of invitation, with the state of the newest link."""
        rows = self._db.execute(
            "SELECT name, origin, (SELECT COUNT(*) FROM items JOIN clips USING (clip) WHERE rater = name AND chosen), "
            "(SELECT CASE WHEN revoked THEN 'revoked' WHEN t_ends_ms <= ? THEN 'expired' ELSE 'open' END FROM links "
            " WHERE rater = name ORDER BY revoked, t_made_ms DESC LIMIT 1), "
            "(SELECT COUNT(DISTINCT browser) FROM browsers JOIN links USING (token_sha256) WHERE rater = name) "
            "FROM raters ORDER BY number", (t_ms,),
        )  # fmt: skip
        return [RaterRow(name, origin, items, link or "none", browsers) for name, origin, items, link, browsers in rows]

    # The study

    def clips(self) -> dict[str, tuple[str, bool]]:
        """Return SHA-256 of each clip that ever was in the study, and whether it still is."""
        rows = self._db.execute("SELECT clip, sha256, chosen FROM clips")
        return {clip: (digest, bool(chosen)) for clip, digest, chosen in rows}

    def put_clips(self, chosen: Mapping[str, str]) -> None:
        """Let exactly these clips be in the study, by their SHA-256; others stay known."""
        self._db.execute("UPDATE clips SET chosen = 0")
        self._db.executemany(
            "INSERT INTO clips VALUES (?, ?, 1) ON CONFLICT (clip) DO UPDATE SET chosen = 1", chosen.items()
        )

    def study_text(self) -> str:
        """Return the study file that is in force; empty where none is."""
        found = self._db.execute("SELECT text FROM studies ORDER BY number DESC LIMIT 1").fetchone()
        return found[0] if found else ""

    def study_texts(self) -> list[str]:
        """Return every study file that ever was in force, oldest first."""
        return [text for (text,) in self._db.execute("SELECT text FROM studies ORDER BY number")]

    def put_study(self, sha256: str, text: str, t_ms: int) -> None:
        """Keep a study file that comes into force."""
        self._db.execute("INSERT INTO studies (t_ms, sha256, text) VALUES (?, ?, ?)", (t_ms, sha256, text))

    def write_log(self, what: str, t_ms: int) -> None:
        """Add a line to the log of changes."""
        self._db.execute("INSERT INTO log (t_ms, what) VALUES (?, ?)", (t_ms, what))

    def log(self) -> list[tuple[int, str]]:
        """Return the log of changes, oldest first: ms since 1970, and what."""
        return [(t_ms, what) for t_ms, what in self._db.execute("SELECT t_ms, what FROM log ORDER BY number")]

    @property
    def identity(self) -> str:
        """A word that no other study has."""
        self._db.execute("INSERT OR IGNORE INTO marks VALUES (?, ?)", (IDENTITY, secrets.token_hex(8)))
        return str(self._db.execute("SELECT value FROM marks WHERE name = ?", (IDENTITY,)).fetchone()[0])

    @property
    def closed(self) -> bool:
        """Whether the study takes no votes any more."""
        return self._db.execute("SELECT 1 FROM marks WHERE name = ?", (CLOSED,)).fetchone() is not None

    def set_closed(self, closed: bool) -> None:
        """Close or reopen."""
        if closed:
            self._db.execute("INSERT OR IGNORE INTO marks VALUES (?, '')", (CLOSED,))
        else:
            self._db.execute("DELETE FROM marks WHERE name = ?", (CLOSED,))

    # Refusals

    def add_refusals(self, counted: Mapping[tuple[int, str, str], int]) -> None:
        """Count, inside a transaction, requests that were turned away, by minute, kind and peer."""
        self._db.executemany(
            "INSERT INTO refusals VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            [(*key, count) for key, count in counted.items()],
        )
        self._db.execute(
            "DELETE FROM refusals WHERE minute <= (SELECT minute FROM refusals ORDER BY minute DESC LIMIT 1 OFFSET ?)",
            (MOST_REFUSALS,),
        )

    def refusals(self) -> list[tuple[int, str, str, int]]:
        """Return the newest of them: minute since 1970, kind, peer, count."""
        return self._db.execute("SELECT * FROM refusals ORDER BY minute DESC, count DESC LIMIT 50").fetchall()

    @property
    def connection(self) -> sqlite3.Connection:
        """For what has tables of its own in this file (``trainer.rating.links``)."""
        return self._db
