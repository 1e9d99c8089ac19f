"""What the page can ask for, and the one way by which it is asked: the station's own command socket.

The view carries nothing out itself. What the page asks goes to the main process as a request like any other
(``station.commands``), with "view" as the asker; its answer comes back in the station's words.
"""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import zmq
from pydantic import ValidationError

from station.commands.client import CommandClient
from station.commands.requests import REQUESTS, StatusRequest
from station.transport.endpoints import Endpoints

ASKER = "view"
TIMEOUT_S = 2.0
STATUS_TIMEOUT_S = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the page; which fields apply depends on ``name``, as in docs/wire.md."""

    name: str
    x: float | None = None
    y: float | None = None
    sperm_id: int | None = None
    note: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What was done, or why not, in one sentence."""

    done: bool
    text: str
    sperm_id: int | None = None
    """Of a selection: the number it was given."""


class Commands(Protocol):
    """Asks the main process; called in a thread that may wait, at most about a second."""

    def ask(self, asked: Asked) -> Answered:
        """Send one request and return its answer. Never raises for a refusal or a timeout: the answer says so."""
        ...


class StationCommands:
    """The command socket of this run. ``ask`` belongs to one thread, ``marked`` to another."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints) -> None:
        self._key = endpoints.key
        self._client = CommandClient(context, endpoints.commands, TIMEOUT_S)
        self._status = CommandClient(context, endpoints.commands, STATUS_TIMEOUT_S)

    def ask(self, asked: Asked) -> Answered:
        """Send one request and return its answer."""
        given: dict[str, Any] = {
            field: value
            for field in ("x", "y", "sperm_id", "note", "text")
            if (value := getattr(asked, field)) is not None
        }
        try:
            request = REQUESTS.validate_python({"name": asked.name, "key": self._key, "asked_by": ASKER, **given})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return Answered(False, f"{asked.name}: {first['msg'][0].lower()}{first['msg'][1:]}")
        reply = self._client.ask(request)
        return Answered(reply.done, reply.text, reply.sperm_id)

    def marked(self) -> frozenset[int] | None:
        """Return which sperm are marked, by any means; None where the station does not say."""
        reply = self._status.ask(StatusRequest(key=self._key, asked_by=ASKER))
        if reply.status is None:
            return None
        return frozenset(sperm.sperm_id for sperm in reply.status.sperm if sperm.marked)

    def close(self) -> None:
        """Close both connections; may be called more than once."""
        self._client.close()
        self._status.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
