"""Arrays whose headers lie, and archives that unfold to far more than they are: refused before they take memory."""

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from station.numpy_files import read_npy_header, read_npz

MOST = 1 << 20


def npy(shape: str, descr: str = "'|u1'", content: bytes = b"", order: str = "False", version: int = 1) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + content


def archive(path: Path, member: bytes, *, name: str = "clip.npy", stated: int | None = None, **options: Any) -> Path:
    """Write one member; ``stated``: the size that the archive's directory says it has."""
    with zipfile.ZipFile(path, "w", **options) as written:
        written.writestr(name, member)
    if stated is not None:
        content = bytearray(path.read_bytes())
        place = content.rindex(b"PK\x01\x02")
        content[place + 24 : place + 28] = struct.pack("<I", stated)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, ">f8", np.bool_])
def test_what_numpy_wrote_is_read(tmp_path: Path, save: Any, order: Any, dtype: Any) -> None:
    clip = np.asarray(np.random.default_rng(1).integers(0, 2, (3, 4, 5)).astype(dtype), order=order)
    save(tmp_path / "a.npz", clip=clip, other=clip[:0])
    found = read_npz(tmp_path / "a.npz", {"clip": clip.nbytes, "other": 0})
    assert found["clip"].dtype == clip.dtype
    np.testing.assert_array_equal(found["clip"], clip)
    assert found["other"].shape == (0, 4, 5)


MEMBERS: dict[str, tuple[bytes, str]] = {
    "header of another size": (npy("(2, 3)", content=b"12345"), r"takes 6 bytes, the file holds 5"),
    "more behind the array": (npy("(2, 3)", content=b"1234567"), r"takes 6 bytes, the file holds 7"),
    "gigabytes announced": (npy("(99999, 99999, 9)", content=b"1"), "takes 89998200009 bytes, the file holds 1"),
    "negative size": (npy("(-1, 6)", content=b"123456"), "not numbers"),
    "no whole size": (npy("(2.0, 3)", content=b"123456"), "not numbers"),
    "endless number": (npy("(" + "9" * 5000 + ",)"), "none of numpy's"),
    "objects": (npy("(1,)", "'|O'", b"12345678"), "not numbers"),
    "text of no length": (npy("(10000000000,)", "'|S0'"), "not numbers"),
    "records": (npy("(1,)", "[('a', '|u1')]", b"1"), "not numbers"),
    "code for a header": (npy("__import__('os').getpid()"), "none of numpy's"),
    "nested header": (npy("-" * 9000 + "1"), "none of numpy's"),
    "header of gigabytes": (b"\x93NUMPY\2\0" + struct.pack("<I", 1 << 31), "too long"),
    "format of the future": (b"\x93NUMPY\x09\0" + bytes(20), r"format 1\.0 or 2\.0"),
    "no array": (b"clip", r"format 1\.0 or 2\.0"),
    "empty": (b"", r"format 1\.0 or 2\.0"),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_headers_that_lie(tmp_path: Path, case: str) -> None:
    member, expected = MEMBERS[case]
    with pytest.raises(ValueError, match=expected):
        read_npz(archive(tmp_path / "a.npz", member), {"clip": MOST})
    (tmp_path / "a.npy").write_bytes(member)
    with pytest.raises(ValueError, match=expected):
        read_npy_header(tmp_path / "a.npy")


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    """16 MB in 16 kB, and an archive that says it holds less."""
    member = npy(f"({16 << 20},)", content=bytes(16 << 20))
    paths = [archive(tmp_path / f"{stated}.npz", member, compression=zipfile.ZIP_DEFLATED, stated=stated)
             for stated in (None, 1000)]  # fmt: skip
    del member
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"of 167\d{5} bytes is larger than the 1048576 it may have"):
            read_npz(paths[0], {"clip": MOST})
        with pytest.raises(ValueError, match="Bad CRC-32"):
            read_npz(paths[1], {"clip": MOST})
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


def test_an_archive_that_says_it_holds_more(tmp_path: Path) -> None:
    member = npy(f"({MOST},)", content=b"12")
    whole = len(npy(f"({MOST},)")) + MOST
    with pytest.raises(ValueError, match=r"too early|Bad CRC"):
        read_npz(archive(tmp_path / "a.npz", member, stated=whole), {"clip": MOST})


def test_a_damaged_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", npy("(6,)", content=b"123456"))
    content = path.read_bytes().replace(b"123456", b"123465")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="Bad CRC-32"):
        read_npz(path, {"clip": MOST})
    path.write_bytes(content[:50])
    with pytest.raises(ValueError, match="not a zip file"):
        read_npz(path, {"clip": MOST})


def test_other_names_and_other_compression(tmp_path: Path) -> None:
    member = npy("(1,)", content=b"1")
    with pytest.raises(ValueError, match="there is no array 'clip' in it"):
        read_npz(archive(tmp_path / "a.npz", member, name="clop.npy"), {"clip": MOST})
    with pytest.raises(ValueError, match="compressed in a way"):
        read_npz(archive(tmp_path / "b.npz", member, compression=zipfile.ZIP_LZMA), {"clip": MOST})


def test_an_npy_file_is_as_long_as_it_says(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3), np.float32))
    header = read_npy_header(tmp_path / "a.npy")
    assert (header.shape, header.dtype, header.bytes) == ((2, 3), np.dtype("<f4"), 24)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (tmp_path / "a.npy").write_bytes(buffer.getvalue()[:-1])
    with pytest.raises(ValueError, match="takes 24 bytes, the file holds 23"):
        read_npy_header(tmp_path / "a.npy")
