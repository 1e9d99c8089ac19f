"""The tuned constants as a session stores them, and what a replay says if they were different."""

import json

from tracker.params import DEFAULT_PARAMS, differences
from tracker.replay import parameters_notice


def read_back() -> dict[str, float | list[float]]:
    """The constants as read back from a session's log."""
    return json.loads(json.dumps(DEFAULT_PARAMS.flat()))


def test_every_parameter_is_a_number_or_numbers_and_reads_back_the_same() -> None:
    flat = DEFAULT_PARAMS.flat()
    assert len(flat) > 100
    assert differences(read_back()) == []
    assert parameters_notice(read_back()) == ""


def test_a_session_of_before_they_were_recorded_is_no_difference() -> None:
    assert parameters_notice({}) == ""


def test_other_parameters_are_named() -> None:
    recorded = read_back()
    present = recorded.pop("state.acquire_s")
    recorded |= {"crossing.swap_margin": 0.5, "crossing.retired": 1.0, "stage.grid": [4.0, 6.0]}
    notice = parameters_notice(recorded)
    assert notice.startswith("recorded with other tracker parameters: crossing.retired 1.0 then, unknown now; ")
    assert "crossing.swap_margin 0.5 then" in notice
    assert notice.endswith(" and 1 more")
    assert f"state.acquire_s unknown then, {present} now" in differences(recorded)
