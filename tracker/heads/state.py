"""The states of a selected sperm's track, and every transition between them.

::

                  selected, or seen again (a new Head of the same number)
                                      |
                                      v
        doubt                     ACQUIRING
      .---------------------------'   |   watched for acquire_s
      v         doubt                 v
  UNCERTAIN <--------------------- LOCKED         only locked frames enter a window
      |    ---------------------->    |
      |         doubt gone            |
      |                               |  ACQUIRING too: another field, out of sight,
      |  no support for lost_after_s  |  frames missing for lost_after_s
      '--------------> LOST <---------'
                        |
                        |  seen again, clearly (tracker.heads.reacquisition): back to the top
                        '  never after it left the frame, and not in another field

Doubt is worked out anew for each frame (``judge``); whether a head is lost is decided once and stays (``advance``,
``lose``). Only what is measured counts: correlation with the template, energy beside its own long-term value, distance
from the frame's edge and from other heads, and how a crossing ended. This module judges; it moves nothing.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from station.transport.messages import TrackState
from tracker.heads.head import Head, Loss, LossReason
from tracker.matching.prepared_frame import PreparedFrame


class Doubt(StrEnum):
    """Why a position is not vouched for; the value is what people read."""

    NEW = "new"
    NOTHING_TO_SEE = "nothing to see"
    FROZEN = "picture frozen"
    NEAR_BORDER = "near the border"
    LOOKS_DIFFERENT = "looks different"
    FADED = "faded"
    IN_CLUMP = "in a clump"
    CROSSING = "crossing"
    LEFT_HOME = "may be another"


LOSS_BY: Final = {
    Doubt.NOTHING_TO_SEE: LossReason.NOTHING_TO_SEE,
    Doubt.LOOKS_DIFFERENT: LossReason.LOOKS_DIFFERENT,
    Doubt.FADED: LossReason.FADED,
}
"""What a head is lost by that has been in such doubt for too long."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be said of a head in this frame."""

    state: TrackState
    score: float
    reason: str
    """In words, for people."""


def lose(head: Head, loss: Loss, *, seek: bool = True) -> None:
    """Any state to LOST. ``seek`` False: there is nowhere to look for it."""
    head.loss = loss
    head.unsupported_s = 0.0 if seek else math.inf
    head.doubled_s = 0.0


def advance(head: Head, prepared: PreparedFrame) -> None:
    """Take a selected head one frame further: it has support, it has had none for some time, or it is lost."""
    if not head.followed:
        head.unsupported_s += prepared.interval_s
        return
    params = prepared.params.state
    height, width = prepared.pixels.shape
    doubt = Doubt.NOTHING_TO_SEE if prepared.blank else lack_of_support(head, prepared)
    head.unsupported_s = head.unsupported_s + prepared.interval_s if doubt else 0.0
    if not doubt:
        head.remember_looks()
    if prepared.replaced:
        lose(head, Loss(LossReason.FIELD_CHANGED), seek=False)
    elif _inside_px(head, width, height) < -params.outside_heads * prepared.head_px:
        lose(head, Loss(LossReason.LEFT_FRAME))
    elif doubt and head.unsupported_s > params.lost_after_s:
        lose(head, Loss(LOSS_BY[doubt]))


def lack_of_support(head: Head, prepared: PreparedFrame) -> Doubt | None:
    """Return what speaks against a head being where its track is; None where nothing does."""
    params = prepared.params.state
    if head.ncc <= params.least_ncc:
        return Doubt.LOOKS_DIFFERENT
    if not head.at_home and head.still_s < params.still_s and alive(head, prepared) <= params.least_alive:
        return Doubt.FADED
    return None


def alive(head: Head, prepared: PreparedFrame) -> float:
    """Return the smoothed energy beside its long-term value, 1 where that is nothing."""
    return head.energy / head.energy_long if head.energy_long > prepared.floor else 1.0


def judge(head: Head, prepared: PreparedFrame) -> Verdict:
    """Return the verdict on a selected head after it was followed into this frame."""
    if head.loss is not None:
        return Verdict(TrackState.LOST, 0.0, head.loss.words)
    params = prepared.params.state
    score = max(0.0, min(1.0, head.ncc))
    if not head.at_home and head.still_s < params.still_s:
        score *= min(1.0, alive(head, prepared))
    doubt = _doubt(head, prepared)
    if doubt:
        return Verdict(TrackState.UNCERTAIN, score, doubt)
    if head.age_s < params.acquire_s:
        return Verdict(TrackState.ACQUIRING, score, Doubt.NEW)
    return Verdict(TrackState.LOCKED, score, "")


def _doubt(head: Head, prepared: PreparedFrame) -> Doubt | None:
    """Return the first reason not to vouch for the place of a head that is followed."""
    params = prepared.params.state
    height, width = prepared.pixels.shape
    if prepared.blank:
        return Doubt.NOTHING_TO_SEE
    if prepared.frozen:
        return Doubt.FROZEN
    if _inside_px(head, width, height) <= params.border_heads * prepared.head_px:
        return Doubt.NEAR_BORDER
    if doubt := lack_of_support(head, prepared):
        return doubt
    if head.spread > params.most_spread:
        return Doubt.IN_CLUMP
    if head.swap_margin < 0 or head.mistakable or head.doubled_s > params.unsure_s:
        return Doubt.CROSSING
    if head.home is not None and (head.home.supposed or head.home.away_s > 0):
        return Doubt.LEFT_HOME
    return None


def _inside_px(head: Head, width: int, height: int) -> float:
    """Return how far inside the frame's edge a head is; negative outside."""
    return min(head.x, head.y, width - 1 - head.x, height - 1 - head.y)
