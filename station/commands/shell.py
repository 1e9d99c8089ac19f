"""The commands that ask a running station from a shell: for a foot pedal, a stage controller, another program.

Exit code 0: done; 1: refused, or not confirmed in time; 2: what was given cannot be used, or no station is running.
It words requests and replies; ``station.commands.client`` carries them, ``shell_help`` lists them.
"""

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import zmq
from pydantic import ValidationError

from station.command_line import Parser, invocation
from station.commands.client import CommandClient
from station.commands.registry import find_station
from station.commands.requests import (
    MAX_TEXT,
    PLAYS,
    BlindRequest,
    CalibrateRequest,
    CameraRequest,
    KeepRequest,
    MarkRequest,
    NoteRequest,
    ObjectiveRequest,
    QuitRequest,
    ReleaseRequest,
    ReplaceLostRequest,
    Reply,
    Request,
    SelectNextRequest,
    SelectPreviousRequest,
    SelectRequest,
    StationStatus,
    StatusRequest,
    UnblindRequest,
)
from station.commands.shell_help import SHELL
from station.config import Trigger
from station.errors import InputError, StationError
from station.notice import NOTICE
from station.objectives import NAME_PATTERN
from station.output import one_line, printable, say
from station.transport.control_messages import ROSTFINE
from station.transport.messages import GRADES

ASKER: Final = "shell"
Make = Callable[[argparse.Namespace, str], Request]
"""Returns the request of a command line, with the run's key."""
POINT: Final = re.compile(r"^\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*$")


def _select(given: argparse.Namespace, key: str) -> Request:
    if given.which == "next":
        return SelectNextRequest(key=key, asked_by=ASKER)
    if given.which == "previous":
        return SelectPreviousRequest(key=key, asked_by=ASKER)
    point = POINT.match(given.which)
    if point is None:
        raise InputError(f"select {given.which}: expected a point X,Y in px such as 512,340, or next, or previous")
    return SelectRequest(key=key, asked_by=ASKER, x=float(point[1]), y=float(point[2]))


def _release(given: argparse.Namespace, key: str) -> Request:
    return ReleaseRequest(key=key, asked_by=ASKER, sperm_id=_number(given.sperm))


def _mark(given: argparse.Namespace, key: str) -> Request:
    return MarkRequest(key=key, asked_by=ASKER, sperm_id=_number(given.sperm), note=_text(given.note))


def _note(given: argparse.Namespace, key: str) -> Request:
    return NoteRequest(key=key, asked_by=ASKER, text=_text(" ".join(given.text)))


def _keep(_given: argparse.Namespace, key: str) -> Request:
    return KeepRequest(key=key, asked_by=ASKER)


def _objective(given: argparse.Namespace, key: str) -> Request:
    return ObjectiveRequest(key=key, asked_by=ASKER, objective=_objective_name(given.name))


def _calibrate(given: argparse.Namespace, key: str) -> Request:
    return CalibrateRequest(
        key=key, asked_by=ASKER, objective=_objective_name(given.name),
        length_px=_length(given.px, "px"), length_um=_length(given.um, "um"),
    )  # fmt: skip


def _objective_name(text: str) -> str:
    if not re.match(NAME_PATTERN, text):
        raise InputError(f"objective {text!r}: a name has up to 40 letters, digits, spaces and . _ + / -")
    return text


def _length(text: str, unit: str) -> float:
    try:
        length = float(text)
    except ValueError:
        length = math.nan
    if not (math.isfinite(length) and length > 0):
        raise InputError(f"calibrate --{unit} {text}: expected a length in {unit}, such as 100")
    return length


def _blind(_given: argparse.Namespace, key: str) -> Request:
    return BlindRequest(key=key, asked_by=ASKER)


def _unblind(_given: argparse.Namespace, key: str) -> Request:
    return UnblindRequest(key=key, asked_by=ASKER)


def _replace(_given: argparse.Namespace, key: str) -> Request:
    return ReplaceLostRequest(key=key, asked_by=ASKER)


def _camera(given: argparse.Namespace, key: str) -> Request:
    values: dict[str, Any] = {}
    for word in given.setting:
        name, _, value = word.partition("=")
        if name == "trigger":
            if value not in get_args(Trigger):
                raise InputError(f"camera {word}: expected trigger= and one of {', '.join(get_args(Trigger))}")
            values[name] = value
            continue
        if name not in ("exposure_us", "gain"):
            raise InputError(f"camera {word}: expected exposure_us=VALUE, gain=VALUE or trigger=LINE")
        try:
            values[name] = float(value)
        except ValueError:
            raise InputError(f"camera {word}: expected a number behind {name}=") from None
        if not math.isfinite(values[name]) or (name == "exposure_us" and values[name] <= 0):
            raise InputError(f"camera {word}: this is no {'gain' if name == 'gain' else 'exposure'}")
    return CameraRequest(key=key, asked_by=ASKER, **values)


def _play(given: argparse.Namespace, key: str) -> Request:
    return PLAYS[given.what](name=given.what, key=key, asked_by=ASKER)


def _quit(_given: argparse.Namespace, key: str) -> Request:
    return QuitRequest(key=key, asked_by=ASKER)


def _status(_given: argparse.Namespace, key: str) -> Request:
    return StatusRequest(key=key, asked_by=ASKER)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InputError(f"sperm {text}: expected its number, as on screen")
    return int(text)


def _text(text: str) -> str:
    text = " ".join(printable(text).split())
    if len(text) > MAX_TEXT:
        raise InputError(f"a text of {len(text)} characters: at most {MAX_TEXT} are kept")
    return text


def run(name: str, argv: Sequence[str]) -> int:
    """Ask, print the answer, and return the exit code. Raises StationError where the answer is no."""
    command, summary = _COMMANDS[name], SHELL[name].summary
    make = command.make
    parser = Parser(prog=f"{invocation()} {name}", description=f"{summary[0].upper()}{summary[1:]}. {NOTICE}")
    for argument in command.arguments:
        parser.add_argument(*argument.words, **argument.options)
    parser.add_argument("--station", metavar="NAME", help="which one, where several run (default: the only one)")
    given = parser.parse_args(argv)
    try:
        make(given, "")  # what was typed is checked before anybody is asked
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        value = "nothing" if first["input"] == "" else first["input"]
        raise InputError(f"{name}: {'.'.join(map(str, first['loc']))} {value}: {first['msg'].lower()}") from None
    station = find_station(given.station)
    with zmq.Context() as context, CommandClient(context, station.endpoint("commands")) as client:
        reply = client.ask(make(given, station.key))
    if not reply.done:
        raise StationError(f"{name}: {reply.outcome.value}: {reply.text}")
    say(_shown(reply, as_json=getattr(given, "json", False)))
    return 0


def _shown(reply: Reply, *, as_json: bool) -> str:
    if reply.status is None:
        return reply.text
    return reply.status.model_dump_json(indent=2) if as_json else status_text(reply.status)


def status_text(status: StationStatus) -> str:
    """Return the status in lines for people."""
    scale = "scale not known" if status.um_per_px is None else f"{status.um_per_px:.3g} um/px"
    scale += f" ({status.objective})" if status.objective else ""
    source = f"{status.source}, {status.fps:g} frames/s, {scale}" if status.source and status.fps else "not open yet"
    lines = [
        f"state   {status.state}, {status.elapsed_s:.0f} s",
        f"source  {source}",
        f"model   {status.model or 'not loaded yet'}{', DEMONSTRATION' if status.demonstration else ''}",
        f"record  {status.session or 'none'}",
    ]
    for sperm in status.sperm:
        state = f"{sperm.state.value}{f' ({sperm.reason})' if sperm.reason else ''}"
        marked = ", marked" if sperm.marked else ""
        lines.append(f"sperm {sperm.sperm_id:>2}  {state} at {sperm.x:.0f}, {sperm.y:.0f}{marked}")
        if sperm.grade is not None and sperm.grade_age_ms is not None:
            shares = " ".join(f"{letter} {100 * p:.0f} %" for letter, p in zip(GRADES, sperm.grade, strict=True))
            age = f"{sperm.grade_age_ms / 1000:.1f} s old"
            lines.append(f"          {status.system or ROSTFINE} grade {shares}; {sperm.grade_worth}, {age}")
        elif sperm.grade_worth:
            lines.append(f"          {sperm.grade_worth}")
    lines += [f"! {line}" for line in (*status.alarms, *status.cautions)]
    return "\n".join(map(one_line, (*lines, status.notice)))


@dataclass(frozen=True, slots=True)
class _Argument:
    """As argparse takes it."""

    words: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _ShellCommand:
    """One command: what it asks, and its arguments."""

    make: Make
    arguments: tuple[_Argument, ...] = ()


_SPERM = _Argument(("sperm",), {"metavar": "N", "help": "number of the sperm, as on screen"})
_POINT = _Argument(("which",), {"metavar": "X,Y|next|previous", "help": "point in px of the frame, x right, y down"})
_REMARK = _Argument(("--note",), {"metavar": "TEXT", "default": "", "help": "a remark to go with it"})
_TEXT = _Argument(("text",), {"metavar": "TEXT", "nargs": "+", "help": "the remark"})
_SETTING = _Argument(
    ("setting",),
    {"metavar": "NAME=VALUE", "nargs": "+", "help": "exposure_us=4000, gain=2, trigger=line1 or off"},
)
_NAME = _Argument(("name",), {"metavar": "NAME", "help": "of the objective, such as 40x"})
_UM = _Argument(("--um",), {"metavar": "LENGTH", "required": True, "help": "a true length, um"})
_PX = _Argument(("--px",), {"metavar": "LENGTH", "required": True, "help": "how long it is in the picture, px"})
_PLAY = _Argument(
    ("what",),
    {"choices": [*PLAYS], "help": "pause (again: go on), one frame on or back, 10 s on or back, half, double"},
)
_JSON = _Argument(("--json",), {"action": "store_true", "help": "print everything as one JSON document"})
_COMMANDS: Final = {
    "status": _ShellCommand(_status, (_JSON,)),
    "select": _ShellCommand(_select, (_POINT,)),
    "release": _ShellCommand(_release, (_SPERM,)),
    "replace-lost": _ShellCommand(_replace),
    "mark": _ShellCommand(_mark, (_SPERM, _REMARK)),
    "note": _ShellCommand(_note, (_TEXT,)),
    "keep": _ShellCommand(_keep),
    "blind": _ShellCommand(_blind),
    "unblind": _ShellCommand(_unblind),
    "objective": _ShellCommand(_objective, (_NAME,)),
    "calibrate": _ShellCommand(_calibrate, (_NAME, _UM, _PX)),
    "camera": _ShellCommand(_camera, (_SETTING,)),
    "play": _ShellCommand(_play, (_PLAY,)),
    "quit": _ShellCommand(_quit),
}
"""What each of ``shell_help.SHELL`` does."""
