"""A console for tables, bars and styles in which text is only text: no markup, no escape codes, no marks that turn it.

It knows rich, and not what is printed.
"""

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from station.output import printable


class Console(rich.console.Console):
    """rich's console; what styles it gives come from the program, never from the text that is shown."""

    def __init__(self, **options: Any) -> None:
        """Take rich's options; markup, emoji codes and highlighting are off where they are not asked for."""
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what rich would write, made printable; rich's own control codes stay."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
