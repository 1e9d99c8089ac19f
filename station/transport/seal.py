"""Marks the messages of a run's own processes, so that a stranger's, and an old one sent again, are told from them.

The last entry of a header's map is ``seal``: 24 bytes, of which 8 say when the sender was made (ns, big-endian) and 16
are a keyed BLAKE2b hash over the topic and all header bytes before them. Pixels are not covered: on a Unix socket the
folder keeps others away, on TCP all is encrypted. Readers without the key leave the entry out of account.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from station.clock import now_ns
from station.errors import MessageError
from station.transport.endpoints import MAX_HEADER_BYTES

FIELD: Final = "seal"
BORN_BYTES: Final = 8
HASH_BYTES: Final = 16
SEAL_BYTES: Final = BORN_BYTES + HASH_BYTES
UNREADABLE: Final = "replace"
"""What is no text in a name of a file: "?". It must not keep a message from being sent that says so."""
ENTRY: Final[bytes] = msgpack.packb(FIELD) + b"\xc4" + bytes([SEAL_BYTES])


class ForeignMessage(MessageError):
    """A message that no process of this run has sent."""


class Seal:
    """Of one sender."""

    def __init__(self, key: bytes) -> None:
        """``key``: of the run; empty: nothing is marked."""
        self._key = key
        self._born = now_ns().to_bytes(BORN_BYTES, "big")

    def pack(self, topic: bytes, fields: dict[str, Any]) -> bytes:
        """Return a header's bytes, marked."""
        if not self._key:
            packed: bytes = msgpack.packb(fields, unicode_errors=UNREADABLE)
            return packed
        marked = {**fields, FIELD: self._born + bytes(HASH_BYTES)}
        body: bytes = msgpack.packb(marked, unicode_errors=UNREADABLE)[:-HASH_BYTES]
        return body + _hash(self._key, topic, body)


def sender_of(key: bytes, parts: Sequence[Any]) -> int:
    """Return when the sender of a message was made, ns; 0 without a key. Raises ForeignMessage."""
    if not key:
        return 0
    if len(parts) < 2 or max(memoryview(part).nbytes for part in parts[:2]) > MAX_HEADER_BYTES:
        raise ForeignMessage("no topic and header of this run")
    raw = bytes(parts[1])
    body, found = raw[:-HASH_BYTES], raw[-HASH_BYTES:]
    if body[-BORN_BYTES - len(ENTRY) : -BORN_BYTES] != ENTRY or not hmac.compare_digest(
        found, _hash(key, bytes(parts[0]), body)
    ):
        raise ForeignMessage("no process of this run has sent it")
    return int.from_bytes(body[-BORN_BYTES:], "big")


def _hash(key: bytes, topic: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(topic + b"\0" + body, key=key, digest_size=HASH_BYTES).digest()
