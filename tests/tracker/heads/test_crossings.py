"""Identities after a crossing, and what is known of them, go to the right head."""

import numpy as np
import pytest

from tracker.field.preprocessor import Preprocessor
from tracker.heads.crossings import Crossings
from tracker.heads.head import Head
from tracker.matching.matcher import OpenCvMatcher, Peak
from tracker.params import DEFAULT_PARAMS

RNG = np.random.default_rng(3)
LOOKS = RNG.normal(0, 1, (2, 23, 23)).astype(np.float32)
STEP_S = 0.02


@pytest.mark.parametrize("exchanged", [False, True], ids=["kept", "exchanged"])
def test_identities_after_a_crossing(exchanged: bool) -> None:
    """Two heads swim towards each other; where the tracks turn back, they have swapped heads."""
    heads = [Head(k + 1, k + 1, 0.0, 0.0, LOOKS[k], 10.0) for k in range(2)]
    crossings = Crossings()
    flat = np.full((60, 60), 90, np.uint8)
    prepared = Preprocessor(60, 60, OpenCvMatcher(), 21.0).prepare(flat, frame_seq=0, t_source_ns=0)
    swaps = 0
    for number in range(60):
        way = 60 - 2.0 * number
        if exchanged and way < 0:
            way = -way
        for head, side in zip(heads, (-1, 1), strict=True):
            head.move(100 + side * way / 2, 100 + 2.0 * side, Peak(0, 0, 2, 1, 10), 10.0, STEP_S, DEFAULT_PARAMS.head)
        crops = LOOKS[::-1] if exchanged and number > 30 else LOOKS
        crossings.resolve(heads, np.ascontiguousarray(crops), prepared)
        swaps += all(h.displaced for h in heads)
    assert [h.sperm_id for h in heads] == ([2, 1] if exchanged else [1, 2])
    assert swaps == int(exchanged), "it is said once, so that windows begin again"
