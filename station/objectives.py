"""Named objectives: which scale, in um/px, goes with which lens; from the configuration, and from calibrations.

Calibrations are kept in one file of the user's, written whole or not at all. A name stands for one scale: where
configuration and file disagree, nothing is guessed. This module knows names, scales and the file; not who changes the
lens, nor what follows from it.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from station.errors import InputError
from station.files import PRIVATE, read_bounded, write_atomically
from station.ranges import Scale
from station.validation import explain

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9 ._+/-]{0,39}$"
ObjectiveName = Annotated[str, Field(pattern=NAME_PATTERN)]
Objectives = dict[ObjectiveName, Scale]
"""Scale in um/px by name."""
MOST_BYTES: Final = 1 << 16
MOST_OBJECTIVES: Final = 100
SAME: Final = 1e-9
"""Relative difference up to which two scales are the same."""


class Calibration(BaseModel):
    """One objective as it was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    um_per_px: Scale
    length_um: Annotated[float, Field(gt=0)]
    """The length that was measured,"""
    length_px: Annotated[float, Field(gt=0)]
    """and how long it was in the picture."""
    calibrated_utc: str


class CalibrationFile(BaseModel):
    """The user's file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format: Literal[1] = 1
    objectives: Annotated[dict[ObjectiveName, Calibration], Field(max_length=MOST_OBJECTIVES)] = {}


def calibration_path() -> Path:
    """Return where calibrations are kept: in the user's configuration folder."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "rostfine-station" / "objectives.json"


def read_calibrations(path: Path) -> dict[str, Calibration]:
    """Return the calibrations in a file; none where there is no file. Raises InputError where it cannot be used."""
    try:
        content = read_bounded(path, MOST_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"objectives {path}: cannot be read ({error.strerror}); repair or remove the file") from error
    try:
        return CalibrationFile.model_validate_json(content).objectives
    except ValidationError as error:
        raise InputError(
            f"objectives {path}: {explain(error, CalibrationFile)}; repair the file, or remove it and calibrate again"
        ) from error


def keep_calibration(path: Path, name: str, calibration: Calibration) -> None:
    """Add an objective to the file, or replace the one of that name. Raises InputError; then the file is as it was."""
    kept = read_calibrations(path) | {name: calibration}
    if len(kept) > MOST_OBJECTIVES:
        raise InputError(f"objectives {path}: {MOST_OBJECTIVES} are kept already; remove some")
    content = CalibrationFile(objectives=kept).model_dump_json(indent=2) + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, content.encode(), PRIVATE)
    except OSError as error:
        raise InputError(f"objectives {path}: cannot be written ({error.strerror}); the scale is not kept") from error


def all_objectives(configured: Mapping[str, float], path: Path) -> dict[str, float]:
    """Return every objective, by name. Raises InputError where configuration and file give a name two scales."""
    found = {name: calibration.um_per_px for name, calibration in read_calibrations(path).items()}
    for name, um_per_px in configured.items():
        kept = found.get(name, um_per_px)
        if abs(kept / um_per_px - 1) > SAME:
            raise InputError(
                f"[objectives] {name}: {um_per_px:g} um/px in the configuration, {kept:g} by calibration ({path}); "
                "remove one of them"
            )
    return dict(sorted((found | dict(configured)).items()))


def known(name: str, objectives: Mapping[str, float]) -> float:
    """Return the scale of an objective. Raises InputError, with the names there are."""
    if name in objectives:
        return objectives[name]
    there = f"there are {', '.join(objectives)}" if objectives else "none is defined"
    raise InputError(f"objective {name}: not known; {there} ([objectives] in the configuration, or calibrate one)")
