"""The operator at the live view of the whole program: what is clicked is tracked, and the record says who asked."""

import math
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from capture.simulator.microscope import SimulatedMicroscope
from capture.simulator.scenario import SpermTruth
from station.build_info import ROOT
from station.config import SimulatedSettings, load_config
from station.session.layout import LOG
from station.session.records import ActionRecord
from station.session.session_reader import Session
from tests.support.browser import Page, browser, page_at
from tests.support.page_client import next_picture, open_page, say
from tests.support.station_program import Station, wait_for

SETTINGS = """select_auto = 0
[simulated]
width = 480
height = 360
sperm = 8
debris = 10
stage_speed_px_s = 40.0
"""
EDGE_PX, APART_PX, NEAR_PX = 60, 50, 8
CLICKS = 5


def lonely(microscope: SimulatedMicroscope, seq: int, settings: SimulatedSettings) -> tuple[int, float, float] | None:
    """A sperm that is well inside the field and far from all others, now and for the next seconds."""
    ahead = [microscope.truth(seq + frames).sperm for frames in range(0, 90, 10)]
    for sperm in ahead[0]:
        if all(_alone(sperm.sperm_id, seen, settings) for seen in ahead):
            return sperm.sperm_id, sperm.x, sperm.y
    return None


def _alone(sperm_id: int, seen: tuple[SpermTruth, ...], settings: SimulatedSettings) -> bool:
    sperm = next((one for one in seen if one.sperm_id == sperm_id), None)
    if sperm is None or abs(sperm.defocus_um) > 5:
        return False
    inside = EDGE_PX < sperm.x < settings.width - EDGE_PX and EDGE_PX < sperm.y < settings.height - EDGE_PX
    others = [abs(sperm.x - other.x) + abs(sperm.y - other.y) for other in seen if other is not sperm]
    return inside and min(others, default=math.inf) > APART_PX


def click(page: Page, x: float, y: float, settings: SimulatedSettings) -> None:
    box = page.locator("#picture").bounding_box()
    assert box is not None
    zoom = min(box["width"] / settings.width, box["height"] / settings.height)
    left = box["x"] + (box["width"] - settings.width * zoom) / 2
    top = box["y"] + (box["height"] - settings.height * zoom) / 2
    page.mouse.click(left + (x + 0.5) * zoom, top + (y + 0.5) * zoom)


def test_the_sperm_that_is_clicked_is_tracked_while_the_stage_moves(station: Station) -> None:
    path = station.folder / "view.toml"
    path.write_text(SETTINGS)
    settings = load_config(path).simulated
    microscope = SimulatedMicroscope(settings)
    command = station.command("--config", str(path), "--headless", "--view")
    with (
        browser() as context,
        subprocess.Popen(
            command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        link = next(line for line in process.stdout if line.startswith("view")).split()[1]
        with page_at(context, link) as page:

            def shown() -> int:
                return int(page.locator("#picture").get_attribute("data-frame-seq") or 0)

            wait_for(lambda: shown() > 30)
            number = _clicked(
                page, link, lambda: wait_for(lambda: lonely(microscope, shown(), settings)), microscope, settings
            )
            page.keyboard.press(str(number))
            page.wait_for_selector(f".card.focused[data-sperm='{number}']")
            page.locator(".card.focused button", has_text="note").click()
            page.locator("#prompt[open]").wait_for()
            page.keyboard.type("straight tail")
            page.keyboard.press("Enter")
            page.locator("#said", has_text=f"sperm {number} marked as chosen: straight tail").wait_for()
            page.locator(f".card[data-sperm='{number}'] .marked").wait_for()
            page.keyboard.press("k")
            page.locator("#said", has_text=re.compile("keep|kept")).wait_for()
            page.keyboard.press("r")
            page.locator(f".card[data-sperm='{number}']").wait_for(state="detached")
            page.keyboard.press("q")
            page.keyboard.press("Enter")
            page.locator("#title", has_text="NOT CONNECTED").wait_for()
        output = process.stdout.read()
        assert process.wait(20.0) == 0, output
    assert station.left() == []
    asked = _asked_by_view(station.folder / "data")
    assert {"select", "mark", "release", "quit"} <= set(asked), asked
    assert "straight tail" in asked["mark"]


def _clicked(
    page: Page,
    link: str,
    target: Callable[[], tuple[int, float, float]],
    microscope: SimulatedMicroscope,
    settings: SimulatedSettings,
) -> int:
    """Click a sperm; return its number. Where it has swum on meanwhile, as on a busy machine, click again."""
    tried = []
    for _ in range(CLICKS):
        sperm_id, x, y = target()
        click(page, x, y, settings)
        page.locator("#said:not(:empty)").wait_for()
        said = page.locator("#said").inner_text()
        if found := re.search(r"sperm (\d+)", said):
            distances = _distances(link, microscope, sperm_id)
            if len(distances) > 15 and sum(distance < NEAR_PX for distance in distances) > 0.8 * len(distances):
                return int(found[1])
            tried.append(f"{said}: {distances}")
            page.keyboard.press(found[1])
            page.keyboard.press("r")
            page.locator(f".card[data-sperm='{found[1]}']").wait_for(state="detached")
        page.locator("#said").wait_for(state="hidden")  # it goes by itself
    raise AssertionError(tried)


def _distances(link: str, microscope: SimulatedMicroscope, sperm_id: int) -> list[float]:
    """How far the tracked position is from the truth about that very frame, over two seconds."""
    found = []
    with open_page(link) as page:
        say(page, kind="look", scale=0.25, cards=[])
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            head, _, _ = next_picture(page)
            say(page, kind="shown", frame_seq=head["frame_seq"])
            seen = {sperm.sperm_id: sperm for sperm in microscope.truth(head["frame_seq"]).sperm}
            if sperm_id not in seen:
                break
            truth = seen[sperm_id]
            found += [
                ((card["x"] - truth.x) ** 2 + (card["y"] - truth.y) ** 2) ** 0.5
                for card in head["cards"]
                if card["state"] in ("locked", "acquiring")
            ]
    return found


def _asked_by_view(data: Path) -> dict[str, str]:
    """What the record says that the view asked for, and what it led to."""
    (folder,) = [path.parent for path in data.rglob(LOG)]
    events = Session(folder).events()
    actions = [event.record.action for event in events if isinstance(event.record, ActionRecord)]
    return {action.name: action.details for action in actions if action.asked_by == "view"}
