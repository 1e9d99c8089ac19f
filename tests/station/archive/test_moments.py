"""What stood on the screen at a moment, by the record: only what had been published, with what it was worth then."""

from pathlib import Path

import pytest

from station.archive.moments import choices, expected_grade, on_screen, spans
from station.archive.story import read_story
from station.archive.windows import CutWindow, cut_windows
from station.dashboard.assessment import GradeValidity
from station.errors import SessionError
from station.session.layout import SessionOutcome
from station.transport.control_messages import ActionHeader
from tests.support.graded_session import GRADES, MS, exposed_ns, record_graded
from tests.support.recorded_session import flip, record


def test_a_choice_is_held_against_what_was_on_the_screen_then(tmp_path: Path) -> None:
    story = read_story(record_graded(tmp_path, marks=((6, 3, ""), (30, 2, "nice tail: fast"))))
    early, late = choices(story)
    assert (early.sperm_id, early.t_s, early.chosen and early.chosen.validity) == (3, 0.12, GradeValidity.CURRENT)
    assert (late.sperm_id, late.note, late.asked_by) == (2, "nice tail: fast", "screen")
    by_sperm = {one.sperm_id: one for one in late.seen}
    assert by_sperm[1].validity is by_sperm[2].validity is GradeValidity.CURRENT
    assert by_sperm[3].validity is GradeValidity.BEFORE_LOSS
    grade = by_sperm[2].grade
    assert grade is not None
    assert (grade.frame_seq, grade.grade) == (30, GRADES[2])
    assert by_sperm[2].age_s == pytest.approx(0.015)
    assert expected_grade(grade) == pytest.approx(0.2 + 1.2 + 0.3)


def test_a_choice_is_blind_only_where_no_candidates_grade_was_shown_before(tmp_path: Path) -> None:
    """Grades come from frame 5 on, every tenth of a second."""

    def told(config: bool, *deeds: tuple[int, str], marks: tuple[tuple[int, int, str], ...]) -> list[tuple[bool, bool]]:
        story = read_story(record_graded(tmp_path, marks=marks, config={"blind": config}, deeds=deeds))
        return [(one.blind, one.hidden_since_s is not None) for one in choices(story)]

    assert told(False, marks=((10, 1, ""),)) == [(False, False)]
    assert told(True, marks=((10, 1, ""),)) == [(True, False)]
    assert told(False, (20, "blind"), marks=((30, 1, ""),)) == [(False, True)], "grades had been shown before"
    again = told(True, (10, "unblind"), (20, "blind"), marks=((10, 1, ""), (30, 2, "")))
    assert again == [(True, False), (False, True)], "the mark showed the grades of all"
    assert told(True, (10, "unblind"), marks=((10, 1, ""), (30, 2, ""))) == [(True, False), (False, False)]
    story = read_story(record_graded(tmp_path, marks=((39, 1, ""),)))
    for sperm in story.sperm.values():
        sperm.grades = [one for one in sperm.grades if one.frame_seq > 30]
    hidden = ActionHeader(seq=50, t_ns=exposed_ns(0) - 1000 * MS, name="blind")
    story.actions.insert(0, hidden)
    assert [one.blind for one in choices(story)] == [True], "nothing had been graded before"


def test_a_mark_is_read_by_its_number_and_not_by_its_words(tmp_path: Path) -> None:
    story = read_story(record_graded(tmp_path, marks=((30, 2, "old"),)))
    assert [(one.sperm_id, one.note) for one in choices(story)] == [(2, "old")], "a session of before"
    garbled = {"details": "file-1 3 file-1 as chosen", "sperm_id": 3, "note": "(grades are shown now)"}
    story.actions = [story.actions[0].model_copy(update=garbled)]
    assert [(one.sperm_id, one.note) for one in choices(story)] == [(3, "(grades are shown now)")]


def test_what_came_later_was_not_on_the_screen(tmp_path: Path) -> None:
    story = read_story(record_graded(tmp_path))
    assert on_screen(story, exposed_ns(0)) == ()
    before = on_screen(story, exposed_ns(5) + 9 * MS)  # the grade of frame 5 is published a millisecond later
    assert [one.grade for one in before] == [None] * 3
    after = on_screen(story, exposed_ns(5) + 10 * MS)
    assert [one.grade and one.grade.frame_seq for one in after] == [5] * 3
    stale = on_screen(story, exposed_ns(39) + 900 * MS)
    assert [one.validity for one in stale][:2] == [GradeValidity.CURRENT] * 2
    assert on_screen(story, exposed_ns(39) + 1100 * MS) == ()


def test_validity_over_time(tmp_path: Path) -> None:
    story = read_story(record_graded(tmp_path))
    kinds = [(round(s.from_s, 2), s.validity) for s in spans(story, story.sperm[3])]
    assert kinds == [(0.0, GradeValidity.NONE), (0.12, GradeValidity.CURRENT), (0.48, GradeValidity.BEFORE_LOSS)]
    assert spans(story, story.sperm[1])[-1].to_s == pytest.approx(0.8)


def test_the_very_windows_that_were_graded_are_cut_again_or_none(tmp_path: Path) -> None:
    folder = record_graded(tmp_path)
    story = read_story(folder)
    cut = dict(cut_windows(story, story.windows))
    assert len(cut) == 2 * 7 + 4
    assert all(isinstance(one, CutWindow) for one in cut.values())
    window = cut[2, 20]
    assert isinstance(window, CutWindow)
    assert (window.frame_seqs, window.t_source_ns[0], window.pixels.shape) == ((17, 18, 19, 20), 340 * MS, (4, 32, 32))
    story.windows[2, 20].info.frame_seqs[0] = 16
    moved = dict(cut_windows(story, [(2, 20), (2, 99)]))
    assert moved[2, 20] == "what is cut from the record is not what was graded"
    assert moved[2, 99] == "the record does not say which frames it was made of"
    file = folder / "video" / "000001.mkv"
    flip(file, file.stat().st_size // 2)
    damaged = dict(cut_windows(read_story(folder), [(2, 10), (2, 35)]))
    assert isinstance(damaged[2, 10], CutWindow)
    assert any(isinstance(one, str) for one in dict(cut_windows(read_story(folder), story.windows)).values())
    kept = read_story(record_graded(tmp_path, mode="keep"))
    assert dict(cut_windows(kept, [(1, 10)])) == {(1, 10): "4 of its 4 frames were not recorded"}
    assert kept.t_s(10) == pytest.approx(0.2)


def test_a_session_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    story = read_story(record_graded(tmp_path, ended=False))
    assert story.outcome is SessionOutcome.CUT_OFF
    assert len(choices(story)) == 1
    plain = read_story(record(tmp_path))
    assert (plain.sperm, plain.outcome, choices(plain)) == ({}, SessionOutcome.COMPLETE, [])
    log = record(tmp_path) / "log.jsonl"
    log.write_bytes(log.read_bytes().split(b"\n")[0] + b"\n")
    with pytest.raises(SessionError, match="cut off before"):
        read_story(log.parent)
