"""Who may connect to a socket: a pass for each asker, all of one run from one secret.

A pass shows on a Unix socket as name and word (ZeroMQ's PLAIN: the folder keeps others away, the word proves who it
is), on TCP as a key pair (CURVE: both ends prove who they are, everything is encrypted). This module knows passes; it
knows nothing of sockets.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

import zmq
from zmq.utils import z85

SECRET_BYTES: Final = 32
STATION: Final = "station"
"""Name under which a run's own processes read its data and ask its command socket."""
GUEST: Final = "guest"
"""Name under which the user's other programs do so, with what the run's file says."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair in ZeroMQ's own text form (Z85, 40 characters)."""

    public: str
    secret: str = field(default="", repr=False)
    """Empty where only the other side has it."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one asker shows, and what the socket compares it with."""

    name: str
    word: str = field(repr=False)
    pair: KeyPair


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The secret of a run; it goes to the run's own processes and nowhere else."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "RunKeys":
        """Return new keys that nobody can guess."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    def pass_for(self, name: str) -> Pass:
        """Return the pass of an asker; from it nobody learns the secret or another's pass."""
        return Pass(name, self._derive(f"word {name}").hex(), self.pair(name))

    def pair(self, name: str) -> KeyPair:
        """Return the key pair of an asker, or of the run's sockets themselves."""
        if not zmq.has("curve"):
            return KeyPair("")
        secret = z85.encode(self._derive(f"pair {name}"))
        return KeyPair(zmq.curve_public(secret).decode(), secret.decode())

    @property
    def seal(self) -> bytes:
        """Key that marks the messages of the run's own processes."""
        return self._derive("seal")

    def _derive(self, what: str) -> bytes:
        return hmac.digest(self.secret, what.encode(), hashlib.sha256)
