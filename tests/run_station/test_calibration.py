"""The scale of a run: named objectives, chosen and calibrated in mid-run, everywhere the same, recorded, replayed."""

import csv
import json
import subprocess
import time
from pathlib import Path

import pytest

from station.build_info import ROOT
from station.objectives import CalibrationFile
from station.session.records import ActionRecord, HelloRecord, OpenedRecord, TracksRecord
from station.session.session_reader import Session
from tests.run_station.test_commands import Run, hello_on, running
from tests.support.browser import browser, page_at
from tests.support.stage_micrometer import Micrometer
from tests.support.station_program import SMALL, Station, wait_for

pytestmark = pytest.mark.slow
OBJECTIVES = f'{SMALL}\n[objectives]\n"20x" = 0.5\n"40x" = 0.25\n'


def kept(station: Station) -> dict[str, float]:
    path = station.folder / "config" / "rostfine-station" / "objectives.json"
    found = CalibrationFile.model_validate_json(path.read_text()).objectives
    return {name: one.um_per_px for name, one in found.items()}


def in_use(run: Run) -> str:
    """The objective in use; asked for less often than is answered."""
    time.sleep(0.2)
    return str(run.status()["objective"])


def test_the_scale_that_is_set_is_in_force_everywhere_and_in_the_record(station: Station) -> None:
    toml = station.folder / "objectives.toml"
    toml.write_text(OBJECTIVES)
    with running(station, "--config", str(toml), "--objective", "40x", "--select", "auto:2") as run:
        status = run.status()
        assert (status["objective"], status["um_per_px"]) == ("40x", 0.25)
        assert status["objectives"] == {"20x": 0.5, "40x": 0.25}
        assert run.done("objective", "20x") == "objective 20x: 0.5 um/px\n"
        for words, why in (
            (("objective", "10x"), "not known; there are 20x, 40x"),
            (("calibrate", "20x", "--um", "100", "--px", "400"), "20x is 0.5 um/px in the configuration"),
            (("calibrate", "63x", "--um", "100", "--px", "10"), "10 px are too short"),
            (("calibrate", "63x", "--um", "1e6", "--px", "100"), "no scale of a microscope"),
        ):
            refused = run.shell(*words)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert why in refused.stderr
        for words in (("objective", "\x1b[2J"), ("calibrate", "63x", "--um", "far", "--px", "100")):
            assert run.shell(*words).returncode == 2
        said = run.done("calibrate", "63x", "--um", "100", "--px", "640")
        assert said == "objective 63x: 0.1562 um/px, from 100 um over 640.0 px; kept\n"
        assert kept(station) == {"63x": 0.15625}
        status = run.status()
        assert (status["objective"], status["um_per_px"]) == ("63x", 0.15625)
        assert any("model trained for 0.25 um/px" in caution for caution in status["cautions"]), status["cautions"]
        wait_for(lambda: run.entry.um_per_px == 0.15625)
        for endpoint in (run.entry.endpoint("tracks"), run.entry.endpoint("grades")):
            source = wait_for(lambda e=endpoint: (h := hello_on(e)).source.objective == "63x" and h).source
            assert source.um_per_px == 0.15625
        run.done("quit")
        run.process.communicate(timeout=30.0)
    (session,) = (station.folder / "sessions").iterdir()
    records = [event.record for event in Session(session).events()]
    asked = {r.action.name: r.action.details for r in records if isinstance(r, ActionRecord)}
    assert asked["calibrate"].startswith("objective 63x: 0.1562 um/px")
    applied = [
        (record.header.frame_seq, done.objective, done.um_per_px)
        for record in records if isinstance(record, TracksRecord)
        for done in record.header.applied_commands if done.um_per_px is not None
    ]  # fmt: skip
    assert [change[1:] for change in applied] == [("20x", 0.5), ("63x", 0.15625)]
    hellos = [r.header.source.objective for r in records if isinstance(r, HelloRecord)]
    assert hellos[-1] == "63x"  # what was said before the recorder listened is not among them
    (opened,) = [record for record in records if isinstance(record, OpenedRecord)]
    assert (opened.source.objective, opened.source.um_per_px) == ("40x", 0.25)
    about = json.loads((session / "tables" / "about.json").read_text())
    assert [change["um_per_px"] for change in about["um_per_px_changes"]] == [0.5, 0.15625]
    with (session / "tables" / "tracks.csv").open() as file:
        for row in csv.DictReader(file):
            frame = int(row["frame"])
            scale = 0.25 if frame < applied[0][0] else 0.5 if frame < applied[1][0] else 0.15625
            assert float(row["x_um"]) == pytest.approx(float(row["x_px"]) * scale, abs=1e-3)

    with running(station, "--source", f"replay:{session}", "--no-record", "--name", "again", name="again") as run:
        refused = run.shell("objective", "20x", "--station", "again")
        assert "a replay has the scale of the recording" in refused.stderr
        wait_for(lambda: run.process.poll() is not None or in_use(run) == "63x", 60)
    bad = station.folder / "config" / "rostfine-station" / "objectives.json"
    bad.write_text("{")
    done = subprocess.run(
        station.command("--headless"), cwd=ROOT, env=station.environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "repair the file" in done.stderr


def test_two_clicks_on_a_stage_micrometer_give_the_scale_within_a_percent(station: Station, tmp_path: Path) -> None:
    slide = Micrometer(um_per_px=0.2173)
    film = slide.film(tmp_path / "slide.tif", 300)
    toml = station.folder / "slide.toml"
    toml.write_text("select_auto = 0\n[source]\nfps = 5\n")
    options = ("--config", str(toml), "--source", str(film), "--view")
    with browser() as context, running(station, *options) as run:
        with page_at(context, run.line("view").split()[1], source="slide") as page:
            page.wait_for_selector("#picture[data-frame-seq]")
            box = page.locator("#picture").bounding_box()
            assert box is not None
            zoom = min(box["width"] / slide.width, box["height"] / slide.height)
            left = box["x"] + (box["width"] - slide.width * zoom) / 2
            top = box["y"] + (box["height"] - slide.height * zoom) / 2
            page.keyboard.press("l")
            for um in (10.0, 110.0):
                x, y = slide.place(um)
                page.mouse.click(round(left + (x + 0.5) * zoom), round(top + (y + 0.5) * zoom))
            page.locator("#prompt input").first.fill("100")
            page.locator("#prompt input").nth(1).fill("40x oil")
            page.keyboard.press("Enter")
            page.locator("#said", has_text="objective 40x oil").wait_for()
            assert kept(station)["40x oil"] == pytest.approx(slide.um_per_px, rel=0.01)
            page.keyboard.press("c")
            page.locator("#camera", has_text="0.217").wait_for()
            page.locator("#camera select:visible option", has_text="40x oil").first.wait_for(state="attached")
        assert run.status()["um_per_px"] == kept(station)["40x oil"]
