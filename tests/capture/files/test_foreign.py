"""Files of makers' own programs are named as what they are, with the way out; in one line."""

from pathlib import Path

import numpy as np
import pytest

from capture.files.file_source import open_file
from station.errors import InputError
from tests.support.video_files import write_packed_tiff

REST = bytes(range(256)) * 20
FILES = {
    "ND2": ("a.nd2", b"\xda\xce\xbe\x0a" + REST, "a Nikon ND2 file; export it from NIS-Elements, or open it in Fiji"),
    "CZI": ("a.czi", b"ZISRAWFILE\0\0" + REST, "a Zeiss CZI file; export it from ZEN"),
    "LIF": ("a.lif", b"p\0\0\0" + REST, "a Leica LIF file; export it from LAS X"),
    "SEQ": ("a.seq", b"\xed\xfe\0\0N\0o\0r\0p\0i\0x\0 \0s\0e\0q\0" + REST, "a Norpix SEQ file (StreamPix); export it"),
    "another SEQ": ("a.seq", REST, "a SEQ file, which cannot be read; export it from the program that recorded it"),
    "renamed": ("a.avi", b"\xda\xce\xbe\x0a" + REST, "a Nikon ND2 file; export it"),
    "HDF5": ("a.ims", b"\x89HDF\r\n\x1a\n" + REST, "an HDF5 file (Imaris IMS and others)"),
    "OLE": ("a.oib", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + REST, "an OLE file (Olympus OIB, old Zeiss ZVI)"),
    "raw": ("a.raw", REST, "raw sensor data without a header"),
    "ZIP": ("a.zip", b"PK\x03\x04" + REST, "a ZIP archive; unpack it"),
    "NumPy": ("a.npy", b"\x93NUMPY\x01\0" + REST, "a NumPy array; save it as TIFF"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_named_with_the_way_out(tmp_path: Path, kind):
    name, content, message = FILES[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        open_file(tmp_path / name)
    assert f"source {tmp_path / name}: expected a video, got {message}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bits", [4, 10, 12, 14])
def test_packed_bits_are_read(tmp_path: Path, read, bits):
    values = np.random.default_rng(1).integers(0, 2**bits, (3, 20, 31), np.uint16)
    write_packed_tiff(tmp_path / "v.tif", values, bits)
    found = read(tmp_path / "v.tif")
    seen = values >> (bits - 8) if bits > 8 else values * 17
    np.testing.assert_array_equal(found.pixels, seen)
    assert found.damage == ()


def test_packed_and_compressed_bits_are_named(tmp_path: Path):
    write_packed_tiff(tmp_path / "v.tif", np.zeros((3, 20, 32), np.uint16), 12, compression=5)
    with pytest.raises(InputError, match="its 12 bits are packed and compressed, which cannot be read; save it with 8"):
        open_file(tmp_path / "v.tif")
