"""``python -m trainer prepare VIDEOS --tags tags.csv --out DATA``: clips of tagged sperm, cut by the live tracker.

With ``--sessions`` in place of videos and tags: the windows that were graded in recorded sessions.

The clips have no votes yet; ``python -m trainer votes`` adds them. Beside the clip format (``trainer.data.dataset``)
the folder holds ``tracked.csv`` (what became of every tag) and ``cuts.csv`` (where in which video each frame of each
clip was cut). One bad video or tag is named and does not keep the others from being cut. How a video is followed:
``trainer.data.clip_extraction``.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from station.config import TrackerSettings
from station.console import Console
from station.errors import InputError
from station.ranges import MAX_FPS, MAX_UM_PER_PX, MIN_FPS, MIN_UM_PER_PX
from station.session.lookup import find_session
from trainer.data.clip_extraction import cut_video
from trainer.data.clip_files import ENDINGS, NPZ
from trainer.data.clip_folder_writer import ClipFolderWriter, as_options, hash_video
from trainer.data.cuts import CutSettings, TagOutcome
from trainer.data.session_clips import cut_session
from trainer.data.tags import assign, read_tags
from trainer.data.video_names import find_videos

DEFAULT_RATE: Final = 15.0
EPILOG: Final = """\
DATA holds the clips without votes, clips.csv, tracked.csv (what became of every tag), cuts.csv (where each frame was
cut) and manifest.json. Exit code 1: a video or a tag could not be used, the others were cut.

examples:
  python -m trainer prepare VIDEOS --tags tags.csv --um-per-px 0.25 --out DATA
  python -m trainer prepare d07_1.avi d07_2.avi --tags tags.csv --um-per-px 0.25 --windows 3 --format mkv --out DATA
  python -m trainer prepare --sessions 20260131T141500Z-3f9c --out DATA
  python -m trainer prepare STACKS --tags tags.csv --fps 15 --stride uniform --out DATA

next: python -m trainer votes DATA --votes votes.csv"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "videos", type=Path, nargs="*", metavar="VIDEOS", help="videos, TIFF stacks, folders of pictures, or a folder "
        "that holds them"
    )  # fmt: skip
    parser.add_argument(
        "--tags", type=Path, metavar="FILE",
        help="CSV: video,id,x,y (px, one point on each head) and, where wanted, um_per_px, frame (in which it was "
        "tagged, from 0; default: 0) and source (the donor; default: the video); or the results of ImageJ's point tool",
    )  # fmt: skip
    parser.add_argument(
        "--sessions", nargs="+", default=[], metavar="SESSION",
        help="in place of videos and tags: recorded sessions; the very windows that were graded are cut, all that "
        "share no frame",
    )  # fmt: skip
    parser.add_argument(
        "--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DATA", help="folder to make; must not exist")
    parser.add_argument("--um-per-px", type=float, metavar="UM", help="scale, where neither tags nor video say it")
    parser.add_argument(
        "--fps", type=float, metavar="FPS", help="frame rate of the videos, where they say none or a wrong one"
    )
    parser.add_argument(
        "--bits", type=int, metavar="N", help="bits of the camera, where a file stores them in 16 (12 bits in 16: 12)"
    )
    parser.add_argument(
        "--stride", default="auto", metavar="N",
        help="take every N-th frame; 'auto': so that clips come nearest to --rate; 'uniform': so that 16 frames "
        "spread over the whole video (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--rate",
        type=float,
        metavar="FPS",
        help="frames a second of the clips, for --stride auto (default: 15); of videos alone",
    )
    parser.add_argument("--windows", type=int, metavar="N", help="at most N clips of a sperm, one after the other "
                        "(default: 1; of sessions all)")  # fmt: skip
    parser.add_argument("--whole", action="store_true", help="leave out clips that reach over the frame's edge")
    parser.add_argument(
        "--head-px", type=float, metavar="PX", help="edge of the box round a head in px (default: measured)"
    )
    parser.add_argument(
        "--format", choices=[ending[1:] for ending in ENDINGS], default=NPZ[1:],
        help="npz, or lossless video: half the size, slower to train from (default: %(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Cut; return 1 where a video or a tag could not be used."""
    settings = _settings(args)
    if args.out.exists():
        raise InputError(f"--out {args.out} exists already; remove it or give another folder")
    if args.sessions:
        return _cut_sessions(args, settings)
    if args.parent is not None:
        raise InputError("--session DIR: says where --sessions lie; give --sessions SESSION as well")
    if not args.videos or args.tags is None:
        raise InputError("expected VIDEOS and --tags FILE, or --sessions SESSION")
    videos = find_videos(args.videos)
    given = read_tags(args.tags, videos)
    by_video, unassigned = assign(given.tags, videos)
    problems = [*given.problems, *(f"{args.tags}, {problem}" for problem in unassigned)]
    console = Console(soft_wrap=True)
    for line in (*given.notices, *problems):
        console.print(line)
    folder = ClipFolderWriter(args.out, settings, args.um_per_px, f".{args.format}")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("videos", total=len(by_video))
        for name, of_video in by_video.items():
            try:
                progress.update(task, description=name)
                found = cut_video(videos[name], of_video, settings, partial(_show, progress, task, name))
                found_problems = [f"{args.tags}, {problem}" for problem in found.problems]
                found_problems += folder.add(name, hash_video(videos[name]), found)
            except InputError as error:
                why = as_options(str(error))
                found_problems = [f"{name}: {why}; none of its {len(of_video)} sperm are cut"]
                folder.add_outcomes(name, [TagOutcome(tag, reason="the video cannot be used") for tag in of_video])
            problems += found_problems
            for line in found_problems:
                progress.console.print(line)
            progress.advance(task)
    for remark in folder.remarks:
        console.print(remark)
    _print_lost(console, folder.outcomes)
    if not folder.rows:
        raise InputError(f"no clip was cut from {len(by_video)} videos; nothing was written")
    folder.finish()
    console.print(
        f"{len(folder.rows)} clips in {args.out} of {len(given.tags)} tagged sperm in {len(by_video)} videos; they "
        f"have no votes yet: python -m trainer votes {args.out} --votes FILE"
    )
    if folder.padded:
        console.print(f"{folder.padded} of them reach over the frame's edge (--whole leaves such clips out)")
    if problems:
        console.print(f"{len(problems)} problem{'s' * (len(problems) > 1)}, named above")
    return 1 if problems else 0


def _cut_sessions(args: argparse.Namespace, settings: CutSettings) -> int:
    """Cut the graded windows of sessions; return 1 where a session, or a window of one, could not be used."""
    if args.videos or args.tags is not None:
        raise InputError("--sessions: cuts what was graded in sessions; leave VIDEOS and --tags out")
    for option, given in (("fps", args.fps), ("bits", args.bits), ("head-px", args.head_px), ("rate", args.rate)):
        if given is not None:
            raise InputError(f"--{option}: is for videos; a session is cut as it was recorded")
    if args.stride != "auto":
        raise InputError("--stride: is for videos; a session's windows have the frames that were graded")
    console = Console(soft_wrap=True)
    folder = ClipFolderWriter(args.out, settings, args.um_per_px, f".{args.format}")
    problems: list[str] = []
    sessions = dict.fromkeys(find_session(named, args.parent) for named in args.sessions)
    for session in sessions:
        try:
            problems += folder.add_session(cut_session(session, settings, lambda _: None))
        except InputError as error:
            problems.append(f"{session.name}: {as_options(str(error))}")
    for line in (*problems, *folder.remarks):
        console.print(line)
    _print_lost(console, folder.outcomes)
    if not folder.rows:
        raise InputError(f"no clip was cut from {len(sessions)} sessions; nothing was written")
    folder.finish()
    console.print(
        f"{len(folder.rows)} clips in {args.out} of {len(folder.outcomes)} sperm in {len(sessions)} sessions, as they "
        f"were graded; they have no votes yet: python -m trainer votes {args.out} --votes FILE"
    )
    return 1 if problems else 0


def _settings(args: argparse.Namespace) -> CutSettings:
    """Return the settings of the options. Raises InputError for values that cannot be."""
    try:
        stride = args.stride if args.stride in ("auto", "uniform") else int(args.stride)
    except ValueError as error:
        raise InputError(f"--stride {args.stride}: expected a number, 'auto' or 'uniform'") from error
    if isinstance(stride, int) and stride < 1:
        raise InputError(f"--stride {stride}: must be at least 1")
    if args.windows is not None and args.windows < 1:
        raise InputError(f"--windows {args.windows}: must be at least 1")
    rates, scales = (MIN_FPS, MAX_FPS), (MIN_UM_PER_PX, MAX_UM_PER_PX)
    for name, value, (least, most) in (
        ("um-per-px", args.um_per_px, scales), ("fps", args.fps, rates), ("rate", args.rate, rates),
    ):  # fmt: skip
        if value is not None and not least <= value <= most:
            raise InputError(f"--{name} {value:g}: must be from {least:g} to {most:g}")
    if args.bits is not None and not 8 <= args.bits <= 16:
        raise InputError(f"--bits {args.bits}: must be from 8 to 16")
    if args.head_px is not None and not 6 <= args.head_px <= 300:
        raise InputError(f"--head-px {args.head_px:g}: must be from 6 to 300")
    return CutSettings(
        stride=stride,
        rate=DEFAULT_RATE if args.rate is None else args.rate,
        windows=args.windows or (None if args.sessions else 1),
        whole=args.whole,
        tracker=TrackerSettings(head_px=args.head_px),
        fps=args.fps,
        bits=args.bits,
    )


def _show(progress: Progress, task: TaskID, name: str, frame: int) -> None:
    progress.update(task, description=f"{name}, frame {frame}")


def _print_lost(console: Console, outcomes: Sequence[tuple[str, TagOutcome]]) -> None:
    """Show the sperm that gave no clip, or fewer than were asked for."""
    lost = [(video, outcome) for video, outcome in outcomes if outcome.reason]
    if not lost:
        return
    shown = Table(title=f"{len(lost)} of {len(outcomes)} tagged sperm gave no clip, or fewer than asked for")
    for name in ("video", "tag", "clips", "last locked frame", "reason"):
        shown.add_column(name, justify="right" if name in ("clips", "last locked frame") else "left")
    for video, outcome in lost:
        last = "never" if outcome.last_locked is None else str(outcome.last_locked)
        shown.add_row(video, outcome.tag.id, str(outcome.clips), last, outcome.reason)
    console.print(shown)
