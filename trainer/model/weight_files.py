"""Files of weights: what torch or safetensors saved, read as data alone. No code in a file is ever run.

It knows the file formats, by content and not by name, and says what a file is that is none of weights. What the tensors
are called, and what they belong to, it does not know.
"""

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from station.errors import InputError
from station.files import open_regular, require_regular

FORMAT: Final = "rostfine-weights/1"
"""In the metadata of safetensors that this program wrote."""
HEAD_BYTES: Final = 4096
FOREIGN_TYPES: Final = 200
"""Types of other programs in one file, at most: beyond that it is no file of weights."""
FORBIDDEN_MODULES: Final = (
    "os",
    "posix",
    "nt",
    "sys",
    "subprocess",
    "socket",
    "runpy",
    "shutil",
    "importlib",
    "ctypes",
)
OLD_TORCH: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What files of torch before 1.6 begin with."""
FORBIDDEN: Final = tuple(f"builtins.{name}" for name in ("exec", "eval", "compile", "__import__", "open", "breakpoint"))
"""What no file of weights asks for: such a file is refused, where others are read without their objects."""
MAGIC: Final = (
    (b"\x80", "a Python pickle and not in torch's format: reading it could run code; save the weights by torch.save"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file (Keras, MATLAB); give weights saved by torch or as safetensors"),
    (b"\x93NUMPY", "a NumPy array; give weights saved by torch or as safetensors"),
    (b"%PDF", "a PDF; give the weights"),
)
DAMAGED: Final = "cut off or damaged; copy or download it again"
OTHER_OBJECTS: Final = (
    "full of objects that are not read without running their code; save a plain state dict: "
    "torch.save(network.state_dict(), FILE)"
)
NOT_WEIGHTS: Final = "not saved by torch, nor as safetensors; give the file of weights"


class Safetensors(NamedTuple):
    """What a safetensors file holds."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


class ForeignObject:
    """Stands for an object of another program in a file of torch.

    It takes its place and does nothing: none of that program's code is run, nor even looked for.
    """

    type_name = ""

    def __new__(cls, *_args: Any, **_options: Any) -> Any:
        """Ignore what the object is made from."""
        return super().__new__(cls)

    def __setstate__(self, _state: Any) -> None:
        """Ignore what the object consists of."""


class ForeignDict(ForeignObject):
    """Stands for a kind of dict of another program: a plain one, whose entries are kept."""

    def __new__(cls, *_args: Any, **_options: Any) -> Any:
        """Return a plain dict."""
        return {}


class ForeignList(list[Any]):
    """Stands for a kind of list of another program; its entries are kept."""

    def __init__(self, *_args: Any, **_options: Any) -> None:
        super().__init__()


def is_safetensors(path: Path) -> bool:
    """Return whether a file's content is that of safetensors; False where it cannot be read."""
    try:
        with open_regular(path) as file:
            head = file.read(9)
    except OSError:
        return False
    length = int.from_bytes(head[:8], "little")
    return len(head) == 9 and head[8:] == b"{" and length < 100_000_000


def read_torch_file(path: Path, device: torch.device | str = "cpu") -> Any:
    """Return what torch saved in a file, its tensors on a device; objects of other programs as ``ForeignObject``.

    Raises InputError, in one line, where it is something else, and says what.
    """
    _refuse_what_is_none(path)
    known: dict[str, type] = {}
    while len(known) < FOREIGN_TYPES:
        try:
            with (
                warnings.catch_warnings(),
                torch.serialization.safe_globals([(kind, name) for name, kind in known.items()]),
                open_regular(path) as file,  # given a path, torch goes by its name ending
            ):
                warnings.simplefilter("ignore")  # about other pickle protocols: what matters is whether it can be read
                return torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # rubbish makes the reader fail in a dozen ways
            name, kind = _stand_in(path, error)
            if known.get(name) is not None and known[name].__bases__ == kind.__bases__:
                raise _refusal(path, OTHER_OBJECTS) from error
            known[name] = kind
    raise _refusal(path, OTHER_OBJECTS)


def read_safetensors(path: Path) -> Safetensors:
    """Return a safetensors file's tensors. Raises InputError where it cannot be read."""
    if not is_safetensors(path):
        _refuse_what_is_none(path)
        raise _refusal(path, "no safetensors file, whatever its name says; give it the name ending that it had")
    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return Safetensors(tensors, file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise _refusal(path, DAMAGED) from error


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its type's name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _refusal(path: Path, what: str) -> InputError:
    return InputError(f"{path}: cannot be read as weights: it is {what}")


def _stand_in(path: Path, error: Exception) -> tuple[str, type]:
    """Return the name of the type that torch did not take, and one to stand for it. Raises InputError for other errors.

    What torch says is not repeated: it advises to load the file in a way that runs its code.
    """
    text = str(error)
    base: type = ForeignObject
    found = re.search(r"GLOBAL (\S+) (?:was not an allowed global|whose module)", text)
    if found is None:  # a stand-in that turned out to be a kind of dict or list
        found = re.search(r"Can only (?:SETITEMS?|append) .*got <class '(\S+)'>", text)
        base = ForeignDict if "SETITEM" in text else ForeignList
    if found is None:
        raise _refusal(path, OTHER_OBJECTS if isinstance(error, pickle.UnpicklingError) else DAMAGED) from error
    # torch names builtins without their module, and looks types up with it.
    name = found[1] if "." in found[1] else f"builtins.{found[1]}"
    if name in FORBIDDEN or name.split(".")[0] in FORBIDDEN_MODULES:
        raise _refusal(
            path, f"a file that asks to run {name}; nothing of it was run; take weights from a source that you trust"
        ) from error
    module, _, last = name.rpartition(".")
    return name, type(last, (base,), {"type_name": name, "__module__": module})


def _refuse_what_is_none(path: Path) -> None:
    """Raise InputError where the content shows that torch did not save it."""
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except IsADirectoryError as error:
        raise _refusal(path, "a folder; give the file of weights in it") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read as weights ({error.strerror}); give another path") from error
    if head.startswith(b"PK\x03\x04"):
        what = _zip_without_weights(path)
    elif is_safetensors(path) or head.startswith(OLD_TORCH):
        what = ""
    else:
        what = _description(path, head)
    if what:
        raise _refusal(path, what)


def _zip_without_weights(path: Path) -> str:
    """Return what a zip archive is that torch did not save; empty where torch may have."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            unfolded = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return f"{DAMAGED} (a zip archive of {path.stat().st_size} bytes without its end)"
    if unfolded > path.stat().st_size:  # torch compresses nothing, and reading takes the memory
        return f"a compressed zip archive, {unfolded} bytes when it is unpacked; unpack it and give the weights"
    parts = [name.split("/", 1)[-1] for name in names]
    if "constants.pkl" in parts:
        return "a TorchScript program; give the state dict of the network that it was made from"
    if "data.pkl" not in parts:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        return f"a zip archive, and not one of torch (it holds {shown or 'nothing'}); unpack it and give the weights"
    return ""


def _description(path: Path, head: bytes) -> str:
    """Return what a file is that begins with ``head``, which is neither torch's nor safetensors'."""
    if not head:
        return "empty; copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        size = re.search(rb"size (\d+)", head)
        stands = f" of {int(size[1]) / 1e6:.0f} MB" if size else ""
        return f"a git-LFS pointer and not the file{stands} that it stands for; fetch that with `git lfs pull`"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "a web page (HTML) that was saved in place of the weights; open the address in a browser and download it"
    for magic, what in MAGIC:
        if head.startswith(magic):
            return what
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head) and _is_text(head):
        words = " ".join(head.decode(errors="replace").split())[:40]
        return f"a text that begins with {words!r}; give the file of weights"
    if path.suffix == ".onnx":
        return "an ONNX model; give the weights of the network that it was made from"
    return NOT_WEIGHTS


def _is_text(head: bytes) -> bool:
    try:
        head[:-3].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True
