"""Makes the pictures of docs/operating.md: a run on the simulated microscope, seen by Debian's Chromium.

Run ``python docs/pictures/make_operating.py`` in the repository's root. Needs the extras view and test, and chromium.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZE = {"width": 1280, "height": 800}
JPEG_QUALITY = 50
SETTINGS = """[objectives]
20x = 0.5
40x = 0.25
[simulated]
width = 900
height = 640
sperm = 12
debris = 30
"""
"""A field that a busy machine draws in time as well."""
TRIES = 20


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as sessions:
        settings = Path(sessions) / "settings.toml"
        settings.write_text(SETTINGS)
        command = [
            sys.executable,
            "run_station.py",
            "--headless",
            "--view",
            "--select",
            "auto:3",
            "--config",
            str(settings),
            "--objective",
            "40x",
            "--record",
            "keep",
            "--session",
            sessions,
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as station:
            assert station.stdout is not None
            link = next(line for line in station.stdout if line.startswith("view")).split()[1]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
                page = browser.new_page(viewport=SIZE, color_scheme="dark")  # type: ignore[arg-type]
                page.goto(link)
                page.wait_for_selector("#picture[data-frame-seq]")
                time.sleep(5.0)
                page.mouse.move(640, 790)
                _mark_one_that_stays(page)
                _save(page, "live-view")
                _save(page.locator(".card.focused"), "card")
                page.keyboard.press("?")
                _save(page.locator("#help"), "keys")
                page.keyboard.press("?")
                page.keyboard.press("d")
                page.keyboard.press("c")
                time.sleep(1.0)
                _save(page, "camera-panel-light")
                browser.close()
            station.terminate()
            station.stdout.read()


def _until_two_are_graded(page: Page) -> None:
    """Replace lost sperm until two have a grade that holds."""
    for _ in range(TRIES):
        if page.locator(".card:not(.old) .share:visible").count() >= 10:
            return
        page.keyboard.press("a")
        time.sleep(3.0)


def _mark_one_that_stays(page: Page) -> None:
    """Mark a sperm that is graded, and wait until the answer has gone; another one where it has left meanwhile."""
    for _ in range(TRIES):
        _until_two_are_graded(page)
        number = page.locator(".card:not(.old):has(.share:visible)").first.get_attribute("data-sperm")
        page.keyboard.press(str(number))
        page.keyboard.press("m")
        page.locator(".card.focused .marked").wait_for()
        page.locator("#said").wait_for(state="hidden")
        if page.locator(".card.focused:not(.old) .share:visible").count():
            return
    raise SystemExit("no sperm stayed in the field: run it again")


def _save(part: Any, name: str) -> None:
    part.screenshot(path=HERE / f"{name}.jpg", type="jpeg", quality=JPEG_QUALITY)


if __name__ == "__main__":
    main()
