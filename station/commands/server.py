"""The command socket of a running station: takes requests, has them carried out, sends the answers.

Bounded in everything: the size of a request, how many wait, how many are looked at per round and per second. A round
takes a few milliseconds at most, whatever is sent. It knows the socket and the key; ``station.commands.operator``
knows what to do.
"""

import contextlib
import hmac
import time
from functools import partial
from typing import Final, Self

import zmq

from station.commands.operator import Operator
from station.commands.registry import Registration
from station.commands.requests import (
    MAX_REQUEST_BYTES,
    Outcome,
    Reply,
    Request,
    decode_request,
    encode_reply,
)
from station.dashboard.snapshot import Snapshot
from station.errors import MessageError
from station.transport.endpoints import Endpoints
from station.transport.inbox import Inbox

MOST_WAITING: Final = 16
"""Requests of one asker that wait in the socket; then it is the asker who waits."""
MOST_PER_ROUND: Final = 20
MOST_PER_S: Final = 20
"""Requests that are carried out in a second; what is more is refused."""
Envelope = list[bytes]


class CommandServer:
    """Binds the command socket of a run."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        operator: Operator,
        registration: Registration | None = None,
    ) -> None:
        """``registration``: the run's file, kept up to date here."""
        self.operator = operator
        self.unreadable = 0
        """Messages that are no requests, or carry another key."""
        self._key = endpoints.key.encode()
        self._registration = registration
        self._second = (0, 0)
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 200  # the answer to "quit" should arrive
        self._socket.rcvhwm = self._socket.sndhwm = MOST_WAITING
        self._socket.maxmsgsize = 4 * MAX_REQUEST_BYTES  # of one part; what is larger ends the connection
        self._inbox = Inbox(self._socket)
        self._door = endpoints.commands.bind(context, self._socket)

    def poll(self) -> None:
        """Take in what has arrived, and answer what has become known; never waits."""
        for parts in self._inbox.round(MOST_PER_ROUND):
            self._take_in([part.bytes for part in parts])
        self.operator.poll()

    @property
    def bad_messages(self) -> int:
        """Messages that are no requests, or carry another key."""
        return self.unreadable

    @property
    def turned_away(self) -> int:
        """Connections that were refused."""
        return self._door.turned_away if self._door is not None else 0

    def note(self, snapshot: Snapshot) -> None:
        """Bring the run's file up to date, and know what the screen shows."""
        self.operator.screen = snapshot.screen
        source, model, recording = snapshot.source, snapshot.model, snapshot.recording
        if self._registration is None or source is None or model is None:
            return
        opened = {
            "source": source.name,
            "fps": source.fps,
            "um_per_px": source.um_per_px,
            "model": model.name,
            "model_sha256": model.sha256,
            "session": recording.folder if recording is not None else None,
        }
        self._registration.update(self._registration.entry.model_copy(update=opened))

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        if self._door is not None:
            self._door.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _take_in(self, parts: list[bytes]) -> None:
        asker, *rest = parts
        envelope = [asker, b""] if rest[:1] == [b""] else [asker]  # a REQ socket puts an empty part before
        try:
            request = decode_request(rest[len(envelope) - 1 :])
        except MessageError as error:
            self._refuse(envelope, None, f"not a request of version 1: {error}")
            return
        if not hmac.compare_digest(request.key.encode(), self._key):
            self._refuse(envelope, request, "the key is not that of this run; the registry file holds it")
        elif self._too_many():
            reply = Reply(
                id=request.id, name=request.name, outcome=Outcome.REFUSED,
                text=f"more than {MOST_PER_S} requests in a second; left out",
            )  # fmt: skip
            self._answer(envelope, reply)
        else:
            self.operator.carry_out(request, partial(self._answer, envelope))

    def _refuse(self, envelope: Envelope, request: Request | None, text: str) -> None:
        self.unreadable += 1
        number, name = (request.id, request.name) if request is not None else (0, "")
        self._answer(envelope, Reply(id=number, name=name, outcome=Outcome.INVALID, text=text))

    def _answer(self, envelope: Envelope, reply: Reply) -> None:
        with contextlib.suppress(zmq.ZMQError):  # the asker has gone, or does not read
            self._socket.send_multipart([*envelope, *encode_reply(reply)], zmq.DONTWAIT)

    def _too_many(self) -> bool:
        second, count = self._second
        now_s = int(time.monotonic())
        self._second = (now_s, count + 1) if now_s == second else (now_s, 1)
        return self._second[1] > MOST_PER_S
