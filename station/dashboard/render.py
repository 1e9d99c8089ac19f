"""The terminal dashboard: ``render(snapshot, width, height)``, a pure function from what is known to what is drawn.

The result is exactly ``width`` by ``height`` cells, in UTF-8 or in plain ASCII as the console can. It knows no
terminal, no clock and no process; ``station.dashboard.screen`` draws it, ``station.dashboard.keyboard`` reads the keys.
"""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from station.dashboard.assessment import alarms, cautions, condition, disturbance, overall, state_counts
from station.dashboard.focus_panel import PANEL_ROWS, focus_lines, panel_rows
from station.dashboard.header import (
    DEMONSTRATION,
    drop_lines,
    latency_lines,
    model_line,
    process_lines,
    recording_line,
    source_line,
    title_line,
    view_lines,
)
from station.dashboard.help_page import help_lines
from station.dashboard.ranking import ranking_in_words
from station.dashboard.snapshot import Snapshot
from station.dashboard.sperm_table import rows_wanted, sperm_lines
from station.dashboard.text import ASCII, UTF8, Glyphs, fit, wrap
from station.notice import NOTICE
from station.transport.control_messages import PIPELINE

MIN_WIDTH, MIN_HEIGHT = 80, 20
"""Below this no grades are drawn: a truncated distribution could be taken for a whole one."""
BLIND = "BLIND: grades are hidden until a choice is marked (focus a sperm, then m)"
ROOMY_HEIGHT = 30
MIN_TABLE_ROWS = 4
"""Of the table beside the details of the focused sperm: heading, that sperm, and what is not shown."""
MESSAGE_ROWS = 4
"""Kept free below the table for messages where there is room."""


@dataclass(frozen=True, slots=True)
class Page:
    """A drawn snapshot."""

    snapshot: Snapshot
    width: int
    height: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = ASCII if options.ascii_only else UTF8
        colour = console.color_system is not None and not console.no_color
        if self.width >= MIN_WIDTH and self.height >= MIN_HEIGHT:
            lines = _full(self.snapshot, self.width, self.height, glyphs, colour=colour)[: self.height]
        else:
            lines = _small(self.snapshot, self.width, self.height, glyphs)[: self.height]
        lines += _empty(self.height - len(lines))
        for number, line in enumerate(lines):
            line.truncate(self.width, overflow="crop", pad=True)
            line.stylize_before(line.style)  # render() leaves out a line's own style where it has no other
            if number:
                yield Segment.line()
            yield from line.render(console)


def render(snapshot: Snapshot, width: int, height: int) -> Page:
    """Return the screen, ``width`` x ``height`` cells."""
    return Page(snapshot, max(1, width), max(1, height))


def _full(snapshot: Snapshot, width: int, height: int, glyphs: Glyphs, *, colour: bool) -> list[Text]:
    top = [
        title_line(snapshot, width),
        source_line(snapshot, width, glyphs),
        model_line(snapshot, width, glyphs),
        *_demonstration(snapshot, width, glyphs),
        *_blind(snapshot, width, glyphs),
        *_empty(height >= ROOMY_HEIGHT),
        *process_lines(snapshot, width, glyphs),
        *drop_lines(snapshot, width, glyphs)[:2],
        recording_line(snapshot, width, glyphs),
        *view_lines(snapshot, width, glyphs),
        *latency_lines(snapshot, width, glyphs),
        *_empty(height >= ROOMY_HEIGHT),
    ]
    roomy = height >= ROOMY_HEIGHT
    # Messages are below the table, so that its rows stay put when one comes or goes.
    disturbed = [f"Field DISTURBED: {words}"] if (words := disturbance(snapshot)) else []
    ranked = ranking_in_words(snapshot) if snapshot.screen.ranked else []
    messages = [
        *(Text(fit(line, width, glyphs)) for text in ranked for line in wrap(glyphs.clean(text), width)),
        *_listed(alarms(snapshot), "bold red", 8 if roomy else 3, width, glyphs),
        *_listed(disturbed, "bold", 1, width, glyphs),
        *_listed(cautions(snapshot), "", 8 if roomy else max(1, (height - 18) // 3), width, glyphs),
    ]
    footer = _footer(snapshot, width, glyphs)
    rows = height - len(top) - len(footer)
    if snapshot.screen.keys:
        wrong = _listed(alarms(snapshot), "bold red", 3 if roomy else 2, width, glyphs)
        keys = help_lines(snapshot.screen.keys, width, rows - len(wrong), glyphs)
        return top + keys + _empty(rows - len(keys) - len(wrong)) + wrong + footer
    free = rows - max(len(messages), MESSAGE_ROWS if roomy else 0)
    taken = panel_rows(
        snapshot, width, free - min(rows_wanted(snapshot, width), max(MIN_TABLE_ROWS, free - PANEL_ROWS))
    )
    detail = focus_lines(snapshot, width, taken, glyphs, colour=colour) if taken else []
    table_rows = rows - len(detail)
    table = sperm_lines(snapshot, width, table_rows - len(messages), table_rows - MESSAGE_ROWS, glyphs)
    spare = table_rows - len(table) - len(messages)
    apart = min(spare, 1)
    return top + table + detail + _empty(apart) + messages + _empty(spare - apart) + footer


def _small(snapshot: Snapshot, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """Return the screen of a terminal too small for grades: what is wrong and what to do."""
    counts = ", ".join(f"{count} {state.value}" for state, count in sorted(state_counts(snapshot).items()))
    sentences = [
        f"Terminal too small to show grades: {width} x {height} characters, {MIN_WIDTH} x {MIN_HEIGHT} needed.",
        f"{overall(snapshot).value}. " + ". ".join(alarms(snapshot)),
        ", ".join(f"{name.value} {condition(snapshot, name).value}" for name in PIPELINE),
        f"Sperm tracked: {counts or 'none'}.",
    ]
    last = [Text(line, "bold") for line in wrap(NOTICE, width)]
    words, style = _asked_or_keys(snapshot, glyphs)
    last += [Text(fit(line, width, glyphs), style) for line in wrap(words, width)]
    room = max(1, height - len(last))
    first = [Text(fit(line, width, glyphs)) for text in sentences for line in wrap(glyphs.clean(text), width)][:room]
    return first + _empty(height - len(first) - len(last)) + last


def _demonstration(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    if snapshot.model is None or not snapshot.model.demonstration:
        return []
    return [Text(fit(f"{glyphs.alarm} {DEMONSTRATION}", width, glyphs), "bold magenta")]


def _blind(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    return [Text(fit(f"{glyphs.alarm} {BLIND}", width, glyphs), "bold reverse")] if snapshot.blind else []


def _footer(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    """Return the keys, or in their place a question or the answer to the last key; and the research-use line."""
    words, style = _asked_or_keys(snapshot, glyphs)
    if width - len(NOTICE) - len(_keys(snapshot, glyphs)) >= 2:
        gap = width - len(NOTICE) - cell_len(words)
        if gap >= 2:
            return [Text.assemble((NOTICE, "bold"), " " * gap, (words, style))]
    return [Text(fit(words, width, glyphs), style), Text(NOTICE, "bold")]


def _asked_or_keys(snapshot: Snapshot, glyphs: Glyphs) -> tuple[str, str]:
    """Return a question, the answer to the last key, or the keys, with its style."""
    screen = snapshot.screen
    if screen.question:
        return glyphs.clean(screen.question), "bold reverse"
    return (glyphs.clean(screen.message), "bold") if screen.message else (_keys(snapshot, glyphs), "")


def _keys(snapshot: Snapshot, glyphs: Glyphs) -> str:
    return glyphs.clean("keys: " + "  ".join(snapshot.keys))


def _listed(sentences: list[str], style: str, rows: int, width: int, glyphs: Glyphs) -> list[Text]:
    """Return sentences with a sign before each, in at most ``rows`` lines; what is left out is counted."""
    lines: list[Text] = []
    for number, sentence in enumerate(sentences):
        left = len(sentences) - number - 1
        wrapped = wrap(glyphs.clean(sentence), width - 2)
        room = rows - len(lines) - (1 if left else 0)
        if room < 1:
            return [*lines, Text(f"{glyphs.alarm} and {left + 1} more", style)][:rows]
        if len(wrapped) > room:
            wrapped = [*wrapped[: room - 1], fit(" ".join(wrapped[room - 1 :]), width - 2, glyphs)]
        lines += [Text(f"{' ' if row else glyphs.alarm} {text}", style) for row, text in enumerate(wrapped)]
    return lines


def _empty(rows: int) -> list[Text]:
    return [Text() for _ in range(rows)]
