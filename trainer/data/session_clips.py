"""Clips of recorded sessions: the very windows that were graded at the microscope, cut again from the record.

Which frames a window has, where the head was in each and when they were taken stands in the record; nothing is followed
anew. A window whose pixels are not those that were graded is left out and counted.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from station.archive.story import Story, read_story
from station.archive.windows import CutWindow, cut_windows
from station.errors import InputError
from station.transport.messages import GradeInfo
from trainer.data.clip_extraction import FRAMES, SIZE_PX
from trainer.data.cuts import Cut, CutSettings, TagOutcome, VideoCuts
from trainer.data.tags import Tag


@dataclass(frozen=True, slots=True)
class SessionCuts:
    """What one session gave."""

    session: str
    chain: str
    """The last value of its log's chain: what it was cut from."""
    model_sha256: str
    """Of the model that graded it."""
    found: VideoCuts
    grades: tuple[GradeInfo, ...]
    """One for each of the clips."""


def cut_session(folder: Path, settings: CutSettings, keep_going: Callable[[int], object]) -> SessionCuts:
    """Cut a session's graded windows, those of a sperm without sharing a frame. Raises InputError.

    ``keep_going`` is called with the number of each clip.
    """
    story = read_story(folder)
    wanted = _wanted(story, settings)
    shape = (FRAMES, SIZE_PX, SIZE_PX)
    cuts: list[Cut] = []
    grades: list[GradeInfo] = []
    refused: Counter[str] = Counter()
    zero_ns = min((frame.header.t_source_ns for frame in story.frames.values()), default=0)
    outcomes = {sperm_id: _outcome(story, sperm_id) for sperm_id in sorted(story.sperm)}
    for key, window in cut_windows(story, wanted):
        if not isinstance(window, CutWindow):
            refused[window] += 1
            continue
        if window.pixels.shape != shape:
            raise InputError(f"session {folder}: its windows are {window.pixels.shape}, clips here are {shape}")
        scale = story.um_per_px(window.frame_seqs[-1])
        if scale != story.um_per_px(window.frame_seqs[0]):
            refused["the scale changed in it"] += 1
            continue
        outcome = outcomes[key[0]]
        outcome.clips += 1
        outcome.last_cut = key[1]
        times = tuple(t_ns - zero_ns for t_ns in window.t_source_ns)
        tag = replace(outcome.tag, um_per_px=scale)
        cuts.append(Cut(tag, window.pixels, window.frame_seqs, times, window.places, window.padded))
        grades.append(wanted[key])
        keep_going(len(cuts))
    for outcome in outcomes.values():
        if not outcome.clips or (settings.windows is not None and outcome.clips < settings.windows):
            outcome.reason = "no more windows of it were graded" if outcome.clips else "none of its windows can be cut"
    found = VideoCuts(
        info=story.opened.source,
        frames=len(story.frames),
        stride=story.opened.stride,
        head_px=_head_px(story),
        cuts=tuple(cuts),
        outcomes=tuple(outcomes.values()),
        problems=(),
        notices=tuple(story.damage),
        damage=(*story.damage, *(f"{count} graded windows are left out: {why}" for why, count in refused.items())),
    )
    return SessionCuts(story.start.session, story.chain, story.opened.model.sha256, found, tuple(grades))


def _wanted(story: Story, settings: CutSettings) -> dict[tuple[int, int], GradeInfo]:
    """Return the windows to cut: each sperm's first, and those that follow without sharing a frame."""
    wanted: dict[tuple[int, int], GradeInfo] = {}
    for sperm in story.sperm.values():
        taken, last = 0, -1
        for grade in sorted(sperm.grades, key=lambda one: one.frame_seq):
            sent = story.windows.get((sperm.sperm_id, grade.frame_seq))
            if sent is None or taken == settings.windows or (settings.whole and sent.info.padded):
                continue
            if sent.info.frame_seqs[0] > last:
                wanted[sperm.sperm_id, grade.frame_seq] = grade
                taken, last = taken + 1, grade.frame_seq
    return wanted


def _outcome(story: Story, sperm_id: int) -> TagOutcome:
    sperm = story.sperm[sperm_id]
    first = sperm.points[0] if sperm.points else None
    locked = [point.frame_seq for point in sperm.points if point.track.state.value == "locked"]
    tag = Tag(
        line=sperm_id,
        video=story.start.session,
        id=str(sperm_id),
        x=first.track.x if first else 0.0,
        y=first.track.y if first else 0.0,
        um_per_px=None,
        frame=first.frame_seq if first else 0,
        source=story.start.session,
    )
    return TagOutcome(tag, locked_frames=len(locked), last_locked=locked[-1] if locked else None)


def _head_px(story: Story) -> float:
    tracker = story.start.config.get("tracker")
    given = tracker.get("head_px") if isinstance(tracker, dict) else None
    return float(given) if isinstance(given, int | float) else 0.0
