"""The tracked sperm: where each is, how sure the tracker is, its grade distribution, and what that is worth now.

Rows are in order of id. Nothing here reduces a distribution to one grade, compares sperm or recommends one.
"""

from rich.text import Text

from station.dashboard.assessment import (
    GradeValidity,
    ProcessCondition,
    SpermView,
    condition,
    no_grade,
    positions_current,
    sperm_views,
    why_unknown,
    worth,
)
from station.dashboard.snapshot import Snapshot
from station.dashboard.text import Glyphs, bar, duration, fit, percent
from station.transport.control_messages import ProcessName
from station.transport.messages import GRADES, GradeInfo, TrackState

WIDE = 160
"""From this width on a sperm takes one line, below it two: the bars need the room."""
ID, STATE, POSITION, SCORE, WINDOW, AGE, WORTH = 4, 26, 12, 6, 7, 8, 17
FACTS = ID + STATE + POSITION + SCORE + WINDOW
GAP = 1
"""Cells between one grade and the next."""
STATE_STYLE = {TrackState.LOCKED: "green", TrackState.UNCERTAIN: "magenta", TrackState.LOST: "bold red"}


def rows_wanted(snapshot: Snapshot, width: int) -> int:
    """Return how many lines the table needs to show every sperm."""
    return 1 + len(sperm_views(snapshot)) * (1 if width >= WIDE else 2)


def sperm_lines(snapshot: Snapshot, width: int, rows: int, calm_rows: int, glyphs: Glyphs) -> list[Text]:
    """Return the table in at most ``rows`` lines; where it does not fit, the last line says what is not shown.

    Sperm are separated by empty lines where ``calm_rows`` allow it. These stay free whatever messages come and go, so
    that the rows never jump under the reader's eye.
    """
    views = sperm_views(snapshot)
    if not views:
        nothing = "No frame tracked yet." if snapshot.tracks is None else "No sperm selected."
        return [Text(fit(f"  {nothing}", width, glyphs))][:rows]
    height = 1 if width >= WIDE else 2
    spaced = len(views) * (height + 1) < min(rows, calm_rows)
    # All sperm fit under the heading, or one line is reserved to say which do not.
    shown = len(views) if 1 + len(views) * height <= rows else max(0, (rows - 2) // height)
    first = _first_row([view.track.sperm_id for view in views], snapshot.screen.focus, shown)
    lines = [_heading(snapshot, width, glyphs)]
    current = positions_current(snapshot)
    for view in views[first : first + shown]:
        lines += _row(snapshot, view, current, width, glyphs)
        lines += [Text()] if spaced else []
    hidden = views[:first] + views[first + shown :]
    if hidden:
        ids = ", ".join(str(view.track.sperm_id) for view in hidden)
        words = f"  {glyphs.alarm} {len(hidden)} more tracked, n and p scroll: sperm {ids}"
        lines.append(Text(fit(words, width, glyphs), "bold"))
    return lines[-rows:] if rows > 0 else []


def _first_row(ids: list[int], focus: int | None, shown: int) -> int:
    """Return the index of the first sperm to show, so that the focused one is in the middle where it can be."""
    if focus not in ids:
        return 0
    return max(0, min(len(ids) - shown, ids.index(focus) - shown // 2))


def _heading(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Text:
    facts = f"{' id':{ID}}{'state':{STATE}}{'x, y in px':{POSITION}}{'score':{SCORE}}{'window':{WINDOW}}"
    grades = ""
    if width >= WIDE:
        cell = _cell_width(width, FACTS + AGE + WORTH)
        word = f"{snapshot.network} grade"
        word = word if cell > len(f"{word} A") else "grade"
        grades = "".join(f"{f'{word} {grade}':{cell}}" for grade in GRADES)
    title = f"{facts}{grades}{'age':>{AGE - 2}}  {'grade is':{WORTH}}"
    return Text(fit(title, width, glyphs), "bold underline")


def _row(snapshot: Snapshot, view: SpermView, current: bool, width: int, glyphs: Glyphs) -> list[Text]:
    facts = _facts(snapshot, view, current, glyphs)
    holds = view.validity is GradeValidity.CURRENT
    style = "" if holds else "dim"
    age = duration(view.age_ms) if view.grade else ""
    tail = (f"{age:>{AGE - 2}}  {fit(worth(snapshot, view), WORTH, glyphs)}", "" if holds else "bold")
    if width >= WIDE:
        cell = _cell_width(width, FACTS + AGE + WORTH)
        if view.grade is None:
            return [Text.assemble(facts, fit(no_grade(snapshot, view), width - FACTS, glyphs))]
        return [Text.assemble(facts, (_distribution(view.grade, cell, False, holds, glyphs), style), tail)]
    if view.grade is None:
        return [facts, Text(fit(f"  {no_grade(snapshot, view)}", width, glyphs))]
    lead = "  grade "
    cell = _cell_width(width, len(lead))
    return [
        Text.assemble(facts, tail),
        Text.assemble(lead, (_distribution(view.grade, cell, True, holds, glyphs), style)),
    ]


def _facts(snapshot: Snapshot, view: SpermView, current: bool, glyphs: Glyphs) -> Text:
    """Return id, state, position, score and window: ``FACTS`` cells."""
    track = view.track
    window_frames = snapshot.tracks.window_frames if snapshot.tracks else 0
    reason = f": {glyphs.clean(track.reason)}" if track.reason else ""
    if current:
        sign = getattr(glyphs, track.state.value)
        word = track.state.value if track.state is TrackState.LOCKED else track.state.value.upper()
        state, style = f"{sign} {word}{reason}", STATE_STYLE.get(track.state, "")
    elif ProcessCondition.ENDED in (condition(snapshot, ProcessName.TRACKER), condition(snapshot, ProcessName.CAPTURE)):
        state, style = f"{glyphs.ended} ended, was {track.state.value}", ""
    else:
        state, style = f"{glyphs.unknown} UNKNOWN: {why_unknown(snapshot)}", "bold magenta"
    where = f"{track.x:.0f}, {track.y:.0f}"
    numbers = f"{where:{POSITION}}{track.score:<{SCORE}.2f}{f'{track.filled}/{window_frames}':{WINDOW}}"
    known = current and track.state is not TrackState.LOST
    focused = track.sperm_id == snapshot.screen.focus
    return Text.assemble(
        (f"{glyphs.focus if focused else ' '}{track.sperm_id:>{ID - 2}}", "bold reverse" if focused else "bold"),
        (glyphs.marked if track.sperm_id in snapshot.screen.marked else " ", "bold"),
        (fit(state, STATE - 1, glyphs) + " ", style),
        (fit(numbers, POSITION + SCORE + WINDOW, glyphs), "" if known else "dim"),
    )


def _distribution(grade: GradeInfo, cell: int, letters: bool, holds: bool, glyphs: Glyphs) -> str:
    """Return five bars with their percentages, each ``cell`` cells wide."""
    parts = []
    for letter, share in zip(GRADES, grade.grade, strict=True):
        # The number stands between letter and bar: behind the bar it could be read as the next letter's.
        lead = f"{letter} {percent(share)} " if letters else f"{percent(share)} "
        parts.append(f"{lead}{bar(share, cell - len(lead) - GAP, glyphs, old=not holds)}{' ' * GAP}")
    return "".join(parts)


def _cell_width(width: int, taken: int) -> int:
    return (width - taken) // len(GRADES)
