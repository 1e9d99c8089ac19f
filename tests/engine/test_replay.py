"""The engine in a replay: recorded batches of recorded windows, and the comparison with another model."""

import csv
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from engine.comparison import Comparison, emd, js, most_likely
from engine.replay import GradesReplay, RecordedBatches, same_worth
from engine.scheduler import EveryWindow
from station.config import ReplaySettings
from station.errors import InputError
from station.session.playback import Playback
from station.session.records import GradesRecord
from station.transport.buffers import Received
from station.transport.control_messages import ModelInfo
from station.transport.counters import EngineCounters
from station.transport.messages import (
    Evidence,
    GradeInfo,
    GradesHeader,
    Measured,
    ModelDoubt,
    Trace,
    Validity,
    WindowInfo,
    WindowsHeader,
)
from tests.support.graded_session import record_graded
from tests.support.recorded_session import rechained

TRACE = Trace(t_exposure_ns=1, t_sent_ns=2)
NOTICE = "For research use only. Not for use in diagnostic procedures."


def windows(frame_seq: int, *sperm_ids: int) -> Received:
    infos = [
        WindowInfo(
            sperm_id=i, x=0.0, y=0.0, frame_seqs=[frame_seq - 1, frame_seq], t_source_ns=[0, 1], padded=False
        )
        for i in sperm_ids
    ]  # fmt: skip
    header = WindowsHeader(seq=0, frame_seq=frame_seq, trace=TRACE, shape=[len(infos), 2, 2, 2], windows=infos)
    pixels = np.stack([np.full((2, 2, 2), 10 * frame_seq + i, np.uint8) for i in sperm_ids])
    return Received(header, pixels, t_received_ns=77)


def grade(sperm_id: int, frame_seq: int, values: list[float] | None = None) -> GradeInfo:
    return GradeInfo(
        sperm_id=sperm_id, frame_seq=frame_seq, x=0.0, y=0.0, grade=values or [0.2] * 5, heads=[[0.2] * 5] * 3,
        validity=Validity.VALID, trace=TRACE,
    )  # fmt: skip


def batches(*keys: list[tuple[int, int]]) -> list[GradesHeader]:
    return [GradesHeader(seq=n, grades=[grade(*key) for key in batch]) for n, batch in enumerate(keys)]


def taken(buffer: RecordedBatches | EveryWindow) -> list[list[tuple[int, int]]]:
    found = []
    while (batch := buffer.take()) is not None:
        assert all(w.pixels[0, 0, 0] == 10 * w.info.frame_seqs[-1] + w.info.sperm_id for w in batch)
        found.append([(w.info.sperm_id, w.info.frame_seqs[-1]) for w in batch])
    return found


def test_windows_are_graded_in_the_recorded_batches_and_others_are_left_out():
    """Live, the window of sperm 2 at frame 5 waited until after sperm 1 at 6, and 1 at 5 was replaced."""
    buffer = RecordedBatches(batches([(1, 4), (2, 4)], [(1, 6)], [(2, 5)], [(1, 7)]))
    steps = []
    for message in (windows(4, 1, 2), windows(5, 1, 2), windows(6, 1), windows(7, 1, 2)):
        assert buffer.put(message) == 0
        steps.append(taken(buffer))
    assert steps == [[[(1, 4), (2, 4)]], [], [[(1, 6)], [(2, 5)]], [[(1, 7)]]]
    assert (buffer.left_out, buffer.missing) == (2, 0)


def test_a_window_that_does_not_come_any_more_holds_nobody_up_and_is_counted():
    buffer = RecordedBatches(batches([(1, 4), (2, 4)], [(2, 5)], [(1, 6)], [(1, 9)]))
    buffer.put(windows(4, 1))
    assert taken(buffer) == [[(1, 4)]]
    buffer.put(windows(6, 1))
    assert taken(buffer) == [[(1, 6)]]
    buffer.give_up()
    assert buffer.missing == 2, "sperm 2 twice; frame 9 was not played"


def test_what_waits_when_the_link_ends_is_missing():
    buffer = RecordedBatches(batches([(1, 4), (2, 5)], [(1, 9)]))
    buffer.put(windows(4, 1))
    assert taken(buffer) == []
    assert buffer.missing == 0
    buffer.give_up()
    assert buffer.missing == 1
    assert taken(buffer) == []


def test_of_every_window_none_counts_that_ends_before_the_place_to_begin_at():
    buffer = EveryWindow(first=6)
    for message in (windows(5, 1, 2), windows(6, 1), windows(7, 1, 2)):
        assert buffer.put(message) == 0
    assert taken(buffer) == [[(1, 6)], [(1, 7), (2, 7)]]


@pytest.mark.parametrize(("graded", "every", "whole"), [(True, False, False), (True, True, True), (False, False, True)])
def test_where_no_grades_are_recorded_or_all_are_wanted_every_window_is_graded(tmp_path, graded, every, whole):
    folder = record_graded(tmp_path, config={"blind": not graded})
    if not graded:
        rechained(folder, lambda record: not isinstance(record, GradesRecord))
    config = SimpleNamespace(replay=ReplaySettings(comparison=str(tmp_path / "c.csv"), every_window=every))
    account = SimpleNamespace(notices=[])
    context = SimpleNamespace(config=config, control=SimpleNamespace(account=account))
    playback = Playback(folder)
    replay = GradesReplay(context, EngineCounters(), playback, playback.opened.model)
    assert isinstance(replay.buffer, EveryWindow) is whole
    replay.buffer.put(windows(21, 1))
    assert taken(replay.buffer) == ([[(1, 21)]] if whole else [])
    assert [notice for notice in account.notices if "every recorded window" in notice] == account.notices
    assert len(account.notices) == whole
    replay.note([grade(1, 21)])
    replay.finish(ended=True)


SEEN = Evidence(frame_seqs=[3, 4], span_ms=20.0, measured=Measured(stage_px=1.0))
MOVED = SEEN.model_copy(update={"measured": Measured(stage_px=2.0)})
UNSUITED = SEEN.model_copy(update={"doubts": [ModelDoubt.SCALE]})


@pytest.mark.parametrize(
    ("recorded", "new", "same"),
    [
        ((None, Validity.VALID), (SEEN, Validity.DISTURBED), True),
        ((SEEN, Validity.VALID), (SEEN, Validity.VALID), True),
        ((SEEN, Validity.STALE), (SEEN, Validity.PADDED), True),
        ((SEEN, Validity.VALID), (UNSUITED, Validity.UNSUITED), True),
        ((SEEN, Validity.VALID), (SEEN, Validity.PADDED), False),
        ((SEEN, Validity.VALID), (MOVED, Validity.VALID), False),
        ((SEEN, Validity.STALE), (MOVED, Validity.VALID), False),
        ((SEEN, Validity.VALID), (None, Validity.VALID), False),
    ],
)
def test_evidence_must_come_out_again_but_for_what_the_clock_decided(recorded, new, same):
    then, now = (
        grade(1, 4).model_copy(update={"evidence": evidence, "validity": validity})
        for evidence, validity in (recorded, new)
    )
    assert same_worth(then, now) is same


BY_HAND = (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75) + math.log(1 / 0.75)) / 2
"""The middle of the third pair is (0, .25, .75, 0, 0)."""


@pytest.mark.parametrize(
    ("p", "q", "distance", "divergence"),
    [
        ([1, 0, 0, 0, 0], [1, 0, 0, 0, 0], 0, 0),
        ([1, 0, 0, 0, 0], [0, 0, 0, 0, 1], 4, math.log(2)),
        ([0, 0.5, 0.5, 0, 0], [0, 0, 1, 0, 0], 0.5, BY_HAND),
    ],
)
def test_distances_between_distributions(p, q, distance, divergence):
    assert emd(p, q) == emd(q, p) == pytest.approx(distance)
    assert js(p, q) == pytest.approx(divergence)
    assert js(q, p) == pytest.approx(divergence)


def test_of_equally_likely_grades_the_better_one_counts():
    assert [most_likely(g) for g in ([0.4, 0.4, 0.2, 0, 0], [0, 0, 0.1, 0.2, 0.7])] == ["A", "E"]


def model(name: str) -> ModelInfo:
    return ModelInfo(name=name, sha256=name * 8, runtime="r", demonstration=True)


def test_the_table_and_its_summary(tmp_path: Path):
    comparison = Comparison(tmp_path / "c.csv", "S", model("old"), model("new"))
    third = 1 / 3
    comparison.add(grade(1, 30, [third, 1 - third, 0, 0, 0]), grade(1, 30, [third, 1 - third, 0, 0, 0]))
    comparison.add(grade(2, 31, [1, 0, 0, 0, 0]), grade(2, 31, [0, 0, 0, 1, 0]))
    comparison.close()
    comparison.close()
    first, second = csv.DictReader((tmp_path / "c.csv").read_text().splitlines())
    plain = pyarrow.csv.read_csv(tmp_path / "c.csv")  # with no options
    assert plain.column_names == list(first)
    assert (float(first["recorded_grade_A"]), first["same_grade"], first["new_grade"]) == (third, "1", "B")
    assert (second["sperm"], second["frame"], second["emd"]) == ("2", "31", "3")
    assert (second["recorded_grade"], second["new_grade"], second["same_grade"]) == ("A", "D", "0")
    parquet = pq.read_table(tmp_path / "c.parquet")
    assert parquet.schema.metadata[b"notice"].decode() == NOTICE
    assert parquet.column_names == list(first)
    assert parquet["recorded_grade_A"].to_pylist() == [third, 1]
    summary = json.loads((tmp_path / "c.json").read_text())
    assert summary["notice"] == NOTICE
    assert (summary["windows"], summary["emd"]["mean"], summary["same_most_likely_grade"]) == (2, 1.5, 0.5)
    assert summary["models"]["recorded"]["name"] == "old"


def test_a_comparison_of_nothing_says_so(tmp_path: Path):
    comparison = Comparison(tmp_path / "c.csv", "S", model("old"), model("new"))
    comparison.close()
    summary = json.loads((tmp_path / "c.json").read_text())
    assert (summary["windows"], summary["emd"]["mean"], summary["same_most_likely_grade"]) == (0, None, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/c.csv", "give a path in a folder that exists"),
        ("c.json", "expected the name of a CSV file"),
        (os.devnull, "it is a device, not a file"),
    ],
)
def test_a_table_that_cannot_be_written_is_one_clear_line(tmp_path: Path, name, message):
    with pytest.raises(InputError, match=message) as error:
        Comparison(tmp_path / name, "S", model("old"), model("new"))
    assert "\n" not in str(error.value)


def test_a_comparison_replaces_nothing_but_an_earlier_one(tmp_path: Path):
    session = tmp_path / "s"
    session.mkdir()
    (session / "log.jsonl").write_text("x")
    (session / "session.json").write_text("{}")
    with pytest.raises(InputError, match="lies in the folder of a recorded session"):
        Comparison(session / "session.csv", "S", model("old"), model("new"))
    for name in ("c.json", "d.parquet"):
        (tmp_path / name).write_text("{}")
        with pytest.raises(InputError, match=f"{name} would be replaced"):
            Comparison((tmp_path / name).with_suffix(".csv"), "S", model("old"), model("new"))
        assert not (tmp_path / name).with_suffix(".csv").exists()
    for _ in range(2):
        Comparison(tmp_path / "e.csv", "S", model("old"), model("new")).close()
    assert sorted(path.name for path in session.iterdir()) == ["log.jsonl", "session.json"]
