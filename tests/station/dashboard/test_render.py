"""The stored screens in screens/*.txt, and what must hold for every screen.

After a wanted change of the dashboard, write them again with ``ROSTFINE_WRITE_SCREENS=1 pytest
tests/station/dashboard/test_render.py``, and look at the difference before keeping it.
"""

import dataclasses
import io
import os
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from station.dashboard.playback import shown_ns
from station.dashboard.render import render
from station.dashboard.snapshot import ScreenState, Snapshot
from station.transport.control_messages import Percentiles, PlaybackInfo, ProcessName
from tests.station.dashboard.screen_cases import ALL_KEYS, CASES, MANY, MODEL, REAL, RUNNING, SOURCE, view

SCREENS = Path(__file__).parent / "screens"
WRITE = os.environ.get("ROSTFINE_WRITE_SCREENS") == "1"
SIZES = ((80, 24), (120, 40), (200, 60))
RESEARCH = "For research use only. Not for use in diagnostic procedures."


def drawn(snapshot: Snapshot, width: int, height: int, encoding: str = "utf-8", styled: bool = False) -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        console = Console(
            file=file,
            width=width,
            height=height,
            force_terminal=styled,
            color_system="standard" if styled else None,
            legacy_windows=False,
            _environ={},
        )
        console.print(render(snapshot, width, height), end="")
        file.flush()
        return raw.getvalue().decode(encoding)


def as_stored(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.split("\n"))


@pytest.mark.parametrize(("width", "height"), SIZES, ids=lambda size: str(size))
@pytest.mark.parametrize("case", CASES)
def test_screen_is_the_stored_one(case: str, width: int, height: int) -> None:
    check_stored(f"{case}_{width}x{height}", drawn(CASES[case], width, height))


@pytest.mark.parametrize(
    ("name", "case", "width", "height", "encoding"),
    [
        ("running_80x24_ascii", "running", 80, 24, "ascii"),
        ("lost_and_stale_120x40_ascii", "lost_and_stale", 120, 40, "ascii"),
        ("process_failed_60x15_small", "process_failed", 60, 15, "utf-8"),
    ],
)
def test_special_screen_is_the_stored_one(name: str, case: str, width: int, height: int, encoding: str) -> None:
    check_stored(name, drawn(CASES[case], width, height, encoding))


def check_stored(name: str, text: str) -> None:
    path = SCREENS / f"{name}.txt"
    if WRITE:
        path.write_text(as_stored(text), encoding="utf-8")
    assert as_stored(text) == path.read_text(encoding="utf-8")


def test_no_stored_screen_is_left_over() -> None:
    special = {"running_80x24_ascii", "lost_and_stale_120x40_ascii", "process_failed_60x15_small"}
    wanted = special | {f"{case}_{width}x{height}" for case in CASES for width, height in SIZES}
    assert {path.stem for path in SCREENS.glob("*.txt")} == wanted


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("case", CASES)
def test_fills_any_terminal_exactly(case: str, encoding: str) -> None:
    for width in (1, 7, 20, 59, 79, 80, 81, 119, 159, 160, 213):
        for height in (1, 3, 10, 19, 20, 21, 25, 30, 61):
            lines = drawn(CASES[case], width, height, encoding).split("\n")
            assert [cell_len(line) for line in lines] == [width] * height, (width, height)


@pytest.mark.parametrize("case", CASES)
def test_every_screen_with_room_says_what_it_is_for_and_how_to_leave(case: str) -> None:
    for width, height in ((30, 8), (60, 15), (80, 20), (80, 23), *SIZES):
        words = " ".join(drawn(CASES[case], width, height).split())
        assert RESEARCH in words
        asked = CASES[case].screen.question or CASES[case].screen.message
        assert " ".join((asked or "q quit").split()) in words


def test_grades_of_a_demonstration_model_are_never_called_valid() -> None:
    for width, height in SIZES:
        text = drawn(RUNNING, width, height)
        assert "DEMONSTRATION trained on simulated clips: grades mean nothing about real sperm" in text
        assert "valid" not in text
        assert "valid" in drawn(REAL, width, height)
        assert "DEMONSTRATION" not in drawn(REAL, width, height)


def test_grades_of_another_network_are_not_called_rostfines() -> None:
    model = MODEL.model_copy(update={"name": "lab", "system": "r3d", "patch_grid": None})
    engine = {ProcessName.ENGINE: view(ProcessName.ENGINE, model=model)}
    shown = dataclasses.replace(CASES["focused"], processes=CASES["focused"].processes | engine)
    text = drawn(shown, 200, 60)
    assert "r3d grade A" in text
    assert "lab (r3d)" in text
    assert "RoSTFine grade" not in text
    assert "r3d grades from 60 s ago" in drawn(dataclasses.replace(shown, motion=None), 200, 60)


def test_a_grade_that_no_longer_holds_is_dim_and_has_another_bar() -> None:
    current = drawn(RUNNING, 80, 24, styled=True)
    lost = drawn(CASES["lost_and_stale"], 80, 24, styled=True)
    assert "█" in current
    assert "█" not in lost
    assert any("\x1b[2m" in line and "▒" in line for line in lost.split("\n"))


def test_order_is_by_id_whatever_the_grades() -> None:
    rows = [line for line in drawn(RUNNING, 200, 60).split("\n") if "/16" in line]
    assert [int(row.split()[0]) for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("focus", [1, 6, 12])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_focused_sperm_is_always_on_the_screen(width: int, height: int, focus: int) -> None:
    found = drawn(dataclasses.replace(MANY, screen=ScreenState(focus=focus)), width, height)
    (row,) = (line for line in found.split("\n") if line.startswith(">"))
    assert int(row[1:4]) == focus
    assert f"Sperm {focus}, last minute" in found


def test_an_old_picture_is_not_shown() -> None:
    current = CASES["focused_picture"]
    hanging = {ProcessName.TRACKER: view(ProcessName.TRACKER, ago_s=2.0)}
    for found in (
        dataclasses.replace(current, crop=None),
        dataclasses.replace(current, processes=current.processes | hanging),
    ):
        assert "no picture now" in drawn(found, 120, 40)
        assert "@@@" not in drawn(found, 120, 40)
    assert "@@@" in drawn(current, 200, 60)


def test_alarms_stay_on_the_screen_while_the_keys_are_listed() -> None:
    failed = dataclasses.replace(CASES["process_failed"], screen=ScreenState(keys=ALL_KEYS))
    for width, height in SIZES:
        assert "engine FAILED" in drawn(failed, width, height)


def test_text_from_outside_cannot_break_the_screen() -> None:
    source = SOURCE.model_copy(update={"name": "a\x1b[2Jb\nc\td 精子.mp4"})
    hostile = dataclasses.replace(
        RUNNING,
        processes=RUNNING.processes
        | {ProcessName.CAPTURE: view(ProcessName.CAPTURE, source=source, notices=["x\r\ny [red]z"])},
    )
    for encoding in ("utf-8", "ascii"):
        text = drawn(hostile, 80, 24, encoding)
        assert "\x1b" not in text
        assert "\r" not in text
        assert "x y [red]z" in text
        assert [cell_len(line) for line in text.split("\n")] == [80] * 24


@pytest.mark.parametrize(("speed", "words"), [("live", "replay, not live"), ("max", "replay, as fast as possible")])
def test_a_replay_is_never_called_live(speed: str, words: str) -> None:
    shown = drawn(dataclasses.replace(CASES["running"], replay=True, speed=speed), 80, 24)
    assert words in shown.splitlines()[0]


def test_the_error_of_a_cameras_clock_is_shown() -> None:
    error = {"camera_clock_error": Percentiles(count=9, p50=0.1, p95=0.2, p99=0.25, max=0.31)}
    processes = RUNNING.processes | {ProcessName.CAPTURE: view(ProcessName.CAPTURE, source=SOURCE, recent_ms=error)}
    shown = drawn(dataclasses.replace(RUNNING, processes=processes), 160, 40)
    assert "camera clock within 0.31 ms" in shown
    assert "camera clock" not in drawn(RUNNING, 160, 40)


def test_a_replay_says_where_it_is_and_does_not_age_while_it_is_paused() -> None:
    capture = RUNNING.processes[ProcessName.CAPTURE]
    assert capture.status is not None
    playback = PlaybackInfo(position_s=15.0, length_s=60.0, frame_seq=225, pace=0.5, paused_ns=RUNNING.now_ns)
    paused = dataclasses.replace(capture, status=capture.status.model_copy(update={"playback": playback}))
    others = {name: found for name, found in RUNNING.processes.items() if name is not ProcessName.RECORDER}
    snapshot = dataclasses.replace(RUNNING, replay=True, processes=others | {ProcessName.CAPTURE: paused})
    text = drawn(snapshot, 80, 24)
    (line,) = [line for line in text.splitlines() if line.startswith("Replay")]
    assert "paused, 15.0 of 60.0 s  [==" in line
    assert line.count("=") == round((line.count("=") + line.count("-")) / 4)
    statuses = {ProcessName.CAPTURE: paused.status}
    assert shown_ns(statuses) == RUNNING.now_ns  # type: ignore[arg-type]
