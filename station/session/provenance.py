"""Where a recording comes from: program, settings, machine. Nothing in it names a person or the machine.

It reads files and asks git; it does not know what is recorded.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from station.build_info import git_commit, packages, program
from station.config import Config
from station.machine import machine
from station.notice import NOTICE
from station.session.pseudonym import Pseudonym
from station.session.records import StartRecord

UNNAMED: Final = "unnamed"
"""Until it is known what the folder is called."""


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
        session=UNNAMED,
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
    del data["view"]  # it changes nothing that is recorded, and its host is the name of a machine
    return data
