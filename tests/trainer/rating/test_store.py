"""Votes: kept once, in order, for ever; what another tab was first with changes nothing."""

import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.build_info import ROOT
from station.errors import InputError
from tests.support.rating_study import given, make_clips, write_study
from trainer.data.clip_table import read_rows
from trainer.data.dataset import read_hashes, write_table
from trainer.rating.database import DATABASE, back_up
from trainer.rating.links import admit_browser, make_link, revoke_links, who
from trainer.rating.orders import Kind
from trainer.rating.plan import bring_into_force, invite
from trainer.rating.records import GivenVote, Outcome, Person
from trainer.rating.store import Store

T = 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_clips(tmp_path / "DATA", 20)
    write_study(tmp_path / "DATA-rating", 'repeats = 0.1\n[[calibration]]\nclip = "clip-004"\ngrade = "B"')
    return tmp_path / "DATA-rating"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    study, _, _ = bring_into_force(folder, folder.parent / "DATA", T)
    with Store(folder / DATABASE) as store:
        invite(store, study, ["anna", "ben"], 10, T)
        yield store


def vote(store: Store, *votes: GivenVote, rater: str = "anna") -> list[Outcome]:
    with store.all_or_nothing():
        return store.vote(rater, votes, T)


def test_a_vote_counts_and_is_kept_once_however_often_it_is_sent(store: Store) -> None:
    one = given(3, "B")
    assert vote(store, one) == vote(store, one) == [Outcome(one.id, True)]
    assert [(head.position, head.grade) for head in store.heads("anna")] == [(3, "B")]
    assert len(store.history()) == 1
    with pytest.raises(InputError, match="another content"):
        vote(store, given(3, "C", id=one.id))
    with pytest.raises(InputError, match="another content"):
        vote(store, one, rater="ben")


def test_undo_and_a_change_keep_their_history(store: Store) -> None:
    first = given(3, "B")
    back = given(3, base=first.id)
    second = given(3, "D", base=back.id)
    vote(store, first, back)
    assert store.votes() == []
    vote(store, second)
    assert [kept.grade for kept in store.votes()] == ["D"]
    assert [kept.grade for kept in store.history()] == ["B", "", "D"]
    for statement in (
        "UPDATE votes SET grade = 'A'",
        "DELETE FROM votes",
        "UPDATE log SET what = ''",
        "DELETE FROM log",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            store.connection.execute(statement)


def test_what_another_tab_was_first_with_is_kept_aside_with_all_that_follows(store: Store) -> None:
    first, late = given(3, "B"), given(3, "E")
    changed = given(3, "A", base=late.id)
    vote(store, first)
    outcomes = vote(store, late, changed)
    assert [outcome.counts for outcome in outcomes] == [False, False]
    assert "another tab" in outcomes[0].why
    assert [kept.grade for kept in store.votes()] == ["B"]
    assert len(store.history()) == 3


def test_after_the_end_votes_are_kept_and_do_not_count(store: Store) -> None:
    with store.all_or_nothing():
        store.set_closed(True)
    assert vote(store, given(3, "B"))[0].why == "the study was closed"
    assert store.votes() == []
    with store.all_or_nothing():
        store.set_closed(False)
    assert vote(store, given(3, "C"))[0].counts


def test_a_position_that_the_rater_has_not_spoils_nothing(store: Store) -> None:
    with pytest.raises(InputError, match="no clip at position 999"):
        vote(store, given(1, "B"), given(999, "B"))
    assert store.history() == []


def test_calibration_comes_first_and_every_rater_has_an_order_of_his_own(store: Store) -> None:
    anna, ben = ([item for item, _ in store.items(name)] for name in ("anna", "ben"))
    assert anna[0] == ben[0] == ("clip-004", Kind.CALIBRATION)
    assert anna != ben
    assert "clip-004" not in {item.clip for item in anna[1:]}
    assert len(anna) == 1 + 19 + 2


def test_links_end_are_taken_back_and_belong_to_a_few_browsers(store: Store) -> None:
    person = Person("rater", "anna")
    with store.all_or_nothing():
        word = make_link(store, person, 1, T)
    assert who(store, word, T + 1) == ("good", person)
    assert who(store, word, T + 86_400_000) == ("expired", None)
    assert who(store, word + "x", T) == ("unknown", None)
    assert [admit_browser(store, word, f"b{k % 3}", 2, T) for k in range(5)] == [True, True, False, True, True]
    with store.all_or_nothing():
        revoke_links(store, person)
    assert who(store, word, T + 1) == ("revoked", None)
    assert word not in Path(store.path).read_bytes().decode("latin-1")


def test_a_study_is_extended_shrunk_and_every_change_is_logged(folder: Path, store: Store) -> None:
    data = folder.parent / "DATA"
    before = [item for item, _ in store.items("anna")]
    vote(store, *(given(position, "B") for position in range(1, 8)))
    chosen = ", ".join(f'"clip-{k:03d}"' for k in range(10))
    calibration = '[[calibration]]\nclip = "clip-004"\ngrade = "B"'
    write_study(folder, f"repeats = 0.1\nclips = [{chosen}]\n{calibration}")
    _, _, changes = bring_into_force(folder, data, T + 1)
    assert changes == [
        "10 clips taken out, their votes are kept aside: clip-010, clip-011, clip-012, clip-013, clip-014 ..."
    ]
    assert sum(is_in for _, is_in in store.items("anna")) < len(before)
    assert 0 < len(store.votes()) < 7
    write_study(folder, f'repeats = 0.1\nquestion = "Well?"\n{calibration}')
    _, _, changes = bring_into_force(folder, data, T + 2)
    assert changes[0].startswith("question: Which grade would you give this sperm? is now Well?")
    assert len(store.votes()) == 7
    assert [item for item, _ in store.items("anna")] == before  # nothing is drawn twice
    assert bring_into_force(folder, data, T + 3)[2] == []
    assert [what for _, what in store.log()][-1].startswith("10 clips more")
    write_study(folder, f"seed = 2\n{calibration}")
    with pytest.raises(InputError, match="drawn with seed 1"):
        bring_into_force(folder, data, T + 4)


def test_new_clips_come_at_the_end_of_the_orders(folder: Path) -> None:
    data = folder.parent / "DATA"
    write_study(folder, 'clips = ["clip-000", "clip-001", "clip-002"]\nraters = 3\nraters_per_clip = 2')
    study, _, _ = bring_into_force(folder, data, T)
    with Store(folder / DATABASE) as store:
        invite(store, study, ["anna", "ben", "cleo"], 10, T)
        with pytest.raises(InputError, match="plans 3 raters"):
            invite(store, study, ["dan"], 10, T)
        before = [item for item, _ in store.items("anna")]
        write_study(folder, "raters = 3\nraters_per_clip = 1")
        with pytest.raises(InputError, match="drawn with raters_per_clip = 2"):
            bring_into_force(folder, data, T)
        write_study(folder, "raters = 3\nraters_per_clip = 2")
        bring_into_force(folder, data, T)
        orders = {name: [item for item, _ in store.items(name)] for name in ("anna", "ben", "cleo")}
        assert orders["anna"][: len(before)] == before
        counts = [item.clip for order in orders.values() for item in order if item.kind is Kind.CLIP]
        assert {counts.count(f"clip-{k:03d}") for k in range(20)} == {2}
        with store.all_or_nothing():
            revoke_links(store, Person("rater", "ben"))
        invite(store, study, ["dan"], 10, T)  # in the place of who has left
        assert {item.clip for item in orders["ben"]} <= {item.clip for item, _ in store.items("dan")}


def test_more_votes_a_clip_and_more_raters_can_be_asked_for_while_a_study_runs(folder: Path) -> None:
    def clips_of(name: str) -> list[str]:
        return [item.clip for item, _ in store.items(name) if item.kind is Kind.CLIP]

    data = folder.parent / "DATA"
    write_study(folder, "raters = 4\nraters_per_clip = 1\nrepeats = 0")
    study, _, _ = bring_into_force(folder, data, T)
    with Store(folder / DATABASE) as store:
        invite(store, study, ["anna", "ben", "cleo", "dan"], 10, T)
        vote(store, *(given(position, "B") for position in range(3)))
        with store.all_or_nothing():
            revoke_links(store, Person("rater", "dan"))  # who has graded nothing
        before = {name: clips_of(name) for name in ("anna", "ben", "cleo", "dan")}
        graded = [kept.clip for kept in store.votes()]
        write_study(folder, "raters = 3\nraters_per_clip = 2\nrepeats = 0.1")
        _, _, changes = bring_into_force(folder, data, T + 1)
        assert "raters_per_clip: 1 is now 2" in changes
        assert "raters: 4 is now 3" in changes
        assert changes[-1] == "25 assignments more, at the ends of the orders of 3 raters: 8 to 9 each"
        assert [what for _, what in store.log()][-1] == changes[-1]
        for name in ("anna", "ben", "cleo"):
            assert clips_of(name)[: len(before[name])] == before[name]
            assert len(set(clips_of(name))) == len(clips_of(name))
            assert len(clips_of(name)) in (13, 14)
            assert [item.kind for item, _ in store.items(name)].count(Kind.REPEAT) == 1
        assert clips_of("dan") == before["dan"]
        assert [kept.clip for kept in store.votes()] == graded
        counts = Counter(clip for name in ("anna", "ben", "cleo") for clip in clips_of(name))
        assert set(counts.values()) == {2}
        assert bring_into_force(folder, data, T + 2)[2] == []  # nobody gets anything twice
        write_study(folder, 'raters = 5\nraters_per_clip = "all"\nrepeats = 0.1')
        study, _, _ = bring_into_force(folder, data, T + 3)
        invite(store, study, ["eva", "finn"], 10, T + 3)
        assert all(len(set(clips_of(name))) == 20 for name in ("anna", "ben", "cleo", "eva", "finn"))


@pytest.mark.usefixtures("store")
def test_a_clip_that_is_another_film_is_refused(folder: Path) -> None:
    other = folder.parent / "OTHER"
    make_clips(other, 21)
    text = (other / "clips.csv").read_text().replace("clip-000,clips/0.npz", "clip-000,clips/20.npz", 1)
    text = text.replace("clip-020,clips/20.npz", "clip-020,clips/0.npz")
    (other / "clips.csv").write_text(text)
    rows, _ = read_rows(other)
    write_table(other, list(rows.values()), read_hashes(other), (4, 40, 40), {})
    with pytest.raises(InputError, match="clip-000' is another film"):
        bring_into_force(folder, other, T)


def test_a_backup_is_whole_and_is_not_overwritten(folder: Path, store: Store, tmp_path: Path) -> None:
    vote(store, given(3, "B"))
    store.connection.execute("BEGIN IMMEDIATE")  # somebody is writing
    store.connection.execute("INSERT INTO log (t_ms, what) VALUES (1, 'not yet')")
    back_up(folder / DATABASE, tmp_path / "copy.sqlite")
    store.connection.execute("ROLLBACK")
    with Store(tmp_path / "copy.sqlite") as copy:
        assert [kept.grade for kept in copy.votes()] == ["B"]
        assert "not yet" not in [what for _, what in copy.log()]
    with pytest.raises(InputError, match="exists already"):
        back_up(folder / DATABASE, tmp_path / "copy.sqlite")


def test_a_file_that_is_no_study_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="damaged or no database"):
        Store(tmp_path / "a")
    sqlite3.connect(tmp_path / "b").close()
    (tmp_path / "b").touch()
    with pytest.raises(InputError, match="expected votes in format 1, got another"):
        Store(tmp_path / "b")


def test_what_was_committed_survives_kill_9(folder: Path, store: Store) -> None:
    program = f"""
import os, signal
from pathlib import Path
from tests.support.rating_study import given
from trainer.rating.store import Store
store = Store(Path({str(folder / DATABASE)!r}))
with store.all_or_nothing():
    store.vote("ben", [given(1, "B")], 1)
store.connection.execute("BEGIN IMMEDIATE")
store.vote("ben", [given(2, "C")], 1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=60)
    assert [(head.position, head.grade) for head in store.heads("ben")] == [(1, "B")]
    assert store.connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert store.connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
