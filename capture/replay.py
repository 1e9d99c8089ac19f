"""A recorded session as a source: its frames with their recorded numbers, times and losses.

Frames that the tracker dropped live are left out, so that it sees the same frames again. A session is played up to the
first frame or event that is not as recorded, and a notice says so; one that was cut off, up to its last frame. The
commands to apply to the frames are in ``station.session.playback``.
"""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, Self

from capture.source import Condition, Frame
from station.errors import InputError
from station.session.layout import SessionState
from station.session.playback import Playback, TrackedFrames
from station.transport.control_messages import SourceInfo


class RecordedSession:
    """A Source (see ``capture.source``). Raises InputError if the session has no frame to play."""

    def __init__(self, folder: Path, keep_going: Callable[[], object] = lambda: None) -> None:
        """``keep_going`` is called from time to time while events without frames are read."""
        self._playback = Playback(folder, keep_going)
        self._tracked = TrackedFrames(self._playback)
        self._broken: str = ""
        self._over = False
        self._frames = self._play()
        self._ahead = next(self._frames, None)
        if self._ahead is None:
            self.close()
            why = f" ({self._broken})" if self._broken else ""
            raise InputError(
                f"session {folder}: contains no frame that can be played{why}; check it with `run_station.py verify`"
            )
        recorded = self._playback.opened.source
        self.info: Final = SourceInfo(
            **recorded.model_dump(exclude={"name"}), name=f"replay of {self._playback.name}: {recorded.name}"
        )

    @property
    def condition(self) -> Condition:
        """Where the record ends early, and why its replay is not exact."""
        notices = tuple(self._notices())
        return Condition(notices, damage=notices)

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end."""
        frame, self._ahead = self._ahead, None
        return frame if frame is not None else next(self._frames, None)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        self._frames.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _play(self) -> Generator[Frame, None, None]:
        session, dropped = self._playback.session, 0
        known = len(session.damage)
        for recorded in session.frames(until_broken=True):
            if recorded.pixels is None:
                break
            header = recorded.record.header
            if not self._tracked.took(header.seq):
                dropped += 1
                continue
            recorded.pixels.flags.writeable = False
            yield Frame(
                recorded.pixels,
                header.t_source_ns,
                lost_before=header.lost_before,
                exposure_id=header.exposure_id,
                exposure_us=header.exposure_us,
                gain=header.gain,
                seq=header.seq,
                every=header.every,
                dropped_before=dropped,
            )
            dropped = 0
        self._broken = "; ".join(session.damage[known:])
        self._over = True

    def _notices(self) -> list[str]:
        playback = self._playback
        notices = []
        if not playback.whole:
            notices.append(
                "only the pre-trigger part was recorded: tracks and grades start afresh and differ from the live ones"
            )
        if self._tracked.unknown:
            notices.append(
                f"the record lacks the tracks of {self._tracked.unknown} frames: the replay is not exact from there on"
            )
        if self._tracked.missing:
            notices.append(
                f"the record lacks {self._tracked.missing} tracked frames: the replay is not exact from there on"
            )
        manifest = playback.session.manifest
        if self._broken:
            notices.append(f"the record is damaged and was played up to the damage: {self._broken}")
        elif self._over and (manifest is None or manifest.state is SessionState.RECORDING):
            notices.append("the recording was cut off and was played up to its last complete frame")
        return notices
