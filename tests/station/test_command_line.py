"""What all command lines share: nearest words, exit codes, one name before every error, the help, the version."""

import errno
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import bench.__main__
import run_station
import trainer.__main__
from engine.artifact import Artifact
from station.build_info import ROOT, version
from station.command_line import Parser, as_invoked, exit_code_of, invocation
from station.dashboard.summary import SummaryFile
from station.errors import ArtifactError, InputError, ProcessError
from station.options import parse_options

NEAR_MISSES = {
    "a letter missing": ("doctr", "did you mean doctor?"),
    "two letters exchanged": ("verfiy", "did you mean verify?"),
    "a command of the trainer": ("simulate", "did you mean trainer simulate?"),
    "nearly one of the engine": ("complie", "did you mean engine compile?"),
    "nothing like it": ("xyzzy", "unknown command 'xyzzy'; the commands are doctor"),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_the_nearest_command_is_suggested(name: str) -> None:
    word, expected = NEAR_MISSES[name]
    with pytest.raises(InputError) as caught:
        run_station.main([word])
    assert expected in str(caught.value)


def test_what_each_program_offers_is_what_the_help_lists() -> None:
    assert run_station.COMMANDS["trainer"].subcommands == list(trainer.__main__.COMMANDS)
    assert sorted(run_station.COMMANDS["bench"].subcommands) == sorted(bench.__main__.BENCHES)


def test_the_help_lists_every_command_and_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--help"], run_station.COMMANDS)
    text = capsys.readouterr().out
    for name, command in run_station.COMMANDS.items():
        assert f"\n  {name}" in text
        assert all(word in text for word in command.subcommands)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "--out FILE\n                                grade videos" in text, "a long command has a line of its own"
    assert "For research use only. Not for use in diagnostic procedures." in text


HEAVY = {
    "numpy", "pydantic", "zmq", "msgpack", "rich", "jinja2", "cv2", "av", "tifffile", "pyarrow", "onnxruntime",
    "openvino", "torch", "onnx", "matplotlib", "sklearn", "lightning_fabric", "starlette", "uvicorn", "pypylon", "ray",
}  # fmt: skip
"""Each takes longer to import than a help has time for: 0.3 s in all, Python's own start included."""


@pytest.mark.parametrize(
    "command", ["run_station --help", "trainer.__main__ --help", "bench.__main__ --help", "engine.__main__ --help",
                "engine.__main__ compile --help"],
)  # fmt: skip
def test_the_help_needs_no_heavy_package(command: str) -> None:
    program, *words = command.split()
    code = (
        f"import sys, runpy\nsys.argv[1:] = {words!r}\ntry:\n    runpy.run_module('{program}', run_name='__main__')\n"
        f"except SystemExit as end:\n    print('exit', end.code, sorted(sys.modules.keys() & {HEAVY!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "exit 0 []", done.stderr
    assert "usage: " in done.stdout


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_options(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"rostfine {version()}")
    assert version()[0].isdigit()


def small_parser() -> Parser:
    parser = Parser(prog="rostfine x")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("train").add_argument("--epochs", type=int)
    commands.add_parser("export")
    commands.add_parser("check").add_argument("--data", required=True)
    return parser


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        pytest.param(["trian"], "did you mean train?; `rostfine x --help` lists", id="command"),
        pytest.param(["train", "--epoch", "3"], "unknown option --epoch, did you mean --epochs?", id="option"),
        pytest.param(["train", "--epochs=3", "--epocs=4"], "--epocs, did you mean --epochs?", id="joined"),
        pytest.param(["export", "--epochs", "3"], "unknown option --epochs; `rostfine x export", id="of another"),
        pytest.param(["export", "3"], "unexpected argument '3'", id="argument"),
        pytest.param(["check", "--dta", "x"], "unknown option --dta, did you mean --data?", id="misspelt and required"),
        pytest.param(["export", "-3"], "'-3'", id="short option"),
        pytest.param(["train", "--epochs", "many"], "invalid int value: 'many'", id="value"),
    ],
)
def test_complaints_are_input_errors_with_the_nearest_word(argv: list[str], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        small_parser().parse_args(argv)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_verify_says_which_of_the_two_was_meant(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a model, not a session; verify it with `python -m engine verify"):
        run_station.main(["verify", str(ROOT / "models" / "demo")])
    (tmp_path / "session.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is a recorded session, not a model; verify it with"):
        Artifact.open(tmp_path)


ENDINGS = {
    "well": (None, 0, ""),
    "a mistake of the user": (InputError("give x"), 2, "rostfine: give x\n"),
    "a fault": (ProcessError("engine died"), 1, "rostfine: engine died\n"),
    "no memory": (MemoryError(), 1, "rostfine: not enough memory; close"),
    "no memory for a thread": (RuntimeError("can't start new thread"), 1, "rostfine: not enough memory; close"),
    "links in a circle": (RuntimeError("Symlink loop from 'a'"), 2, "rostfine: Symlink loop from 'a': links that"),
    "Ctrl-C": (KeyboardInterrupt(), 130, ""),
    "a file": (PermissionError(errno.EACCES, "Permission denied", "a.csv"), 2, "rostfine: a.csv: Permission denied;"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_endings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    error, code, words = ENDINGS[name]

    def main(_: Sequence[str]) -> int:
        if error is not None:
            raise error
        return 0

    assert exit_code_of(main, []) == code
    err = capsys.readouterr().err
    assert err.startswith(words)
    assert bool(err) == bool(words)


def test_a_name_without_end_does_not_flood_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: Sequence[str]) -> int:
        raise InputError(f"source {'x' * 100_000}: no such file; give one\n")

    assert exit_code_of(main, []) == 2
    said = capsys.readouterr().err
    assert said.startswith("rostfine: source xxx")
    assert said.endswith("xxx: no such file; give one\n")
    assert len(said) < 2100


def test_a_full_disk_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: Sequence[str]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert exit_code_of(main, []) == 2
    assert capsys.readouterr().err == "rostfine: writing: No space left on device; free some space\n"


def test_a_defect_keeps_its_traceback() -> None:
    def main(_: Sequence[str]) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with pytest.raises(OSError, match="allocate"):
        exit_code_of(main, [])


def test_advice_names_the_installed_command_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "export it with `python -m trainer export`; `python run_station.py verify X`, `run_station.py doctor`"
    assert as_invoked(text) == text
    monkeypatch.setattr("sys.argv", ["/usr/bin/rostfine"])
    assert as_invoked(text) == "export it with `rostfine trainer export`; `rostfine verify X`, `rostfine doctor`"


@pytest.mark.parametrize(
    ("argv0", "expected"),
    [
        ("/home/me/.local/bin/rostfine", "rostfine"),
        ("run_station.py", "python run_station.py"),
        ("/checkout/trainer/__main__.py", "python run_station.py"),
    ],
)
def test_advice_can_be_copied(argv0: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [argv0])
    assert invocation() == expected


def test_neither_summary_nor_comparison_goes_into_a_session(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("x")
    with pytest.raises(InputError, match="lies in the folder of a recorded session"):
        parse_options(["--source", f"replay:{tmp_path}", "--comparison", str(tmp_path / "session.csv")])
    with pytest.raises(InputError, match="lies in the folder of a recorded session"):
        SummaryFile(tmp_path / "session.json")
