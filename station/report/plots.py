"""The plots of a report, as inline SVG: grades over time with what they were worth, and a trajectory in um.

Colours are named by class and set by the page, for light and dark; nothing is said by colour alone. Coordinates are
rounded to a tenth of a pixel, and columns and points are few: a page of ten sperm stays small.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from markupsafe import Markup, escape

from station.archive.moments import Choice, Span
from station.archive.story import SpermStory, Story
from station.dashboard.assessment import GradeValidity
from station.transport.messages import GRADES, GradeInfo, TrackState

WIDTH: Final = 560
LEFT: Final = 40
GRADE_TOP, GRADE_HEIGHT, STRIP = 16, 100, 14
COLUMNS: Final = 340
"""Most columns of a plot over time: narrower ones could not be told apart."""
POINTS: Final = 1200
SIDE: Final = 300
SCALE_BARS_UM: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
STRIP_CLASS: Final = {
    GradeValidity.CURRENT: "current",
    GradeValidity.STALE: "stale",
    GradeValidity.BEFORE_GAP: "old",
    GradeValidity.BEFORE_DOUBT: "old",
    GradeValidity.BEFORE_LOSS: "lost",
    GradeValidity.NONE: "none",
}


def grades_over_time(story: Story, sperm: SpermStory, spans: Sequence[Span], marks: Sequence[Choice]) -> Markup:
    """Return the distribution of a sperm's newest grade over the session, and below what it was worth."""
    length_s = max(story.length_s, 1e-6)
    scale = (WIDTH - LEFT - 6) / length_s
    base = GRADE_TOP + GRADE_HEIGHT

    def x(t_s: float) -> float:
        return LEFT + t_s * scale

    areas: list[list[str]] = [[] for _ in GRADES]
    for from_s, to_s, grade in _columns(story, sperm, spans, length_s / COLUMNS):
        top, total = float(base), sum(grade.grade) or 1.0
        for path, share in zip(areas, grade.grade, strict=True):
            high = GRADE_HEIGHT * share / total
            if high >= 0.05:
                path.append(f"M{x(from_s):.1f} {top:.1f}h{(to_s - from_s) * scale:.1f}v{-high:.1f}H{x(from_s):.1f}z")
            top -= high
    parts = [f'<path class="g{letter}" d="{"".join(path)}"/>' for letter, path in zip(GRADES, areas, strict=True)]
    for span in spans:
        width = max(0.4, (span.to_s - span.from_s) * scale)
        kind = STRIP_CLASS.get(span.validity, "old")
        title = f"{span.from_s:.1f} to {span.to_s:.1f} s: {_worth(span.validity)}"
        parts.append(
            f'<rect class="v {kind}" x="{x(span.from_s):.1f}" y="{base + 4}" width="{width:.1f}" height="{STRIP}">'
            f"<title>{escape(title)}</title></rect>"
        )
    for mark in marks:
        parts.append(
            f'<path class="mark" d="M{x(mark.t_s):.1f} {GRADE_TOP - 4}V{base + 4 + STRIP}"/>'
            f'<text class="marktext" x="{x(mark.t_s):.1f}" y="{GRADE_TOP - 5}">chosen</text>'
        )
    for share in (0.0, 0.5, 1.0):
        y = base - share * GRADE_HEIGHT
        parts.append(f'<path class="axis" d="M{LEFT - 4} {y:.1f}h4"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="end">{share:.0%}</text>')
    for t_s in _ticks(length_s):
        parts.append(f'<path class="axis" d="M{x(t_s):.1f} {base + 4 + STRIP}v4"/>')
        parts.append(f'<text x="{x(t_s):.1f}" y="{base + STRIP + 20}" class="mid">{t_s:g} s</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {GRADE_TOP}V{base}H{WIDTH - 6}"/>')
    graded_s = sum(span.to_s - span.from_s for span in spans if span.validity is GradeValidity.CURRENT)
    label = (
        f"Sperm {sperm.sperm_id}: distribution of the newest grade over {length_s:.0f} s, A at the bottom to E at the "
        f"top; the strip below says when it was current, in all {graded_s:.0f} s"
    )
    return _svg(WIDTH, base + STRIP + 26, label, parts)


def trajectory(story: Story, sperm: SpermStory) -> Markup:
    """Return where a sperm swam, in um (px where the scale is not known); drawn where it was locked."""
    known = story.scale_known
    unit = "um" if known else "px"
    pieces = list(_pieces(story, sperm))
    points = [point for piece in pieces for point in piece]
    if not points:
        return Markup('<p class="quiet">Never locked: no trajectory.</p>')
    left, top = min(x for x, _ in points), min(y for _, y in points)
    span = max(max(x for x, _ in points) - left, max(y for _, y in points) - top, 4.0 if known else 16.0)
    room = SIDE - 40
    per = room / span

    def at(point: tuple[float, float]) -> str:
        return f"{20 + (point[0] - left) * per:.1f} {20 + (point[1] - top) * per:.1f}"

    parts = [f'<path class="path" d="M{"L".join(map(at, piece))}"/>' for piece in pieces if len(piece) > 1]
    first, last = at(pieces[0][0]).split(), at(pieces[-1][-1]).split()
    parts.append(f'<circle class="first" cx="{first[0]}" cy="{first[1]}" r="4"/>')
    parts.append(f'<rect class="last" x="{float(last[0]) - 4:.1f}" y="{float(last[1]) - 4:.1f}" width="8" height="8"/>')
    bar = max((length for length in SCALE_BARS_UM if length * per <= room / 2), default=SCALE_BARS_UM[0])
    parts.append(f'<path class="bar" d="M20 {SIDE - 8}h{bar * per:.1f}"/>')
    parts.append(f'<text x="{26 + bar * per:.1f}" y="{SIDE - 4}">{bar} {unit}</text>')
    label = (
        f"Sperm {sperm.sperm_id}: trajectory, {span:.0f} {unit} across, a circle where it begins and a square where it "
        "ends; gaps where it was not locked"
    )
    return _svg(SIDE, SIDE, label, parts)


def _columns(
    story: Story, sperm: SpermStory, spans: Sequence[Span], narrowest_s: float
) -> Iterator[tuple[float, float, GradeInfo]]:
    """Yield when which grade was the newest, current ones alone; short ones are taken together as their last."""
    grades = sorted(sperm.grades, key=lambda one: one.frame_seq)
    times = [story.grade_t_s(grade) for grade in grades]
    for span in spans:
        if span.validity is not GradeValidity.CURRENT:
            continue
        inside = [n for n, t_s in enumerate(times) if t_s <= span.to_s]
        begin_s, shown = span.from_s, None
        for n in inside:
            until_s = max(times[n], span.from_s)
            if shown is not None and until_s - begin_s >= narrowest_s:
                yield begin_s, until_s, grades[shown]
                begin_s = until_s
            shown = n
        if shown is not None and span.to_s > begin_s:
            yield begin_s, span.to_s, grades[shown]


def _pieces(story: Story, sperm: SpermStory) -> Iterator[list[tuple[float, float]]]:
    """Yield the unbroken pieces of a path, (x, y) each; another scale begins another piece."""
    known, before = story.scale_known, None
    step = max(1, len(sperm.points) // POINTS)
    piece: list[tuple[float, float]] = []
    for number, point in enumerate(sperm.points):
        scale = (story.um_per_px(point.frame_seq) if known else None) or 1.0
        if point.track.state is not TrackState.LOCKED or scale != before:
            if piece:
                yield piece
            piece, before = [], scale
        if point.track.state is TrackState.LOCKED and (not piece or number % step == 0):
            piece.append((point.track.x * scale, point.track.y * scale))
    if piece:
        yield piece


def _worth(validity: GradeValidity) -> str:
    return "no grade" if validity is GradeValidity.NONE else validity.value


def _ticks(length_s: float) -> list[float]:
    for step in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600):
        if length_s / step <= 10:
            return [float(t) for t in range(0, int(length_s) + 1, step)]
    return [0.0, length_s]


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> Markup:
    """Return a drawing; the parts are made here, of numbers and escaped text alone."""
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{''.join(parts)}</svg>"
    )
