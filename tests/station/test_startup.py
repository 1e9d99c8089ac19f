"""The program on a Python that lacks its packages: one line with the README's install command, no traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from station.build_info import ROOT
from station.startup import INSTALL, guarded_imports


def test_without_its_packages_the_program_says_how_to_install_it() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-E", "run_station.py", "--headless"],  # -S: without site-packages
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("rostfine: the package ")
    assert INSTALL in done.stderr or ".venv/bin/python run_station.py" in done.stderr


def test_the_command_is_the_readmes() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = readme.split("```sh\n")[1].split("```")[0]
    assert " ".join(first.split()) == INSTALL


def test_a_module_of_ours_that_is_missing_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError), guarded_imports():
        import station.nowhere  # type: ignore[import-not-found]  # noqa: F401


def test_an_environment_beside_the_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "station").mkdir()
    for name in ("__init__.py", "output.py", "startup.py"):
        (tmp_path / "station" / name).write_bytes((ROOT / "station" / name).read_bytes())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    program = "from station.startup import guarded_imports\nwith guarded_imports():\n    import no_such_package\n"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("; start the program with .venv/bin/python run_station.py\n")


def test_ctrl_c_is_the_systems_own_business_while_importing_and_pythons_after() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with guarded_imports():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with guarded_imports():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "who ignores it goes on doing so"
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_importing_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, guarded_imports():
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert capsys.readouterr().err == ""


def test_what_tables_have_left_is_given_back() -> None:
    """The allocator of pyarrow itself kept 10 MB and more; which one it takes is settled when it is imported."""
    program = (
        "from station.startup import guarded_imports\nwith guarded_imports():\n    import station.session.tables\n"
        "import pyarrow\nprint(pyarrow.default_memory_pool().backend_name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "system\n"
