"""Headers to bytes and back: [topic, MessagePack header, pixels where the header announces them].

``docs/wire.md`` describes the same for clients in other languages. No pickle anywhere: nothing that arrives can run.
This module knows the format; it knows nothing of sockets.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from station.errors import MessageError
from station.transport.control_messages import ActionHeader, Command, ProcessStatus
from station.transport.endpoints import MAX_HEADER_BYTES
from station.transport.hello import HelloHeader
from station.transport.messages import EndHeader, FrameHeader, GradesHeader, Header, Topic, TracksHeader, WindowsHeader
from station.transport.seal import FIELD as SEAL_FIELD
from station.transport.seal import Seal

HEADERS: dict[Topic, type[Header]] = {
    Topic.FRAME: FrameHeader,
    Topic.WINDOWS: WindowsHeader,
    Topic.TRACKS: TracksHeader,
    Topic.GRADES: GradesHeader,
    Topic.STATUS: ProcessStatus,
    Topic.COMMAND: Command,
    Topic.ACTION: ActionHeader,
    Topic.HELLO: HelloHeader,
    Topic.END: EndHeader,
}
TOPICS = {header: topic for topic, header in HEADERS.items()}
MAX_TOPIC_BYTES = 32
UNSEALED = Seal(b"")


def encode(header: Header, pixels: NDArray[np.uint8] | None = None, seal: Seal = UNSEALED) -> list[Any]:
    """Return the message parts. ``pixels`` is sent from its own memory (C-contiguous uint8), not copied here."""
    topic = TOPICS[type(header)].encode()
    parts: list[Any] = [topic, seal.pack(topic, header.model_dump())]
    if pixels is not None:
        parts.append(pixels.data.cast("B"))
    return parts


def decode(parts: Sequence[Any]) -> tuple[Header, NDArray[np.uint8] | None]:
    """Return header and pixels ((H, W) or (N, T, H, W) uint8, a view of the last part), checked.

    Raises MessageError on anything that is not a whole, valid message of this wire version.
    """
    if len(parts) < 2:
        raise MessageError(f"expected topic and header, got {len(parts)} part(s)")
    if len(parts) > 3:
        raise MessageError(f"expected at most 3 parts, got {len(parts)}")
    try:
        topic = Topic(bytes(memoryview(parts[0])[:MAX_TOPIC_BYTES]).decode("ascii"))
    except ValueError as error:
        raise MessageError(f"unknown topic {bytes(memoryview(parts[0])[:MAX_TOPIC_BYTES])!r}") from error
    raw = memoryview(parts[1])
    if raw.nbytes > MAX_HEADER_BYTES:
        raise MessageError(f"{topic} header of {raw.nbytes} bytes, at most {MAX_HEADER_BYTES} expected")
    try:
        fields = msgpack.unpackb(raw, raw=False)
        if isinstance(fields, dict):
            fields.pop(SEAL_FIELD, None)  # ``station.transport.seal`` looks at it, where there is a key to do it with
        header = HEADERS[topic].model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MessageError(f"{topic} header, field {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except Exception as error:  # msgpack raises half a dozen kinds, down to plain ValueError, on damaged bytes
        raise MessageError(f"{topic} header is not MessagePack ({type(error).__name__})") from error
    return header, _pixels(header, parts)


def _pixels(header: Header, parts: Sequence[Any]) -> NDArray[np.uint8] | None:
    shape: tuple[int, ...]
    if isinstance(header, FrameHeader):
        shape = (header.height, header.width)
    elif isinstance(header, WindowsHeader):
        shape = tuple(header.shape)
        lengths = {len(w.frame_seqs) for w in header.windows} | {len(w.t_source_ns) for w in header.windows}
        if len(header.windows) != shape[0] or not lengths <= {shape[1]}:
            raise MessageError(
                f"windows header describes {len(header.windows)} windows of {sorted(lengths)} frames, "
                f"its shape says {shape}"
            )
    elif len(parts) > 2:
        raise MessageError(f"{type(header).__name__} carries no pixels, got {len(parts)} parts")
    else:
        return None
    if len(parts) != 3:
        raise MessageError(f"expected 3 parts with pixels, got {len(parts)}")
    raw = memoryview(parts[2])
    expected = math.prod(shape)
    if raw.nbytes != expected:
        raise MessageError(f"expected {expected} bytes of pixels for {shape}, got {raw.nbytes}")
    return np.frombuffer(raw, np.uint8).reshape(shape)
