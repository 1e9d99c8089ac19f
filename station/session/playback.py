"""A recorded session as something to be done again: what the processes ask of the record, each in its own process.

A replay sends the recorded frames through the very same processes. What a live run decided by the clock comes from the
record instead: which frames the tracker had dropped, what was selected and released before which frame, which windows
the engine graded and in which batches. The rest (positions, states, windows, grades) is worked out anew and compared.

A record that is not as it was written is played up to its first break. This module reads; it drives no process.
"""

import mmap
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from station.clock import NS_PER_S
from station.config import REPLAY, Config, build_config
from station.errors import InputError
from station.files import open_regular
from station.session.layout import LOG, RECORDING_S
from station.session.lookup import find_session
from station.session.records import (
    ActionRecord,
    EndRecord,
    FrameRecord,
    GradesRecord,
    OpenedRecord,
    TracksRecord,
)
from station.session.session_reader import MISSING, Session
from station.transport.messages import AppliedCommand, CommandName, GradesHeader, TracksHeader, TrackState

FRAME: Final = b'"kind":"frame"'
T_SOURCE: Final = re.compile(rb'"t_source_ns":(\d{1,19})(?!\d)')


class Playback:
    """A session to be replayed. Raises InputError where there is nothing to replay in the folder."""

    def __init__(self, folder: Path, keep_going: Callable[[], object] = lambda: None) -> None:
        """``keep_going``: the process's beat, called while long stretches of the record are read."""
        self.session = Session(folder, keep_going)
        opened = self.session.opened
        if opened is None:
            damage = (line for line in self.session.damage if line.startswith(LOG) and MISSING not in line)
            why = next(damage, "was cut off before its source and model were known")
            raise InputError(f"session {folder}: {why}: it has no frames to replay")
        self.opened: Final[OpenedRecord] = opened
        self.name: Final = self.session.start.session
        self.whole: Final = self.session.start.mode == "all"
        """True where every frame was recorded. Else ("keep") the tracker's past is not in the record, and a replay is a
        new run over the kept frames."""

    def tracks(self) -> Iterator[TracksHeader]:
        """Yield the recorded tracks, one per frame that the tracker took, up to the first break."""
        for event in self.session.events(until_broken=True):
            if isinstance(event.record, TracksRecord):
                yield event.record.header

    def batches(self) -> Iterator[GradesHeader]:
        """Yield the recorded grades, batch by batch in the order of their publication, up to the first break."""
        for event in self.session.events(until_broken=True):
            if isinstance(event.record, GradesRecord):
                yield event.record.header


def require_unblinded(playback: Playback) -> None:
    """Raise InputError where a session is still being recorded and its grades are hidden: a replay would show them.

    Known by its log, which has no end yet and was written to seconds ago. A copy of its
    video is not known for what it is.
    """
    session = playback.session
    try:
        if time.time() - (session.folder / LOG).stat().st_mtime >= RECORDING_S:
            return
    except OSError:
        return
    blind = bool(session.start.config.get("blind"))
    for event in session.events():
        if isinstance(event.record, EndRecord):
            return
        if isinstance(event.record, ActionRecord) and event.record.action.name in ("blind", "unblind"):
            blind = event.record.action.name == "blind"
    if blind:
        raise InputError(
            f"session {playback.name}: is being recorded and its grades are hidden (a blind study); mark a choice, or "
            "end that run first"
        )


def recorded_length_s(folder: Path) -> float:
    """Return the time from a session's first recorded frame to its last, s; 0 where it has none. Reads little."""
    try:
        with open_regular(folder / LOG) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = [content.find(FRAME), content.rfind(FRAME)]
            if -1 in found:
                return 0.0
            matches = [T_SOURCE.search(content, place) for place in found]
            first, last = (int(match.group(1)) if match else 0 for match in matches)
    except (OSError, ValueError):
        return 0.0
    return max(0, last - first) / NS_PER_S


def first_frame_from(playback: Playback, from_s: float) -> int:
    """Return the number of the first frame at or after so many seconds from the session's first; beyond all: -1."""
    begin_ns: int | None = None
    for event in playback.session.events(until_broken=True):
        if isinstance(event.record, FrameRecord):
            header = event.record.header
            begin_ns = header.t_source_ns if begin_ns is None else begin_ns
            if header.t_source_ns - begin_ns >= from_s * NS_PER_S:
                return header.seq
    return -1


class RecordedTracks:
    """The recorded tracks, frame by frame as the tracker comes to them."""

    def __init__(self, playback: Playback) -> None:
        self._whole = playback.whole
        self._coming = playback.tracks()
        self._next = next(self._coming, None)
        self._started = False
        self._asked = -1
        self._late: list[AppliedCommand] = []
        """Of frames that are missing in the record."""

    def at(self, frame_seq: int) -> TracksHeader | None:
        """Return what was recorded of a frame; None where nothing was. Frames are asked for in rising order."""
        while self._next is not None and self._next.frame_seq < frame_seq:
            if self._next.frame_seq > self._asked:
                self._late += self._next.applied_commands
            self._next = next(self._coming, None)
        self._asked = frame_seq
        return self._next if self._next is not None and self._next.frame_seq == frame_seq else None

    def of_sent(self, frame_seq: int) -> int:
        """Return one in how many sent frames was tracked when this one was; 1 where that is not known."""
        header = self.at(frame_seq)
        return header.of_sent if self._whole and header is not None else 1

    def applied_commands(self, frame_seq: int) -> list[AppliedCommand]:
        """Return what is to be done before a frame: what was done then, or before frames that are missing since.

        Where the record begins in mid-run: with its first frame, select every sperm that was followed there.
        """
        header = self.at(frame_seq)
        if self._whole:
            late, self._late = self._late, []
            return late + (header.applied_commands if header is not None else [])
        if header is None or self._started:
            return []
        self._started = True
        return [
            AppliedCommand(name=CommandName.SELECT, x=track.x, y=track.y)
            for track in header.tracks
            if track.state is TrackState.LOCKED
        ]


class TrackedFrames:
    """Which frames the tracker had taken, asked in rising order."""

    def __init__(self, playback: Playback) -> None:
        self._whole = playback.whole
        self._coming = playback.tracks()
        self._before: TracksHeader | None = None
        self._ahead: deque[TracksHeader] = deque()
        self.unknown = 0
        """Frames that may or may not have been taken: the tracks of that time are missing in the record."""
        self.missing = 0
        """Frames that were taken and are not in the record: nobody asked for them."""
        self._asked = -1

    def took(self, frame_seq: int) -> bool:
        """Return whether the tracker took this frame; True where that is not known."""
        if not self._whole:
            return True
        while (header := self._peek()) is not None and header.frame_seq < frame_seq:
            self._before = self._ahead.popleft()
            self.missing += header.frame_seq > self._asked
        self._asked = frame_seq
        if header is None:
            return True  # behind the end of the recorded tracks
        if header.frame_seq == frame_seq:
            return True
        missing = header.seq - (self._before.seq if self._before else -1) - 1
        self.unknown += missing > 0
        return missing > 0

    def _peek(self) -> TracksHeader | None:
        if not self._ahead:
            header = next(self._coming, None)
            if header is None:
                return None
            self._ahead.append(header)
        return self._ahead[0]


def as_recorded(config: Config) -> Config:
    """Return the configuration of a replay: what decides on tracks and grades as it was recorded, the rest as given.

    Any other source's configuration comes back as it is. Raises InputError where the session cannot be replayed.
    """
    if config.replay_of is None:
        return config
    if config.source.kind == REPLAY:
        raise InputError("source replay: which session? Give replay:SESSION, its id or its folder")
    folder = find_session(config.source.kind.removeprefix(REPLAY), config.record.folder)
    playback = Playback(folder)
    require_unblinded(playback)
    recorded = playback.session.start.config
    data: dict[str, Any] = config.model_dump()
    try:
        data["tracker"] = recorded["tracker"]
        data["window"] = recorded["window"] | {"stride": playback.opened.stride}
        data["select"], data["select_auto"] = recorded["select"], recorded["select_auto"]
        for key in ("runtime", "threads"):
            if data["engine"][key] == Config().engine.model_dump()[key]:
                data["engine"][key] = recorded["engine"][key]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"session {folder}: its configuration is incomplete ({error}); it cannot be replayed"
        ) from None
    data["source"]["kind"] = f"{REPLAY}{folder.absolute()}"
    return build_config(data, f"session {folder}, its configuration")
