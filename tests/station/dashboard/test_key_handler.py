"""What keys do: focus, questions, answers; and that each key that is listed does what it says."""

from dataclasses import dataclass, field

import pytest

from station.dashboard.key_handler import ASK_S, KEYS, MESSAGE_S, QUESTION, Answer, KeyHandler


@dataclass
class Run:
    """A run that notes what it is asked for."""

    sperm_ids: list[int] = field(default_factory=lambda: [1, 2, 3, 12])
    recording: bool = True
    asked: list[str] = field(default_factory=list)

    def replace_lost(self, answer: Answer) -> None:
        self.asked.append("replace")
        answer("2 lost sperm released.")

    def keep(self, answer: Answer) -> None:
        self.asked.append("keep")
        answer("Keeping the last 30 s.")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def handler(run: Run, clock: Clock) -> KeyHandler:
    return KeyHandler(run, clock)


FOCUS = {
    "a number": (["3"], 3),
    "two digits": (["1", "2"], 12),
    "a number that is not there": (["7"], None),
    "another number later": (["3", "2"], 2),
    "next": (["n"], 1),
    "next, twice": (["n", "N"], 2),
    "previous, from none": (["p"], 12),
    "down and up": (["down", "down", "up"], 1),
    "past the end": (["3", "n", "n", "n"], 12),
    "a page": (["1", "page down"], 12),
    "a page back": (["p", "page up"], 1),
    "none": (["3", "esc"], None),
    "a key without a meaning": (["3", "x", "é"], 3),
}


@pytest.mark.parametrize("name", FOCUS)
def test_focus(handler: KeyHandler, name: str) -> None:
    keys, expected = FOCUS[name]
    assert not handler.press(keys)
    assert handler.screen.focus == expected


def test_digits_that_come_late_are_numbers_of_their_own(handler: KeyHandler, clock: Clock) -> None:
    handler.press(["1"])
    clock.now_s += 1.5
    handler.press(["2"])
    assert handler.screen.focus == 2


def test_a_number_that_is_not_there_is_answered(handler: KeyHandler) -> None:
    handler.press(["7"])
    assert handler.screen.message == "There is no sperm 7."


def test_the_focus_goes_with_its_sperm(handler: KeyHandler, run: Run) -> None:
    handler.press(["3"])
    run.sperm_ids.remove(3)
    assert handler.screen.focus is None
    run.sperm_ids.clear()
    handler.press(["n"])
    assert handler.screen.message == "No sperm is selected."


def test_q_asks_while_recording(handler: KeyHandler) -> None:
    assert not handler.press(["q"])
    assert handler.screen.question == QUESTION
    assert handler.press(["q"])


def test_any_other_key_means_no_and_nothing_else(handler: KeyHandler, run: Run) -> None:
    assert not handler.press(["q", "k"])
    assert handler.screen.question == ""
    assert handler.screen.message == "The run goes on."
    assert run.asked == []


def test_no_answer_means_no(handler: KeyHandler, clock: Clock) -> None:
    handler.press(["q"])
    clock.now_s += ASK_S
    assert handler.screen.question == ""
    assert not handler.press(["q"]), "it asks again"


def test_q_ends_at_once_where_nothing_is_recorded_or_nobody_can_be_asked(run: Run) -> None:
    assert KeyHandler(run, asks=False).press(["q"])
    run.recording = False
    assert KeyHandler(run).press(["Q"])


def test_keep_and_replace_are_answered_for_a_while(handler: KeyHandler, run: Run, clock: Clock) -> None:
    handler.press(["k"])
    assert handler.screen.message == "Keeping the last 30 s."
    handler.press(["A"])
    assert handler.screen.message == "2 lost sperm released."
    assert run.asked == ["keep", "replace"]
    clock.now_s += MESSAGE_S
    assert handler.screen.message == ""


def test_help_opens_and_closes(handler: KeyHandler) -> None:
    handler.press(["2", "?"])
    assert handler.screen.help
    handler.press(["esc"])
    assert (handler.screen.help, handler.screen.focus) == (False, 2)
    handler.press(["?", "?"])
    assert not handler.screen.help


def test_every_key_is_listed_once() -> None:
    shown = [key.shown for key in KEYS]
    assert len(set(shown)) == len(shown)
    assert all(len(key.does) <= 60 for key in KEYS)
