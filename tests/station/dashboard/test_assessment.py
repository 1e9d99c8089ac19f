"""What follows from a snapshot: conditions of the processes, validity of grades, rates, texts."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from station.clock import NS_PER_MS, NS_PER_S
from station.dashboard.assessment import (
    GradeValidity,
    Overall,
    ProcessCondition,
    alarms,
    cautions,
    condition,
    disturbance,
    latency,
    overall,
    positions_current,
    source_slow,
    sperm_views,
    why_unknown,
    worth,
)
from station.dashboard.evidence_words import evidence_in_words
from station.dashboard.snapshot import LateMeter, ProcessView, RateMeter, Snapshot
from station.dashboard.text import ASCII, UTF8, bar, duration, fit, percent, shorten, sparkline, wrap
from station.transport.control_messages import (
    PIPELINE,
    ModelInfo,
    Percentiles,
    ProcessName,
    ProcessState,
    ProcessStatus,
    SourceInfo,
)
from station.transport.messages import (
    Cause,
    Evidence,
    GradeInfo,
    Measured,
    ModelDoubt,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
    Validity,
)

NOW_NS = 100 * NS_PER_S
SHARES = [0.1, 0.2, 0.4, 0.2, 0.1]
SOURCE = SourceInfo(name="s", height=10, width=10, fps=15.0, um_per_px=0.25)
MODEL = ModelInfo(name="m", sha256="0" * 64, runtime="r", demonstration=False, um_per_px=0.25)


def status(
    process: ProcessName, state: ProcessState = ProcessState.RUNNING, t_ns: int = NOW_NS, **fields: object
) -> ProcessStatus:
    return ProcessStatus.model_validate(
        {"seq": 0, "stage": process, "state": state, "pid": 1, "t_ns": t_ns, "progress": 1} | fields
    )


def view(
    process: ProcessName, age_s: float = 0.0, state: ProcessState = ProcessState.RUNNING, **fields: object
) -> ProcessView:
    t_ns = NOW_NS - round(age_s * NS_PER_S)
    return ProcessView(status(process, state, t_ns, **fields), t_ns, 15.0)


def trace(age_ms: int) -> Trace:
    t_ns = NOW_NS - age_ms * NS_PER_MS
    return Trace(t_exposure_ns=t_ns, t_sent_ns=t_ns)


def snapshot(
    state: TrackState = TrackState.LOCKED,
    filled: int = 16,
    unbroken_since: int = 0,
    grade_age_ms: int | None = 200,
    track_age_ms: int = 50,
    source: SourceInfo = SOURCE,
    model: ModelInfo = MODEL,
    processes: dict[ProcessName, ProcessView] | None = None,
    broken_by: str = "",
    validity: Validity = Validity.VALID,
    evidence: Evidence | None = None,
    **fields: object,
) -> Snapshot:
    all_processes = {
        ProcessName.CAPTURE: view(ProcessName.CAPTURE, source=source),
        ProcessName.TRACKER: view(ProcessName.TRACKER),
        ProcessName.ENGINE: view(ProcessName.ENGINE, model=model),
    }
    track = TrackInfo(
        sperm_id=7, x=1.0, y=2.0, state=state, score=0.5, filled=filled, unbroken_since=unbroken_since,
        broken_by=broken_by,
    )  # fmt: skip
    header = TracksHeader(seq=0, frame_seq=9, trace=trace(track_age_ms), window_frames=16, tracks=[track])
    grades = {}
    if grade_age_ms is not None:
        grades[7] = GradeInfo(
            sperm_id=7,
            frame_seq=9,
            x=1.0,
            y=2.0,
            grade=SHARES,
            heads=[SHARES] * 3,
            validity=validity,
            trace=trace(grade_age_ms),
            evidence=evidence,
        )
    values: dict[str, object] = {"elapsed_s": 60.0, "tracks": header, "grades": grades}
    return Snapshot(now_ns=NOW_NS, processes=all_processes | (processes or {}), **(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, GradeValidity.CURRENT, id="locked, full window, fresh"),
        pytest.param({"grade_age_ms": None}, GradeValidity.NONE, id="no grade"),
        pytest.param({"grade_age_ms": 1000}, GradeValidity.CURRENT, id="as old as it may be"),
        pytest.param({"grade_age_ms": 1001}, GradeValidity.STALE, id="too old"),
        pytest.param({"grade_age_ms": 5000, "speed": "max"}, GradeValidity.CURRENT, id="age means nothing offline"),
        pytest.param({"filled": 15}, GradeValidity.BEFORE_GAP, id="window refilling"),
        pytest.param(
            {"unbroken_since": 10_000}, GradeValidity.BEFORE_GAP, id="window full again, grade from before the gap"
        ),
        pytest.param({"filled": 3, "broken_by": "gap"}, GradeValidity.BEFORE_GAP, id="frames were missing"),
        pytest.param({"filled": 3, "broken_by": "focus changed"}, GradeValidity.DISTURBED, id="focus since"),
        pytest.param(
            {"unbroken_since": 10_000, "broken_by": "stage jumped"}, GradeValidity.DISTURBED, id="stage since"
        ),
        pytest.param({"filled": 3, "broken_by": "may be another"}, GradeValidity.BEFORE_DOUBT, id="doubt since"),
        pytest.param({"validity": Validity.DISTURBED}, GradeValidity.DISTURBED, id="disturbed while the window filled"),
        pytest.param({"validity": Validity.GAP}, GradeValidity.DISTURBED, id="a gap in the window itself"),
        pytest.param({"validity": Validity.STALE}, GradeValidity.STALE, id="stale when it was published"),
        pytest.param(
            {"validity": Validity.DISTURBED, "state": TrackState.LOST}, GradeValidity.BEFORE_LOSS, id="and then lost"
        ),
        pytest.param({"state": TrackState.UNCERTAIN}, GradeValidity.BEFORE_DOUBT, id="uncertain"),
        pytest.param({"state": TrackState.LOST}, GradeValidity.BEFORE_LOSS, id="lost"),
        pytest.param({"state": TrackState.LOST, "grade_age_ms": 9000}, GradeValidity.BEFORE_LOSS, id="lost and old"),
        pytest.param({"track_age_ms": 501}, GradeValidity.STALE, id="nobody knows where it is now"),
        pytest.param(
            {"processes": {ProcessName.TRACKER: view(ProcessName.TRACKER, state=ProcessState.FAILED)}},
            GradeValidity.STALE,
            id="tracker failed",
        ),
    ],
)
def test_what_a_grade_is_worth(given: dict[str, object], expected: GradeValidity) -> None:
    (found,) = sperm_views(snapshot(**given))  # type: ignore[arg-type]
    assert found.validity is expected


MOVED = Evidence(frame_seqs=[1, 2], span_ms=20.0, measured=Measured(causes=[Cause.STAGE, Cause.FOCUS]))
UNSUITED = Evidence(frame_seqs=[1, 2], span_ms=20.0, doubts=[ModelDoubt.SCALE])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "valid"),
        ({"validity": Validity.PADDED}, "padded at edge"),
        ({"validity": Validity.DISTURBED, "evidence": MOVED}, "disturbed: stage"),
        ({"filled": 3, "broken_by": "picture frozen"}, "disturbed: frozen"),
        ({"validity": Validity.GAP}, "disturbed: gap"),
        ({"validity": Validity.UNSUITED, "evidence": UNSUITED}, "scale differs"),
        ({"filled": 3}, "last before gap"),
    ],
)
def test_what_it_is_worth_in_words(given: dict[str, object], expected: str) -> None:
    model = ModelInfo(name="m", sha256="", runtime="r", demonstration=False)
    found = snapshot(model=model, **given)  # type: ignore[arg-type]
    assert worth(found, sperm_views(found)[0]) == expected


def test_the_evidence_in_plain_words() -> None:
    (view_,) = sperm_views(snapshot(validity=Validity.DISTURBED, evidence=MOVED))
    assert view_.grade is not None
    assert evidence_in_words(view_.grade) == (
        "2 frames 1 to 2, 0.0 s; stage 0 px; no other near; no edges to judge the focus by; disturbed by stage, focus"
    )
    assert evidence_in_words(view_.grade.model_copy(update={"evidence": None})) == ""


def test_what_is_wrong_with_the_picture_is_said_first() -> None:
    tracker = view(ProcessName.TRACKER, notices=["the picture is out of focus"])
    found = cautions(
        snapshot(source=SOURCE.model_copy(update={"um_per_px": 1.0}), processes={ProcessName.TRACKER: tracker})
    )
    assert found[0] == "the picture is out of focus"
    assert len(found) == len(set(found)) == 2


def test_a_grade_from_the_future_is_not_older_than_nothing() -> None:
    assert sperm_views(snapshot(grade_age_ms=-5))[0].age_ms == 0.0


ENGINE_SLOW = {"engine": Percentiles(count=5, p50=700.0, p95=900.0, p99=900.0, max=900.0)}


@pytest.mark.parametrize(
    ("process", "given", "expected"),
    [
        pytest.param(ProcessName.TRACKER, ProcessView(), ProcessCondition.STARTING, id="not heard of"),
        pytest.param(
            ProcessName.ENGINE,
            view(ProcessName.ENGINE, 9.0, ProcessState.STARTING),
            ProcessCondition.STARTING,
            id="loading a model is quiet",
        ),
        pytest.param(ProcessName.TRACKER, view(ProcessName.TRACKER, 0.5), ProcessCondition.RUNNING, id="just in time"),
        pytest.param(
            ProcessName.TRACKER, view(ProcessName.TRACKER, 0.51), ProcessCondition.NO_PROGRESS, id="makes no progress"
        ),
        pytest.param(
            ProcessName.ENGINE,
            view(ProcessName.ENGINE, 1.7, recent_ms=ENGINE_SLOW),
            ProcessCondition.RUNNING,
            id="a batch that takes its usual time",
        ),
        pytest.param(
            ProcessName.ENGINE,
            view(ProcessName.ENGINE, 1.9, recent_ms=ENGINE_SLOW),
            ProcessCondition.NO_PROGRESS,
            id="a batch that takes twice its usual time",
        ),
        pytest.param(
            ProcessName.CAPTURE, view(ProcessName.CAPTURE, 9.0, ProcessState.ENDED), ProcessCondition.ENDED, id="ended"
        ),
        pytest.param(
            ProcessName.CAPTURE, view(ProcessName.CAPTURE, 0, ProcessState.FAILED), ProcessCondition.FAILED, id="failed"
        ),
        pytest.param(
            ProcessName.CAPTURE, ProcessView(died="signal 9"), ProcessCondition.FAILED, id="died without a word"
        ),
    ],
)
def test_process_conditions(process: ProcessName, given: ProcessView, expected: ProcessCondition) -> None:
    found = snapshot(processes={process: given})
    assert condition(found, process) is expected
    named = [line for line in alarms(found) if line.startswith(process.value)]
    assert bool(named) == (expected in (ProcessCondition.FAILED, ProcessCondition.NO_PROGRESS))


def test_an_engine_without_a_full_window_waits_unless_it_hangs() -> None:
    assert condition(snapshot(filled=3), ProcessName.ENGINE) is ProcessCondition.WAITING
    hanging = snapshot(filled=3, processes={ProcessName.ENGINE: view(ProcessName.ENGINE, 2.0)})
    assert condition(hanging, ProcessName.ENGINE) is ProcessCondition.NO_PROGRESS


def test_overall_is_the_worst() -> None:
    ended = {name: view(name, state=ProcessState.ENDED) for name in PIPELINE}
    assert overall(snapshot()) is Overall.RUNNING
    assert overall(snapshot(processes=ended)) is Overall.ENDED
    assert overall(snapshot(processes={ProcessName.ENGINE: ProcessView()})) is Overall.STARTING
    assert overall(snapshot(processes={ProcessName.ENGINE: view(ProcessName.ENGINE, 3.0)})) is Overall.ATTENTION
    died = {ProcessName.TRACKER: view(ProcessName.TRACKER, 3.0), ProcessName.ENGINE: ProcessView(died="signal 9")}
    assert overall(snapshot(processes=died)) is Overall.FAILED
    assert alarms(snapshot(processes=died))[0] == "engine FAILED: signal 9"


def test_positions_of_a_slow_source_stay_current_between_its_frames() -> None:
    slow = SOURCE.model_copy(update={"fps": 1.0})
    assert positions_current(snapshot(track_age_ms=1500, source=slow))
    assert not positions_current(snapshot(track_age_ms=1500))


SUSPENDED = replace(view(ProcessName.TRACKER, 9.0), suspended=True)


def test_a_suspended_recorder_is_an_alarm() -> None:
    suspended = replace(view(ProcessName.RECORDER, 9.0), suspended=True)
    (alarm,) = alarms(snapshot(processes={ProcessName.RECORDER: suspended}))
    assert alarm.startswith("RECORDING STANDS STILL: the recorder is suspended")


def test_a_suspended_process_does_not_hang() -> None:
    found = snapshot(processes={ProcessName.TRACKER: SUSPENDED})
    assert condition(found, ProcessName.TRACKER) is ProcessCondition.SUSPENDED
    assert (alarms(found), overall(found)) == ([], Overall.ATTENTION)
    assert cautions(found) == ["tracker is suspended (by SIGSTOP or a debugger): it goes on when it is continued"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, "", id="healthy"),
        pytest.param({"track_age_ms": 3200}, "no frame 3.2 s", id="nothing comes"),
        pytest.param({"track_age_ms": 99_600}, "no frame 2 min", id="nothing comes for long"),
        pytest.param({"track_age_ms": 800, "tracks_received_ns": NOW_NS}, "0.8 s behind", id="frames come, but late"),
        pytest.param(
            {"track_age_ms": 1000, "processes": {ProcessName.CAPTURE: ProcessView(died="signal 9")}},
            "capture failed",
            id="capture died",
        ),
        pytest.param(
            {"processes": {ProcessName.TRACKER: view(ProcessName.TRACKER, 1.0)}}, "tracker hangs", id="tracker hangs"
        ),
        pytest.param({"processes": {ProcessName.TRACKER: SUSPENDED}}, "suspended", id="tracker suspended"),
        pytest.param({"processes": {ProcessName.TRACKER: ProcessView()}}, "not running", id="tracker not heard of"),
        pytest.param({"track_age_ms": 9000, "speed": "max"}, "", id="age means nothing offline"),
    ],
)
def test_where_positions_are_unknown_the_reason_is_named(given: dict[str, object], expected: str) -> None:
    found = snapshot(**given)  # type: ignore[arg-type]
    assert why_unknown(found) == expected
    assert positions_current(found) == (not expected)
    assert len(expected) <= 14, "it must fit the column of states"


LATENESS = {
    "one late frame": ([0] * 40 + [1] * 20, False),
    "one in ten": ([index // 10 for index in range(100)], True),
    "one in ten, then none": ([index // 10 for index in range(100)] + [9] * 100, False),
    "a bad start": ([min(index, 15) for index in range(120)], False),
    "too few frames to tell": (list(range(15)), False),
}


@pytest.mark.parametrize("name", LATENESS)
def test_too_slow_is_said_of_a_rate_of_late_frames_and_goes_away(name: str) -> None:
    counts, slow = LATENESS[name]
    meter = LateMeter()
    for frame, late in enumerate(counts):
        share = meter.update(round(frame / 15 * NS_PER_S), frame, late)
    found = cautions(snapshot(late_share=share))
    assert any("too slow" in caution for caution in found) == slow
    assert not any("too slow" in caution for caution in cautions(snapshot(late_share=share, speed="max")))


def test_disturbance_of_an_old_frame_is_not_shown() -> None:
    moving = snapshot().tracks
    assert moving is not None
    moving = moving.model_copy(update={"disturbance": "stage moving"})
    assert disturbance(snapshot(tracks=moving)) == "stage moving"
    old = moving.model_copy(update={"trace": trace(3000)})
    assert disturbance(snapshot(tracks=old)) == ""


@pytest.mark.parametrize(
    ("source_scale", "model_scale", "words"),
    [
        pytest.param(0.25, 0.25, "", id="the same"),
        pytest.param(0.29, 0.25, "", id="near enough"),
        pytest.param(0.5, 0.25, "source has 0.5 um/px, model trained for 0.25", id="different"),
        pytest.param(None, 0.25, "scale of the source not known", id="not known"),
        pytest.param(None, None, "", id="model made for any"),
    ],
)
def test_scale_is_doubted_aloud(source_scale: float | None, model_scale: float | None, words: str) -> None:
    source = SOURCE.model_copy(update={"um_per_px": source_scale})
    model = MODEL.model_copy(update={"um_per_px": model_scale})
    found = cautions(snapshot(source=source, model=model))
    assert len(found) == bool(words)
    assert words in "".join(found)


def test_cautions_come_once_each_and_bad_messages_are_counted() -> None:
    tracker = view(ProcessName.TRACKER, notices=["same"], counters={"bad_messages": 3})
    found = cautions(snapshot(notices=("same",), processes={ProcessName.TRACKER: tracker}))
    assert found == ["same", "tracker dropped 3 messages: damaged, out of place, or not from this run"]


def test_latency_prefers_the_latest_values_and_knows_none() -> None:
    old, new = (Percentiles(count=9, p50=p50, p95=p50, p99=p50, max=p50) for p50 in (5.0, 7.0))
    engine = view(ProcessName.ENGINE, latency_ms={"engine": old, "waiting": old}, recent_ms={"engine": new})
    found = snapshot(processes={ProcessName.ENGINE: engine})
    assert latency(found, "engine") == new
    assert latency(found, "waiting") == old
    assert latency(found, "transport") is None


def test_slow_is_said_of_a_live_source_alone() -> None:
    slow = SOURCE.model_copy(update={"fps": 20.0})
    assert source_slow(snapshot(source=slow))
    assert not source_slow(snapshot(source=slow, speed="max"))
    assert not source_slow(snapshot(source=slow, elapsed_s=2.0))
    assert not source_slow(snapshot())


def counted(t_s: float, count: int, pid: int = 1) -> ProcessStatus:
    return status(ProcessName.CAPTURE, t_ns=round(t_s * NS_PER_S), counters={"captured": count}, pid=pid)


def test_rate_spans_the_latest_seconds_and_starts_anew_with_a_new_process() -> None:
    meter = RateMeter()
    assert meter.update(status(ProcessName.CAPTURE)) is None
    assert meter.update(counted(10.0, 100)) is None
    rates = [meter.update(counted(10.0 + tenth / 10, 100 + 5 * tenth)) for tenth in range(1, 60)]
    assert rates == pytest.approx([50.0] * 59)
    same = counted(15.9, 395)
    assert meter.update(same) == meter.update(same) == pytest.approx(50.0)
    for tenth in range(1, 41):
        stopped = meter.update(counted(15.9 + tenth / 10, 395))
    assert stopped == 0.0
    assert meter.update(counted(30.0, 3, pid=2)) is None


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "  0%"),
        (0.005, " <1%"),
        (0.0051, "  1%"),
        (0.37, " 37%"),
        (0.994, " 99%"),
        (0.9999, ">99%"),
        (1.0, "100%"),
    ],
)
def test_percent_is_never_more_certain_than_it_may_be(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("share", "utf8", "ascii_", "old"),
    [
        pytest.param(0.0, "····", "....", "····", id="none"),
        pytest.param(0.5, "██··", "##..", "▒▒··", id="half"),
        pytest.param(0.53125, "██▏·", "##..", "▒▒··", id="an eighth of a cell more"),
        pytest.param(1.0, "████", "####", "▒▒▒▒", id="all"),
        pytest.param(1.2, "████", "####", "▒▒▒▒", id="more than all"),
    ],
)
def test_bars(share: float, utf8: str, ascii_: str, old: str) -> None:
    assert bar(share, 4, UTF8) == utf8
    assert bar(share, 4, ASCII) == ascii_
    assert bar(share, 4, UTF8, old=True) == old


def test_sparklines_have_gaps_where_nothing_was_measured() -> None:
    assert sparkline([0.0, 0.124, 0.126, 0.5, 0.999, 1.0, None], UTF8) == "▁▁▂▅██ "
    assert sparkline([0.0, 0.5, 1.0, None], ASCII) == "059."


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "N/A"),
        (0.2, "0 ms"),
        (999.4, "999 ms"),
        (999.6, "1.0 s"),
        (12_340.0, "12.3 s"),
        (120_000.0, "2 min"),
        (7_200_000.0, "2 h"),
    ],
)
def test_durations_have_units(ms: float | None, text: str) -> None:
    assert duration(ms) == text


def test_texts_are_cut_to_cells_not_characters() -> None:
    for width in range(1, 12):
        for text in ("精子の動画.mp4", "short", "x" * 30):
            for glyphs in (UTF8, ASCII):
                assert cell_len(fit(text, width, glyphs)) == width
                assert cell_len(shorten(text, width, glyphs)) <= width
    assert shorten("sample_2024_11_23_no_01.mp4", 15, UTF8) == "sample_…_01.mp4"
    assert wrap("a bb /a/path/too/long c", 6) == ["a bb", "/a/pat", "h/too/", "long c"]
