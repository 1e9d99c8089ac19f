"""From a snapshot to the cards: each sperm, its newest grade and what that is worth, in the terminal's own words."""

from collections import Counter, deque
from collections.abc import Mapping

from station.clock import NS_PER_MS, NS_PER_S
from station.dashboard.assessment import GradeValidity, SpermView, no_grade, sperm_views, why_unknown, worth
from station.dashboard.evidence_words import evidence_in_words
from station.dashboard.snapshot import Snapshot
from station.dashboard.spread import heads_apart, heads_in_words, spread, spread_in_words
from station.recent import put_recent
from station.transport.messages import GradeInfo, KinematicsInfo, TrackState
from station.view.page_messages import Card, PastGrade

HISTORY_S = 60.0
MOST_PAST = 4096
UNKNOWN = "unknown"
"""The state of every sperm where nobody knows where they are now."""


def cards(snapshot: Snapshot, marked: frozenset[int], swimming: Mapping[int, KinematicsInfo]) -> list[Card]:
    """Return one card per tracked sperm, by number."""
    why = why_unknown(snapshot)
    found = [_card(snapshot, view, swimming.get(view.track.sperm_id)) for view in sperm_views(snapshot)]
    found = [card.model_copy(update={"marked": True}) if card.sperm_id in marked else card for card in found]
    return [card.model_copy(update={"state": UNKNOWN, "reason": why}) for card in found] if why else found


def _card(snapshot: Snapshot, view: SpermView, swimming: KinematicsInfo | None) -> Card:
    track, grade = view.track, view.grade
    plain = Card(
        sperm_id=track.sperm_id,
        x=track.x,
        y=track.y,
        state=track.state.value,
        reason=track.reason,
        score=track.score,
        filled=track.filled,
        motility=swimming.motility if swimming is not None and track.state is not TrackState.LOST else "",
        kinematics=kinematics_in_words(swimming) if track.state is not TrackState.LOST else "",
        worth=no_grade(snapshot, view) if grade is None else worth(snapshot, view),
    )
    if grade is None:
        return plain
    steps, apart = spread(grade.grade), None if grade.heads is None else heads_apart(grade.heads)
    return plain.model_copy(
        update={
            "grade": grade.grade,
            "heads": grade.heads,
            "age_ms": view.age_ms,
            "evidence": evidence_in_words(grade),
            "holds": view.validity is GradeValidity.CURRENT,
            "spread": spread_in_words(steps),
            "spread_steps": steps,
            "heads_word": heads_in_words(apart),
            "heads_steps": apart,
        }
    )


def looked_at(snapshot: Snapshot, card: Card) -> Card:
    """Return a card with the patches that the network selected for its grade, where that grade holds."""
    grade, model = snapshot.grades.get(card.sperm_id), snapshot.model
    grid = model.patch_grid if model is not None else None
    if grade is None or not card.holds or not grade.patches or not grid:
        return card
    counts = Counter(patch for frame in grade.patches for patch in frame)
    shares = [counts[patch] / len(grade.patches) for patch in range(grid * grid)]
    return card.model_copy(update={"attention": shares})


def kinematics_in_words(found: KinematicsInfo | None) -> str:
    """Return the main figures, or why there are none."""
    if found is None:
        return ""
    if found.refused:
        return f"no kinematics: {found.refused}"
    figures = [
        f"{name} {value:.{digits}f}{unit}"
        for name, value, digits, unit in (
            ("VCL", found.vcl_um_s, 0, " \u00b5m/s"),
            ("VSL", found.vsl_um_s, 0, " \u00b5m/s"),
            ("VAP", found.vap_um_s, 0, " \u00b5m/s"),
            ("LIN", found.lin, 2, ""),
            ("ALH", found.alh_max_um, 1, " \u00b5m"),
            ("BCF", found.bcf_hz, 0, " Hz"),
        )
        if value is not None
    ]
    rate = f" at {found.rate_hz:.0f} frames/s" if found.rate_hz is not None else ""
    return f"{', '.join(figures)}{rate}"


class GradeHistory:
    """The grades of the last minute, in the order they came, so that each page can be told what it has not seen."""

    def __init__(self) -> None:
        self.newest: dict[int, GradeInfo] = {}
        """By sperm."""
        self._past: deque[PastGrade] = deque()
        self._gone = 0
        """Grades that are no longer kept."""

    @property
    def end(self) -> int:
        """The number of grades so far."""
        return self._gone + len(self._past)

    def add(self, grade: GradeInfo) -> None:
        """Take a grade in; those of more than a minute before go."""
        put_recent(self.newest, grade.sperm_id, grade)
        t_ns = grade.trace.t_exposure_ns
        self._past.append(PastGrade(sperm_id=grade.sperm_id, t_ms=t_ns / NS_PER_MS, grade=grade.grade))
        oldest_ms = (t_ns - HISTORY_S * NS_PER_S) / NS_PER_MS
        while self._past[0].t_ms < oldest_ms or len(self._past) > MOST_PAST:
            self._past.popleft()
            self._gone += 1

    def since(self, seen: int) -> list[PastGrade]:
        """Return the grades after the first ``seen``, as far as they are kept."""
        first = max(0, seen - self._gone)
        return [self._past[k] for k in range(first, len(self._past))]
