"""Which commands ask a running station from a shell, in one line each, for the program's help.

What they do is in ``station.commands.shell``, which is imported when one of them is asked for.
"""

from functools import partial
from typing import Final

from station.command_line import Command
from station.programs import imported

_LINES: Final[dict[str, tuple[str, str]]] = {
    "status": ("[--json]", "show how a running station is"),
    "select": (
        "X,Y|next|previous",
        "track the sperm nearest to a point, or the next best candidate; or take the newest selection back",
    ),
    "release": ("N", "stop tracking a sperm"),
    "replace-lost": ("", "release lost sperm and select others"),
    "mark": ("N [--note TEXT]", "mark a sperm as chosen, in the record"),
    "note": ("TEXT", "write a remark into the record"),
    "keep": ("", "keep the last seconds of video"),
    "blind": ("", "hide all grades until a choice is marked"),
    "unblind": ("", "show grades again (--blind: only a mark does)"),
    "objective": ("NAME", "say which objective is in use"),
    "calibrate": ("NAME --um N --px N", "keep a measured scale for an objective, use it"),
    "camera": ("NAME=VALUE ...", "set exposure, gain or trigger of the camera"),
    "play": ("HOW", "pause a replay, let it on, take it back, or change its pace"),
    "quit": ("", "end a running station"),
}


def _ask(name: str, argv: list[str]) -> int:
    return int(imported("station.commands.shell").run(name, argv))


SHELL: Final = {name: Command(partial(_ask, name), usage, summary) for name, (usage, summary) in _LINES.items()}
"""For the program's table of commands."""
