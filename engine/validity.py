"""Whether a grade can be taken at its word at the moment it is published, by the evidence of its window.

The order of ``Validity`` is that of gravity: the worst that applies is given; the evidence has all of it. This module
judges one window; what becomes of the sperm afterwards is for those who show it.
"""

import itertools
from collections.abc import Sequence
from typing import Final

from station.clock import NS_PER_MS, NS_PER_S
from station.transport.messages import STALE_S, Evidence, ModelDoubt, Validity, WindowInfo

LONGEST_STEP: Final = 1.6
"""So many times the usual step, and frames are missing: the tracker's own measure."""


def evidence_of(window: WindowInfo, doubts: Sequence[ModelDoubt]) -> Evidence:
    """Return what a window's grade rests on."""
    times_ns = window.t_source_ns
    span_ms = max(0.0, (times_ns[-1] - times_ns[0]) / NS_PER_MS) if times_ns else 0.0
    return Evidence(frame_seqs=window.frame_seqs, span_ms=span_ms, measured=window.measured, doubts=list(doubts))


def validity_of(window: WindowInfo, evidence: Evidence, age_ns: int | None) -> Validity:
    """Return the worst that applies; ``age_ns``: of the newest frame now, None where age means nothing."""
    if not _even(window.frame_seqs) or not _steady(window.t_source_ns):
        return Validity.GAP
    if evidence.measured is not None and evidence.measured.causes:
        return Validity.DISTURBED
    if _is_stale(age_ns):
        return Validity.STALE
    if evidence.doubts:
        return Validity.UNSUITED
    return Validity.PADDED if window.padded else Validity.VALID


def validity_later(then: Validity, age_ns: int | None) -> Validity:
    """Return the worst that applies to a grade that is published only now; ``then``: when it was made."""
    gravity = list(Validity)
    return max(then, Validity.STALE, key=gravity.index) if _is_stale(age_ns) else then


def _is_stale(age_ns: int | None) -> bool:
    return age_ns is not None and age_ns > STALE_S * NS_PER_S


def _even(seqs: Sequence[int]) -> bool:
    """Return whether the frames are the same number of frames apart, one after the other."""
    steps = {later - earlier for earlier, later in itertools.pairwise(seqs)}
    return len(steps) <= 1 and min(steps, default=1) > 0


def _steady(times_ns: Sequence[int]) -> bool:
    """Return whether time rises in steps of which none is much longer than the usual one, whatever the numbers say."""
    steps = sorted(later - earlier for earlier, later in itertools.pairwise(times_ns))
    return not steps or (steps[0] > 0 and steps[-1] <= LONGEST_STEP * steps[len(steps) // 2])
