"""Where a recorder that was started again goes on: in the session of the one before, which had no chance to end it.

The log is read once, as bytes, for what the end of it does not say: which video files are not stated as complete, how
many frames there are, and the next number of each link. A line that was not written to its end is cut off. A session
that was ended, in good order or not, can't be continued. This module reads; the session writer goes on.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from station.errors import SessionError
from station.files import open_regular
from station.session.event_log import MAX_LINE_BYTES, SUFFIX_BYTES
from station.session.layout import LOG, VIDEO, LogHead
from station.session.records import ChunkRecord, StartRecord
from station.transport.control_messages import RecordingInfo
from station.transport.counters import RecorderCounters

KIND: Final = b'"kind":"'
BLOCK_BYTES: Final = 1 << 20
BEAT_LINES: Final = 1000


@dataclass(slots=True)
class Continuation:
    """A session as it was left."""

    folder: Path
    start: StartRecord
    head: LogHead
    """The last event that is whole."""
    log_bytes: int
    opened: bool
    """Source and model are in the record."""
    frames: int
    lost: int
    kept: int
    sperm: int
    marks: int
    notes: int
    video_bytes: int
    next_chunk: int
    codecs: list[str]
    unclosed: list[ChunkRecord]
    """What is to be stated of the video files that were left open."""
    next_seq: dict[str, int] = field(default_factory=dict)
    """By link: the number behind the last message that is in the record."""
    next_action: int = 0
    """The same of what the operator did."""


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that was ended; nothing more goes into it."""

    recording: RecordingInfo
    counters: RecorderCounters


class _Log:
    """What the lines of a log say, as far as it matters here."""

    def __init__(self) -> None:
        self.n = -1
        self.chain = ""
        self.bytes = 0
        self.opened = self.ended = False
        self.stopped = ""
        self.next_action = 0
        self.frames = self.lost = self.kept = self.sperm = self.marks = self.notes = 0
        self.closed: set[str] = set()
        self.named: dict[str, int] = {}
        """Frames by video file."""
        self.codec: dict[str, str] = {}
        self.start: StartRecord | None = None
        self.last: dict[str, bytes] = {}
        """By link: the last line with a message of it."""

    def read(self, path: Path, beat: Callable[[], object]) -> None:
        with open_regular(path) as file:
            while (line := file.readline(MAX_LINE_BYTES)).endswith(b"\n"):
                self._take_in(line)
                if self.n % BEAT_LINES == 0:
                    beat()

    def _take_in(self, line: bytes) -> None:
        at = line.find(KIND, 0, 100) + len(KIND)
        kind = line[at : line.find(b'"', at)].decode("ascii", "replace")
        self.n += 1
        self.bytes += len(line)
        self.chain = line[-SUFFIX_BYTES - 1 : -1][len(b',"chain":"') : -2].decode("ascii", "replace")
        if kind == "frame":
            self.frames += 1
            self.last["frames"] = line
            found = line.find(b'"file":"') + len(b'"file":"')
            file = line[found : line.find(b'"', found)].decode("ascii", "replace")
            self.named[file] = self.named.get(file, 0) + 1
        elif kind in ("tracks", "windows", "grades"):
            self.last[kind] = line
            if kind == "tracks":
                self.sperm = max(self.sperm, _newest_sperm(line))
        elif kind == "action":
            action = _data(line)["action"]
            name = action["name"]
            self.next_action = max(self.next_action, int(action["seq"]) + 1)
            self.marks += name == "mark"
            self.notes += name == "note"
        elif kind == "chunk":
            data = _data(line)
            self.codec[data["file"]] = data["codec"]
            if data["closed"]:
                self.closed.add(data["file"])
        elif kind == "loss" and _data(line)["link"] == "frames":
            self.lost += _data(line)["count"]
        elif kind == "start":
            self.start = StartRecord.model_validate(_data(line))
        elif kind == "stop":
            self.stopped = _data(line)["reason"]
        self.kept += kind == "keep"
        self.opened |= kind == "opened"
        self.ended |= kind in ("stop", "end")


def read_continuation(folder: Path, beat: Callable[[], object] = lambda: None) -> Continuation | EndedSession:
    """Return how to go on in a session, or what is in it where it was ended.

    ``beat`` is called again and again: a long session takes a while. Raises SessionError where it can't be read.
    """
    log = _Log()
    try:
        log.read(folder / LOG, beat)
        if log.start is None:
            raise SessionError("its log does not say how it began")
        present = sorted(f"{VIDEO}/{path.name}" for path in (folder / VIDEO).iterdir())
        if log.ended:
            return _ended(folder, log, log.bytes + sum((folder / file).stat().st_size for file in present))
        unclosed = [_state(folder, file, log, beat) for file in present if file not in log.closed]
        video_bytes = sum((folder / file).stat().st_size for file in present)
        next_seq = {link: int(_data(line)["header"]["seq"]) + 1 for link, line in log.last.items()}
        if log.start.mode == "keep" and "tracks" in log.last:  # then few of the frames that came are in the record
            next_seq["frames"] = int(_data(log.last["tracks"])["header"]["frame_seq"]) + 1
        head = LogHead(event=log.n, chain=log.chain)
    except (OSError, SessionError, ValidationError, ValueError, KeyError, TypeError) as error:
        raise SessionError(f"session {folder}: cannot be gone on with ({str(error).splitlines()[0]})") from error
    return Continuation(
        folder=folder,
        start=log.start,
        head=head,
        log_bytes=log.bytes,
        opened=log.opened,
        frames=log.frames,
        lost=log.lost,
        kept=log.kept,
        sperm=log.sperm,
        marks=log.marks,
        notes=log.notes,
        video_bytes=video_bytes,
        next_chunk=1 + max((int(Path(file).stem) for file in present), default=-1),
        codecs=list(dict.fromkeys(log.codec.values())),
        unclosed=unclosed,
        next_seq=next_seq,
        next_action=log.next_action,
    )


def _ended(folder: Path, log: _Log, size_bytes: int) -> EndedSession:
    recording = RecordingInfo(
        folder=str(folder),
        mode="keep" if log.start is not None and log.start.mode == "keep" else "all",
        codec=", ".join(dict.fromkeys(log.codec.values())),
        frames=log.frames,
        lost=log.lost,
        size_bytes=size_bytes,
        kept=log.kept,
        stopped=log.stopped,
        complete=not log.stopped,
        chain=log.chain,
    )
    return EndedSession(recording, RecorderCounters(recorded=log.frames, lost=log.lost, kept=log.kept))


def _newest_sperm(line: bytes) -> int:
    """Return the number of the last of the tracks in a line, which are in the order of their numbers; 0: none."""
    found = re.findall(rb'"sperm_id":(\d+)', line[: line.find(b'"disturbance":')][-4000:])
    return max(map(int, found), default=0)


def _data(line: bytes) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(line)["data"]
    return data


def _state(folder: Path, file: str, log: _Log, beat: Callable[[], object]) -> ChunkRecord:
    """Return what there is of a video file that nobody closed. The disk has it all once this has returned."""
    digest, size = hashlib.sha256(), 0
    with open_regular(folder / file) as content:
        while block := content.read(BLOCK_BYTES):
            digest.update(block)
            size += len(block)
            beat()
        os.fsync(content.fileno())
    codec = log.codec.get(file) or next(reversed(log.codec.values()), "ffv1")
    return ChunkRecord(
        file=file, codec=codec, frames=log.named.get(file, 0), bytes=size, sha256=digest.hexdigest(), closed=True
    )
