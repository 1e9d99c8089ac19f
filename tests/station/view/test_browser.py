"""The page in a real browser: that ring and cell agree, that a click selects the right sperm, keys, stale pictures."""

import math
import re
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bench.support.frame_code import BITS, SIDE_PX
from station.config import SimulatedSettings
from station.transport.messages import KinematicsInfo, TrackState
from station.view.commands import Known
from tests.support.browser import BrowserContext, Page, browser, page_at
from tests.support.looked_at_field import SETTINGS, Obedient, PlayedStation, looked_at

SIZE = (SETTINGS.width, SETTINGS.height)
RING_PX = 26
LOCKED = (0x35, 0xE0, 0xB0)
READ = """([bits, size, colour, [w, h]]) => {
  // What is on the canvas now: the number in the picture, the overlay's number, the centres of the rings of one colour.
  const canvas = document.querySelector('#picture');
  const context = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const zoom = Math.min(canvas.width / w, canvas.height / h);
  const left = canvas.width / 2 - w / 2 * zoom, top = canvas.height / 2 - h / 2 * zoom;
  const all = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const at = (x, y) => 4 * (Math.round(y * zoom + top) * canvas.width + Math.round(x * zoom + left));
  let number = 0;
  for (let bit = 0; bit < bits; bit++) if (all[at((bit + 0.5) * size, size / 2)] > 127) number |= 1 << bit;
  const points = [];
  for (let k = 0; k < all.length; k += 4)
    if (all[k] === colour[0] && all[k + 1] === colour[1] && all[k + 2] === colour[2]) {
      const pixel = k / 4;
      points.push([(pixel % canvas.width - left) / zoom - 0.5, (Math.floor(pixel / canvas.width) - top) / zoom - 0.5]);
    }
  return { number, overlay: Number(canvas.dataset.frameSeq), points };
}"""


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with browser() as opened:
        yield opened


@pytest.fixture
def commands() -> Obedient:
    return Obedient()


@pytest.fixture
def played(commands: Obedient) -> Iterator[tuple[str, PlayedStation]]:
    with looked_at(commands=commands) as (server, played):
        played.coded = True
        yield server.address.link, played
        server.check()


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a position of the frame is on the page, at the zoom that shows the whole field."""
    box = page.locator("#picture").bounding_box()
    assert box is not None
    zoom = min(box["width"] / SETTINGS.width, box["height"] / SETTINGS.height)
    left = box["x"] + box["width"] / 2 - SETTINGS.width / 2 * zoom
    top = box["y"] + box["height"] / 2 - SETTINGS.height / 2 * zoom
    return left + (x + 0.5) * zoom, top + (y + 0.5) * zoom


def asked(commands: Obedient, name: str) -> Any:
    deadline = time.monotonic() + 10
    while not (found := [ask for ask in commands.asked if ask.name == name]):
        assert time.monotonic() < deadline, commands.asked
        time.sleep(0.02)
    return found[-1]


def test_ring_and_cell_are_of_the_same_frame(context: BrowserContext, played: tuple[str, PlayedStation]) -> None:
    link, station = played
    moved = 0.0
    with page_at(context, link) as page:
        before: dict[int, tuple[float, float]] = {}
        for _ in range(25):
            seen = page.evaluate(READ, [BITS, SIDE_PX, LOCKED, SIZE])
            assert seen["number"] == seen["overlay"], "the overlay is of another frame than the picture"
            for track in station.tracks(seen["overlay"]):
                inside = 40 < track.x < SETTINGS.width - 40 and 60 < track.y < SETTINGS.height - 40
                if track.state is not TrackState.LOCKED or not inside:
                    continue
                distances = [math.hypot(x - track.x, y - track.y) for x, y in seen["points"]]
                ring = [distance for distance in distances if RING_PX - 6 < distance < RING_PX + 6]
                if len(ring) > 20:  # a ring that lagged would be too near on one side and too far on the other
                    assert statistics.median(abs(distance - RING_PX) for distance in ring) < 1.5
                old = before.get(track.sperm_id, (track.x, track.y))
                moved = max(moved, abs(track.x - old[0]))
                before[track.sperm_id] = (track.x, track.y)
            time.sleep(0.06)
    assert moved > 2, "nothing swam: the test would not have noticed a lag"


def stand_still(page: Page, station: PlayedStation) -> dict[int, tuple[float, float]]:
    """Let the field stand still, so that what the test points at does not swim away; where the locked sperm are."""
    station.paused.set()
    time.sleep(0.2)
    page.wait_for_selector(f"#picture[data-frame-seq='{station.played - 1}']")
    tracks = station.tracks(station.played - 1)
    return {track.sperm_id: (track.x, track.y) for track in tracks if track.state is TrackState.LOCKED}


def free_place(rings: dict[int, tuple[float, float]]) -> tuple[float, float]:
    """A place far from all rings."""
    places = [(float(x), float(y)) for x in range(40, 620, 60) for y in range(40, 460, 60)]
    return max(places, key=lambda place: min(abs(place[0] - x) + abs(place[1] - y) for x, y in rings.values()))


def test_a_click_selects_the_place_in_the_frame_and_a_ring_is_focused_or_released(
    context: BrowserContext, played: tuple[str, PlayedStation], commands: Obedient
) -> None:
    link, station = played
    with page_at(context, link) as page:
        rings = stand_still(page, station)
        place = free_place(rings)
        page.mouse.click(*on_screen(page, *place))
        select = asked(commands, "select")
        assert (select.x, select.y) == pytest.approx(place, abs=1.0)
        page.locator("#said", has_text="select: done").wait_for()
        number, ring = next(iter(rings.items()))
        page.mouse.click(*on_screen(page, *ring))
        page.wait_for_selector(f".card.focused[data-sperm='{number}']")
        page.mouse.click(*on_screen(page, *ring), button="right")
        assert asked(commands, "release").sperm_id == number


def test_a_click_is_right_at_any_zoom(
    context: BrowserContext, played: tuple[str, PlayedStation], commands: Obedient
) -> None:
    link, station = played
    with page_at(context, link) as page:
        stand_still(page, station)
        place = (300.0, 230.0)  # near the middle: at the edge of the field the view would stop there
        on_page = on_screen(page, *place)
        page.mouse.move(*on_page)
        for _ in range(3):
            page.mouse.wheel(0, -200)  # the place under the pointer stays where it is
        time.sleep(0.3)
        page.keyboard.down("Shift")  # also where a ring is
        page.mouse.click(*on_page)
        page.keyboard.up("Shift")
        select = asked(commands, "select")
        assert (select.x, select.y) == pytest.approx(place, abs=1.0)


def test_keys_are_shown_and_work(context: BrowserContext, played: tuple[str, PlayedStation]) -> None:
    link, _ = played
    with page_at(context, link) as page:
        page.keyboard.press("?")
        assert "whole field" in page.locator("#help").inner_text()
        page.keyboard.press("?")
        assert page.locator("#help[open]").count() == 0
        page.keyboard.press("c")
        page.wait_for_selector("#camera:not([hidden])")
        page.locator("#camera", has_text="saturated").wait_for()
        page.keyboard.press("d")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_operators_keys_ask_the_station(
    context: BrowserContext, played: tuple[str, PlayedStation], commands: Obedient
) -> None:
    link, station = played
    with page_at(context, link) as page:
        stand_still(page, station)
        numbers = sorted(track.sperm_id for track in station.tracks(station.played - 1))
        page.keyboard.press("r")
        page.locator("#said", has_text="Focus a sperm first").wait_for()
        page.keyboard.press("n")
        page.wait_for_selector(f".card.focused[data-sperm='{numbers[0]}']")
        page.keyboard.press(str(numbers[-1]))
        page.wait_for_selector(f".card.focused[data-sperm='{numbers[-1]}']")
        page.keyboard.press("m")
        mark = asked(commands, "mark")
        assert (mark.sperm_id, mark.note) == (numbers[-1], None)
        commands.asked.clear()
        page.locator(".card.focused button", has_text="note").click()
        page.keyboard.type("good tail")
        page.keyboard.press("Enter")
        mark = asked(commands, "mark")
        assert (mark.sperm_id, mark.note) == (numbers[-1], "good tail")
        page.keyboard.press("t")
        page.keyboard.type("new droplet")
        page.keyboard.press("Enter")
        assert asked(commands, "note").text == "new droplet"
        for key, name in (("k", "keep"), ("a", "replace_lost"), ("s", "select_next"), ("u", "select_previous")):
            page.keyboard.press(key)
            asked(commands, name)
        page.keyboard.press("q")
        page.keyboard.press("Escape")
        page.keyboard.press("r")
        assert asked(commands, "release").sperm_id == numbers[-1]
        assert not [ask for ask in commands.asked if ask.name == "quit"], "quit asks first"
        page.keyboard.press("q")
        page.keyboard.press("Enter")
        asked(commands, "quit")


def test_a_key_held_down_acts_once_and_a_number_that_is_not_there_leaves_no_focus(
    context: BrowserContext, played: tuple[str, PlayedStation], commands: Obedient
) -> None:
    link, station = played
    with page_at(context, link) as page:
        stand_still(page, station)
        page.keyboard.press("n")
        page.wait_for_selector(".card.focused")
        for _ in range(3):
            page.keyboard.down("m")  # what is down already comes as a repetition
        page.keyboard.up("m")
        page.keyboard.press("k")
        page.locator("#said", has_text="keep: done").wait_for()  # else the answer may cover what is said next
        assert [ask.name for ask in commands.asked].count("mark") == 1
        page.keyboard.press("9")
        page.locator("#said", has_text="There is no sperm 9").wait_for()
        page.keyboard.press("m")
        page.locator("#said", has_text="Focus a sperm first").wait_for()
        assert [ask.name for ask in commands.asked].count("mark") == 1


def test_two_clicks_and_a_length_give_an_objective_its_scale(
    context: BrowserContext, played: tuple[str, PlayedStation], commands: Obedient
) -> None:
    link, station = played
    with page_at(context, link) as page:
        stand_still(page, station)
        page.keyboard.press("l")
        page.mouse.click(*on_screen(page, 100.0, 200.0))
        page.mouse.click(*on_screen(page, 500.0, 230.0))  # 401.1 px
        page.locator("#prompt", has_text="100.").wait_for()  # um at the source's 0.25 um/px
        page.keyboard.type("80.22")
        page.locator("#prompt input").nth(1).fill("40x")
        page.keyboard.press("Enter")
        kept = asked(commands, "calibrate")
        assert (kept.objective, kept.length_um) == ("40x", 80.22)
        assert kept.length_px == pytest.approx(401.1, rel=0.005)
        station.hub.known = Known(objectives={"20x": 0.5, "40x": 0.25})
        page.keyboard.press("c")
        page.locator("#camera option", has_text="40x").wait_for(state="attached")
        page.keyboard.press("o")
        assert asked(commands, "objective").objective == "20x"


def test_a_picture_that_stands_still_is_said_to_be_old(
    context: BrowserContext, played: tuple[str, PlayedStation]
) -> None:
    link, station = played
    with page_at(context, link) as page:
        page.locator(".card:not(.old) .share:visible").first.wait_for()
        assert page.locator("#gone").is_hidden()
        station.paused.set()
        page.locator(".card.old .worth", has_text="STALE").first.wait_for()
        page.locator("#gone", has_text="s old").wait_for()
        station.paused.clear()
        page.wait_for_selector("#gone", state="hidden")


def test_order_candidates_and_attention_come_on_request_alone(
    context: BrowserContext, played: tuple[str, PlayedStation], commands: Obedient
) -> None:
    link, station = played
    station.candidates = [[111.0, 222.0]]
    with page_at(context, link) as page:
        page.locator(".card:not(.old) .share:visible").first.wait_for()
        assert page.locator("#ranking").is_hidden()
        page.keyboard.press("g")
        page.locator("#ranking", has_text="asked for; it is no recommendation").wait_for()
        page.locator("#ranking", has_text=re.compile(r"1\. sperm \d")).wait_for()
        page.keyboard.press("g")
        page.wait_for_selector("#ranking", state="hidden")
        page.keyboard.press("n")
        assert page.locator(".looked:visible").count() == 0
        page.keyboard.press("v")
        page.locator(".card.focused .looked:visible").wait_for()
        page.keyboard.press("v")
        page.locator(".card.focused .looked").wait_for(state="hidden")
        assert not [ask for ask in commands.asked if ask.name == "candidates"]
        page.keyboard.press("x")
        asked(commands, "candidates")
        page.keyboard.press("x")
        page.locator("#said", has_text="Candidates are hidden").wait_for()


def test_a_blind_run_leaves_no_grade_in_the_page(context: BrowserContext, played: tuple[str, PlayedStation]) -> None:
    link, station = played
    with page_at(context, link) as page:
        page.locator(".card:not(.old) .share:visible").first.wait_for()
        page.keyboard.press("n")
        page.locator(".card.focused .more td", has_text="%").first.wait_for()
        station.blind = True
        page.locator("#blind", has_text="BLIND: grades are hidden").wait_for()
        page.locator(".card .none", has_text="hidden until a choice is marked").first.wait_for()
        station.kinematics = KinematicsInfo(vcl_um_s=45.0, vsl_um_s=22.0, lin=0.49, motility="slow", rate_hz=50.0)
        page.locator(".card.focused .swims:visible", has_text="slow: VCL 45").wait_for()  # these are no grades
        cards = page.locator("#cards").evaluate("cards => cards.outerHTML")
        assert not re.findall(r"\d %|grade [A-E] \d|experts (?:agreed|mixed|split)|s old", cards)
        station.blind = False
        page.locator(".card:not(.old) .share:visible").first.wait_for()
        page.wait_for_selector("#blind", state="hidden")


def test_the_end_of_the_station_is_said(context: BrowserContext) -> None:
    with looked_at() as (server, _):
        page = context.new_page()
        page.goto(server.address.link)
        page.wait_for_selector("#picture[data-frame-seq]")
    page.locator("#title", has_text="NOT CONNECTED").wait_for()
    assert "Nothing here is live" in page.locator("#gone").inner_text()
    page.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_everything_that_must_be_seen_is_on_the_page(context: BrowserContext, size: str, scheme: str) -> None:
    settings = SimulatedSettings(sperm=12, debris=20, fps=15)
    with looked_at(settings) as (server, station):
        station.states = {
            1: (TrackState.LOCKED, ""),
            2: (TrackState.UNCERTAIN, "crossing"),
            3: (TrackState.LOST, "not found again"),
        }
        station.disturbance = "stage moving"
        with page_at(context, server.address.link, size, scheme) as page:
            page.locator(".age", has_text="s old").first.wait_for()
            text = page.locator("body").inner_text()
            assert "For research use only. Not for use in diagnostic procedures." in text
            assert "DEMONSTRATION" in text
            assert "stage moving" in text
            for word in ("locked", "uncertain", "crossing", "lost", "16/16", "s old"):
                assert word in text, text
            for selector in ("#notice", "#demonstration", "#title", "#field-caution"):
                box = page.locator(selector).bounding_box()
                assert box is not None
                assert box["y"] + box["height"] <= page.viewport_size["height"]  # type: ignore[index]
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
