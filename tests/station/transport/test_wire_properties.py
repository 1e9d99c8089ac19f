"""Any message comes back as it was sent, and whatever bytes arrive, they are a message or a refusal."""

import struct
from typing import Any

import msgpack
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from station.errors import MessageError
from station.transport.messages import (
    Cause,
    Evidence,
    FrameHeader,
    GradeInfo,
    GradesHeader,
    Header,
    Measured,
    ModelDoubt,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
    Validity,
    WindowInfo,
    WindowsHeader,
)
from station.transport.wire import decode, encode
from tests.station.transport.make_golden_wire import MESSAGES
from tests.support.properties import few

COUNT = st.integers(0, (1 << 63) - 2)
REAL = st.floats(allow_nan=False, allow_infinity=False)
SHARE = st.floats(0, 1)
FIVE = st.lists(SHARE, min_size=5, max_size=5)
TRACE = st.builds(Trace, t_exposure_ns=COUNT, t_sent_ns=COUNT, t_grade_ns=COUNT)
MEASURED = st.builds(
    Measured, causes=st.lists(st.sampled_from(list(Cause))), stage_px=st.floats(0, 1e9), sharpness=st.none() | SHARE,
    saturated=SHARE, brightest=st.floats(0, 255), nearest_px=st.none() | st.floats(0, 1e9), repeated=COUNT,
)  # fmt: skip
EVIDENCE = st.builds(
    Evidence, frame_seqs=st.lists(COUNT, max_size=4), span_ms=st.floats(0, 1e9), measured=st.none() | MEASURED,
    doubts=st.lists(st.sampled_from(list(ModelDoubt)), max_size=2),
)  # fmt: skip
GRADE = st.builds(
    GradeInfo, sperm_id=COUNT, frame_seq=COUNT, x=REAL, y=REAL, grade=FIVE,
    heads=st.lists(FIVE, min_size=3, max_size=3), validity=st.sampled_from(list(Validity)), trace=TRACE,
    patches=st.none() | st.lists(st.lists(COUNT, max_size=3), max_size=2), evidence=st.none() | EVIDENCE,
)  # fmt: skip
TRACK = st.builds(
    TrackInfo, sperm_id=COUNT, x=REAL, y=REAL, state=st.sampled_from(list(TrackState)), score=SHARE,
    reason=st.text(max_size=8), filled=COUNT, unbroken_since=COUNT, broken_by=st.text(max_size=8),
)  # fmt: skip
HEADERS: st.SearchStrategy[Header] = st.one_of(
    st.builds(GradesHeader, seq=COUNT, grades=st.lists(GRADE, max_size=2)),
    st.builds(
        TracksHeader, seq=COUNT, frame_seq=COUNT, trace=TRACE, window_frames=COUNT, tracks=st.lists(TRACK, max_size=2),
        disturbance=st.text(max_size=8),
    ),
)  # fmt: skip
GOLDEN = [
    encode(header, None if rows is None else np.array(rows, np.uint8)) for header, rows in MESSAGES.values()
]  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(max_size=4)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def take(parts: list[Any]) -> bool:
    """Whether it is a message; anything but a message or a refusal is an error of the test."""
    try:
        decode(parts)
    except MessageError:
        return False
    return True


@few(80)
@given(HEADERS)
def test_any_header_comes_back_as_it_was_sent(header: Header) -> None:
    back, pixels = decode([bytes(part) for part in encode(header)])
    assert back == header
    assert pixels is None


@few(40)
@given(COUNT, st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.binary(min_size=243, max_size=243))
def test_any_pixels_come_back_as_they_were_sent(seq: int, height: int, width: int, count: int, noise: bytes) -> None:
    pixels = np.frombuffer(noise, np.uint8)[: height * width].reshape(height, width)
    frame = FrameHeader(seq=seq, t_exposure_ns=seq, t_source_ns=0, t_sent_ns=1, height=height, width=width)
    back, found = decode([bytes(part) for part in encode(frame, pixels)])
    assert back == frame
    assert found is not None
    assert np.array_equal(found, pixels)
    windows = [
        WindowInfo(sperm_id=k, x=0.0, y=0.0, frame_seqs=[seq], t_source_ns=[1], padded=False) for k in range(count)
    ]
    clips = np.ascontiguousarray(np.broadcast_to(pixels, (count, 1, height, width)))
    head = WindowsHeader(
        seq=seq, frame_seq=seq, trace=Trace(t_exposure_ns=1, t_sent_ns=1), shape=list(clips.shape), windows=windows
    )
    back, found = decode([bytes(part) for part in encode(head, clips)])
    assert back == head
    assert found is not None
    assert np.array_equal(found, clips)


@few(400)
@given(st.data())
def test_changed_bytes_are_a_message_or_a_refusal(data: st.DataObject) -> None:
    parts = [bytearray(bytes(part)) for part in data.draw(st.sampled_from(GOLDEN))]
    for _ in range(data.draw(st.integers(1, 4))):
        part = parts[data.draw(st.integers(0, len(parts) - 1))]
        kind = data.draw(st.sampled_from(("flip", "cut", "add", "drop", "twice")))
        place = data.draw(st.integers(0, max(0, len(part) - 1)))
        if kind == "flip" and part:
            part[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del part[place:]
        elif kind == "add":
            part[place:place] = data.draw(st.binary(min_size=1, max_size=6))
        elif kind == "drop" and len(parts) > 1:
            parts.pop()
        elif kind == "twice" and len(parts) < 5:
            parts.append(bytearray(part))
    take([bytes(part) for part in parts])


@few(150)
@given(st.sampled_from([bytes(parts[0]) for parts in GOLDEN]), ANYTHING)
def test_any_valid_messagepack_in_place_of_a_header_is_a_message_or_a_refusal(topic: bytes, value: Any) -> None:
    take([topic, msgpack.packb(value)])


@few(150)
@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_any_value_in_any_field_is_a_message_or_a_refusal(name: str, data: st.DataObject) -> None:
    header, rows = MESSAGES[name]
    topic, packed, *pixels = encode(header, None if rows is None else np.array(rows, np.uint8))
    fields = msgpack.unpackb(packed)
    key = data.draw(st.sampled_from(sorted(fields)))
    take([topic, msgpack.packb(fields | {key: data.draw(ANYTHING)}), *map(bytes, pixels)])


def test_nested_beyond_any_stack_is_refused() -> None:
    assert not take([b"grades", b"\x91" * 200_000 + b"\xc0"])
    assert not take([b"grades", b"\xdd" + struct.pack(">I", 0xFFFFFFFF)])
