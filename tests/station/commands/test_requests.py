"""Requests and replies as bytes: what is valid goes there and back, everything else is refused in words."""

import msgpack
import pytest

from station.commands.requests import (
    MAX_REQUEST_BYTES,
    MAX_TEXT,
    REQUEST,
    MarkRequest,
    Outcome,
    QuitRequest,
    Reply,
    Request,
    SelectRequest,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from station.errors import MessageError

SELECT = {"v": 1, "id": 3, "key": "k", "asked_by": "pedal", "name": "select", "x": 512.0, "y": 340.0}


def parts(**changes: object) -> list[bytes]:
    return [REQUEST, msgpack.packb({**SELECT, **changes})]


@pytest.mark.parametrize(
    "request_",
    [
        SelectRequest(id=3, key="k", asked_by="pedal", x=512.0, y=340.0),
        MarkRequest(key="k", sperm_id=3, note="grün"),
        QuitRequest(key="k"),
    ],
)
def test_a_request_arrives_as_it_was_sent(request_: Request) -> None:
    assert decode_request(encode_request(request_)) == request_


GOLDEN_REQUEST = (
    "87a17601a2696403a36b6579a16ba861736b65645f6279a5706564616ca46e616d65a673656c656374a178cb4080000000000000"
    "a179cb4075400000000000"
)


def test_the_bytes_stay_what_they_are() -> None:
    """Other programs make them without this one."""
    sent = [REQUEST, bytes.fromhex(GOLDEN_REQUEST)]
    assert decode_request(sent) == SelectRequest(id=3, key="k", asked_by="pedal", x=512.0, y=340.0)
    assert encode_request(decode_request(sent)) == sent


def test_a_script_needs_to_give_no_more_than_it_must() -> None:
    sent = [REQUEST, msgpack.packb({"v": 1, "key": "k", "name": "select", "x": 512, "y": 340})]
    assert decode_request(sent) == SelectRequest(key="k", x=512.0, y=340.0)


def test_a_reply_arrives_as_it_was_sent() -> None:
    reply = Reply(id=3, name="select", outcome=Outcome.DONE, text="sperm 5 selected", sperm_id=5)
    assert decode_reply(encode_reply(reply)) == reply


BAD = {
    "no parts": ([], "two parts"),
    "topic alone": ([REQUEST], "two parts"),
    "another topic": ([b"frame", b"\x80"], "two parts"),
    "a part more": ([*parts(), b""], "two parts"),
    "no map": ([REQUEST, msgpack.packb([1, 2])], "valid dictionary"),
    "damaged": ([REQUEST, b"\xc1"], "not MessagePack"),
    "empty": ([REQUEST, b""], "not MessagePack"),
    "too large": ([REQUEST, bytes(MAX_REQUEST_BYTES + 1)], "at most"),
    "unknown name": (parts(name="inject"), "name"),
    "no name": ([REQUEST, msgpack.packb({"v": 1, "key": "k"})], "discriminator"),
    "another version": (parts(v=2), "v: "),
    "no key": ([REQUEST, msgpack.packb({k: v for k, v in SELECT.items() if k != "key"})], "key: "),
    "x is text": (parts(x="512"), "x: "),
    "x is not a number": (parts(x=float("nan")), "x: "),
    "a field too many": (parts(z=1.0), "z: "),
    "who asks is too long": (parts(asked_by="a" * 40), "asked_by: "),
    "a note too long": ([REQUEST, msgpack.packb({"v": 1, "key": "k", "name": "note", "text": "a" * (MAX_TEXT + 1)})],
                        "text: "),
    "an empty note": ([REQUEST, msgpack.packb({"v": 1, "key": "k", "name": "note", "text": ""})], "text: "),
    "deeply nested": ([REQUEST, b"\x91" * 5000 + b"\x01"], "not MessagePack"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_request_is_refused_in_words(name: str) -> None:
    sent, expected = BAD[name]
    with pytest.raises(MessageError, match=expected) as refused:
        decode_request(sent)
    assert len(str(refused.value)) < 400, "it goes back to the sender"
