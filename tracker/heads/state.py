"""How far a position can be vouched for: acquiring, locked, uncertain or lost, and why.

Only what is measured counts: correlation with the template, energy beside its own long-term value, distance from the
frame's edge and from other heads, and how a crossing ended. This module judges; it moves nothing.
"""

from dataclasses import dataclass

from station.transport.messages import TrackState
from tracker.heads.head import Head
from tracker.matching.prepared_frame import FieldFrame

ACQUIRE_S = 0.04
"""A new head is watched for so long before anything is vouched for."""
STILL_S = 1.0
"""A head that has not moved for so long has become background: that it has no energy says nothing."""
BORDER = 0.29
"""Nearer than this to the frame's edge (in head sizes) a head may be cut off."""
MOST_SPREAD = 0.45
"""Energy round the head beside the head's own: above, it lies in a clump or the track has slid onto one."""
UNSURE_S = 0.2
"""Another track may lie on the same place for so long before it counts."""
LEAST_NCC = 0.5
LEAST_ALIVE = 0.5
"""Smoothed energy beside its long-term value: below, the head has faded or the track has slid off."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be said of a head in this frame."""

    state: TrackState
    score: float
    reason: str


def support(head: Head, field: FieldFrame) -> str:
    """Return what speaks against a head being where its track is; empty where nothing does."""
    if head.ncc <= LEAST_NCC:
        return "looks different"
    if head.still_s < STILL_S and alive(head, field) <= LEAST_ALIVE:
        return "faded"
    return ""


def alive(head: Head, field: FieldFrame) -> float:
    """Return the smoothed energy beside its long-term value, 1 where that is nothing."""
    return head.energy / head.energy_long if head.energy_long > field.floor else 1.0


def judge(head: Head, field: FieldFrame) -> Verdict:
    """Return the verdict on a head after it was followed into ``field``."""
    if head.lost:
        return Verdict(TrackState.LOST, 0.0, head.lost)
    height, width = field.pixels.shape
    score = max(0.0, min(1.0, head.ncc))
    if head.still_s < STILL_S:
        score *= min(1.0, alive(head, field))
    edge = min(head.x, head.y, width - 1 - head.x, height - 1 - head.y)
    reason = support(head, field)
    if field.blank:
        reason = field.disturbance
    elif edge <= BORDER * field.head_px:
        reason = "near the border"
    elif not reason and head.spread > MOST_SPREAD:
        reason = "in a clump"
    elif not reason and (head.swap_margin < 0 or head.doubled_s > UNSURE_S):
        reason = "crossing"
    if reason:
        return Verdict(TrackState.UNCERTAIN, score, reason)
    if head.age_s < ACQUIRE_S:
        return Verdict(TrackState.ACQUIRING, score, "new")
    return Verdict(TrackState.LOCKED, score, "")
