"""The bench of bad pictures: on the simulation, and on the real clips where they are."""

from pathlib import Path

import pytest

from bench.pictures import PICTURE_CAUSES, Footage, faults, look, simulated
from bench.support.tracking.clips import video_frames

SOON_S = 0.75


def check(footage: Footage, names: tuple[str, ...], seconds: float) -> None:
    good = look(footage, None, seconds, 4)
    assert good.windows > 0
    assert good.cautions == frozenset()
    assert sum(good.causes[cause] for cause in PICTURE_CAUSES) == 0
    for name in names:
        found = look(footage, faults(footage.head_px)[name], 1.8, 4)
        assert found.noticed_s is not None, name
        assert found.noticed_s < SOON_S, name


def test_good_footage_is_not_called_bad_and_faults_are_noticed() -> None:
    footage = simulated(width=480, height=360, sperm=8)
    check(footage, ("out of focus by 0.2 heads", "too bright", "frozen"), 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["12", "19"])
def test_whole_real_clips_are_not_called_bad(visem: Path, clip: str) -> None:
    video = visem / clip / "video.mp4"
    footage = Footage(clip, lambda: video_frames(video), 21.0)
    check(footage, ("out of focus by 0.1 heads",), 60.0)
