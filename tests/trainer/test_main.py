"""The trainer's command line: its list of commands, near misses, and one line for every mistake."""

import importlib

import pytest

from station.build_info import version
from station.notice import NOTICE
from trainer.__main__ import COMMANDS, FORMER_NAMES, main


def test_the_help_lists_every_command_and_the_notice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert NOTICE in " ".join(shown.split())
    for name in COMMANDS:
        assert f"\n    {name} " in shown


def test_the_version_is_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith(f"rostfine {version()}")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("adopt", "import-clips"), ("heads", "fit-heads"), ("import_clips", "import-clips"), ("tain", "train"),
     ("Evaluate", "evaluate"), ("cross-val", "crossval"), ("vote", "votes")],
)  # fmt: skip
def test_a_near_miss_or_a_former_name_is_answered_with_the_command(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word, "--out", "x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rostfine: no command '{word}'; did you mean {meant}?")


def test_a_word_that_is_near_to_nothing_is_answered_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(name in line for name in COMMANDS)


@pytest.mark.parametrize("words", [[], ["simulate"], ["simulate", "--clips", "many"], ["check", "a", "b"], ["--frob"]])
def test_a_mistake_in_the_options_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rostfine: ")
    assert "--help` lists the options" in line


def test_former_names_lead_to_commands_that_exist() -> None:
    assert set(FORMER_NAMES.values()) <= set(COMMANDS)
    assert not set(FORMER_NAMES) & set(COMMANDS)
    for name in ("simulate", "prepare", "import-clips", "votes", "check"):  # these need no torch
        assert hasattr(importlib.import_module(COMMANDS[name].module), "run")
