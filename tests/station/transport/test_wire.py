"""The wire format: golden bytes that other implementations can check against, and refusal of invalid messages."""

import json
from pathlib import Path

import msgpack
import numpy as np
import pytest

from station.errors import MessageError
from station.transport.control_messages import ProcessStatus
from station.transport.hello import HelloHeader
from station.transport.messages import EndHeader, FrameHeader, GradesHeader, Header, TracksHeader, WindowsHeader
from station.transport.wire import MAX_HEADER_BYTES, decode, encode

GOLDEN = json.loads((Path(__file__).parent / "golden_wire.json").read_text())
FRAME = {
    "v": 1, "seq": 7, "t_exposure_ns": 10, "t_source_ns": 20, "t_sent_ns": 30, "height": 2, "width": 3,
    "dtype": "uint8", "lost_before": 0, "exposure_id": 0, "exposure_us": None, "gain": None,
}  # fmt: skip


def parts_of(name: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in GOLDEN[name]]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_bytes_decode_and_encode_again(name: str) -> None:
    parts = parts_of(name)
    header, pixels = decode(parts)
    assert [bytes(part) for part in encode(header, pixels)] == parts


def test_golden_frame_says_what_the_document_says() -> None:
    header, pixels = decode(parts_of("frame"))
    assert header == FrameHeader.model_validate(FRAME)
    assert pixels is not None
    assert pixels.tolist() == [[0, 1, 2], [3, 4, 255]]


def test_what_is_thinned_says_so_and_what_is_not_is_as_it_always_was() -> None:
    header = FrameHeader.model_validate(FRAME)
    thinned = header.model_copy(update={"every": 4})
    pixels = np.zeros((2, 3), np.uint8)
    assert b"every" not in encode(header, pixels)[1]
    assert decode(encode(thinned, pixels))[0] == thinned
    tracks = decode(parts_of("tracks"))[0]
    assert isinstance(tracks, TracksHeader)
    assert tracks.of_sent == 1
    assert decode(encode(tracks.model_copy(update={"of_sent": 2})))[0] != tracks
    for wrong in (0, 65):
        with pytest.raises(MessageError, match="every"):
            decode(frame_parts(every=wrong))


def test_golden_covers_every_header() -> None:
    kinds = {type(decode(parts_of(name))[0]) for name in GOLDEN}
    assert kinds >= {FrameHeader, WindowsHeader, TracksHeader, GradesHeader, ProcessStatus, HelloHeader, EndHeader}


def frame_parts(topic: bytes = b"frame", pixels: bytes = bytes(6), **changes: object) -> list[bytes]:
    return [topic, msgpack.packb(FRAME | changes), pixels]


BAD = {
    "no parts": ([], "topic and header"),
    "topic alone": ([b"frame"], "topic and header"),
    "unknown topic": (frame_parts(b"fram"), "unknown topic"),
    "topic not ascii": (frame_parts(b"\xff\xfe"), "unknown topic"),
    "header is noise": ([b"frame", b"\xc1\xc1\xc1", bytes(6)], "not MessagePack"),
    "header cut short": ([b"frame", msgpack.packb(FRAME)[:-3], bytes(6)], "not MessagePack"),
    "header is a list": ([b"frame", msgpack.packb([1, 2]), bytes(6)], "frame header"),
    "header too large": ([b"frame", bytes(MAX_HEADER_BYTES + 1), bytes(6)], "at most"),
    "field missing": ([b"frame", msgpack.packb({"v": 1, "seq": 1}), bytes(6)], "t_exposure_ns"),
    "field too many": (frame_parts(extra=1), "extra"),
    "another version": (frame_parts(v=2), "field v"),
    "text for a number": (frame_parts(height="2"), "height"),
    "negative number": (frame_parts(seq=-1), "seq"),
    "true for a number": (frame_parts(seq=True), "seq"),
    "another dtype": (frame_parts(dtype="uint16"), "dtype"),
    "no pixels": (frame_parts()[:2], "3 parts"),
    "pixels short": (frame_parts(pixels=bytes(5)), "6 bytes"),
    "pixels long": (frame_parts(pixels=bytes(7)), "6 bytes"),
    "a part too many": ([*frame_parts(), b""], "3 parts"),
    "pixels with an end": ([*parts_of("end"), bytes(6)], "no pixels"),
    "sum of shape overflows": (frame_parts(height=65535, width=65535), "bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_messages_are_refused(name: str) -> None:
    parts, expected = BAD[name]
    with pytest.raises(MessageError, match=expected):
        decode(parts)


def test_windows_must_fit_their_shape() -> None:
    topic, raw, pixels = parts_of("windows")
    header = msgpack.unpackb(raw)
    header["windows"] = header["windows"] * 2
    with pytest.raises(MessageError, match="describes 2 windows"):
        decode([topic, msgpack.packb(header), pixels])
    header["windows"] = header["windows"][:1]
    header["windows"][0]["frame_seqs"] = [1, 2, 3]
    with pytest.raises(MessageError, match="windows of"):
        decode([topic, msgpack.packb(header), pixels])


def test_damaged_bytes_never_raise_anything_else() -> None:
    rng = np.random.default_rng(5)
    names = sorted(GOLDEN)
    for trial in range(3000):
        parts = [bytearray(part) for part in parts_of(names[trial % len(names)])]
        part = parts[rng.integers(len(parts))]
        if part:
            part[rng.integers(len(part))] ^= 1 << int(rng.integers(8))
        try:
            header, _ = decode(parts)
        except MessageError:
            continue
        assert isinstance(header, Header)
