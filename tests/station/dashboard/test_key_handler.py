"""What keys do: focus, questions, answers; and that each key that is listed does what it says."""

from dataclasses import dataclass, field

import pytest

from station.dashboard.key_handler import ASK_S, ENTRY, KEYS, MESSAGE_S, MOST_TEXT, QUESTION, Answer, KeyHandler
from station.dashboard.snapshot import ScreenState


@dataclass
class Run:
    """A run that notes what it is asked for."""

    sperm_ids: list[int] = field(default_factory=lambda: [1, 2, 3, 12])
    recording: bool = True
    marked: set[int] = field(default_factory=set)
    offers: set[str] = field(default_factory=lambda: {key.asks for key in KEYS if key.asks})
    asked: list[tuple[str, int | None, str]] = field(default_factory=list)

    def ask(self, name: str, answer: Answer, *, sperm_id: int | None = None, text: str = "") -> None:
        self.asked.append((name, sperm_id, text))
        answer(f"{name} is done.")


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


def test_what_the_screen_showed_before_is_taken_up_once_its_sperm_is_tracked(run: Run, clock: Clock) -> None:
    run.sperm_ids = []
    handler = KeyHandler(run, clock, before=ScreenState(focus=12, ranked=True, message="Again."))
    assert (handler.screen.focus, handler.screen.ranked, handler.screen.message) == (None, True, "Again.")
    handler.press(["."])
    run.sperm_ids = [1, 12]
    assert handler.screen.focus == 12
    run.sperm_ids = [1]
    assert handler.screen.focus is None
    run.sperm_ids = [1, 12]
    assert handler.screen.focus is None, "once only"


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


def test_a_number_that_is_not_there_leaves_no_focus_for_the_next_key(handler: KeyHandler, run: Run) -> None:
    handler.press(["3", "7", "m"])
    assert (handler.screen.focus, run.asked) == (None, [])


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


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("k", ("keep", None, "")),
        ("o", ("objective", None, "")),
        ("b", ("blind", None, "")),
        ("A", ("replace_lost", None, "")),
        ("s", ("select_next", None, "")),
        ("u", ("select_previous", None, "")),
        ("r", ("release", 3, "")),
        ("m", ("mark", 3, "")),
    ],
)
def test_keys_ask_the_run_and_show_its_answer_for_a_while(
    handler: KeyHandler, run: Run, clock: Clock, key: str, expected: tuple[str, int | None, str]
) -> None:
    handler.press(["3", key])
    assert run.asked == [expected]
    assert handler.screen.message == f"{expected[0]} is done."
    clock.now_s += MESSAGE_S
    assert handler.screen.message == ""


@pytest.mark.parametrize("key", ["r", "m"])
def test_what_is_about_one_sperm_needs_a_focus(handler: KeyHandler, run: Run, key: str) -> None:
    handler.press([key])
    assert (run.asked, handler.screen.message) == ([], "Focus a sperm first: its number, or n.")


def test_what_a_run_does_not_offer_is_answered_and_not_listed(handler: KeyHandler, run: Run) -> None:
    run.offers = {"keep"}
    handler.press(["s", "?"])
    assert handler.screen.message == "Not in this run: select the next best."
    assert run.asked == []
    assert [shown for shown, _ in handler.screen.keys if len(shown) == 1] == ["q", "?", "k", "g"]


def test_a_note_is_written_and_sent(handler: KeyHandler, run: Run) -> None:
    handler.press(["t", *"Sperm 2q", "backspace", "?", " ", "é"])
    assert handler.screen.question == f"{ENTRY}Sperm 2? é_"
    assert run.asked == []
    assert not handler.press(["enter"])
    assert run.asked == [("note", None, "Sperm 2? é")]
    assert handler.screen.question == ""


def test_a_note_is_dropped_or_empty(handler: KeyHandler, run: Run) -> None:
    handler.press(["t", *"x", "esc", "t", " ", "enter", "t", "up", "page down", "esc"])
    assert (run.asked, handler.screen.question) == ([], "")


def test_a_note_has_a_longest_length(handler: KeyHandler, run: Run) -> None:
    handler.press(["t", *"x" * 600, "enter"])
    assert len(run.asked[0][2]) == MOST_TEXT


def test_marks_are_shown_whoever_made_them(handler: KeyHandler, run: Run) -> None:
    run.marked.add(2)
    assert handler.screen.marked == {2}


def test_help_opens_and_closes(handler: KeyHandler) -> None:
    handler.press(["2", "?"])
    assert len(handler.screen.keys) == len(KEYS)
    handler.press(["esc"])
    assert (handler.screen.keys, handler.screen.focus) == ((), 2)
    handler.press(["?", "?"])
    assert handler.screen.keys == ()


def test_every_key_is_listed_once() -> None:
    shown = [key.shown for key in KEYS]
    assert len(set(shown)) == len(shown)
    assert all(len(key.does) <= 27 and len(key.shown) <= 10 for key in KEYS), "two columns of 40"
