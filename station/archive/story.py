"""A session read once, from its first event to its last: who was followed where, graded how, and what people did.

A report, an export and a study of choices all start from it. It reads the log and no pixels; what the log says at one
moment, and what stood on the screen then, is in ``station.archive.moments``.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from station.clock import NS_PER_S
from station.errors import SessionError
from station.session.layout import SessionOutcome
from station.session.records import (
    ActionRecord,
    ChunkRecord,
    EndRecord,
    FrameRecord,
    GradesRecord,
    KeepRecord,
    LossRecord,
    OpenedRecord,
    StartRecord,
    StatusRecord,
    StopRecord,
    TracksRecord,
    WindowsRecord,
)
from station.session.session_reader import Session
from station.transport.control_messages import ActionHeader, ProcessName, ProcessStatus
from station.transport.messages import GradeInfo, KinematicsInfo, TrackInfo, TracksHeader, WindowInfo

WindowKey = tuple[int, int]
"""Sperm, newest frame of the window."""


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """A sperm in one frame."""

    frame_seq: int
    t_shown_ns: int
    """When the tracker published it, on the station clock."""
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class SentWindow:
    """A window that went to the network, and the CRC-32 of its pixels."""

    info: WindowInfo
    crc32: int


@dataclass(slots=True)
class SpermStory:
    """All that the record says of one sperm, in order."""

    sperm_id: int
    points: list[TrackPoint] = field(default_factory=list)
    grades: list[GradeInfo] = field(default_factory=list)
    """As they were published."""
    kinematics: list[tuple[int, KinematicsInfo]] = field(default_factory=list)
    """Frame number, how it swam."""


@dataclass(slots=True)
class Story:
    """What a session's log says."""

    folder: Path
    start: StartRecord
    opened: OpenedRecord
    began_ns: int
    """Of the first event, on the station clock."""
    ended_ns: int = 0
    """Of the last."""
    events: int = 0
    chain: str = ""
    outcome: SessionOutcome = SessionOutcome.CUT_OFF
    stopped: str = ""
    """Why recording stopped before the run."""
    frames: dict[int, FrameRecord] = field(default_factory=dict)
    """By number, those that were recorded."""
    chunks: dict[str, ChunkRecord] = field(default_factory=dict)
    """By file, what the log says of video that was closed."""
    exposures_ns: dict[int, int] = field(default_factory=dict)
    """By frame number, of every frame that was recorded or tracked, on the station clock."""
    sperm: dict[int, SpermStory] = field(default_factory=dict)
    scales: list[tuple[int, float | None]] = field(default_factory=list)
    """From which frame on which scale was in force, um/px: another objective is another scale."""
    windows: dict[WindowKey, SentWindow] = field(default_factory=dict)
    window_frames: int = 0
    disturbances: list[tuple[int, str]] = field(default_factory=list)
    """Frame number, and what disturbed the field from then on; empty text: nothing any more."""
    actions: list[ActionHeader] = field(default_factory=list)
    statuses: dict[ProcessName, ProcessStatus] = field(default_factory=dict)
    """The newest of each process."""
    losses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By link and reason."""
    kept: list[KeepRecord] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """True where the run kept the source's pace, so that grades aged on screen."""
        return bool(self.start.config.get("speed", "live") == "live")

    def um_per_px(self, frame_seq: int) -> float | None:
        """Return the scale in force at a frame; None where it is not known."""
        return next((scale for first, scale in reversed(self.scales) if frame_seq >= first), None)

    @property
    def scale_known(self) -> bool:
        """True where every frame has a scale."""
        return all(scale is not None for _, scale in self.scales)

    def t_s(self, frame_seq: int) -> float:
        """Return when a frame was exposed, in seconds from the first frame.

        By the source's own axis where every frame is recorded, else by the station's clock.
        """
        if self._zero is None:
            self._zero = self._find_zero()
        zero_frame, zero_source_ns, zero_exposure_ns = self._zero
        frame = self.frames.get(frame_seq)
        if frame is not None and zero_frame is not None and self.start.mode == "all":
            return (frame.header.t_source_ns - zero_source_ns) / NS_PER_S
        exposure_ns = self.exposures_ns.get(frame_seq)
        if exposure_ns is None:
            raise SessionError(f"session {self.folder}: frame {frame_seq} is not in the record")
        return (exposure_ns - zero_exposure_ns) / NS_PER_S

    def grade_t_s(self, grade: GradeInfo) -> float:
        """Return when a grade's newest frame was exposed, as ``t_s``; by its own times where the frame is missing."""
        if grade.frame_seq in self.exposures_ns:
            return self.t_s(grade.frame_seq)
        first_ns = min(self.exposures_ns.values(), default=grade.trace.t_exposure_ns)
        return (grade.trace.t_exposure_ns - first_ns) / NS_PER_S

    def frame_at(self, t_ns: int) -> int | None:
        """Return the newest frame that was exposed by a moment of the station clock; None before the first."""
        if self._order is None:
            self._order = sorted((t, seq) for seq, t in self.exposures_ns.items())
        low, high = 0, len(self._order)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._order[middle][0] <= t_ns else (low, middle)
        return self._order[low - 1][1] if low else None

    @property
    def length_s(self) -> float:
        """From the first frame to the last, as ``t_s``."""
        return self.t_s(max(self.exposures_ns)) if self.exposures_ns else 0.0

    _zero: tuple[int | None, int, int] | None = None
    _order: list[tuple[int, int]] | None = None

    def _find_zero(self) -> tuple[int | None, int, int]:
        first = min(self.frames, default=None)
        source_ns = self.frames[first].header.t_source_ns if first is not None else 0
        return first, source_ns, min(self.exposures_ns.values(), default=0)


NOTHING: Final = "has nothing of a run in it: it was cut off before source and model were known"


def read_story(folder: Path, keep_going: Callable[[], object] = lambda: None) -> Story:
    """Read a session. Raises SessionError where it cannot be read, or was cut off before anything was known."""
    session = Session(folder, keep_going)
    if session.opened is None:
        raise SessionError(f"session {folder}: {NOTHING}")
    with _no_search_for_cycles():
        return _read(session)


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Spare Python's search for cycles: nothing here makes any, and among a million values it takes half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(session: Session) -> Story:
    folder, story = session.folder, None
    assert session.opened is not None
    for event in session.events():
        if story is None:
            story = Story(folder, session.start, session.opened, began_ns=event.t_ns)
            story.scales = [(0, session.opened.source.um_per_px)]
        story.ended_ns, story.chain, story.events = event.t_ns, event.chain, event.n + 1
        match event.record:
            case FrameRecord(header=h):
                story.frames[h.seq] = event.record
                story.exposures_ns[h.seq] = h.t_exposure_ns
            case ChunkRecord(file=file, closed=True):
                story.chunks[file] = event.record
            case TracksRecord(header=h):
                _note_tracks(story, h)
            case WindowsRecord(header=wh):
                for info, crc32 in zip(wh.windows, event.record.crc32, strict=False):
                    story.windows[info.sperm_id, info.frame_seqs[-1]] = SentWindow(info, crc32)
            case GradesRecord(header=gh):
                for grade in gh.grades:
                    _sperm(story, grade.sperm_id).grades.append(grade)
            case ActionRecord(action=action):
                story.actions.append(action)
            case StatusRecord(status=status):
                story.statuses[status.process] = status
            case LossRecord(link=link, count=count, reason=reason):
                story.losses[link, reason] += count
            case KeepRecord():
                story.kept.append(event.record)
            case StopRecord(reason=reason):
                story.stopped = reason
            case EndRecord():
                story.outcome = SessionOutcome.STOPPED if story.stopped else SessionOutcome.COMPLETE
            case _:
                pass
    if story is None:
        raise SessionError(f"session {folder}: {NOTHING}")
    story.damage = list(session.damage)
    return story


def _note_tracks(story: Story, header: TracksHeader) -> None:
    seq, story.window_frames = header.frame_seq, header.window_frames
    story.exposures_ns.setdefault(seq, header.trace.t_exposure_ns)
    if header.disturbance != (story.disturbances[-1][1] if story.disturbances else ""):
        story.disturbances.append((seq, header.disturbance))
    story.scales += [(seq, done.um_per_px) for done in header.applied_commands if done.um_per_px is not None]
    for track in header.tracks:
        sperm = _sperm(story, track.sperm_id)
        sperm.points.append(TrackPoint(seq, header.trace.t_tracker_out_ns, track))
        if track.kinematics is not None:
            sperm.kinematics.append((seq, track.kinematics))


def _sperm(story: Story, sperm_id: int) -> SpermStory:
    return story.sperm.setdefault(sperm_id, SpermStory(sperm_id))
