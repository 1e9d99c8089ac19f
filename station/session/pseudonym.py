"""Keeps names out of a recording: a source's path and file name may be those of a patient.

What replaces them is derived from the file's content, so that the same video is recognised without its name.
"""

import hashlib
from pathlib import Path
from typing import Final

from station.files import open_regular

END_BYTES: Final = 32 << 20
"""A file of more than twice this is told by its first and last bytes and its length."""
DIGITS: Final = 12
SHORTEST_WORD: Final = 4
"""Shorter parts of a path ("12", "avi") are no names, and replacing them would garble the text around."""


class Pseudonym:
    """Stands for a source in everything that is recorded."""

    def __init__(self, kind: str) -> None:
        """``kind`` is ``[source] kind``: a word of the program, or a path, or a prefix and a path."""
        self.kind = kind
        self._words: list[str] = []
        self._inside: list[str] = []
        prefix, colon, rest = kind.partition(":")
        for text, before in ((kind, ""), (rest, prefix + colon)):
            path = _existing(text)
            if path is not None:
                self.kind = f"{before}{'folder' if path.is_dir() else 'file'}-{fingerprint(path)}"
                self._words = _words(kind, text, path)
                self._inside = sorted((entry.name for entry in path.iterdir()), key=len) if path.is_dir() else []
                return

    def clean(self, text: str) -> str:
        """Return ``text`` with the source's path and names, and the user's home folder, replaced."""
        for word in self._words:
            text = text.replace(word, self.kind)
        if self.kind in text:  # pictures of a folder are named behind it
            for name in reversed(self._inside):
                text = text.replace(name, "(file)")
        for home in _spellings(str(Path.home())):
            text = text.replace(home, "~")
        return text


def fingerprint(path: Path) -> str:
    """Return the first digits of a SHA-256 over a file's content, or over the first file of a folder and their number.

    Of an unreadable file, over nothing.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            files = sorted(entry for entry in path.iterdir() if entry.is_file())
            digest.update(f"{len(files)} files\n".encode())
            path = files[0]
        size = path.stat().st_size
        with open_regular(path) as file:
            if size <= 2 * END_BYTES:
                digest.update(file.read())
            else:
                digest.update(file.read(END_BYTES))
                file.seek(size - END_BYTES)
                digest.update(file.read())
                digest.update(f"{size} bytes\n".encode())
    except (OSError, IndexError):
        pass
    return digest.hexdigest()[:DIGITS]


def _words(kind: str, text: str, path: Path) -> list[str]:
    """Return everything by which the source may be called in a text, longest first."""
    whole = path.absolute()
    words = {kind, text, str(path), str(whole), str(path.resolve()), path.name, "/".join(whole.parts[-2:])}
    words = {spelling for word in words for spelling in _spellings(word)}
    return sorted((word for word in words if len(word) >= SHORTEST_WORD), key=len, reverse=True)


def _spellings(word: str) -> list[str]:
    r"""Return a word as it stands, and as it stands in messages of the system, which double each backslash."""
    return [repr(word)[1:-1], word]


def _existing(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        return path if text and path.exists() else None
    except (OSError, RuntimeError):  # a name too long, an unknown user's home: capture says so
        return None
