"""What the station is made of is written down and complete; what the documents promise of tests is so."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from station.build_info import ROOT

LOCKED_EXTRAS = ("basler", "view")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINNED = re.compile(
    r"^([A-Za-z0-9._-]+)==([^ \\]+)(?: ; ([^\\]+))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


def locked() -> dict[str, list[str]]:
    """Return the versions of each package, by its normal name."""
    versions: dict[str, list[str]] = defaultdict(list)
    for name, version, _, _ in PINNED.findall(LOCK):
        versions[canonicalize_name(name)].append(version)
    return versions


def test_the_lock_has_every_dependency_in_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in LOCKED_EXTRAS for r in project["optional-dependencies"][extra]),
    ]
    versions = locked()
    for requirement in map(Requirement, wanted):
        found = versions[canonicalize_name(requirement.name)]
        assert found, f"{requirement} is not in requirements.lock: make it anew (SECURITY.md says how)"
        assert all(requirement.specifier.contains(version) for version in found), f"{requirement}: {found} is locked"


def test_the_lock_is_versions_and_hashes_and_nothing_else() -> None:
    """No host and no option, so that every package comes from where pip is told to look, and must have its hash."""
    rest = PINNED.sub("", LOCK)
    assert all(line.startswith("#") for line in rest.splitlines()), rest
    assert "://" not in LOCK
    assert len(locked()) > 20


def test_the_lock_was_made_by_the_command_that_is_documented() -> None:
    made = LOCK.splitlines()[1].removeprefix("#").strip()
    assert made in re.sub(r" \\\n\s*", " ", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("cyclonedx_py") is None, reason='needs cyclonedx-bom: pip install ".[sbom]"')
def test_the_bill_of_materials_names_every_package(tmp_path: Path) -> None:
    document = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    command = next(line.strip() for line in document.splitlines() if " -m cyclonedx_py " in line)
    words = command.split()[1:]  # with this Python in place of the documented one
    words = [sys.executable if word == ".venv" else word for word in words]
    words[words.index("-o") + 1] = str(tmp_path / "sbom.json")
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True, timeout=120)
    made = json.loads((tmp_path / "sbom.json").read_text(encoding="utf-8"))
    assert (made["bomFormat"], made["metadata"]["component"]["name"]) == ("CycloneDX", "rostfine-station")
    names = {canonicalize_name(component["name"]) for component in made["components"]}
    assert {"numpy", "onnxruntime", "pyzmq", "pydantic", "av"} <= names
    assert all(component["version"] for component in made["components"])


def test_every_test_that_the_hazards_name_exists() -> None:
    text = (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(table) > 20
    for row in table:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", cells[-1])
        assert len(cells) == 4, f"expected hazard, control, residual risk and tests: {row}"
        assert named, f"no test shows the control against: {cells[0]}"
        for file, test in named:
            path = ROOT / "tests" / file
            assert path.is_file(), f"{file} is named in hazards.md and does not exist"
            functions = {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                         if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}  # fmt: skip
            assert test in functions, f"{file}::{test} is named in hazards.md and does not exist"
