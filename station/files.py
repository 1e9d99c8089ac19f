"""Files: written whole or not at all, read only where they are files and no larger than they can be, and their hashes.

A file that somebody else made may be a pipe that never ends, a device, or far too large. What cannot be read is an
OSError whose ``strerror`` says in a few words why not, as those of the system do. It knows no format but JSON's.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

KINDS: Final = {
    stat.S_IFIFO: "it is a pipe, not a file",
    stat.S_IFCHR: "it is a device, not a file",
    stat.S_IFBLK: "it is a device, not a file",
    stat.S_IFSOCK: "it is a socket, not a file",
}
PRIVATE: Final = 0o600
"""Mode of files that only their owner reads."""
TEXT_BYTES: Final = 16 << 20
"""Most that a file of JSON or text holds that a person or this program wrote."""


def require_regular(path: Path) -> None:
    """Raise OSError where a path leads to anything but a file: opening a pipe waits, and a device never ends."""
    _require_regular(os.stat(path).st_mode, path)


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, in binary, and nothing else than a file; never waits. Raises OSError."""
    require_regular(path)  # merely to open some devices does something
    flags = ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK")
    descriptor = os.open(path, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags))
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file that holds at most so many bytes. Raises OSError for a larger one, unread."""
    with open_regular(path) as file:
        _require_size(file, path, most_bytes)
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:  # it is growing
        raise _too_large(path, most_bytes)
    return content


def read_json(path: Path, most_bytes: int = TEXT_BYTES) -> Any:
    """Return what a file of JSON holds. Raises OSError as ``read_bounded``, ValueError where it is no JSON."""
    try:
        return json.loads(read_bounded(path, most_bytes))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def require_replaceable(path: Path) -> None:
    """Raise OSError where something stands at a path that no file may take the place of: a device, a pipe, a folder."""
    with contextlib.suppress(FileNotFoundError):
        require_regular(path)


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file so that a reader, or a power cut, finds either the old content or the new, never a part.

    The content is on the disk itself when this returns. ``mode``: of the file, less the user's umask. Raises OSError,
    also where a device or a pipe stands there: it would be gone.
    """
    require_replaceable(path)
    # A name that nobody can know, and a file that was not there: a link laid in its place would lead elsewhere.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sha256_of(path: Path, most_bytes: int | None = None) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal. Raises OSError, also for a file larger than expected."""
    with open_regular(path) as file:
        if most_bytes is not None:
            _require_size(file, path, most_bytes)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_regular(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, KINDS.get(stat.S_IFMT(mode), "it is not a file"), str(path))


def _require_size(file: BufferedReader, path: Path, most_bytes: int) -> None:
    if os.fstat(file.fileno()).st_size > most_bytes:
        raise _too_large(path, most_bytes)


def _too_large(path: Path, most_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {_size(most_bytes)}, the most that is read", str(path))


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
