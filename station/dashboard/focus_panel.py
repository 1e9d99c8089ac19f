"""The focused sperm in detail: its grade shares over the last minute, and what they say about the experts.

One line per grade, so that nothing is summed up into one number. It draws; what is current or stale is said in the row
of the sperm above.
"""

from rich.text import Text

from station.clock import NS_PER_MS, NS_PER_S
from station.dashboard.assessment import positions_current
from station.dashboard.evidence_words import evidence_in_words
from station.dashboard.history import HISTORY_S
from station.dashboard.motion import motion_in_words
from station.dashboard.picture import picture_lines
from station.dashboard.snapshot import Snapshot
from station.dashboard.spread import heads_apart, heads_in_words, spread, spread_in_words
from station.dashboard.text import Glyphs, duration, fit, percent, sparkline, wrap
from station.transport.messages import GRADES, GradeInfo

PANEL_ROWS = 7
MOST_ROWS = 20
PICTURE_WIDTH = 100
"""From this width on the sperm itself is shown."""
GAP = 2
MOTION_S = 1.5
"""The tracker says how a sperm swims twice a second; what is older than this carries its age."""
LEAD = 16
"""Cells before a sparkline: the grade and its newest share."""


def panel_rows(snapshot: Snapshot, width: int, room: int) -> int:
    """Return how many lines the panel takes of those that there are: more where there is a picture; 0: no room."""
    if snapshot.screen.focus is None or room < PANEL_ROWS:
        return 0
    return min(room, MOST_ROWS) if snapshot.has_crops and width >= PICTURE_WIDTH else PANEL_ROWS


def focus_lines(snapshot: Snapshot, width: int, rows: int, glyphs: Glyphs, *, colour: bool) -> list[Text]:
    """Return the panel of the focused sperm in ``rows`` lines: its picture to the left, where there is room for one."""
    if not snapshot.has_crops or width < PICTURE_WIDTH:
        return _facts(snapshot, width, glyphs)
    cells = 2 * rows + GAP
    if snapshot.crop is not None and positions_current(snapshot):
        picture = picture_lines(snapshot.crop, rows, glyphs, colour=colour)
    else:  # an old picture could be taken for the present one
        words = [Text(fit("  no picture now", 2 * rows, glyphs), "dim")]
        picture = [*words, *(Text(" " * 2 * rows) for _ in range(rows - 1))]
    facts = _facts(snapshot, width - cells, glyphs)
    newest = snapshot.history[-1] if snapshot.history else None
    if rows > len(facts) + 1 and newest is not None:
        for line in wrap(evidence_in_words(newest), width - cells - 2)[: rows - len(facts)]:
            facts.append(Text(fit(f"  {line}", width - cells, glyphs)))
    facts += [Text(" " * (width - cells))] * (rows - len(facts))
    return [Text.assemble(line, " " * GAP, fact) for line, fact in zip(picture, facts, strict=True)]


def _facts(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    newest = snapshot.history[-1] if snapshot.history else None
    lines = [Text(fit(_title(snapshot, width), width, glyphs), "bold underline")]
    room = width - LEAD
    for number, letter in enumerate(GRADES):
        lead = f"  grade {letter} {percent(newest.grade[number]) if newest else ' N/A'}  "
        lines.append(Text(fit(lead + _spark(snapshot, number, room, glyphs), width, glyphs)))
    lines.append(Text(fit(f"  {_opinion(snapshot, newest)}", width, glyphs)))
    return lines


def _title(snapshot: Snapshot, width: int) -> str:
    title = f"Sperm {snapshot.screen.focus}, last minute"
    motion = snapshot.motion
    if motion is None:
        return f"{title}: {snapshot.network} grades from 60 s ago to now"
    age_s = (snapshot.now_ns - motion.t_exposure_ns) / NS_PER_S
    ago = f" ({duration(1000 * age_s)} ago)" if age_s > MOTION_S else ""
    return f"{title}  {motion_in_words(motion.info, width - len(title) - 2 - len(ago))}{ago}"


def _spark(snapshot: Snapshot, number: int, width: int, glyphs: Glyphs) -> str:
    """Return one grade's share over the last minute: the mean of what falls into each cell, a gap where none does."""
    cells: list[list[float]] = [[] for _ in range(width)]
    for grade in snapshot.history:
        ago_s = (snapshot.now_ns - grade.trace.t_exposure_ns) / NS_PER_S
        cell = int((1 - ago_s / HISTORY_S) * width)
        if 0 <= cell <= width:
            cells[min(cell, width - 1)].append(grade.grade[number])
    return sparkline([sum(cell) / len(cell) if cell else None for cell in cells], glyphs)


def _opinion(snapshot: Snapshot, newest: GradeInfo | None) -> str:
    """Return how far the expected experts, and the network's three heads, are apart in the newest grade."""
    if snapshot.blind:
        return "Grades are hidden until a choice is marked."
    if newest is None:
        return "No grade in the last minute."
    age = duration(max(0.0, (snapshot.now_ns - newest.trace.t_exposure_ns) / NS_PER_MS))
    steps, apart = spread(newest.grade), None if newest.heads is None else heads_apart(newest.heads)
    experts = f"experts {spread_in_words(steps)} (SD {steps:.1f} grades)"
    heads = heads_in_words(apart) + ("" if apart is None else f" ({apart:.1f} apart)")
    return f"newest, {age} ago: {experts}, {heads}"
