"""Where a recording comes from: program, settings, machine. Nothing in it names a person or the machine.

It reads files and asks git; it does not know what is recorded.
"""

import os
import platform
import subprocess
import tomllib
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from station.config import Config
from station.session.pseudonym import Pseudonym
from station.session.records import StartRecord
from station.summary import NOTICE

ROOT: Final = Path(__file__).resolve().parent.parent.parent
GIT_LIMIT_S: Final = 3.0


def begun(record: StartRecord, session: str) -> StartRecord:
    """Return the record for a session that begins now."""
    return record.model_copy(update={"session": session, "started_utc": utc_now()})


def utc_now() -> str:
    """Return the wall time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def start_record(config: Config, pseudonym: Pseudonym) -> StartRecord:
    """Return the first event of a session with this configuration, which has no name yet; takes a moment."""
    return StartRecord(
        notice=NOTICE,
        session="",
        started_utc=utc_now(),
        mode="keep" if config.record.mode == "keep" else "all",
        program=program(),
        git_commit=git_commit(),
        config=recorded_config(config, pseudonym),
        machine=machine(),
        packages=packages(),
    )


def recorded_config(config: Config, pseudonym: Pseudonym) -> dict[str, Any]:
    """Return the settings as plain values, without the names that paths may hold."""
    data = config.model_dump(mode="json")
    data["source"]["kind"] = pseudonym.kind
    data["engine"]["model"] = Path(config.engine.model).name
    data["record"]["folder"] = None
    data["replay"]["comparison"] = ""
    return data


def program() -> str:
    """Return name and version of this program."""
    project = _project()
    return f"{project.get('name', 'rostfine-station')} {project.get('version', 'unknown')}"


def git_commit() -> str | None:
    """Return the commit that is checked out, with "+" where files differ from it; None outside of a checkout."""
    head = _git("rev-parse", "HEAD")
    if not head:
        return None
    return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def machine() -> dict[str, Any]:
    """Return what the machine is; not what it is called."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def packages() -> dict[str, str]:
    """Return the versions of the packages that this program is built on, as far as they are installed."""
    versions = {}
    for requirement in _project().get("dependencies", []):
        name = requirement.split(">")[0].split("=")[0].split(";")[0].strip()
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _project() -> dict[str, Any]:
    try:
        project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return {}
    return project


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=GIT_LIMIT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
