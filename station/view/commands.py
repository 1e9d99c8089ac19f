"""What the page can ask for, and the one way by which it is asked: the station's own command socket.

The view carries nothing out itself. What the page asks goes to the main process as a request like any other
(``station.commands``), with "view" as the asker; its answer comes back in the station's words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self

import zmq
from pydantic import ValidationError

from station.commands.client import CommandClient
from station.commands.requests import REQUESTS, StatusRequest
from station.transport.endpoints import Endpoints

ASKER = "view"
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the page; which fields apply depends on ``name``, as in docs/wire.md."""

    name: str
    x: float | None = None
    y: float | None = None
    sperm_id: int | None = None
    note: str | None = None
    text: str | None = None
    objective: str | None = None
    length_px: float | None = None
    length_um: float | None = None
    exposure_us: float | None = None
    gain: float | None = None
    trigger: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What was done, or why not, in one sentence."""

    done: bool
    text: str
    sperm_id: int | None = None
    """Of a selection: the number it was given."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the main process alone knows."""

    marked: frozenset[int] = frozenset()
    """The sperm that are marked as chosen, by any means."""
    objectives: Mapping[str, float] = field(default_factory=dict)
    """Scale in um/px by name."""


class Commands(Protocol):
    """Asks the main process; called in a thread that may wait, at most about a second."""

    def ask(self, asked: Asked) -> Answered:
        """Send one request and return its answer. Never raises for a refusal or a timeout: the answer says so."""
        ...


class StationCommands:
    """The command socket of this run. ``ask`` belongs to one thread, what is known to another."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints) -> None:
        self._key = endpoints.key
        self._client = CommandClient(context, endpoints.commands, TIMEOUT_S)
        self._status = CommandClient(context, endpoints.commands)

    def ask(self, asked: Asked) -> Answered:
        """Send one request and return its answer."""
        given: dict[str, Any] = {
            given_field.name: value
            for given_field in fields(asked)
            if given_field.name != "name" and (value := getattr(asked, given_field.name)) is not None
        }
        try:
            request = REQUESTS.validate_python({"name": asked.name, "key": self._key, "asked_by": ASKER, **given})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return Answered(False, f"{asked.name}: {first['msg'][0].lower()}{first['msg'][1:]}")
        reply = self._client.ask(request)
        return Answered(reply.done, reply.text, reply.sperm_id)

    def ask_what_is_known(self) -> None:
        """Ask what the main process alone knows, without waiting for it."""
        self._status.ask_for_later(StatusRequest(key=self._key, asked_by=ASKER))

    def known(self) -> Known | None:
        """Return what the main process has said since; None where it has said nothing. Never waits."""
        found = [reply.status for reply in self._status.replies() if reply.status is not None]
        if not found:
            return None
        marked = frozenset(sperm.sperm_id for sperm in found[-1].sperm if sperm.marked)
        return Known(marked, found[-1].objectives)

    def close(self) -> None:
        """Close both connections; may be called more than once."""
        self._client.close()
        self._status.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
