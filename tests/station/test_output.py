"""Names, notices and errors that hold orders to the terminal: none of them gets there."""

import ast
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.table import Table

from bench.support.report import Report
from engine.__main__ import main as engine_main
from run_station import main as station_main
from station.build_info import ROOT
from station.command_line import exit_code_of
from station.console import Console
from station.errors import InputError, ProcessError
from station.output import complain, make_output_forgiving, printable, say
from trainer.__main__ import main as trainer_main

ORDERS = {
    "title": "\x1b]0;owned\x07",
    "colour": "\x1b[31m",
    "cursor": "\x1b[2J\x1b[1;1H",
    "8-bit codes": "\x9b31m\x9d0;owned\x9c",
    "backspace": "good\b\b\b\bbad",
    "overwriting": "bad\rgood",
    "turned text": "\u202egpm.exe\u202c",
    "isolated": "\u2066\u2069\u200e\u200f\u061c",
    "invisible": "a\u200bb\u00adc\ufeff",
    "other lines": "\x0b\x0c\x85\u2028\u2029",
    "not decodable": "\udcff\udc9b",
    "deleted": "\x7f",
}
PACKAGES = ("station", "capture", "tracker", "engine", "trainer", "bench")


def harmless(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_orders_to_the_terminal_become_text(order: str) -> None:
    shown = printable(f"before{order}after\nnext line")
    assert harmless(shown)
    assert shown.startswith("before")
    assert shown.endswith("after\nnext line")


@pytest.mark.parametrize("text", ["", "plain", "Spermien-Träger 精子 µm ±0.5 ●", "two\nlines", "👍"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    say("name", ORDERS["colour"], 1)
    complain(ORDERS["title"])
    assert capsys.readouterr() == ("name ?[31m 1\n", "?]0;owned?\n")


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("error", [InputError, ProcessError])
def test_errors(capsys: pytest.CaptureFixture[str], error: type[Exception], order: str) -> None:
    def fail(_: Sequence[str]) -> int:
        raise error(f"file {order}\nrostfine: all is well")

    assert exit_code_of(fail, []) == (2 if error is InputError else 1)
    shown = capsys.readouterr().err
    assert harmless(shown)
    assert error is not InputError or shown.count("\n") == 1, "a mistake is one line"


def test_errors_of_the_system(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Sequence[str]) -> int:
        raise OSError(2, "No such file", f"name{ORDERS['colour']}")

    assert exit_code_of(fail, []) == 2
    assert capsys.readouterr().err == "rostfine: name?[31m: No such file; give a path that can be used\n"


def test_defects(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    make_output_forgiving()
    error = RuntimeError(ORDERS["title"])
    sys.excepthook(RuntimeError, error, None)
    shown = capsys.readouterr().err
    assert harmless(shown)
    assert "RuntimeError: ?]0;owned?" in shown


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], list[str]]] = {
    "source": (station_main, ["--headless", "--source", "{}"]),
    "replay": (station_main, ["--headless", "--source", "replay:{}"]),
    "configuration": (station_main, ["--config", "{}"]),
    "option": (station_main, ["--{}"]),
    "command": (station_main, ["{}"]),
    "session": (station_main, ["verify", "{}"]),
    "tables": (station_main, ["tables", "{}"]),
    "model": (engine_main, ["verify", "{}"]),
    "clips": (trainer_main, ["check", "{}"]),
    "votes": (trainer_main, ["votes", "{}", "--votes", "{}"]),
    "weights": (trainer_main, ["import", "{}", "--out", "x"]),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_names_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    main, argv = COMMANDS[case]
    name = "x" + "".join(order for key, order in ORDERS.items() if key != "not decodable").replace("/", "")
    code = exit_code_of(main, [word.format(name) for word in argv])
    captured = capsys.readouterr()
    assert (code, captured.err.count("\n")) == ((1, 0) if case == "clips" else (2, 1)), "clips are checked, and fail"
    assert harmless(captured.err + captured.out)


@pytest.mark.skipif(os.name == "nt", reason="such names are not possible")
def test_keys_of_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\x1b[31m.toml"
    path.write_text('["\\u001b]0;owned\\u0007"]\n')
    assert exit_code_of(station_main, ["--config", str(path)]) == 2
    shown = capsys.readouterr().err
    assert "unknown key" in shown
    assert harmless(shown)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_text_on_a_console(order: str) -> None:
    """With the styles of the program, and tables; the styles' own codes are there."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=200)
    table = Table(f"head {order}")
    table.add_row(f"cell {order}")
    console.print(f"line {order}", style="bold")
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "\x1b[1m" in shown
    for own in ("\x1b[1m", "\x1b[0m"):
        shown = shown.replace(own, "")
    assert harmless(shown)
    assert "line " in shown
    assert "cell " in shown


def test_markup_in_a_name_is_text() -> None:
    console = Console(file=io.StringIO(), width=200)
    table = Table()
    table.add_row("[/red] [link=http://x]y[/link]")
    console.print("clips [bold]a[/b] :smile: [/nothing]")
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "clips [bold]a[/b] :smile: [/nothing]" in shown
    assert "[/red] [link=http://x]y[/link]" in shown


def test_a_report_of_a_bench_with_a_hostile_name(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("engine", "[/red]\x1b[31m", {"model": "\x1b[31m"})
    report.emit()
    assert harmless(capsys.readouterr().out)


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_no_other_way_to_the_terminal(package: str) -> None:
    """No module prints, or makes a console, but these two; none writes to the streams."""
    for path in [*(ROOT / package).rglob("*.py"), ROOT / "run_station.py"]:
        if path in (ROOT / "station" / "output.py", ROOT / "station" / "console.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        richs = {
            name.asname or name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "rich.console"
            for name in node.names
            if name.name == "Console"
        }
        ways = {"print", "sys.stdout.write", "sys.stderr.write"} | richs
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ways:
                pytest.fail(f"{path.relative_to(ROOT)}, line {node.lineno}: use station.output or station.console")
