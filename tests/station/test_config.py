"""Configuration and command line: what is refused, and with which message."""

import os
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
    "misspelt key": ('[source]\nknd = "x"\n', "'source.knd', did you mean 'kind'"),
    "out of range": ("[window]\nframes = 0\n", "window.frames"),
    "wrong type": ('[window]\nframes = "many"\n', "window.frames"),
    "not a number": ("[simulated]\nfps = nan\n", "simulated.fps"),
    "infinite": ("[source]\num_per_px = inf\n", "source.um_per_px"),
    "neither auto nor number": ('[window]\nstride = "fast"\n', "window.stride"),
    "not TOML": ("[source\n", "not valid TOML"),
    "wrong choice": ('speed = "fast"\n', "speed"),
    "nested lists": ("select = " + "[\n" * 30_000, "nested too deep"),
    "nested tables": ("select = " + "{a = " * 1900, "nested too deep"),
    "nested sections": ("[" + "a." * 4000 + "a]\n", "nested too deep"),
    "nested keys": ("a." * 4000 + "a = 1\n", "nested too deep"),
    **{
        f"{section}: {rate} frames/s": (f"[{section}]\nfps = {rate}\n", f"{section}.fps': expected")
        for section in ("source", "simulated", "camera")
        for rate in ("0", "-5", "1e-300", "1e30", "inf", "nan")
    },
    "scale of nothing": ("[source]\num_per_px = 1e-300\n", "source.um_per_px': expected at least 0.001"),
    "number of 5000 digits": (f"[simulated]\nseed = {'9' * 5000}\n", "a number has thousands of digits"),
    "seed of 4000 digits": (f"[simulated]\nseed = {'9' * 4000}\n", "simulated.seed': expected less than"),
    "points without end": (f"select = [{','.join(['[1,1]'] * 257)}]\n", "select': expected no more than 256 values"),
    "endless run": ("duration_s = 1e300\n", "duration_s': expected at most"),
    "nested 100,000 deep": ("select = " + "[" * 100_000, "larger than 64 KiB"),
    "long line": ("[" + "a." * 30_000 + "a]\n", "a line of 60003 characters"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_with_the_place(tmp_path: Path, name: str) -> None:
    text, expected = BAD_FILES[name]
    with pytest.raises(InputError, match=expected) as caught:
        load_config(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "station.toml" in str(caught.value)


CURED = "write a Windows path in single quotes, or with /"
WINDOWS_PATHS = {
    "no escape": (r'kind = "C:\data\clip.mp4"', CURED),
    "half an escape": (r'kind = "C:\Users\me.mp4"', CURED),
    "valid escapes": (r'kind = "C:\new\tracks.mp4"', CURED),
    "quotes in quotes": ("kind = '\"C:/clip.mp4\"'", "leave out the inner ones"),
}


@pytest.mark.parametrize("name", WINDOWS_PATHS)
def test_windows_paths_in_double_quotes_are_refused_with_the_cure(tmp_path: Path, name: str) -> None:
    line, expected = WINDOWS_PATHS[name]
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, f"[source]\n{line}\n"))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_windows_paths_in_single_quotes_are_taken(tmp_path: Path) -> None:
    text = "[source]\nkind = 'C:\\new\\tracks.mp4'\n"
    assert load_config(write(tmp_path, text)).source.kind == "C:\\new\\tracks.mp4"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_as_windows_editors_save_them(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes("[source]\r\nkind = 'µ/精子.mp4'\r\n".encode(encoding))
    assert load_config(path).source.kind == "µ/精子.mp4"


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes("[source]\nkind = 'é.mp4'\n".encode("cp1252"))
    with pytest.raises(InputError, match="save it as UTF-8"):
        load_config(path)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = 'speed = "fast"\n[source]\nfps = "30"\nkid = "x"\n[window]\nstride = "fast"\n[engine]\nthreads = true\n'
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, text))
    for part in (
        "5 mistakes: (1) ",
        "'source.fps': expected a number, got '30'; leave the quotes out",
        "unknown key 'source.kid', did you mean 'kind'?",
        "'window.stride': expected a whole number or 'auto', got 'fast'",
        "'engine.threads': expected a whole number, got true",
        "'speed': expected 'live' or 'max', got 'fast'",
    ):
        assert part in str(caught.value)
    with pytest.raises(InputError, match=r"2 mistakes: .*duration_s.* \(|2 mistakes: .*speed.*duration_s"):
        parse_options(["--speed", "fast", "--duration", "-1"])


TEXT_FOR_NUMBERS = ['fps = "30"', 'um_per_px = "0.25"', 'bits = "12"', "fps = true"]


@pytest.mark.parametrize("line", TEXT_FOR_NUMBERS)
def test_text_is_not_a_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"expected a (whole )?number"):
        load_config(write(tmp_path, f"[source]\n{line}\n"))


@pytest.mark.parametrize(
    ("source", "line", "expected"),
    [
        pytest.param("simulated", "um_per_px = 0.5", r"set \[simulated\] um_per_px", id="scale of the simulation"),
        pytest.param("simulated", "fps = 30", r"set \[simulated\] fps", id="rate of the simulation"),
        pytest.param("simulated", "bits = 12", "leave it out", id="bits of the simulation"),
        pytest.param("replay:x", "um_per_px = 0.5", "takes these from the recorded session", id="scale of a session"),
    ],
)
def test_settings_that_the_source_would_ignore_are_refused(
    tmp_path: Path, source: str, line: str, expected: str
) -> None:
    path = write(tmp_path, f"[source]\n{line}\n")
    with pytest.raises(InputError, match=expected):
        parse_options(["--config", str(path), "--source", source])
    assert parse_options(["--config", str(path), "--source", "clip.mp4"]).config.source.kind == "clip.mp4"


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
    "auto of 5000 digits": (["--select", f"auto:{'9' * 5000}"], "N from 1 to 64"),
    "source of nothing": (["--source", ""], "source.kind': expected a source"),
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


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_only_files_are_read(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / "pipe.toml"
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(InputError, match=f"cannot be read .it is a {kind}, not a file."):
        load_config(path)
