"""A log or a chunk that was cut, or of which any bit was changed: it is said, or what is read is a true beginning."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.session.chunk_reader import ChunkReader
from station.session.event_log import Event, Fault, Torn, read_log
from station.session.layout import LOG
from station.session.records import FrameRecord
from tests.support.properties import few
from tests.support.recorded_session import noise_images, record


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("properties"), frames=4, per_chunk=4)


def written(folder: Path, content: bytes) -> list[Event | Fault | Torn]:
    path = folder / "changed.jsonl"
    path.write_bytes(content)
    return list(read_log(path))


@few(120)
@given(st.data())
def test_a_log_that_was_cut_is_read_up_to_there(session: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = (session / LOG).read_bytes()
    whole = list(read_log(session / LOG))
    at = data.draw(st.integers(0, len(content) - 1))
    found = written(tmp_path, content[:at])
    lines = content[:at].count(b"\n")
    assert found[:lines] == whole[:lines]
    assert all(isinstance(one, Torn) for one in found[lines:])
    assert len(found) - lines == (not content[:at].endswith(b"\n") and at > 0)


@few(200)
@given(st.data())
def test_a_log_of_which_a_bit_was_changed_says_where(session: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray((session / LOG).read_bytes())
    whole = list(read_log(session / LOG))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    found = written(tmp_path, bytes(content))
    line = bytes(content[:at]).count(b"\n")
    assert found[:line] == whole[:line]
    assert any(isinstance(one, Fault | Torn) for one in found[line:]), "nobody would notice"
    assert not isinstance(found[line], Event)


def test_a_chain_value_in_capitals_is_a_change(session: Path, tmp_path: Path) -> None:
    content = (session / LOG).read_bytes()
    at = content.index(b'"chain":"') + len(b'"chain":"')
    changed = content[:at] + content[at : at + 64].upper() + content[at + 64 :]
    assert isinstance(written(tmp_path, changed)[0], Fault)


@few(60)
@given(st.data())
def test_a_line_that_was_taken_out_doubled_or_moved_is_named(
    session: Path, tmp_path: Path, data: st.DataObject
) -> None:  # fmt: skip
    lines = (session / LOG).read_bytes().splitlines(keepends=True)
    k = data.draw(st.integers(0, len(lines) - 2))
    changed = data.draw(
        st.sampled_from(
            ([*lines[:k], *lines[k + 1 :]], [*lines[: k + 1], *lines[k:]],
             [*lines[:k], lines[k + 1], lines[k], *lines[k + 2 :]])
        )
    )  # fmt: skip
    assert any(isinstance(one, Fault) for one in written(tmp_path, b"".join(changed)))


@few(60)
@given(st.data())
def test_a_chunk_that_was_cut_or_changed_gives_true_frames_or_none(
    session: Path, tmp_path: Path, data: st.DataObject
) -> None:
    frames = [e.record for e in read_log(session / LOG) if isinstance(e, Event) and isinstance(e.record, FrameRecord)]
    images = noise_images(len(frames))
    chunk = tmp_path / "chunk.mkv"
    shutil.copy(session / frames[0].file, chunk)
    content = bytearray(chunk.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    chunk.write_bytes(bytes(content))
    with ChunkReader(chunk) as reader:
        for frame, image in zip(frames, images, strict=True):
            found = reader.find(frame.pts_ms, image.shape[0], image.shape[1], frame.crc32)
            assert found is None or np.array_equal(found, image)
