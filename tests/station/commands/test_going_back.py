"""Back in a replay means beginning again: where, and how."""

import pytest

from station.commands.going_back import RUN_UP_S, Place, begun_at, one_frame_back, seconds_back
from station.config import Config
from station.transport.control_messages import PlaybackInfo


def at(**fields: object) -> PlaybackInfo:
    values = {"position_s": 15.0, "before_s": 14.9, "length_s": 60.0, "frame_seq": 150, "pace": 0.5} | fields
    return PlaybackInfo.model_validate(values)


def test_one_frame_back_is_the_frame_before_and_paused() -> None:
    assert one_frame_back(at()) == one_frame_back(at(paused_ns=1)) == Place(14.9, True, 0.5)
    assert one_frame_back(at(before_s=None, position_s=0.0)) == "this is its first frame"
    assert "going to 20.0 s" in str(one_frame_back(at(going_to_s=20.0)))


@pytest.mark.parametrize(
    ("fields", "pause_s", "place"),
    [
        ({}, None, Place(5.0, False, 0.5)),
        ({"paused_ns": 1}, None, Place(5.0, True, 0.5)),
        ({"position_s": 4.0}, None, Place(0.0, False, 0.5)),
        ({"position_s": 4.0, "paused_ns": 1}, None, Place(RUN_UP_S, True, 0.5)),
        ({"position_s": 1.0, "paused_ns": 1}, None, Place(1.0, True, 0.5)),
        ({"position_s": 1.0, "going_to_s": 25.0}, None, Place(15.0, False, 0.5)),
        ({"position_s": 1.0, "going_to_s": 25.0}, 25.0, Place(15.0, True, 0.5)),  # pressed twice
    ],
)
def test_ten_seconds_back_goes_on_as_it_was(fields: dict[str, float], pause_s: float | None, place: Place) -> None:
    config = Config.model_validate({"replay": {"pause_s": pause_s}})
    assert seconds_back(at(**fields), config) == place


def test_a_paused_place_is_reached_at_the_recorded_pace_so_that_its_grades_are_there() -> None:
    config = Config.model_validate({"replay": {"from_s": 40.0, "pause_s": 41.5}})
    playing = begun_at(config, Place(5.0, False, 2.0)).replay
    assert (playing.from_s, playing.pause_s, playing.pace) == (5.0, None, 2.0)
    paused = begun_at(config, Place(14.9, True, 1.0)).replay
    assert (paused.from_s, paused.pause_s) == (14.9 - RUN_UP_S, 14.9)
    assert begun_at(config, Place(0.5, True, 1.0)).replay.from_s == 0.0
