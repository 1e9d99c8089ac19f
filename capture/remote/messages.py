"""What two machines say to each other beside the frames: questions and answers about the clock and the source."""

from typing import Annotated, Final, Literal

import msgpack  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field

from station.errors import MessageError
from station.transport.control_messages import SourceInfo
from station.transport.messages import TimeNs

MAX_BYTES: Final = 1 << 16
PORTS: Final = 2
"""Frames on the port that is given, questions on the next."""


class Question(BaseModel):
    """From the machine that grades."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    v: Literal[1] = 1
    asked_ns: TimeNs


class Answer(BaseModel):
    """From the machine with the microscope."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    v: Literal[1] = 1
    asked_ns: TimeNs
    """Of the question."""
    heard_ns: TimeNs
    answered_ns: TimeNs
    run: Annotated[str, Field(max_length=64)]
    """Another one: the program there was started again, and counts and times begin anew."""
    source: SourceInfo
    notices: Annotated[list[str], Field(max_length=32)] = []
    """What people should know about the source."""


def pack(message: Question | Answer) -> bytes:
    """Return a message's bytes."""
    packed: bytes = msgpack.packb(message.model_dump())
    return packed


def unpack_question(raw: bytes) -> Question:
    """Return a question. Raises MessageError."""
    try:
        return Question.model_validate(msgpack.unpackb(raw))
    except Exception as error:  # msgpack raises half a dozen kinds on damaged bytes
        raise MessageError(f"no question ({type(error).__name__})") from error


def unpack_answer(raw: bytes) -> Answer:
    """Return an answer. Raises MessageError."""
    try:
        return Answer.model_validate(msgpack.unpackb(raw))
    except Exception as error:
        raise MessageError(f"no answer ({type(error).__name__})") from error
