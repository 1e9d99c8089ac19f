"""All keys, as ``?`` shows them."""

from collections.abc import Sequence

from rich.text import Text

from station.dashboard.text import Glyphs, fit

SHOWN = 10


def help_lines(keys: Sequence[tuple[str, str]], width: int, rows: int, glyphs: Glyphs) -> list[Text]:
    """Return the keys, each with what it does, in at most ``rows`` lines: in two columns where one would not do."""
    lines = [Text(fit("Keys", width, glyphs), "bold underline")]
    entries = [f"  {shown:{SHOWN}} {does}" for shown, does in keys]
    if len(entries) <= rows - 1:
        return lines + [Text(fit(entry, width, glyphs)) for entry in entries]
    half = -(-len(entries) // 2)
    column = width // 2
    for left, right in zip(entries[:half], [*entries[half:], ""], strict=False):
        lines.append(Text(fit(left, column, glyphs) + fit(right, width - column, glyphs)))
    return lines[:rows]
