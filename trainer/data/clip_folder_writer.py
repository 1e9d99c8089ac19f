"""The folder of clips that ``prepare`` writes, as it grows video by video.

Beside the clip format (``trainer.data.dataset``) it holds ``tracked.csv`` (what became of every tag), ``cuts.csv``
(where in which video each frame of each clip was cut) and, of sessions, ``graded.csv`` (how each clip was
graded). This module does not know how a clip is cut.
"""

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from capture.files.image_folder import list_images
from station.build_info import git_commit
from station.clock import NS_PER_S
from station.errors import InputError
from station.files import sha256_of, write_atomically
from station.transport.messages import GRADES
from trainer.data.clip_extraction import FRAMES, SIZE_PX, WATCHED_S
from trainer.data.clip_files import write_clip
from trainer.data.clip_ids import safe_id
from trainer.data.clip_table import ClipRow, rates_alike
from trainer.data.cuts import Cut, CutSettings, TagOutcome, VideoCuts
from trainer.data.dataset import write_table
from trainer.data.session_clips import SessionCuts
from trainer.data.tables import table

TRACKED: Final = "tracked.csv"
CUTS: Final = "cuts.csv"
GRADED: Final = "graded.csv"
POSITION: Final = ("x_px", "y_px", "x_um", "y_um")


class ClipFolderWriter:
    """The folder of clips as it grows, video by video; finished by its manifest."""

    def __init__(self, root: Path, settings: CutSettings, um_per_px: float | None, ending: str) -> None:
        self.rows: list[ClipRow] = []
        self.outcomes: list[tuple[str, TagOutcome]] = []
        self.remarks: list[str] = []
        self.padded = 0
        self._root = root
        self._settings = settings
        self._um_per_px = um_per_px
        self._ending = ending
        self._hashes: dict[str, str] = {}
        self._videos: dict[str, dict[str, Any]] = {}
        self._cuts: list[Sequence[object]] = []
        self._tracked: list[Sequence[object]] = []
        self._graded: list[Sequence[object]] = []

    def add_session(self, cut: SessionCuts) -> list[str]:
        """Write a session's clips, and how each was graded; return its problems. Raises InputError as ``add``."""
        first = len(self.rows)
        problems = self.add(cut.session, cut.chain, cut.found)
        for row, one, grade in zip(self.rows[first:], cut.found.cuts, cut.grades, strict=True):
            shares = (f"{share:.6f}" for share in grade.grade)
            self._graded.append(
                (row.id, cut.session, one.tag.id, grade.frame_seq, f"{one.t_ns[-1] / NS_PER_S:.6f}", *shares,
                 cut.model_sha256)
            )  # fmt: skip
        return problems

    def add(self, name: str, sha256: str, found: VideoCuts) -> list[str]:
        """Write a video's clips; return its problems. Raises InputError for a rate or scale that cannot be used.

        ``sha256``: of the video; of a session the last value of its chain.
        """
        if self.rows and not rates_alike(self.rows[0].fps, found.fps):
            raise InputError(
                f"gives {found.fps:g} frames a second, the videos before {self.rows[0].fps:g}; give --stride, or cut "
                "it into a folder of its own"
            )
        scales = [cut.tag.um_per_px or self._um_per_px or found.info.um_per_px for cut in found.cuts]
        if not all(scales):
            raise InputError("its scale is not known; give --um-per-px, or the column um_per_px in the tags")
        self.add_outcomes(name, found.outcomes, found.info.um_per_px)
        counts: Counter[str] = Counter()
        taken = {row.id for row in self.rows}
        for cut, scale in zip(found.cuts, scales, strict=True):
            counts[cut.tag.id] += 1
            number = counts[cut.tag.id] if self._settings.windows != 1 else None
            stem = name.rpartition(".")[0] or name
            clip = clip_id(stem, cut.tag.id, number)
            if clip in taken:  # of a video whose name differs in its ending alone
                clip = clip_id(name, cut.tag.id, number)
            self._write(clip, name, cut, float(scale or 0), found.fps)
        self._videos[name] = {
            "sha256": sha256,
            "fps": found.info.fps,
            "width": found.info.width,
            "height": found.info.height,
            "frames": found.frames,
            "stride": found.stride,
            "head_px": round(found.head_px, 3),
            "clips": len(found.cuts),
            "notices": list(found.notices),
        }
        # Each begins with the video's name.
        self.remarks += [as_options(notice) for notice in found.notices if notice not in found.damage]
        return list(found.damage)

    def add_outcomes(self, name: str, outcomes: Iterable[TagOutcome], um_per_px: float | None = None) -> None:
        """Note what became of a video's tags; ``um_per_px`` is the video's own scale, where it states one."""
        for outcome in outcomes:
            tag = outcome.tag
            self.outcomes.append((name, outcome))
            self._tracked.append(
                (
                    name, tag.id, tag.frame, *_position(tag.x, tag.y, tag.um_per_px or self._um_per_px or um_per_px),
                    outcome.clips, outcome.locked_frames, outcome.last_locked, outcome.reason,
                )
            )  # fmt: skip

    def _write(self, clip: str, video: str, cut: Cut, um_per_px: float, fps: float) -> None:
        """Write one clip, its row and where it was cut; the file's name is the clip's, as far as file systems go."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", clip)
        file = f"clips/{plain}{self._ending}"
        if file.casefold() in {other.casefold() for other in self._hashes}:
            file = f"clips/{plain}-{len(self.rows)}{self._ending}"
        (self._root / "clips").mkdir(parents=True, exist_ok=True)
        self._hashes[file] = write_clip(self._root / file, cut.pixels, fps)
        self.rows.append(ClipRow(clip, file, cut.tag.source, um_per_px, fps, ()))
        self.padded += cut.padded
        self._cuts += [
            (clip, video, cut.tag.id, frame, f"{t_ns / NS_PER_S:.6f}", *_position(x, y, um_per_px), int(cut.padded))
            for frame, t_ns, (x, y) in zip(cut.frames, cut.t_ns, cut.places, strict=True)
        ]

    def finish(self) -> None:
        """Write the tables and the manifest."""
        tables = {
            TRACKED: table(
                ("video", "tag", "frame", *POSITION, "clips", "locked_frames", "last_locked_frame", "reason"),
                self._tracked,
            ),
            CUTS: table(("id", "video", "tag", "frame", "t_source_s", *POSITION, "padded"), self._cuts),
        }
        if self._graded:
            tables[GRADED] = table(
                (
                    "id",
                    "video",
                    "tag",
                    "frame",
                    "t_source_s",
                    *(f"grade_{letter}" for letter in GRADES),
                    "model_sha256",
                ),
                self._graded,
            )
        for file, content in tables.items():
            write_atomically(self._root / file, content)
            self._hashes[file] = hashlib.sha256(content).hexdigest()
        settings = dataclasses.asdict(self._settings)
        settings["tracker"] = self._settings.tracker.model_dump(mode="json")
        made = {
            "command": "prepare",
            "git_commit": git_commit(),
            "cut": {**settings, "watched_s": WATCHED_S},
            "videos": self._videos,
        }
        write_table(self._root, self.rows, self._hashes, (FRAMES, SIZE_PX, SIZE_PX), made)


def _position(x_px: float, y_px: float, um_per_px: float | None) -> tuple[str, ...]:
    """Return the cells of ``POSITION``; those in um are empty where the scale is not known."""
    micrometres = (f"{x_px * um_per_px:.3f}", f"{y_px * um_per_px:.3f}") if um_per_px else ("", "")
    return (f"{x_px:.2f}", f"{y_px:.2f}", *micrometres)


def as_options(message: str) -> str:
    """Return a source's message with options of ``prepare`` in place of the station's configuration keys."""

    def option(key: re.Match[str]) -> str:
        return f"give --{key[1].replace('_', '-')}" + (f" {key[2]}" if key[2] else "")

    return re.sub(r"set \[source\] (\w+)(?: = (\w+))?", option, message)


def clip_id(video: str, tag: str, number: int | None = None) -> str:
    """Return the id of a clip, made of the video's name, the tag's id and, where there are several, the window."""
    return safe_id("-".join([video, tag, *([] if number is None else [str(number)])]))


def hash_video(path: Path) -> str:
    """Return the SHA-256 of a video file; of a folder of pictures that of their names and contents, in order."""
    digest = hashlib.sha256()
    if path.is_file():
        return sha256_of(path)
    for picture in list_images(path):
        digest.update(picture.name.encode() + b"\0" + bytes.fromhex(sha256_of(picture)))
    return digest.hexdigest()
