"""What the terminal's keys ask of the run: carried out by the same operator as every other request.

It words answers as sentences for the screen; it knows no keys and no terminal.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from station.commands.operator import Operator
from station.commands.requests import (
    PLAYS,
    BlindRequest,
    KeepRequest,
    MarkRequest,
    NoteRequest,
    ObjectiveRequest,
    ReleaseRequest,
    ReplaceLostRequest,
    Reply,
    Request,
    SelectNextRequest,
    SelectPreviousRequest,
    UnblindRequest,
)

ASKER: Final = "screen"
Answer = Callable[[str], None]
SELECTIONS: Final = frozenset({"select_next", "select_previous", "release", "replace_lost", "objective"})
"""What a replay does not offer, as it follows the recording."""
RECORDS: Final = frozenset({"mark", "note", "keep", "blind"})
PLAIN: Final[Mapping[str, Callable[..., Request]]] = {
    "select_next": SelectNextRequest,
    "select_previous": SelectPreviousRequest,
    "replace_lost": ReplaceLostRequest,
    "keep": KeepRequest,
    "blind": BlindRequest,
    "unblind": UnblindRequest,
    **PLAYS,
}


class ScreenRun:
    """The run as the key handler sees it (``station.dashboard.key_handler.Run``)."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    @property
    def sperm_ids(self) -> Sequence[int]:
        """The sperm that are tracked now, in the order of the rows."""
        return self._operator.tracked_ids

    @property
    def recording(self) -> bool:
        """True while something is being recorded."""
        return not self._operator.why_not_recorded

    @property
    def marked(self) -> Collection[int]:
        """The sperm that are marked as chosen, by any means."""
        return self._operator.marked

    @property
    def offers(self) -> Collection[str]:
        """What can be asked for in this run, by the names of the requests."""
        records = RECORDS if self._operator.records else frozenset()
        if self._operator.reviews:
            records = frozenset({"mark", "note"})
        if self._operator.plays:
            records |= frozenset(PLAYS)
        return records - {"blind"} if self._operator.is_replay else SELECTIONS | records

    def ask(self, name: str, answer: Answer, *, sperm_id: int | None = None, text: str = "") -> None:
        """Ask for something that the run offers; ``answer`` is called once, now or within a second."""

        def say(reply: Reply) -> None:
            text = f"noted: {reply.text}" if reply.done and name == "note" else reply.text
            answer(f"{text[:1].upper()}{text[1:]}.")

        if name == "blind" and self._operator.is_blind:
            name = "unblind"
        if name == "objective":
            text = self._operator.next_objective
            if not text:
                answer("No objective is known: write [objectives], or calibrate one in the live view (l).")
                return
        self._operator.carry_out(_request(name, sperm_id, text), say)


def _request(name: str, sperm_id: int | None, text: str) -> Request:
    """Return the request; it needs no key, for it does not come from outside."""
    if name == "note":
        return NoteRequest(key="", asked_by=ASKER, text=text)
    if name == "objective":
        return ObjectiveRequest(key="", asked_by=ASKER, objective=text)
    if name == "mark" and sperm_id is not None:
        return MarkRequest(key="", asked_by=ASKER, sperm_id=sperm_id, note=text)
    if name == "release" and sperm_id is not None:
        return ReleaseRequest(key="", asked_by=ASKER, sperm_id=sperm_id)
    return PLAIN[name](key="", asked_by=ASKER)
