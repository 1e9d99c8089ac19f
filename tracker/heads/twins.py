"""Two heads that were one when one of them was selected: which was meant is unknown.

Heads that come near are seen from afar. One that comes forth beside a head just selected has touched it before; once
they are apart, and both are heads, only the looks at selection could tell them apart. Where they do not, the sperm
stays in doubt: it is selected anew. This module knows heads and their looks, not how they are followed.
"""

from tracker.heads.head import Head
from tracker.heads.home import fit
from tracker.heads.neighbours import apart
from tracker.matching.matcher import Matcher
from tracker.matching.prepared_frame import PreparedFrame


def note_birth(born: Head, selected: list[Head], prepared: PreparedFrame) -> None:
    """Note a neighbour that is new beside a head just selected."""
    params = prepared.params.twin
    for head in selected:
        near = apart(head, born) < params.birth_heads * prepared.head_px
        # Before the background was learnt nothing had energy: what comes forth then has been there all along.
        known = prepared.watched_s - head.age_s > prepared.params.background.dense_s
        if head.followed and near and known and head.age_s < params.young_s:
            head.twin = born.key


def judge_twins(selected: list[Head], heads: list[Head], prepared: PreparedFrame, matcher: Matcher) -> None:
    """Say of selected heads that have parted from a twin whether they can be told apart."""
    for head in selected:
        if head.twin is None:
            continue
        twin = next((h for h in heads if h.key == head.twin), None)
        if twin is None:
            head.twin = None
        elif apart(head, twin) > prepared.params.twin.birth_heads * prepared.head_px:
            head.twin = None
            head.mistakable = head.mistakable or _alike(head, twin, prepared, matcher)


def _alike(head: Head, twin: Head, prepared: PreparedFrame, matcher: Matcher) -> bool:
    """Return whether the twin might be the one that was selected."""
    params = prepared.params.twin
    if head.home is not None and head.home.first and head.home.away_s == 0.0:
        return False  # it lies where it was selected, and looks as it did
    weaker, stronger = sorted((head.energy, twin.energy))
    if weaker <= params.least_energy * stronger or head.first_looks is None:
        return False
    own, other = (fit(head.first_looks, h.x, h.y, prepared, matcher) for h in (head, twin))
    return own < other + params.margin_ncc
