"""A spawned process does not import the program's main module again."""

import subprocess
import sys
from pathlib import Path

from station.build_info import ROOT

MAIN = """
import multiprocessing, sys
from pathlib import Path

with Path(sys.argv[0] + ".imports").open("a") as file:
    file.write("imported\\n")

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from station.processes.spawning import start_spawned
    from station.build_info import git_commit

    process = multiprocessing.get_context("spawn").Process(target=git_commit)
    start_spawned(process)
    process.join()
    assert process.exitcode == 0
    assert Path(__file__).name == "main.py"
    process = multiprocessing.get_context("spawn").Process(target=git_commit)
    process.start()  # as it is otherwise
    process.join()
"""


def test_the_main_module_is_not_imported_again(tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(MAIN)
    subprocess.run([sys.executable, str(script), str(ROOT)], cwd=ROOT, check=True, timeout=120)
    # Once as the program itself, once by the process that was started in the ordinary way.
    assert (tmp_path / "main.py.imports").read_text().splitlines() == ["imported"] * 2
