"""All keys, as ``?`` shows them."""

from rich.text import Text

from station.dashboard.key_handler import KEYS
from station.dashboard.text import Glyphs, fit

SHOWN = 13


def help_lines(width: int, rows: int, glyphs: Glyphs) -> list[Text]:
    """Return the keys in at most ``rows`` lines: in two columns where one would not do."""
    lines = [Text(fit("Keys", width, glyphs), "bold underline")]
    entries = [f"  {key.shown:{SHOWN}} {key.does}" for key in KEYS]
    if len(entries) <= rows - 1:
        return lines + [Text(fit(entry, width, glyphs)) for entry in entries]
    half = -(-len(entries) // 2)
    column = width // 2
    for left, right in zip(entries[:half], [*entries[half:], ""], strict=False):
        lines.append(Text(fit(left, column, glyphs) + fit(right, width - column, glyphs)))
    return lines[:rows]
