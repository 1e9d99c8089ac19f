"""The rater's page in a real browser: by keys, undone, reloaded, offline and back, in two tabs, on a phone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import BrowserContext, Page, browser
from tests.support.rating_study import Served, served
from trainer.rating.links import revoke_links
from trainer.rating.orders import Kind
from trainer.rating.records import Person

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytest.importorskip("uvicorn", reason="the rating server needs the extra rate")

TEXT = """\
repeats = 0.1
reasons = ["out of focus", "other"]
[grades]
A = "the best: I would choose it"
B = "good"
C = "ordinary"
D = "poor: only if there is nothing else"
E = "never"
[[calibration]]
clip = "clip-003"
grade = "B"
why = "straight and fast"
"""
SHOTS = os.environ.get("RATING_SHOTS")
"""A folder for pictures, to be looked at."""


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with browser() as opened:
        yield opened


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, TEXT, clips=30) as found:
        yield found


@contextmanager
def opened(context: BrowserContext, study: Served, rater: str = "anna", size: tuple[int, int] = (1280, 800)) -> (
    Iterator[Page]
):  # fmt: skip
    said: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if "Failed to load" not in message.text else None)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(study.raters[rater].url)
    page.locator("#grades button").first.wait_for()
    try:
        yield page
        assert said == []
    finally:
        page.close()


def grade(page: Page, key: str) -> int:
    """Press a key once the next clip can be graded; return the position of the clip."""
    position = ready(page)
    page.keyboard.press(key)
    page.wait_for_selector(f"#clip:not([data-position='{position}'])")
    return position


def feedback(page: Page, *words: str) -> None:
    """Wait until the agreed grade of the practice clip on the screen is shown, in these words."""
    for text in words:
        page.locator("#agreed", has_text=text).wait_for()
    page.locator("#go-on:enabled").wait_for()
    page.wait_for_timeout(300)  # the page takes no key earlier


def on_screen(page: Page) -> int:
    return int(page.locator("#clip").get_attribute("data-position") or -1)


def ready(page: Page) -> int:
    """Wait until a clip can be graded; return its position."""
    page.wait_for_selector("#grades button:enabled")
    position = int(page.locator("#clip").get_attribute("data-position") or -1)
    page.wait_for_timeout(300)  # the page takes no key earlier
    return position


def practised(page: Page, key: str) -> None:
    """Grade the practice clip and go on once its agreed grade was shown."""
    position = ready(page)
    page.keyboard.press(key)
    feedback(page)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#clip:not([data-position='{position}'])")


def saved(page: Page) -> None:
    page.locator("#saved", has_text="all saved").wait_for()


def shot(page: Page, name: str) -> None:
    if SHOTS:
        (Path(SHOTS) / f"{name}.png").write_bytes(page.screenshot())


def votes(study: Served, rater: str = "anna") -> dict[int, str]:
    with study.open_store() as store:
        return {head.position: head.grade or head.reason for head in store.heads(rater) if not head.open}


def test_thirty_clips_by_keys_with_undo_reload_no_network_and_a_second_tab(
    context: BrowserContext, study: Served
) -> None:
    expected: dict[int, str] = {}
    with opened(context, study) as page:
        assert page.locator("#kind").is_visible()  # the practice clip
        practised(page, "1")
        expected[0] = "A"
        for key in "23451":
            expected[grade(page, key)] = "ABCDE"[int(key) - 1]
        shot(page, "desk")
        # Undo: the clip comes again and is graded otherwise.
        position = grade(page, "5")
        page.keyboard.press("u")
        page.wait_for_selector(f"#clip[data-position='{position}']")
        assert grade(page, "2") == position
        expected[position] = "B"
        # Can't be judged, with a reason by its key.
        position = ready(page)
        page.keyboard.press("0")
        page.locator("#dialog textarea").fill("<img src=x onerror=alert(1)>")
        shot(page, "reasons")
        page.locator("#dialog button", has_text="out of focus").click()
        expected[position] = "out of focus"
        saved(page)
        # Reload in the middle.
        page.reload()
        page.locator("#progress", has_text="8 of 33").wait_for()
        for key in "3333":
            expected[grade(page, key)] = "C"
        assert "left" in page.locator("#progress").inner_text()
        # No network: votes are kept, over a reload too.
        saved(page)
        context.set_offline(True)
        expected[grade(page, "4")] = "D"
        expected[grade(page, "4")] = "D"
        page.locator("#saved", has_text="2 not sent yet, kept in this browser").wait_for()
        shot(page, "offline")
        assert len(votes(study)) == len(expected) - 2
        context.set_offline(False)
        saved(page)
        assert votes(study) == expected
        # A second tab of the same rater, which has not heard of what the first has graded.
        with opened(context, study) as other:
            position = ready(other)
            assert grade(page, "1") == position
            expected[position] = "A"
            saved(page)
            other.keyboard.press("5")
            other.locator("#said", has_text="graded in another tab").wait_for()
            expected[grade(other, "3")] = "C"
            saved(other)
        page.reload()
        while len(expected) < 33:
            expected[grade(page, "2")] = "B"
        page.locator("#waiting", has_text="All clips are graded").wait_for()
        saved(page)
        shot(page, "done")
    assert votes(study) == expected
    with study.open_store() as store:
        kinds = [item.kind for item, _ in store.items("anna")]
        assert [kinds.count(kind) for kind in Kind] == [1, 29, 3]
        aside = [vote for vote in store.history() if not vote.counts]
        assert [(vote.grade, vote.why) for vote in aside] == [
            ("E", "this clip was graded in another tab or browser before")
        ]


PRACTICE = """[[calibration]]
clip = "clip-003"
grade = "B"
why = "straight and fast, a small droplet that does not count"
[[calibration]]
clip = "clip-004"
grade = "E"
[[calibration]]
clip = "clip-005"
grade = "B"
"""


def test_an_agreed_grade_is_shown_while_its_clip_is_on_the_screen(context: BrowserContext, tmp_path: Path) -> None:
    with served(tmp_path, PRACTICE, clips=12) as study, opened(context, study) as page:
        ready(page)
        page.keyboard.press("1")
        feedback(page, "Agreed grade: B, good", "Yours: A, the best", "straight and fast")
        assert on_screen(page) == 0
        assert page.locator("#grades").is_hidden()
        assert page.evaluate("new Promise((done) => { const clip = document.querySelector('#clip'), frame = "
                             "clip.dataset.frame; const look = () => clip.dataset.frame === frame ? "
                             "requestAnimationFrame(look) : done(true); look(); })")  # fmt: skip
        shot(page, "calibrated")
        page.keyboard.press("3")  # grades nothing
        page.keyboard.press("0")
        assert page.locator("#dialog").is_hidden()
        # Reloaded, it is there again; undone, the clip is graded anew.
        page.reload()
        feedback(page, "Agreed grade: B", "Yours: A")
        assert on_screen(page) == 0
        page.keyboard.press("u")
        assert ready(page) == 0
        assert page.locator("#agreed").is_hidden()
        page.reload()
        assert ready(page) == 0
        page.keyboard.press("0")
        page.locator("#dialog button", has_text="out of focus").click()
        feedback(page, "Yours: can't be judged, out of focus")
        page.locator("#go-on").click()
        page.wait_for_selector("#clip[data-position='1']")
        # Refused: said so, and the next clip can be graded; loaded again, the clip wants a grade again.
        page.route("**/api/acts", lambda route: route.fulfill(status=422, json={"why": "No such clip"}))
        ready(page)
        page.keyboard.press("2")
        feedback(page, "This vote was refused", "No such clip. Tell the lead.")
        shot(page, "calibration-refused")
        page.keyboard.press("Enter")
        page.wait_for_selector("#clip[data-position='2']")
        page.unroute("**/api/acts")
        page.reload()
        assert ready(page) == 1
        practised(page, "5")
        # Without a network one may wait or go on; what was not seen comes before a later clip.
        ready(page)
        context.set_offline(True)
        page.keyboard.press("2")
        feedback(page, "Not sent yet")
        shot(page, "calibration-offline")
        page.keyboard.press("Enter")
        page.wait_for_selector("#clip[data-position='3']")
        assert page.locator("#agreed").is_hidden()
        assert not page.locator("#kind").is_visible()
        context.set_offline(False)
        saved(page)
        assert ready(page) == 3
        page.keyboard.press("4")
        feedback(page, "Agreed grade: B", "Yours: B")
        assert on_screen(page) == 2
        page.keyboard.press("Enter")
        assert grade(page, "1") == 4
        saved(page)
        assert votes(study) == {0: "out of focus", 1: "E", 2: "B", 3: "D", 4: "A"}


def test_a_first_load_that_fails_is_tried_again_and_a_link_that_has_ended_says_so(
    context: BrowserContext, tmp_path: Path
) -> None:
    with served(tmp_path, "browsers = 1", clips=6) as study:
        page = context.new_page()
        answers = iter([(503, "text/html", "<h1>Service Unavailable"), (200, "text/html", "<h1>Sign in"),
                        (403, "text/html", "<h1>Forbidden")])  # fmt: skip
        said = ["The server has a problem (503)", "Something else answers in the server's place",
                "The server has a problem (403)"]  # fmt: skip

        def fail(route: "Route") -> None:
            status, kind, body = next(answers)
            route.fulfill(status=status, content_type=kind, body=body)

        page.route("**/api/state", fail)
        page.goto(study.raters["anna"].url)
        for words in said:
            page.locator("#waiting", has_text=words).wait_for()
            shot(page, "first-load")
            context.set_offline(True)
            if words is said[-1]:
                page.unroute("**/api/state")
                page.locator("#waiting", has_text="No network. The page goes on").wait_for()
            context.set_offline(False)  # which is tried at once
        assert ready(page) == 0
        # Taken back while the page is open: the next clip and the next vote say it.
        with study.open_store() as store, store.all_or_nothing():
            revoke_links(store, Person("rater", "anna"))
        page.keyboard.press("2")
        page.locator("#waiting", has_text="This link was taken back. Ask the person who invited you").wait_for()
        page.locator("#saved", has_text="1 not sent, kept here").wait_for()
        shot(page, "taken-back")
        page.close()
        # Opened in another browser before.
        assert study.raters["ben"].get("api/state").status == 200
        page = context.new_page()
        page.goto(study.raters["ben"].url)
        page.locator("#waiting", has_text="This link has been opened in 1 browsers already").wait_for()
        page.close()
        with study.open_store() as store, store.all_or_nothing():
            store.set_closed(True)
            store.connection.execute("DELETE FROM browsers")
        page = context.new_page()
        page.goto(study.raters["ben"].url)
        page.locator("#waiting", has_text="This study is closed").wait_for()
        page.close()


def test_on_a_phone_everything_is_within_reach(context: BrowserContext, study: Served) -> None:
    sizes = {"phone": (390, 844), "small-phone": (360, 640), "tablet": (820, 1180), "lying": (844, 390)}
    for place, (name, size) in enumerate(sizes.items()):
        with opened(context, study, "ben", size) as page:
            position = ready(page)
            for button in page.locator("button:visible").all():
                box = button.bounding_box()
                assert box is not None
                assert 0 <= box["x"] <= size[0] - box["width"], button.inner_text()
                assert box["y"] + box["height"] <= size[1] + 1, button.inner_text()
                assert box["height"] >= 30
            canvas = page.locator("#clip").bounding_box()
            assert canvas is not None
            assert min(canvas["width"], canvas["height"]) > 140
            shot(page, name)
            page.locator("#grades button[data-grade=C]").click()
            if place == 0:  # the practice clip
                feedback(page, "Agreed grade: B")
                for other, (width, height) in sizes.items():
                    page.set_viewport_size({"width": width, "height": height})
                    shot(page, f"calibrated-{other}")
                    for button in page.locator("button:visible").all():
                        box = button.bounding_box()
                        assert box is not None
                        assert box["y"] + box["height"] <= height + 1, button.inner_text()
                page.locator("#go-on").click()
            page.wait_for_selector(f"#clip:not([data-position='{position}'])")
            saved(page)
    assert len(votes(study, "ben")) == 4


def test_single_frames_slow_motion_zoom_and_contrast(context: BrowserContext, study: Served) -> None:
    with opened(context, study) as page:
        ready(page)
        seen = page.evaluate(
            "() => new Promise((done) => { const seen = [], start = performance.now(); const look = (now) => { "
            "seen.push(Number(document.querySelector('#clip').dataset.frame)); "
            "now - start < 1500 ? requestAnimationFrame(look) : done(seen); }; requestAnimationFrame(look); })"
        )
        assert set(seen) == {0, 1, 2, 3}  # it loops
        page.keyboard.press(" ")
        page.locator("#play", has_text="Play").wait_for()
        before = page.locator("#frame").inner_text()
        page.keyboard.press("ArrowRight")
        assert page.locator("#frame").inner_text() != before
        page.keyboard.press("ArrowLeft")
        page.locator("#frame", has_text=before).wait_for()
        page.keyboard.press("s")
        page.locator("#speed", has_text="Half speed").wait_for()
        page.keyboard.press("c")
        assert "contrast(1.5)" in (page.locator("#clip").get_attribute("style") or "")
        page.keyboard.press("+")
        page.keyboard.press("d")
        shot(page, "night-zoomed")
        page.keyboard.press("?")
        page.locator("#dialog", has_text="play, pause").wait_for()
        shot(page, "keys")
    assert votes(study) == {}


def test_what_is_not_the_server_and_a_clock_that_steps_back_lose_no_vote(
    context: BrowserContext, study: Served
) -> None:
    with opened(context, study) as page:
        practised(page, "3")
        saved(page)
        page.route("**/api/acts", lambda route: route.fulfill(status=200, body="<p>Sign in to the guest network"))
        position = grade(page, "1")
        page.locator("#saved", has_text="1 not sent yet").wait_for()
        page.evaluate("() => { const now = Date.now; Date.now = () => now() - 3600000; }")
        page.keyboard.press("u")
        page.wait_for_selector(f"#clip[data-position='{position}']")
        # The space bar plays and pauses, whatever was pressed last.
        ready(page)
        page.locator("#grades button[data-grade=D]").click()
        page.wait_for_selector(f"#clip:not([data-position='{position}'])")
        after = ready(page)
        page.keyboard.press(" ")
        page.locator("#play", has_text="Play").wait_for()
        page.keyboard.press("Enter")
        page.locator("#grades button[data-grade=E]").focus()
        page.keyboard.press(" ")
        page.locator("#play", has_text="Pause").wait_for()
        assert int(page.locator("#clip").get_attribute("data-position") or -1) == after
        page.unroute("**/api/acts")
        page.reload()
        saved(page)
        with study.open_store() as store:
            assert [vote.grade for vote in store.history()] == ["C", "A", "", "D"]
            assert all(vote.counts for vote in store.history())
    assert votes(study) == {0: "C", position: "D"}


def test_a_clip_that_cannot_be_shown_is_passed_over(context: BrowserContext, study: Served) -> None:
    with study.open_store() as store:
        clip = store.items("anna")[1][0].clip
    (study.data / "clips" / f"{int(clip[5:])}.npz").write_bytes(b"damaged")
    with opened(context, study) as page:
        practised(page, "3")
        page.wait_for_selector("#clip[data-position='2']")
        assert ready(page) == 2


def test_a_break_is_proposed_and_a_closed_study_says_so(context: BrowserContext, tmp_path: Path) -> None:
    with served(tmp_path, "break_after_min = 0.01\nbreak_min = 1", clips=12) as study, opened(context, study) as page:
        ready(page)
        page.wait_for_timeout(700)  # more than 0.01 min of grading
        page.keyboard.press("2")
        page.locator("#dialog", has_text="Time for a break").wait_for()
        assert "left of the break" in page.locator("#dialog").inner_text()
        shot(page, "break")
        page.keyboard.press("3")  # grades nothing
        page.keyboard.press("Enter")
        assert ready(page) == 1
        with study.open_store() as store, store.all_or_nothing():
            store.set_closed(True)
        page.keyboard.press("4")
        page.locator("#waiting", has_text="This study is closed").wait_for()
        assert page.locator("#grades button:enabled").count() == 0
        assert votes(study) == {0: "B"}
        with study.open_store() as store:
            assert [(vote.grade, vote.why) for vote in store.history()] == [("B", ""), ("D", "the study was closed")]
