"""What this program is: where it lies, its name and version, its commit, the packages it uses.

Every program imports it before anything else, and few ask it: what answers is imported then.
"""

from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout, or where an installed program keeps its packages and the model."""
DISTRIBUTION: Final = "rostfine-station"
GIT_LIMIT_S: Final = 5.0


def program() -> str:
    """Return name and version of this program."""
    return f"{DISTRIBUTION} {version()}"


def version() -> str:
    """Return the version: of the checkout, else of what is installed."""
    found = _project().get("version")
    if found is not None:
        return str(found)
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def git_commit() -> str | None:
    """Return the commit that is checked out, with "+" where files differ from it; None outside of a checkout."""
    if not (ROOT / ".git").exists():  # installed: a checkout further up is another program's
        return None
    head = _git("rev-parse", "HEAD")
    if not head:
        return None
    return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def packages() -> dict[str, str]:
    """Return the versions of the packages that this program is built on, as far as they are installed."""
    from importlib import metadata

    versions = {}
    for requirement in _project().get("dependencies", []):
        name = requirement.split(">")[0].split("=")[0].split(";")[0].strip()
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _project() -> dict[str, Any]:
    import tomllib

    try:
        project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return {}
    return project


def _git(*words: str) -> str:
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=GIT_LIMIT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
