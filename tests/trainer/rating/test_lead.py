"""The lead's page: its figures are those of the votes, it opens for the lead alone, and it can be read."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the rating server needs the extra rate")

from tests.support.browser import browser
from tests.support.rating_study import Served, given, served
from trainer.rating.agreement import alpha, grid
from trainer.rating.orders import Kind

SHOTS = os.environ.get("RATING_SHOTS")
TITLE = 'question = "<script>alert(1)</script>"\nrepeats = 0.2\nreasons = ["<b>blur</b>"]'
RATERS = tuple(f"rater-{k:02d}" for k in range(1, 9))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("lead"), TITLE, clips=24, raters=RATERS) as found:
        rng = np.random.default_rng(3)
        with found.open_store() as store, store.all_or_nothing():
            for k, rater in enumerate(RATERS[:7]):
                items = [item for item, _ in store.items(rater)][: 29 - 3 * k]
                steps = [
                    int(np.clip(round(int(item.clip[5:]) % 5 + 0.3 * (k - 3) + rng.normal(0, 0.5)), 0, 4))
                    for item in items
                ]
                store.vote(
                    rater, [given(at, "ABCDE"[step], shown_ms=2000 + 500 * k) for at, step in enumerate(steps)], 5
                )
            last = store.heads(RATERS[0])[-1]
            store.vote(RATERS[0], [given(last.position, reason="<b>blur</b>", base=last.id, note="<img src=x>")], 6)
        found.lead.get("api/report")  # its thread is there before a test looks for any left behind
        yield found


def test_the_report_is_of_the_votes_that_count(study: Served) -> None:
    report = study.lead.get("api/report").json
    with study.open_store() as store:
        votes = store.votes()
    counted = [vote for vote in votes if vote.kind == Kind.CLIP and vote.grade]
    assert report["votes"] == len(counted)
    assert report["alpha"] == pytest.approx(alpha(grid(votes).steps))
    assert [line["rater"] for line in report["raters"]] == list(RATERS)
    leanings = [line["leaning"] for line in report["raters"]][:7]
    assert leanings == sorted(leanings)  # each is made stricter than the one before
    assert report["raters"][7]["done"] == 0
    assert sum(sum(line["votes"]) for line in report["clip_lines"]) == len(counted)
    assert report["unjudged"] == 1
    assert report["repeats"] > 5
    assert sum(report["mean"]) == pytest.approx(1)


def test_it_opens_for_the_lead_alone_and_the_lead_grades_nothing(study: Served) -> None:
    rater = study.raters["rater-01"]
    for path in ("api/report", "api/lead-clip?id=clip-000", "lead.html"):
        assert rater.get(path).status == 404
    for path in ("api/state", "api/clip/0", "rater.html", "api/lead-clip?id=nothing", "api/lead-clip?id=../study.toml"):
        assert study.lead.get(path).status == 404
    assert study.lead.vote(given(0, "A")).status == 404
    assert study.lead.get("api/lead-clip?id=clip-000").status == 200


def test_the_page_in_a_browser(study: Served) -> None:
    with browser() as context:
        page = context.new_page()
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(study.lead.url)
        page.locator("#raters tbody tr").nth(7).wait_for()
        assert "points" in page.locator("#advice").inner_text()
        assert page.locator("#pairs rect").count() > 10
        assert page.locator("#leaning circle").count() == 7
        page.locator("#split button").first.click()
        page.wait_for_selector("#clip[data-frame]")
        if SHOTS:
            (Path(SHOTS) / "lead-film.png").write_bytes(page.screenshot())
        page.keyboard.press("Escape")
        if SHOTS:
            (Path(SHOTS) / "lead.png").write_bytes(page.screenshot(full_page=True))
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert said == []
