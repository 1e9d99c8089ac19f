"""Configuration and command line: what is refused, and in which words."""

from pathlib import Path

import pytest

from station.config import Config, load_config
from station.errors import InputError
from station.options import parse_options


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "station.toml"
    path.write_text(text)
    return path


def test_file_and_options_together(tmp_path: Path) -> None:
    path = write(tmp_path, '[source]\nkind = "a.mp4"\nfps = 30\n[window]\nstride = 2\n[engine]\nmodel = "m"\n')
    options = parse_options(["--config", str(path), "--source", "b.mp4", "--duration", "3", "--headless"])
    assert options.config.source.kind == "b.mp4", "an option wins over the file"
    assert (options.config.source.fps, options.config.window.stride, options.config.engine.model) == (30, 2, "m")
    assert (options.config.duration_s, options.headless, options.summary) == (3, True, None)


def test_no_options_is_the_simulated_microscope() -> None:
    assert parse_options([]).config == Config()


BAD_FILES = {
    "misspelt section": ("[sorce]\n", "did you mean 'source'"),
    "misspelt key": ('[source]\nknd = "x"\n', "'source.knd'; did you mean 'kind'"),
    "out of range": ("[window]\nframes = 0\n", "window.frames"),
    "wrong type": ('[window]\nframes = "many"\n', "window.frames"),
    "not a number": ("[simulated]\nfps = nan\n", "simulated.fps"),
    "infinite": ("[source]\num_per_px = inf\n", "source.um_per_px"),
    "neither auto nor number": ('[window]\nstride = "fast"\n', "window.stride"),
    "not TOML": ("[source\n", "not valid TOML"),
    "wrong choice": ('speed = "fast"\n', "speed"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_with_the_place(tmp_path: Path, name: str) -> None:
    text, expected = BAD_FILES[name]
    with pytest.raises(InputError, match=expected) as caught:
        load_config(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "station.toml" in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


SELECTIONS = {
    "default": ([], (), 4),
    "auto": (["auto"], (), 4),
    "auto with number": (["auto:7"], (), 7),
    "point": (["320,240"], ((320.0, 240.0),), 4),
    "points": (["1,2", "3.5,4"], ((1.0, 2.0), (3.5, 4.0)), 4),
    "negative point": (["-5,10"], ((-5.0, 10.0),), 4),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_selection(name: str) -> None:
    values, points, count = SELECTIONS[name]
    argv = [word for value in values for word in ("--select", value)]
    config = parse_options(argv).config
    assert (config.select, config.select_auto) == (points, count)


BAD_COMMANDS = {
    "unknown option": (["--sorce", "x"], "unknown option --sorce, did you mean --source"),
    "option without value": (["--source"], "expected one argument"),
    "auto with a point": (["--select", "auto", "--select", "1,2"], "auto.:N. alone"),
    "auto of none": (["--select", "auto:0"], "N from 1 to 64"),
    "auto of too many": (["--select", "auto:65"], "N from 1 to 64"),
    "no point": (["--select", "12"], "a point X,Y"),
    "three numbers": (["--select", "1,2,3"], "a point X,Y"),
    "point not finite": (["--select", "nan,2"], "select"),
    "duration of nothing": (["--duration", "0"], "duration_s"),
    "duration no number": (["--duration", "long"], "duration"),
    "unknown runtime": (["--runtime", "abacus"], "runtime"),
    "unknown speed": (["--speed", "fast"], "speed"),
}


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_bad_commands_are_refused(name: str) -> None:
    argv, expected = BAD_COMMANDS[name]
    with pytest.raises(InputError, match=expected) as caught:
        parse_options(argv)
    assert "\n" not in str(caught.value)
