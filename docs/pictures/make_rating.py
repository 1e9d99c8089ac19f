"""Makes the picture of docs/labelling.md: the rater's page with simulated clips, on a computer and on a phone.

Run ``PYTHONPATH=. python docs/pictures/make_rating.py`` in the repository's root. Needs the extras rate and test, and
chromium.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from trainer.__main__ import main as trainer
from trainer.rating.database import DATABASE
from trainer.rating.plan import base_of, bring_into_force, invite
from trainer.rating.server import RatingServer
from trainer.rating.store import Store, now_ms

HERE = Path(__file__).resolve().parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZES = ((1180, 760), (390, 760))
GRADES = "3342332343"
GAP_PX = 20
JPEG_QUALITY = 70


def main() -> None:
    """Grade ten clips and make the picture."""
    with tempfile.TemporaryDirectory() as name:
        data, folder = Path(name) / "Spring", Path(name) / "Spring-rating"
        trainer(["simulate", "--clips", "40", "--seed", "3", "--out", str(data)])
        trainer(["rate", str(data), "--new"])
        study, clips, _ = bring_into_force(folder, data, now_ms())
        with Store(folder / DATABASE) as store:
            (rater,) = invite(store, study, ["rater-01"], 1, now_ms())
        with RatingServer(folder, study, clips), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = browser.new_page(viewport={"width": SIZES[0][0], "height": SIZES[0][1]})
            page.goto(f"{base_of(study)}/{rater.word}/")
            for key in GRADES:
                page.wait_for_selector("#grades button:enabled")
                page.wait_for_timeout(900)
                page.keyboard.press(key)
            page.wait_for_timeout(7000)  # what was said last is gone
            pictures = [_picture(page, *size) for size in SIZES]
            browser.close()
    gap = np.full((SIZES[0][1], GAP_PX, 3), 255, np.uint8)
    joined = np.concatenate([pictures[0], gap, pictures[1]], axis=1)
    cv2.imwrite(str(HERE / "rating.jpg"), joined, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))


def _picture(page: Page, width: int, height: int) -> np.ndarray:
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(500)
    return np.asarray(cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR))


if __name__ == "__main__":
    main()
