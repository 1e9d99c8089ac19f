"""A tracker that was started again: who keeps the number, who is lost, and that a replay does the same."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from station.config import TrackerSettings
from station.processes.ledger import NOTE_BYTES, Ledger, Place
from station.transport.messages import AppliedCommand, CommandName, TrackState
from tests.tracker.drawn_scene import HEIGHT, SHAPE, WIDTH, draw_frame
from tracker.handover import Handover, HandoverWriter
from tracker.process import left_behind
from tracker.replacement import Replacement
from tracker.results import FrameResult, TrackResult
from tracker.tracker import Tracker

HEAD_PX = 20.0
FRAME_NS = 20_000_000
STILL, SLOW, FAST = (80.0, 60.0), (160.0, 120.0), (40.0, 180.0)
DOWN_FRAMES = 50
Point = tuple[float, float]


def places(number: int, shift: Point = (0.0, 0.0)) -> list[Point]:
    still, slow, fast = STILL, (SLOW[0] + 0.08 * number, SLOW[1]), (FAST[0] + 2.0 * number, FAST[1])
    return [(x + shift[0], y + shift[1]) for x, y in (still, slow, fast)]


def picture(number: int, shift: Point = (0.0, 0.0)) -> NDArray[np.uint8]:
    return draw_frame(number, places(number, shift))


def new_tracker() -> Tracker:
    return Tracker(TrackerSettings(head_px=HEAD_PX), SHAPE, HEIGHT, WIDTH)


@cache
def left_after(frames: int, heads: Callable[[int], list[Point]] = places) -> Handover:
    """What a tracker leaves that followed the three heads, of which the first was chosen."""
    tracker, writer = new_tracker(), HandoverWriter()
    for x, y in heads(0):
        tracker.select(x, y)
    note = b""
    for number in range(frames):
        pixels = draw_frame(number, heads(number))
        result = tracker.update(pixels, frame_seq=number, t_source_ns=number * FRAME_NS)
        note = writer.note(
            result, pixels, frame_seq=number, t_source_ns=number * FRAME_NS, next_id=tracker.next_id,
            head_px=tracker.head_px, chosen={1}, wanted=2,
        ) or note  # fmt: skip
    assert {track.state for track in result.tracks[:2]} == {TrackState.LOCKED}
    left = Handover.read(note)
    assert left is not None
    return left


def names(commands: list[AppliedCommand]) -> list[tuple[str, int | None]]:
    return [(command.name.value, command.sperm_id or command.count) for command in commands]


def test_who_keeps_the_number() -> None:
    left, later = left_after(76), 76 + DOWN_FRAMES
    assert (left.frame_seq, left.next_id, left.head_px) == (75, 4, HEAD_PX)
    t_ns = later * FRAME_NS
    seen = left.resumption(picture(later), t_ns, replaces=True)
    assert names(seen) == [("restart", 4), ("take_up", 1), ("take_up", 2), ("release", 3), ("select_auto", 1)]
    for command, (x, y) in zip(seen[1:3], places(later), strict=False):
        assert command.x is not None
        assert command.y is not None
        assert abs(command.x - x) <= 3
        assert abs(command.y - y) <= 3
    kept = left.resumption(picture(later), t_ns, replaces=False)
    assert names(kept) == [("restart", 4), ("take_up", 1), ("take_up", 2), ("miss", 3)], "nothing gives way by itself"
    moved = left.resumption(picture(later, shift=(40.0, 25.0)), t_ns, replaces=True)
    assert names(moved) == [("restart", 4), ("miss", 1), ("release", 2), ("release", 3), ("select_auto", 2)]
    empty = left.resumption(np.full((HEIGHT, WIDTH), 128, np.uint8), t_ns, replaces=True)
    assert names(empty)[1] == ("miss", 1), "a chosen one is never given up by itself"
    hour = left.resumption(picture(later), t_ns + 3600 * 10**9, replaces=True)
    assert ("take_up", 2) not in names(hour), "a slow one goes far in an hour"


def ids(commands: list[AppliedCommand], name: CommandName) -> list[int]:
    return [command.sperm_id for command in commands if command.name is name and command.sperm_id is not None]


def test_in_doubt_a_sperm_is_lost() -> None:
    left, later = left_after(76), 76 + DOWN_FRAMES
    t_ns = later * FRAME_NS

    def taken_up(pixels: NDArray[np.uint8], at_ns: int = t_ns) -> list[int]:
        return ids(left.resumption(pixels, at_ns, replaces=False), CommandName.TAKE_UP)

    assert taken_up(picture(later)) == [1, 2]
    assert taken_up(picture(76), 75 * FRAME_NS + 2_100_000_000) == [], "down for too long"
    assert taken_up(picture(76), 10 * FRAME_NS) == [], "another time"
    far = (STILL[0] - SLOW[0], STILL[1] - SLOW[1])
    moved = np.roll(draw_frame(later, [STILL, SLOW]), (round(far[1]), round(far[0])), axis=(0, 1))
    assert taken_up(moved) == [], "the stage has brought another to the place of the first"
    flat = np.clip(draw_frame(later, [STILL, SLOW], 140.0).astype(np.int16), 110, 255).astype(np.uint8)
    assert taken_up(flat) == [], "the field can't be known again"
    assert taken_up(draw_frame(later, [STILL, (STILL[0] + 22, STILL[1]), SLOW])) == [2], "two alike near by"
    bare = left.model_copy(update={"field": None})
    assert ids(bare.resumption(picture(later), t_ns, replaces=False), CommandName.MISS) == [1, 2, 3]


def test_one_that_swims_in_circles_is_not_slow() -> None:
    def heads(number: int) -> list[Point]:
        angle = 2 * np.pi * number / 40  # once round in 0.8 s
        return [STILL, (SLOW[0] + 12 * np.cos(angle), SLOW[1] + 12 * np.sin(angle))]

    left = left_after(101, heads)
    assert left.sperm[0].speed_px_s is not None
    assert left.sperm[0].speed_px_s < 5
    assert left.sperm[1].speed_px_s is not None
    assert left.sperm[1].speed_px_s > 60


def test_what_was_marked_while_nobody_heard_it_never_gives_way() -> None:
    left = left_after(76)
    commands = left.resumption(picture(126), 126 * FRAME_NS, replaces=True, marked={3, 99})
    assert names(commands) == [("restart", 4), ("mark", 3), ("take_up", 1), ("take_up", 2), ("miss", 3)]


def test_where_there_is_no_room_the_sperm_are_named_and_lost() -> None:
    tracks = [TrackResult(n, 60.0, 60.0, TrackState.LOCKED, 1.0, "", 0) for n in range(1, 200)]
    writer, pixels, note = HandoverWriter(), picture(0), b""
    for number in (0, 25):
        note = writer.note(
            FrameResult(tuple(tracks), (), ""), pixels, frame_seq=number, t_source_ns=number * FRAME_NS, next_id=200,
            head_px=60.0, chosen={1}, wanted=198,
        ) or note  # fmt: skip
    left = Handover.read(note)
    assert left is not None
    assert (left.next_id, len(left.sperm)) == (200, 199)
    missed = ids(left.resumption(pixels, 30 * FRAME_NS, replaces=False), CommandName.MISS)
    assert missed == list(range(1, 200))


def test_a_fast_source_makes_a_note_when_somebody_else_is_followed_or_some_time_has_passed() -> None:
    writer, pixels = HandoverWriter(), picture(0)

    def noted(t_ms: float, *states: TrackState, chosen: int = 1) -> bool:
        tracks = tuple(TrackResult(n, 60.0, 60.0 + t_ms, state, 1.0, "", 0) for n, state in enumerate(states, 1))
        return writer.note(
            FrameResult(tracks, (), ""), pixels, frame_seq=0, t_source_ns=round(t_ms * 1e6), next_id=9, head_px=HEAD_PX,
            chosen={chosen}, wanted=2,
        ) is not None  # fmt: skip

    locked, lost = TrackState.LOCKED, TrackState.LOST
    assert [noted(6.25 * k, locked, locked) for k in range(7)] == [True, False, False, True, False, False, True]
    assert noted(38, locked, lost), "one is not there any more"
    assert not noted(39, locked, lost)
    assert noted(40, locked, lost, chosen=2)
    assert noted(41, locked), "one was released"
    assert noted(3, locked), "another time"


def test_numbers_go_on_where_the_note_says_nothing() -> None:
    with Ledger() as ledger:
        ledger.begin()
        assert left_behind(ledger, 2) is None
        ledger.begin()
        assert left_behind(ledger, 2) is None, "nothing was tracked"
        ledger.number(Place.TRACKED).value, ledger.number(Place.NEXT_ID).value = 500, 7
        ledger.write_note(bytes(NOTE_BYTES + 1))
        left = left_behind(ledger, 2)
        assert left is not None
        assert (left.frame_seq, left.next_id, left.wanted, left.sperm) == (499, 7, 2, [])
        commands = left.resumption(picture(0), 0, replaces=False)
        assert names(commands[:1]) == [("restart", 7)]
        assert [(one.name, one.count) for one in commands[1:]] == [(CommandName.SELECT_AUTO, 2)]


@pytest.mark.parametrize("replaces", [True, False])
def test_a_tracker_that_was_killed_before_it_had_selected_anybody_selects_at_once(replaces: bool) -> None:
    """It waited for half a minute, or for ever where lost sperm are not replaced."""
    writer, pixels = HandoverWriter(), picture(0)
    tracks = (TrackResult(1, 60.0, 60.0, TrackState.LOCKED, 1.0, "", 0),)
    result = FrameResult(tracks, (), "")
    note = writer.note(result, pixels, frame_seq=9, t_source_ns=0, next_id=2, head_px=HEAD_PX, chosen={1}, wanted=4)
    left = Handover.read(note or b"")
    assert left is not None
    commands = left.resumption(pixels, 10 * FRAME_NS, replaces=replaces)
    assert [one.count for one in commands if one.name is CommandName.SELECT_AUTO] == [4]
    replacement = Replacement(1.0)
    replacement.resume({1}, set(), left.wanted - left.unselected)
    for command in commands:
        replacement.note(command)
    assert replacement.wanted == 4


def resumed(commands: list[AppliedCommand], frames: range) -> list[FrameResult]:
    tracker = new_tracker()
    for command in commands:
        if command.name is CommandName.RESTART and command.sperm_id:
            tracker.resume(command.sperm_id)
        elif command.sperm_id and command.x is not None and command.y is not None:
            what = tracker.take_up if command.name is CommandName.TAKE_UP else tracker.miss
            what(command.sperm_id, command.x, command.y)
    return [tracker.update(picture(n), frame_seq=n, t_source_ns=n * FRAME_NS) for n in frames]


def test_what_was_taken_up_is_followed_and_the_others_say_that_they_are_lost() -> None:
    left, later = left_after(76), 76 + DOWN_FRAMES
    commands = left.resumption(picture(later), later * FRAME_NS, replaces=False)
    results = resumed(commands, range(later, later + 40))
    again = resumed(commands, range(later, later + 40))
    assert [r.tracks for r in results] == [r.tracks for r in again], "the same commands give the same bits"
    assert results[0].windows == (), "no window of before goes on"
    first, last = ({track.sperm_id: track for track in result.tracks} for result in (results[0], results[-1]))
    assert first.keys() == last.keys() == {1, 2, 3}
    assert (last[1].state, last[2].state, last[3].state) == (TrackState.LOCKED, TrackState.LOCKED, TrackState.LOST)
    assert (last[3].reason, last[3].filled) == ("tracker was restarted", 0)
    for sperm_id, (x, y) in zip((1, 2), places(later + 39), strict=False):
        assert abs(last[sperm_id].x - x) <= 3
        assert abs(last[sperm_id].y - y) <= 3


def test_a_note_that_is_none_is_nothing() -> None:
    assert Handover.read(b"") is None
    assert Handover.read(b"{}") is None
