"""How a sperm swims, in words."""

import pytest

from station.dashboard.motion import motion_in_words
from station.transport.messages import KinematicsInfo

WHOLE = KinematicsInfo(
    vcl_um_s=81.4, vsl_um_s=48.2, vap_um_s=57.9, lin=0.592, straightness=0.83, wob=0.71,
    alh_max_um=4.2, alh_mean_um=3.1, bcf_hz=12.4, mad_deg=32.0,
    motility="rapidly progressive", confidence=0.8, rate_hz=60.0, duration_s=1.0,
)  # fmt: skip
SLOW_CAMERA = WHOLE.model_copy(update={"alh_max_um": None, "alh_mean_um": None, "bcf_hz": None})


@pytest.mark.parametrize(
    ("info", "room", "expected"),
    [
        pytest.param(
            WHOLE, 200,
            "WHO: rapidly progressive  VCL 81 um/s  VSL 48 um/s  VAP 58 um/s  LIN 0.59  STR 0.83  WOB 0.71  ALH 3.1 um"
            "  BCF 12 Hz  MAD 32 deg  at 60 samples/s", id="all",
        ),
        pytest.param(
            SLOW_CAMERA, 200,
            "WHO: rapidly progressive  VCL 81 um/s  VSL 48 um/s  VAP 58 um/s  LIN 0.59  STR 0.83  WOB 0.71  MAD 32 deg"
            "  at 60 samples/s",
            id="what the frame rate does not allow is left out",
        ),
        pytest.param(WHOLE, 56, "WHO: rapidly progressive  VCL 81 um/s  VSL 48 um/s", id="whole figures only"),
        pytest.param(WHOLE, 3, "WHO: rapidly progressive", id="the class in any case"),
        pytest.param(KinematicsInfo(refused="um/px is not set"), 80, "motion: um/px is not set", id="refused"),
    ],
)  # fmt: skip
def test_motion_in_words(info: KinematicsInfo, room: int, expected: str) -> None:
    assert motion_in_words(info, room) == expected
