"""The installed command: built, installed into a fresh environment and run from a folder without a clone."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from station.build_info import ROOT, version

pytestmark = pytest.mark.slow
OURS = {"rostfine_station", f"rostfine_station-{version()}.dist-info"}
GENERIC = ("station", "capture", "tracker", "engine", "trainer", "bench", "run_station")


def pip(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--quiet", "--no-deps", "--no-build-isolation"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the source distribution, so that both are whole."""
    folder = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (sdist,) = folder.glob("*.tar.gz")
    pip("wheel", str(sdist), "-w", str(folder))
    (found,) = folder.glob("*.whl")
    return found


class Environment:
    """A fresh environment that sees the packages the tests run with, but not our code."""

    def __init__(self, folder: Path, *to_install: str) -> None:
        self.folder = folder
        venv.create(folder / "env", with_pip=False)
        scripts = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
        self.python = scripts / "python"
        self.command = scripts / "rostfine"
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))
        (self.packages / "outer.pth").write_text(sysconfig.get_path("purelib"))
        pip("--python", str(self.python), "install", "--ignore-installed", *to_install)

    def run(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run in an empty folder, with none of our paths in the environment variables."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"XDG_DATA_HOME": str(self.folder / "data")}
        return subprocess.run(
            [str(word) for word in words], cwd=self.folder, env=environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def finds(self, module: str) -> bool:
        return self.run(self.python, "-c", f"import {module}").returncode == 0


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("installed"), str(wheel))


def test_nothing_with_a_generic_name_lands_in_site_packages(installed: Environment) -> None:
    assert {path.name for path in installed.packages.iterdir()} - {"outer.pth"} == OURS
    for name in GENERIC:
        assert not installed.finds(name), name


def test_the_command_runs_the_station_where_there_is_no_clone(installed: Environment) -> None:
    done = installed.run(
        installed.command, "--headless", "--duration", "5", "--summary", "s.json", "--select", "auto:2"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((installed.folder / "s.json").read_text())
    assert summary["frames"]["captured"] + summary["frames"]["left_out"] == 75
    assert summary["model"]["name"] == "rostfine-demo"
    assert summary["recording"]["complete"]
    folder = summary["recording"]["folder"]
    checked = installed.run(installed.command, "verify", folder)
    assert (checked.returncode, "COMPLETE, INTACT" in checked.stdout) == (0, True), checked.stderr


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        pytest.param(["--version"], 0, f"rostfine {version()}\n", id="version, without a commit"),
        pytest.param(["doctor"], None, "disk speed", id="doctor"),
        pytest.param(["engine", "verify"], 0, "verified", id="engine"),
        pytest.param(["train"], 2, "rostfine: ", id="train"),
        pytest.param(["trainer", "--help"], 0, "simulate", id="trainer"),
        pytest.param(["bench", "--help"], 0, "fuzz", id="bench"),
        pytest.param(["--help"], 0, "usage: rostfine [OPTIONS]", id="its own name in the help"),
        pytest.param(["doctr"], 2, "did you mean doctor?", id="near miss"),
    ],
)
def test_every_program_is_there(installed: Environment, words: list[str], code: int | None, expected: str) -> None:
    done = installed.run(installed.command, *words)
    assert expected in done.stdout + done.stderr
    assert done.returncode in ((0, 1) if code is None else (code,)), done.stderr


def test_as_a_module(installed: Environment) -> None:
    assert installed.run(installed.python, "-m", "rostfine_station", "--version").stdout == f"rostfine {version()}\n"


def test_an_editable_installation_runs_the_clone_and_hides_its_names(tmp_path: Path) -> None:
    environment = Environment(tmp_path, "--editable", str(ROOT))
    assert environment.run(environment.command, "--version").stdout.startswith(f"rostfine {version()}")
    assert not environment.finds("station")
