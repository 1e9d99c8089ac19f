"""Invitation links: an unguessable word each, of which only the hash is kept; they end, and can be taken back.

Whoever reads the database or a backup learns no link. It knows words and people, no requests.
"""

import hashlib
import secrets
from typing import Final, Literal

from station.errors import InputError
from trainer.rating.records import Person
from trainer.rating.store import Store

TOKEN_BYTES: Final = 32
MS_PER_DAY: Final = 86_400_000
Known = Literal["good", "unknown", "expired", "revoked"]


def make_link(store: Store, person: Person, days: float, t_ms: int) -> str:
    """Return the word of a new link, and take back the person's earlier ones."""
    word = secrets.token_urlsafe(TOKEN_BYTES)
    revoke_links(store, person)
    store.connection.execute(
        "INSERT INTO links (token_sha256, role, rater, t_made_ms, t_ends_ms) VALUES (?, ?, ?, ?, ?)",
        (digest(word), person.role, person.rater, t_ms, t_ms + round(days * MS_PER_DAY)),
    )
    return word


def has_link(store: Store, person: Person, t_ms: int) -> bool:
    """Return whether a person has a link that opens something."""
    return (
        store.connection.execute(
            "SELECT 1 FROM links WHERE role = ? AND rater = ? AND NOT revoked AND t_ends_ms > ?",
            (person.role, person.rater, t_ms),
        ).fetchone()
        is not None
    )


def revoke_links(store: Store, person: Person) -> int:
    """Take back a person's links; return how many were in force."""
    done = store.connection.execute(
        "UPDATE links SET revoked = 1 WHERE role = ? AND rater = ? AND NOT revoked", (person.role, person.rater)
    )
    return done.rowcount


def require_rater(store: Store, name: str, option: str) -> Person:
    """Return an invited rater. Raises InputError for a name that is none."""
    names = [row.name for row in store.raters(0) if row.origin == "invited"]
    if name not in names:
        raise InputError(f"{option} {name}: no such rater; there are {', '.join(names) or 'none yet'}")
    return Person("rater", name)


def who(store: Store, word: str, t_ms: int) -> tuple[Known, Person | None]:
    """Return what a word from a request is worth, and whose it is where it is good."""
    found = store.connection.execute(
        "SELECT role, rater, t_ends_ms, revoked FROM links WHERE token_sha256 = ?", (digest(word),)
    ).fetchone()
    if found is None:
        return "unknown", None
    if found[3]:
        return "revoked", None
    if found[2] <= t_ms:
        return "expired", None
    return "good", Person(found[0], found[1])


def admit_browser(store: Store, word: str, browser: str, most: int, t_ms: int) -> bool:
    """Return, inside a transaction, whether a browser may use a link; the first ``most`` may, for ever."""
    if is_admitted(store, word, browser):
        return True
    token = digest(word)
    taken = store.connection.execute("SELECT COUNT(*) FROM browsers WHERE token_sha256 = ?", (token,)).fetchone()[0]
    if taken >= most:
        return False
    store.connection.execute("INSERT INTO browsers VALUES (?, ?, ?)", (token, browser, t_ms))
    return True


def is_admitted(store: Store, word: str, browser: str) -> bool:
    """Return whether a browser has used a link before. Reads one row, and so waits for nobody."""
    return (
        store.connection.execute(
            "SELECT 1 FROM browsers WHERE token_sha256 = ? AND browser = ?", (digest(word), browser)
        ).fetchone()
        is not None
    )


def digest(word: str) -> str:
    """Return what is kept of a word. It is random, so a plain hash cannot be turned round."""
    return hashlib.sha256(word.encode("utf-8", "replace")).hexdigest()
