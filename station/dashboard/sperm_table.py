"""The tracked sperm: where each is, how sure the tracker is, its grade distribution, and what that is worth now.

Rows are in order of id. Nothing here reduces a distribution to one grade, compares sperm or recommends one.
"""

from rich.text import Text

from station.dashboard.assessment import (
    GradeValidity,
    ProcessCondition,
    SpermView,
    condition,
    positions_current,
    rate_doubt,
    scale_doubt,
    sperm_views,
    why_unknown,
)
from station.dashboard.snapshot import Snapshot
from station.dashboard.text import Glyphs, bar, duration, fit, percent
from station.transport.messages import GRADES, GradeInfo, ProcessName, TrackState, Validity

WIDE = 160
"""From this width on a sperm takes one line, below it two: the bars need the room."""
ID, STATE, POSITION, SCORE, WINDOW, AGE, WORTH = 4, 26, 12, 6, 7, 8, 17
FACTS = ID + STATE + POSITION + SCORE + WINDOW
GAP = 1
"""Cells between one grade and the next."""
STATE_STYLE = {TrackState.LOCKED: "green", TrackState.UNCERTAIN: "magenta", TrackState.LOST: "bold red"}


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
    lines = [_heading(width, glyphs)]
    current = positions_current(snapshot)
    for view in views[:shown]:
        lines += _row(snapshot, view, current, width, glyphs)
        lines += [Text()] if spaced else []
    hidden = views[shown:]
    if hidden:
        ids = ", ".join(str(view.track.sperm_id) for view in hidden)
        words = f"  {glyphs.alarm} {len(hidden)} more tracked, no room to show: sperm {ids}"
        lines.append(Text(fit(words, width, glyphs), "bold"))
    return lines[-rows:] if rows > 0 else []


def _heading(width: int, glyphs: Glyphs) -> Text:
    facts = f"{' id':{ID}}{'state':{STATE}}{'x, y in px':{POSITION}}{'score':{SCORE}}{'window':{WINDOW}}"
    grades = ""
    if width >= WIDE:
        cell = _cell_width(width, FACTS + AGE + WORTH)
        grades = "".join(f"{f'RoSTFine grade {grade}':{cell}}" for grade in GRADES)
    title = f"{facts}{grades}{'age':>{AGE - 2}}  {'grade is':{WORTH}}"
    return Text(fit(title, width, glyphs), "bold underline")


def _row(snapshot: Snapshot, view: SpermView, current: bool, width: int, glyphs: Glyphs) -> list[Text]:
    facts = _facts(snapshot, view, current, glyphs)
    holds = view.validity is GradeValidity.CURRENT
    style = "" if holds else "dim"
    age = duration(view.age_ms) if view.grade else ""
    tail = (f"{age:>{AGE - 2}}  {fit(_worth(snapshot, view), WORTH, glyphs)}", "" if holds else "bold")
    if width >= WIDE:
        cell = _cell_width(width, FACTS + AGE + WORTH)
        if view.grade is None:
            return [Text.assemble(facts, fit(_no_grade(snapshot, view), width - FACTS, glyphs))]
        return [Text.assemble(facts, (_distribution(view.grade, cell, False, holds, glyphs), style), tail)]
    if view.grade is None:
        return [facts, Text(fit(f"  {_no_grade(snapshot, view)}", width, glyphs))]
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
    return Text.assemble(
        (f"{track.sperm_id:>{ID - 1}} ", "bold"),
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


def _worth(snapshot: Snapshot, view: SpermView) -> str:
    """Return what the grade is worth: "valid" only where window, model, scale and frame rate all allow it."""
    if view.validity is not GradeValidity.CURRENT or view.grade is None:
        return "STALE" if view.validity is GradeValidity.STALE else view.validity.value
    validity = view.grade.validity
    model, doubt = snapshot.model, scale_doubt(snapshot) or rate_doubt(snapshot)
    if model is None:
        return "model unknown"
    if model.demonstration:
        return "demonstration" if validity is Validity.VALID else f"demo, {validity.value}"
    if validity is not Validity.VALID:
        return "padded at edge" if validity is Validity.PADDED else validity.value
    return doubt or "valid"


def _no_grade(snapshot: Snapshot, view: SpermView) -> str:
    window_frames = snapshot.tracks.window_frames if snapshot.tracks else 0
    track = view.track
    if track.state is TrackState.LOST:
        return "no grade: lost before the first"
    if track.filled < window_frames:
        return f"no grade yet, {track.filled}/{window_frames} frames"
    if condition(snapshot, ProcessName.ENGINE) is ProcessCondition.FAILED:
        return "no grade: the engine has failed"
    return "no grade yet, waiting for the engine"


def _cell_width(width: int, taken: int) -> int:
    return (width - taken) // len(GRADES)
