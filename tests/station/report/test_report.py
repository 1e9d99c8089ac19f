"""The report of a session: everything in one page that asks nothing of anybody, whatever stands in notes."""

import re
from pathlib import Path

import pytest

from station.archive.story import read_story
from station.errors import InputError, StationError
from station.report import command, pdf
from station.report.command import report
from station.session.annotations import Label, Note, annotate
from station.session.records import FrameRecord, TracksRecord
from tests.support.browser import browser
from tests.support.graded_session import record_graded
from tests.support.recorded_session import NOTICE, rechained, record

HOSTILE = "<script>alert(1)</script><img src=http://example.org/x onerror=alert(2)> \x1b[31m\u202eevil {{ 7*7 }}"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = record_graded(tmp_path / "s", marks=((30, 2, HOSTILE),), deeds=((20, "blind"),), notes=((20, HOSTILE),))
    annotate(folder, Label(session=folder.name, text="dish <3> & more"))
    annotate(folder, Note(session=folder.name, text="seen later"))
    out = tmp_path / "r.html"
    assert report([str(folder), "--out", str(out)]) == 0
    return out


def test_the_page_says_everything_and_runs_nothing(page: Path) -> None:
    text = page.read_text()
    assert text.count(NOTICE) >= 3
    assert "dish &lt;3&gt; &amp; more" in text
    assert "seen later" in text
    assert (
        re.search(r"<script|<iframe|<object|onerror=[^&]*>", text.replace("&lt;script", "")) is None or "&lt;" in text
    )
    assert "<script" not in text
    assert "<img src=http" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "49" not in re.findall(r"evil ([^<]*)<", text)
    assert re.findall(r"(?:src|href|srcset)=\"(?!data:)", text) == []
    assert text.count('src="data:image/webp') == 6, "a clip and its patches for each sperm"
    assert text.count("ab" * 32) == 1, "the model's hash"
    assert "45 um/s" in text
    assert "last before loss" in text
    assert re.search(r"Not blind: grades were hidden since [\d:.]+", text)
    assert page.stat().st_size < 200_000


def test_the_page_in_a_browser_asks_nothing_and_says_nothing_on_the_console(page: Path, tmp_path: Path) -> None:
    with browser() as context:
        for scheme in ("light", "dark"):
            shown = context.new_page()
            said: list[str] = []
            asked: list[str] = []
            shown.on("console", lambda message, said=said: said.append(message.text))
            shown.on("pageerror", lambda error, said=said: said.append(str(error)))
            shown.on("dialog", lambda dialog, said=said: (said.append(dialog.message), dialog.dismiss()))
            shown.on("request", lambda request, asked=asked: asked.append(request.url))
            shown.emulate_media(color_scheme=scheme)
            shown.goto(page.as_uri())
            loaded = shown.evaluate("[...document.images].every(i => i.complete && i.naturalWidth === 32)")
            names = shown.locator("svg[role=img]").evaluate_all("all => all.map(s => s.getAttribute('aria-label'))")
            wide = shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            shown.close()
            assert (said, [url for url in asked if not url.startswith("data:")]) == ([], [page.as_uri()])
            assert loaded
            assert wide
            assert len(names) == 6
            assert all("Sperm" in name for name in names)
    printed = tmp_path / "r.pdf"
    pdf.print_pdf(page, printed, pdf.find_browser())
    assert printed.read_bytes()[:5] == b"%PDF-"
    pages = re.findall(rb"/MediaBox\s*\[([^\]]*)\]", printed.read_bytes())
    width, height = (float(v) for v in pages[0].split()[2:4])
    assert (round(width), round(height)) in {(595, 842), (594, 842), (596, 842), (595, 841)}, "A4"


def test_sessions_with_little_in_them_have_a_report_too(tmp_path: Path) -> None:
    for folder in (record(tmp_path), record_graded(tmp_path, ended=False), record_graded(tmp_path, mode="keep")):
        out = tmp_path / f"{folder.name}.html"
        assert report([str(folder), "--out", str(out)]) == 0
    assert "No clip: 4 of its 4 frames were not recorded." in out.read_text()


def test_a_grade_whose_frame_is_missing_in_the_record_is_reported_by_its_own_times(tmp_path: Path) -> None:
    folder = record_graded(tmp_path)
    story = read_story(folder)
    last = story.sperm[1].grades[-1]
    expected_s = story.t_s(last.frame_seq)
    rechained(
        folder,
        lambda one: (
            not (isinstance(one, FrameRecord) and one.header.seq == last.frame_seq)
            and not (isinstance(one, TracksRecord) and one.header.frame_seq == last.frame_seq)
        ),
    )
    story = read_story(folder)
    assert last.frame_seq not in story.exposures_ns
    assert story.grade_t_s(story.sperm[1].grades[-1]) == pytest.approx(expected_s)
    assert report([str(folder), "--out", str(tmp_path / "r.html")]) == 0


def test_what_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = record_graded(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        report([str(folder), "--out", str(tmp_path / "none" / "r.html")])
    monkeypatch.setattr(pdf, "BROWSERS", ("no-such-browser",))
    with pytest.raises(InputError, match="Chromium family"):
        report([str(folder), "--out", str(tmp_path / "r.html"), "--pdf"])
    with pytest.raises(StationError):
        report([str(tmp_path / "none")])


def test_a_report_replaces_nothing_of_a_session_and_no_other_pdf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = record_graded(tmp_path / "s")
    before = (folder / "session.json").read_bytes()
    with pytest.raises(InputError, match="lies in the folder of a recorded session"):
        report([str(folder), "--out", str(folder / "session.json")])
    assert (folder / "session.json").read_bytes() == before
    monkeypatch.setattr(command, "find_browser", lambda: "none")
    (tmp_path / "thesis.pdf").write_text("x")
    for name, message in (("thesis.pdf", "name of the page"), ("thesis.html", "without a page beside it")):
        with pytest.raises(InputError, match=message):
            report([str(folder), "--out", str(tmp_path / name), "--pdf"])
    assert (tmp_path / "thesis.pdf").read_text() == "x"
    assert not (tmp_path / "thesis.html").exists()
