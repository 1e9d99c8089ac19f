"""The command: a study is begun, raters invited, votes taken in from elsewhere, and given to the clips."""

import csv
import hashlib
import json
import os
from pathlib import Path

import pytest

pytest.importorskip("statsmodels", reason="the data card needs the extra rate")

from station.notice import NOTICE
from tests.support import graded_session
from tests.support.rating_study import given, make_clips, write_study
from trainer.__main__ import main
from trainer.data.dataset import find_problems, open_clips
from trainer.rating.database import DATABASE
from trainer.rating.store import Store


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_clips(tmp_path / "DATA", 14)
    return tmp_path / "DATA"


def rate(data: Path, *options: str) -> int:
    return main(["rate", str(data), *options])


def grade_all(folder: Path, rater: str, letters: str) -> None:
    with Store(folder / DATABASE) as store, store.all_or_nothing():
        items = store.items(rater)
        store.vote(
            rater, [given(k, letters[int(item.clip[5:]) % len(letters)]) for k, (item, _) in enumerate(items)], 1
        )


def test_from_a_new_study_to_clips_with_votes(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "DATA-rating"
    assert rate(data, "--new") == 0
    assert rate(data, "--invite", "anna,ben") == 0
    (links,) = folder.glob("links-*.csv")
    assert os.stat(links).st_mode & 0o077 == 0
    assert os.stat(folder / DATABASE).st_mode & 0o077 == 0
    assert {row["rater"] for row in csv.DictReader(links.read_text().splitlines())} == {"anna", "ben"}
    assert rate(data, "--export", str(tmp_path / "EMPTY")) == 2
    assert "nobody has graded" in capsys.readouterr().err
    grade_all(folder, "anna", "ABC")
    grade_all(folder, "ben", "ABD")
    with Store(folder / DATABASE) as store, store.all_or_nothing():
        unsure = given(0, base=store.heads("ben")[0].id, reason="other", note="=HYPERLINK(1)")
        store.vote("ben", [unsure], 2)
        uncertain = store.items("ben")[0][0].clip
    assert rate(data, "--take-in", str(table(tmp_path, "id,rater,grade\n000,Old;Paper,A\n"))) == 2
    assert (
        rate(data, "--take-in", str(table(tmp_path, "id,rater,grade\nclip-000,paper-1,E\nclip-001,paper-1,B\n"))) == 0
    )
    assert (
        rate(data, "--take-in", str(table(tmp_path, "id,rater,grade\nclip-000,paper-1,E\n"))) == 0
    )  # again: nothing new
    out = tmp_path / "OUT"
    assert rate(data, "--export", str(out), "--into-clips") == 0
    assert "0 of 14 have none yet" in capsys.readouterr().out
    assert find_problems(data) == []
    clips = open_clips(data)
    votes = {row.id: row.votes for row in clips.rows}
    assert votes["clip-001"] == (0, 3 - (uncertain == "clip-001"), 0, 0, 0)
    assert votes["clip-000"][4] == 1
    assert clips.votes.sum() == 14 + 13 + 2
    manifest = json.loads((out / "ratings.json").read_text())
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    assert hashlib.sha256((data / "study.toml").read_bytes()).hexdigest() == manifest["sha256"]["study.toml"]
    card = (out / "DATA_CARD.md").read_text()
    assert NOTICE in card
    assert "| C | ordinary |" in card
    assert "356 (57.9%)" in card
    assert "| raters who voted | 3 of 3 |" in card
    assert "| votes from elsewhere | 2 of 1 raters |" in card
    assert "| clips that most could not judge | 0 |" in card
    ratings = list(csv.DictReader((out / "ratings.csv").read_text().splitlines()))
    assert [row["note"] for row in ratings if row["note"]] == ["'=HYPERLINK(1)"]
    assert len(list(csv.DictReader((out / "history.csv").read_text().splitlines()))) == len(ratings) + 1
    everything = b"".join(path.read_bytes() for path in out.iterdir())
    assert not any(
        row["link"].split("/")[3].encode() in everything for row in csv.DictReader(links.read_text().splitlines())
    )
    assert (
        main(["votes", str(data), "--votes", str(out / "votes.csv")]) == 0
    )  # the same table as trainer votes takes it
    assert rate(data, "--log") == 0
    said = capsys.readouterr().out
    assert "rater anna invited, 60 days" in said
    assert "2 votes of 1 raters taken in" in said


def test_only_votes_that_this_study_gave_are_replaced(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "DATA-rating"
    write_study(folder, "")
    assert rate(data, "--take-in", str(table(tmp_path, "id,rater,grade\nclip-000,p,E\nclip-001,p,B\n"))) == 0
    assert rate(data, "--export", str(tmp_path / "ONE"), "--into-clips") == 0
    with Store(folder / DATABASE) as store, store.all_or_nothing():
        first, second = store.heads("p")
        store.vote("p", [given(0, "A", base=first.id), given(1, base=second.id)], 2)
    capsys.readouterr()
    assert rate(data, "--export", str(tmp_path / "TWO"), "--into-clips") == 0
    assert "1 clips lost the votes of an earlier export" in capsys.readouterr().out
    assert {row.id: row.votes for row in open_clips(data, unlabelled=True).rows if row.votes} == {
        "clip-000": (1, 0, 0, 0, 0)
    }
    counts = tmp_path / "counts.csv"
    counts.write_text("id,A,B,C,D,E\nclip-000,0,0,0,9,0\n")
    assert main(["votes", str(data), "--votes", str(counts), "--replace"]) == 0
    before = (data / "clips.csv").read_bytes()
    assert rate(data, "--export", str(tmp_path / "THREE"), "--into-clips") == 2
    assert "1 clips have other votes already, the first is 'clip-000'; add --replace" in capsys.readouterr().err
    assert (data / "clips.csv").read_bytes() == before


def test_votes_from_elsewhere_come_into_an_open_study_only(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_study(tmp_path / "DATA-rating", "")
    assert rate(data, "--invite", "anna") == 0
    assert rate(data, "--close") == 0
    votes = str(table(tmp_path, "id,rater,grade\nclip-000,p,E\n"))
    assert rate(data, "--take-in", votes) == 2
    assert "the study is closed; --reopen it first" in capsys.readouterr().err
    assert rate(data, "--reopen") == 0
    assert rate(data, "--take-in", votes) == 0
    assert "1 votes of 1 raters taken in" in capsys.readouterr().out


def test_a_changed_study_waits_for_the_server(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "DATA-rating"
    write_study(folder, 'clips = ["clip-000", "clip-001"]')
    assert rate(data, "--invite", "anna") == 0
    assert "has changed" not in capsys.readouterr().out
    write_study(folder, "")
    for option in (("--renew", "anna"), ("--lead",), ("--invite", "ben")):
        assert rate(data, *option) == 0
        assert "study.toml has changed; that counts once the server is started again" in capsys.readouterr().out
    with Store(folder / DATABASE) as store:
        assert sorted(store.clips()) == ["clip-000", "clip-001"]


def table(folder: Path, text: str) -> Path:
    (folder / "elsewhere.csv").write_text(text)
    return folder / "elsewhere.csv"


def test_what_contradicts_a_vote_here_is_refused_as_a_whole(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_study(tmp_path / "DATA-rating", "")
    assert rate(data, "--invite", "anna") == 0
    grade_all(tmp_path / "DATA-rating", "anna", "B")
    rows = "id,rater,grade\nclip-000,new,A\nclip-001,anna,C\n"
    assert rate(data, "--take-in", str(table(tmp_path, rows))) == 2
    assert "B here and C there; keep one of them, nothing was taken in" in capsys.readouterr().err
    assert rate(data, "--take-in", str(table(tmp_path, "id,rater,grade\nclip-999,new,A\n"))) == 2
    with Store(tmp_path / "DATA-rating" / DATABASE) as store:
        assert [row.name for row in store.raters(0)] == ["anna"]
        assert len(store.history()) == 15


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--new writes one"), (("--invite", "2"), "--new writes one"), (("--backup", "x.sqlite"), "--new"),
        (("--days", "0", "--new"), "--days 0: expected"), (("--into-clips",), "belongs to --export"),
        (("--close", "--reopen"), "not allowed with"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    data: Path, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rate(data, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_links_are_renewed_and_taken_back_and_a_study_closed(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_study(tmp_path / "DATA-rating", "")
    assert rate(data, "--invite", "2") == 0
    assert rate(data, "--renew", "rater-01") == 0
    assert rate(data, "--revoke", "rater-02") == 0
    assert rate(data, "--close") == 0
    assert rate(data, "--lead") == 0
    assert "the lead's page: http://127.0.0.1:8765/" in capsys.readouterr().out
    with Store(tmp_path / "DATA-rating" / DATABASE) as store:
        assert [row.link for row in store.raters(0)] == ["open", "revoked"]
        assert store.closed
    assert rate(data, "--reopen") == 0
    assert rate(data, "--revoke", "zoe") == 2
    assert "there are rater-01, rater-02" in capsys.readouterr().err
    for wrong in ("a/b", "anna lee", "rater-01", "0"):
        assert rate(data, "--invite", wrong) == 2


def test_clips_come_straight_from_a_recorded_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graded_session, "T", 16)
    monkeypatch.setattr(graded_session, "SIZE", 150)
    session, data = str(graded_session.record_graded(tmp_path / "s", frames=60)), tmp_path / "CUT"
    lying = ("--session", str(Path(session).parent))
    assert rate(tmp_path / "BY-ID", "--new", "--sessions", Path(session).name, *lying) == 0
    assert rate(tmp_path / "BY-ID", *lying) == 2
    assert "says where --sessions lie" in capsys.readouterr().err
    assert rate(data, "--new", "--sessions", session, "--windows", "2") == 0
    assert "as they were graded" in capsys.readouterr().out
    assert find_problems(data) == []
    assert (tmp_path / "CUT-rating" / "study.toml").is_file()
    assert rate(data, "--new", "--sessions", session) == 2
    assert "exists already" in capsys.readouterr().err
    assert rate(data, "--sessions", session) == 2
    assert "belong to --new" in capsys.readouterr().err
