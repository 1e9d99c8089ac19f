"""Text of a given width: signs, bars, numbers with units, wrapping. In UTF-8 and in plain ASCII.

It counts terminal cells, not characters, and knows nothing of what the text says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.text import Text

NOT_AVAILABLE = "N/A"


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs of one kind of terminal. Each differs in shape, so that colour only repeats what they say."""

    locked: str
    acquiring: str
    uncertain: str
    lost: str
    unknown: str
    running: str
    idle: str
    ended: str
    alarm: str
    focus: str
    marked: str
    bar: str
    """A full cell of a bar."""
    bar_parts: str
    """Parts of a cell, smallest first; empty where the terminal has none."""
    bar_old: str
    """A full cell of the bar of a grade that no longer holds."""
    bar_rest: str
    ellipsis: str
    levels: str
    """Heights of a sparkline, lowest first."""
    gap: str
    """In a sparkline: nothing was measured there."""
    ascii_only: bool = False

    def clean(self, text: str) -> str:
        """Return text that the terminal can show in one line: file names and error messages hold anything."""
        text = "".join(char if char.isprintable() else " " for char in text)
        return text.encode("ascii", "replace").decode() if self.ascii_only else text


UTF8 = Glyphs(
    locked="●",
    acquiring="○",
    uncertain="~",
    lost="×",
    unknown="?",
    running="●",
    idle="○",
    ended="■",
    alarm="!",
    focus=">",
    marked="*",
    bar="█",
    bar_parts="▏▎▍▌▋▊▉",
    bar_old="▒",
    bar_rest="·",
    ellipsis="…",
    levels="▁▂▃▄▅▆▇█",
    gap=" ",
)
ASCII = Glyphs(
    locked="*",
    acquiring="o",
    uncertain="~",
    lost="x",
    unknown="?",
    running="*",
    idle="o",
    ended="=",
    alarm="!",
    focus=">",
    marked="*",
    bar="#",
    bar_parts="",
    bar_old="-",
    bar_rest=".",
    ellipsis="...",
    levels="0123456789",
    gap=".",
    ascii_only=True,
)


def fit(text: str, width: int, glyphs: Glyphs) -> str:
    """Return text of exactly ``width`` cells: padded, or cut with an ellipsis."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    if width <= cell_len(glyphs.ellipsis):
        return set_cell_size(text, max(0, width))
    return set_cell_size(set_cell_size(text, width - cell_len(glyphs.ellipsis)).rstrip() + glyphs.ellipsis, width)


def shorten(text: str, width: int, glyphs: Glyphs) -> str:
    """Return text of at most ``width`` cells, cut in its middle: names of samples differ at their ends."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(glyphs.ellipsis)
    if room < 2:
        return fit(text, width, glyphs)
    start = len(text)
    while cell_len(text[start - 1 :]) <= room // 2:
        start -= 1
    return set_cell_size(text, room - cell_len(text[start:])).rstrip() + glyphs.ellipsis + text[start:]


def wrap(text: str, width: int) -> list[str]:
    """Return the text in lines of at most ``width`` cells, broken between words where it can be."""
    pieces = [
        piece for word in text.split() for piece in (chop_cells(word, width) if cell_len(word) > width else [word])
    ]
    lines: list[str] = []
    for piece in pieces:
        if lines and cell_len(lines[-1]) + 1 + cell_len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def flow(label: str, items: Iterable[str], width: int, glyphs: Glyphs) -> list[Text]:
    """Return items after a bold label, broken over lines between items; further lines are indented under the first."""
    indent = cell_len(label)
    rows = [""]
    for item in items:
        longer = f"{rows[-1]}  {item}" if rows[-1] else item
        if rows[-1] and cell_len(longer) > width - indent:
            rows.append(item)
        else:
            rows[-1] = longer
    return [
        Text.assemble((label if number == 0 else " " * indent, "bold"), fit(row, width - indent, glyphs))
        for number, row in enumerate(rows)
    ]


def bar(share: float, width: int, glyphs: Glyphs, *, old: bool = False) -> str:
    """Return a bar ``width`` cells wide, filled by ``share`` of 1; coarser and paler where it shows something old."""
    share = min(1.0, max(0.0, share))
    parts = "" if old else glyphs.bar_parts
    steps = len(parts) + 1
    full, rest = divmod(round(share * width * steps), steps)
    drawn = (glyphs.bar_old if old else glyphs.bar) * full + (parts[rest - 1] if rest else "")
    return drawn + glyphs.bar_rest * (width - len(drawn))


def sparkline(shares: Sequence[float | None], glyphs: Glyphs) -> str:
    """Return one cell for each share of 1; a gap where there is none."""
    top = len(glyphs.levels) - 1
    return "".join(
        glyphs.gap if share is None else glyphs.levels[min(top, max(0, int(share * (top + 1))))] for share in shares
    )


def percent(share: float) -> str:
    """Return a probability in 4 cells. Never "0%" or "100%" for what is not quite none or all."""
    whole = round(100 * share)
    if whole == 0 and share > 0.0:
        return " <1%"
    if whole == 100 and share < 1.0:
        return ">99%"
    return f"{whole:3d}%"


def duration(ms: float | None) -> str:
    """Return a duration with its unit, in at most 8 cells."""
    if ms is None:
        return NOT_AVAILABLE
    seconds = ms / 1000
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.0f} h"


def clock(seconds: float) -> str:
    """Return hours, minutes and seconds, "0:01:23"."""
    whole = int(max(0.0, seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
