"""The key pair of this machine, and the machines that are let in: for links between two hosts.

Two files in the user's configuration folder: the pair (mode 0600), and a list of public keys by name. Keys are written
as 64 hexadecimal digits, which survive every shell and every message.
"""

import os
import re
import stat
import sys
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import zmq
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from zmq.utils import z85

from station.errors import InputError
from station.files import PRIVATE, read_bounded, write_atomically
from station.transport.keys import KeyPair, Pass

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,39}$"
KEY_PATTERN: Final = r"^[0-9a-f]{64}$"
MAX_BYTES: Final = 1 << 16
Hex = Annotated[str, Field(pattern=KEY_PATTERN)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Kind = TypeVar("Kind", bound=BaseModel)


class _OwnKeys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    name: Name
    public: Hex
    secret: Hex


class _Authorised(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    machines: dict[Name, Hex] = {}


def folder() -> Path:
    """Return where the files lie; not made here."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home()) / "rostfine-station" / "keys"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rostfine-station" / "keys"


def make(name: str) -> str:
    """Make this machine's pair and return its public key. Raises InputError where there is one already."""
    _check_name(name)
    path = folder() / "own.json"
    if path.exists():
        raise InputError(f"{path}: this machine has keys already; remove the file to make new ones")
    public, secret = (z85.decode(part).hex() for part in zmq.curve_keypair())
    _write(path, _OwnKeys(name=name, public=public, secret=secret))
    return public


def own() -> Pass:
    """Return this machine's pass. Raises InputError where it has none, or where others can read it."""
    path = folder() / "own.json"
    if not path.exists():
        raise InputError("this machine has no keys yet; make them with `rostfine keys make NAME`")
    if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(f"{path}: others can read the secret key; chmod 600 it, or make new keys")
    keys = _read(path, _OwnKeys)
    pair = KeyPair(_z85(keys.public), _z85(keys.secret))
    if zmq.curve_public(pair.secret.encode()).decode() != pair.public:
        raise InputError(f"{path}: its two keys are no pair, so nobody could connect; remove it and make new ones")
    return Pass(keys.name, "", pair)


def own_public() -> tuple[str, str]:
    """Return this machine's name and public key (hexadecimal); both empty where it has none."""
    path = folder() / "own.json"
    if not path.exists():
        return "", ""
    keys = _read(path, _OwnKeys)
    return keys.name, keys.public


def authorised() -> dict[str, str]:
    """Return the public keys (hexadecimal) of the machines that are let in, by name."""
    path = folder() / "authorised.json"
    return dict(_read(path, _Authorised).machines) if path.exists() else {}


def authorise(name: str, key: str) -> None:
    """Let a machine in by its public key. Raises InputError where name or key cannot be, or another has the name."""
    _check_name(name)
    if not re.fullmatch(KEY_PATTERN, key):
        raise InputError(f"key {key[:80]}: expected the 64 hexadecimal digits that `rostfine keys make` showed there")
    machines = authorised()
    if machines.get(name, key) != key:
        raise InputError(f"machine {name}: has another key already; `rostfine keys remove {name}` first")
    _write(folder() / "authorised.json", _Authorised(machines=machines | {name: key}))


def remove(name: str) -> None:
    """Let a machine in no longer. Raises InputError where it is none that is."""
    machines = authorised()
    if name not in machines:
        raise InputError(f"machine {name}: is not authorised; authorised are: {', '.join(machines) or 'none'}")
    _write(folder() / "authorised.json", _Authorised(machines={n: key for n, key in machines.items() if n != name}))


def passes() -> tuple[Pass, ...]:
    """Return what the machines that are let in will show. Raises InputError where there are none."""
    machines = authorised()
    if not machines:
        raise InputError("no machine is authorised yet; `rostfine keys authorise NAME KEY` (docs/two-machines.md)")
    return tuple(Pass(name, "", KeyPair(_z85(key))) for name, key in machines.items())


def public_key_of(name: str | None) -> KeyPair:
    """Return the public key of a machine; None: of the only one there is. Raises InputError."""
    machines = authorised()
    if name is None and len(machines) == 1:
        (name,) = machines
    if name is None or name not in machines:
        known = ", ".join(machines) or "none"
        raise InputError(f"source tcp://: which machine is it? give tcp://NAME@HOST:PORT; authorised are: {known}")
    return KeyPair(_z85(machines[name]))


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise InputError(f"name {name[:60]}: expected up to 40 small letters, digits and -, such as microscope-2")


def _z85(key: str) -> str:
    return z85.encode(bytes.fromhex(key)).decode()


def _read(path: Path, kind: type[Kind]) -> Kind:
    try:
        return kind.model_validate_json(read_bounded(path, MAX_BYTES))
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: cannot be read as keys; remove it and make them anew") from error


def _write(path: Path, content: BaseModel) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, content.model_dump_json(indent=2).encode() + b"\n", PRIVATE)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); set XDG_CONFIG_HOME") from error
