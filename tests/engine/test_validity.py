"""What a grade is worth when it is published, by the evidence of its window: the worst that applies."""

import pytest

from engine.validity import evidence_of, validity_of
from station.clock import NS_PER_S
from station.transport.messages import Cause, Measured, ModelDoubt, Validity, WindowInfo


def window(
    seqs: list[int], *, padded: bool = False, measured: Measured | None = None, times: list[int] | None = None
) -> WindowInfo:
    times = times or [seq * 20_000_000 for seq in seqs]
    return WindowInfo(
        sperm_id=1, x=1.0, y=2.0, frame_seqs=seqs, t_source_ns=times, padded=padded, measured=measured
    )  # fmt: skip


GOOD = [4, 7, 10, 13]
MOVED = Measured(causes=[Cause.STAGE], stage_px=40.0)
OLD_NS = NS_PER_S + 1


@pytest.mark.parametrize(
    ("found", "doubts", "age_ns", "expected"),
    [
        (window(GOOD), [], 0, Validity.VALID),
        (window(GOOD, measured=Measured()), [], NS_PER_S, Validity.VALID),
        (window(GOOD, padded=True), [], 0, Validity.PADDED),
        (window(GOOD, padded=True), [ModelDoubt.RATE], 0, Validity.UNSUITED),
        (window(GOOD), [ModelDoubt.SCALE], OLD_NS, Validity.STALE),
        (window(GOOD), [], OLD_NS, Validity.STALE),
        (window(GOOD), [], None, Validity.VALID),
        (window(GOOD, measured=MOVED), [ModelDoubt.SCALE], OLD_NS, Validity.DISTURBED),
        (window([4, 7, 13, 16], measured=MOVED), [], 0, Validity.GAP),
        (window([4, 7, 7, 10]), [], 0, Validity.GAP),
        (window([13, 10, 7, 4]), [], 0, Validity.GAP),
        (window([7, 7, 7, 7]), [], 0, Validity.GAP),
        (window(GOOD, times=[0, 60, 120, 220]), [], 0, Validity.GAP),
        (window(GOOD, times=[0, 50, 120, 180]), [], 0, Validity.VALID),
    ],
)
def test_the_worst_that_applies(
    found: WindowInfo, doubts: list[ModelDoubt], age_ns: int | None, expected: Validity
) -> None:
    assert validity_of(found, evidence_of(found, doubts), age_ns) is expected


def test_the_evidence_says_which_frames_and_what_was_measured() -> None:
    evidence = evidence_of(window(GOOD, measured=MOVED), [ModelDoubt.SCALE])
    assert evidence.frame_seqs == GOOD
    assert evidence.span_ms == 180.0
    assert (evidence.measured, evidence.doubts) == (MOVED, [ModelDoubt.SCALE])
