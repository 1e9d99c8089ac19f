"""The study's one file of votes: its tables, and how it is opened so that an acknowledged vote survives a power cut.

SQLite in WAL mode with ``synchronous=FULL``: a commit returns when the vote is on the disk. Readers and one writer at a
time, from several processes; nobody waits longer than BUSY_MS. It knows no votes.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from station.errors import InputError
from station.files import PRIVATE

DATABASE: Final = "ratings.sqlite"
APPLICATION_ID: Final = 0x52617465
"""Marks our files among SQLite's."""
VERSION: Final = 1
BUSY_MS: Final = 20_000

_TABLES: Final = """
CREATE TABLE studies (number INTEGER PRIMARY KEY, t_ms INTEGER NOT NULL, sha256 TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE log (number INTEGER PRIMARY KEY, t_ms INTEGER NOT NULL, what TEXT NOT NULL);
CREATE TABLE clips (clip TEXT PRIMARY KEY, sha256 TEXT NOT NULL, chosen INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE raters (name TEXT PRIMARY KEY, origin TEXT NOT NULL, number INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE links (
  token_sha256 TEXT PRIMARY KEY, role TEXT NOT NULL, rater TEXT NOT NULL, t_made_ms INTEGER NOT NULL,
  t_ends_ms INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE browsers (
  token_sha256 TEXT NOT NULL, browser TEXT NOT NULL, t_ms INTEGER NOT NULL, PRIMARY KEY (token_sha256, browser)
) WITHOUT ROWID;
CREATE TABLE items (
  rater TEXT NOT NULL REFERENCES raters, position INTEGER NOT NULL, clip TEXT NOT NULL REFERENCES clips,
  kind TEXT NOT NULL, PRIMARY KEY (rater, position)
) WITHOUT ROWID;
CREATE TABLE votes (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, rater TEXT NOT NULL, position INTEGER NOT NULL,
  base TEXT NOT NULL, grade TEXT NOT NULL, reason TEXT NOT NULL, note TEXT NOT NULL, shown_ms INTEGER NOT NULL,
  t_page_ms INTEGER NOT NULL, t_server_ms INTEGER NOT NULL, browser TEXT NOT NULL, counts INTEGER NOT NULL,
  why TEXT NOT NULL, FOREIGN KEY (rater, position) REFERENCES items
);
CREATE INDEX votes_of_rater ON votes (rater, number);
CREATE TABLE heads (
  rater TEXT NOT NULL, position INTEGER NOT NULL, vote INTEGER NOT NULL REFERENCES votes, PRIMARY KEY (rater, position)
) WITHOUT ROWID;
CREATE TABLE refusals (
  minute INTEGER NOT NULL, kind TEXT NOT NULL, peer TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (minute, kind, peer)
) WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- History is only ever added to.
CREATE TRIGGER votes_stay BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'votes are never changed'); END;
CREATE TRIGGER votes_are_kept BEFORE DELETE ON votes BEGIN SELECT RAISE(ABORT, 'votes are never deleted'); END;
CREATE TRIGGER log_stays BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is never changed'); END;
CREATE TRIGGER log_is_kept BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is never deleted'); END;
"""


def create_database(path: Path) -> None:
    """Make the file, which its owner alone can read; under its name only when it is complete. Raises InputError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
        with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as made:
            made.execute("PRAGMA synchronous = FULL")
            made.executescript(
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; BEGIN; {_TABLES} COMMIT;"
            )
        os.link(partial, path)  # another process may have been first
    except FileExistsError:
        pass
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"{path}: cannot be made ({error}); give a folder that can be written") from error
    finally:
        partial.unlink(missing_ok=True)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file for one thread. Raises InputError where it is not a study's."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; python -m trainer rate DATA --new makes a study")
    found = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        found.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        ours = found.execute("PRAGMA application_id").fetchone()[0], found.execute("PRAGMA user_version").fetchone()[0]
        if ours != (APPLICATION_ID, VERSION):
            raise InputError(
                f"{path}: expected votes in format {VERSION}, got {ours[1] if ours[0] == APPLICATION_ID else 'another'}"
                "; open it with the version of the program that made it"
            )
        if not _made_of(found) >= _expected():
            raise InputError(f"{path}: its tables are not those of a study; bring back a backup")
        mode = found.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise InputError(f"{path}: this file system takes no write-ahead log; keep the study on a local disk")
        found.execute("PRAGMA synchronous = FULL")
        found.execute("PRAGMA foreign_keys = ON")
    except sqlite3.DatabaseError as error:
        found.close()
        raise InputError(f"{path}: cannot be opened ({error}); {cure_of(error)}") from error
    except BaseException:
        found.close()
        raise
    return found


def cure_of(error: sqlite3.Error) -> str:
    """Return what to do about an error. A backup costs the votes that came later: only where the file is damaged."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the kind, without its details
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program is using it: close that, then try again"
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return "look after the disk (free some space), then try again"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return "let this user write the file and its folder"
    return "it is damaged or no database: bring back a backup"


def _made_of(database: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Return the columns of a database's tables, (table, column, type), and its indices and triggers."""
    of_tables = "SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    others = "SELECT type, name, '' FROM sqlite_master WHERE type != 'table'"
    found = {*database.execute(of_tables), *database.execute(others)}
    return {row for row in found if not row[0].startswith("sqlite_") and not row[1].startswith("sqlite_")}


@cache
def _expected() -> set[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as made:
        made.executescript(_TABLES)
        return _made_of(made)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; on the disk when it ends."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk may have ended it already
            database.execute("ROLLBACK")
        raise


def back_up(path: Path, to: Path) -> None:
    """Write a checked copy of the file while it is in use, whole or not at all. Raises InputError."""
    if to.exists():
        raise InputError(f"--backup {to} exists already; give another name, such as one with the date")
    partial = to.with_name(f".{to.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
        with contextlib.closing(open_database(path)) as source, contextlib.closing(sqlite3.connect(partial)) as copy:
            source.backup(copy, pages=256, sleep=0.01)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            if (said := copy.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise InputError(f"{to}: the copy is damaged ({said}); look after the disk, then try again")
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.rename(to)
        _sync_folder(to.parent)
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"--backup {to}: cannot be written ({error}); give a path that can be used") from error
    finally:
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Put a new name on the disk."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
