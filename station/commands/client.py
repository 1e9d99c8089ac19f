"""Asks a running station, and waits for its answer: for the shell, the live view, and a user's own script."""

import contextlib
import itertools
from typing import Final, Self

import zmq

from station.commands.requests import (
    MAX_REPLY_BYTES,
    MAX_REQUEST_BYTES,
    Outcome,
    Reply,
    Request,
    decode_reply,
    encode_request,
)
from station.errors import MessageError
from station.transport.endpoints import Endpoint

TIMEOUT_S: Final = 2.0
"""A station answers within a second."""


class CommandClient:
    """One connection to the command socket of a run; not to be shared between threads."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: Endpoint, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._timeout_ms = round(timeout_s * 1000)
        self._numbers = itertools.count(1)
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.maxmsgsize = MAX_REPLY_BYTES
        endpoint.connect(self._socket)

    def ask(self, request: Request) -> Reply:
        """Send a request and return its reply; where none comes, one that says so. The request's ``id`` is set here."""
        request, refusal = self._send(request)
        if refusal is not None:
            return refusal
        while self._socket.poll(self._timeout_ms, zmq.POLLIN):
            try:
                reply = decode_reply(self._socket.recv_multipart())
            except MessageError as error:
                return _missing(request, f"the answer could not be read ({error})")
            if reply.id in (request.id, 0):  # not the late answer to an earlier one; 0: ours could not be read
                return reply
        return _missing(request, f"no answer within {self._timeout_ms / 1000:g} s: the station is busy or suspended")

    def ask_for_later(self, request: Request) -> None:
        """Send a request without waiting; its reply comes by ``replies``. Left out where the station reads nothing."""
        self._send(request)

    def replies(self) -> list[Reply]:
        """Return the replies that have come, oldest first, without those that can't be read; never waits."""
        found = []
        while self._socket.poll(0, zmq.POLLIN):
            with contextlib.suppress(MessageError):
                found.append(decode_reply(self._socket.recv_multipart()))
        return found

    def _send(self, request: Request) -> tuple[Request, Reply | None]:
        """Return the request as it was sent, and where it was not, what to answer."""
        request = request.model_copy(update={"id": next(self._numbers)})
        parts = encode_request(request)
        if len(parts[1]) > MAX_REQUEST_BYTES:
            said = f"a request of {len(parts[1])} bytes; at most {MAX_REQUEST_BYTES} are read"
            return request, _missing(request, said)
        try:
            self._socket.send_multipart(parts, zmq.DONTWAIT)
        except zmq.Again:
            return request, _missing(request, "the station does not read its command socket")
        return request, None

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _missing(request: Request, text: str) -> Reply:
    return Reply(id=request.id, name=request.name, outcome=Outcome.UNCONFIRMED, text=text)
