"""A page of the live view without a browser: what its WebSocket says and hears."""

import json
import time
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.sync.client import ClientConnection, connect


def open_page(link: str) -> connect:
    """Connect to the view behind a link; a context manager."""
    place = urlsplit(link)
    return connect(f"ws://{place.netloc}{place.path}live", origin=f"http://{place.netloc}", max_size=None)  # type: ignore[arg-type]


def say(page: ClientConnection, **message: Any) -> None:
    page.send(json.dumps(message))


def keep_saying(page: ClientConnection, texts: list[str]) -> None:
    """Send all of this, then listen until the other end closes."""
    for text in texts:
        page.send(text)
    while True:
        page.recv(timeout=10)


def unpack(data: bytes) -> tuple[dict[str, Any], bytes, dict[int, Any]]:
    length = int.from_bytes(data[:4], "little")
    head, at = json.loads(data[4 : 4 + length]), 4 + length
    jpeg, at = data[at : at + head["jpeg_bytes"]], at + head["jpeg_bytes"]
    crops = {}
    for crop in head["crops"]:
        size = crop["size"]
        crops[crop["sperm_id"]] = np.frombuffer(data[at : at + size * size], np.uint8).reshape(size, size)
        at += size * size
    assert at == len(data)
    return head, jpeg, crops


def next_picture(page: ClientConnection, timeout_s: float = 10.0) -> tuple[dict[str, Any], bytes, dict[int, Any]]:
    deadline = time.monotonic() + timeout_s
    while True:
        data = page.recv(timeout=max(0.01, deadline - time.monotonic()))
        if isinstance(data, bytes):
            return unpack(data)


def answer_to(page: ClientConnection, number: int) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while True:
        data = page.recv(timeout=max(0.01, deadline - time.monotonic()))
        if isinstance(data, str) and json.loads(data).get("number") == number:
            found: dict[str, Any] = json.loads(data)
            return found
