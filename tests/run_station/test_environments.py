"""Runs in surroundings that the program did not choose; `bench chaos --only environments` has all of them."""

import resource
import sys
from pathlib import Path

import pytest

from bench.support.chaos.environments import (
    C_LOCALE,
    ENVIRONMENTS,
    HANDLES,
    LONG_NAME,
    ODD_NAME,
    Place,
    offline,
    went_through,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors, limits and terminals of Linux")
ATTEMPTS = {what: attempt for what, _, attempt in ENVIRONMENTS}


@pytest.mark.parametrize(
    "what",
    [
        "standard input, output and error closed",
        "reader of standard output gone",
        "terminal closed",
        "terminal that is not read",
    ],
)
def test_streams_that_are_gone(tmp_path: Path, what: str) -> None:
    wrong, _ = ATTEMPTS[what](tmp_path)
    assert wrong == []


def test_long_odd_paths_in_locale_c_with_few_file_handles(tmp_path: Path) -> None:
    """All at once: each alone is a row of the bench."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (HANDLES, HANDLES))

    place = Place(tmp_path / ODD_NAME / LONG_NAME, C_LOCALE)
    wrong, _ = went_through(place, offline(place, preexec_fn=limit))
    assert wrong == []


@pytest.mark.slow
def test_a_wall_clock_that_is_put_back_in_mid_run(tmp_path: Path) -> None:
    wrong, _ = ATTEMPTS["wall clock put back by a day in mid-run"](tmp_path)
    assert wrong == []
