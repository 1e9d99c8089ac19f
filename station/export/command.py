"""The command ``export SESSION --to FORMAT``: a folder with the session, or a part of it, for another program."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from station.archive.story import Story, read_story
from station.build_info import program
from station.command_line import Main, Parser, invocation
from station.errors import InputError, SessionError
from station.export.pictures import Pictures, Selection, UnreadableFrame, films, find_unreadable
from station.notice import NOTICE
from station.output import say, say_line
from station.session.layout import require_outside_sessions
from station.session.lookup import find_session

DESCRIPTION = """Writes a session, or a part of it, for other programs, into a new folder. ome-tiff and ome-zarr hold
the pictures without loss, with scale and times; mp4 is for people and has loss; napari and trackmate hold the tracks;
parquet and csv everything that the log says; clips the windows that were graded and share no frame, for the trainer."""
IMAGES: Final = ("ome-tiff", "ome-zarr", "mp4")
TRACKS: Final = ("napari", "trackmate")
TABLES: Final = ("parquet", "csv")
CLIPS: Final = "clips"
ABOUT: Final = "export.json"


def export(argv: Sequence[str], clips: Main) -> int:
    """Carry out ``export``; ``clips`` makes clips for the trainer. Raises InputError, OSError."""
    parser = Parser(prog=f"{invocation()} export", description=f"{DESCRIPTION} {NOTICE}")
    add = parser.add_argument
    add("session", metavar="SESSION", help="id of a session, or its folder")
    add("--to", required=True, choices=[*IMAGES, *TRACKS, CLIPS, *TABLES], help="what for")
    add("--what", choices=["frames", "crops"], default="frames", help="pictures: whole frames (default), or the square "
        "round each sperm")  # fmt: skip
    add("--sperm", type=int, action="append", default=[], metavar="N", help="crops: of this sperm alone; repeat it")
    add("--from", dest="from_s", type=float, default=0.0, metavar="S", help="pictures, tracks: from so many seconds on")
    add(
        "--until",
        dest="until_s",
        type=float,
        default=math.inf,
        metavar="S",
        help="pictures, tracks: until so many seconds",
    )
    add("--windows", type=int, metavar="N", help="clips: at most N of a sperm (default: all)")
    add("--whole", action="store_true", help="clips: leave out those that reach over the frame's edge")
    add("--out", type=Path, metavar="DIR", help="folder to make (default: SESSION-FORMAT in the current folder)")
    add("--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)")
    given = parser.parse_args(argv)
    if given.to not in IMAGES and (given.sperm or given.what != "frames"):
        raise InputError(f"export --to {given.to}: --what and --sperm are for {', '.join(IMAGES)}")
    if given.to not in (*IMAGES, *TRACKS) and (given.from_s or given.until_s < math.inf):
        raise InputError(f"export --to {given.to}: --from and --until are for {', '.join((*IMAGES, *TRACKS))}")
    if given.to != CLIPS and (given.windows is not None or given.whole):
        raise InputError(f"export --to {given.to}: --windows and --whole are for {CLIPS}")
    if given.sperm and given.what != "crops":
        raise InputError("export --sperm: chooses crops; give --what crops as well")
    if not (0 <= given.from_s <= given.until_s):
        raise InputError(f"export --from {given.from_s:g} --until {given.until_s:g}: expected 0 <= from <= until")
    folder = find_session(given.session, given.parent)
    out: Path = given.out or Path(f"{folder.name}-{given.to}")
    if out.exists():
        raise InputError(f"{out}: is there already; remove it or give another folder with --out")
    require_outside_sessions(out, "--out")
    if given.to == CLIPS:
        chosen = [] if given.windows is None else ["--windows", str(given.windows)]
        chosen += ["--whole"] if given.whole else []
        return clips(["--sessions", str(folder), "--out", str(out), *chosen])
    story = read_story(folder)
    out.mkdir(parents=True, mode=0o700)
    try:
        selection = Selection(given.what, tuple(given.sperm), given.from_s, given.until_s)
        made, left_out, places = _write(story, given.to, selection, out)
        about = _about(story, given.to, made, left_out, selection if given.to not in TABLES else None)
        about["track_places_left_out"] = places
        (out / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except BaseException:  # nothing that is half done is left behind; not even by Ctrl-C
        shutil.rmtree(out, ignore_errors=True)
        raise
    for line in (*story.damage, *([_unreadable(left_out)] if left_out else [])):
        say_line(f"! {line}")
    if places:
        say(f"! {places} places of sperm are left out: their frames are missing in the record")
    say(f"{len(made)} {'file' if len(made) == 1 else 'files'} of session {story.start.session} in {out}")
    say(NOTICE)
    return 0


def _write(story: Story, to: str, selection: Selection, out: Path) -> tuple[list[Path], list[int], int]:
    """Write; return the files, the frames left out because they cannot be read, and the places of sperm left out."""
    left_out: list[int]
    if to in IMAGES:
        from station.export import image_files

        writers: dict[str, Callable[[Pictures, Path, Callable[[], object]], Path]] = {
            "ome-tiff": image_files.write_ome_tiff,
            "ome-zarr": image_files.write_ome_zarr,
            "mp4": image_files.write_mp4,
        }

        def write_all(left_out: list[int]) -> tuple[list[Path], list[int], int]:
            with films(story, selection, left_out, out) as found:
                return [writers[to](film, out, lambda: None) for film in found], left_out, 0

        try:
            return write_all([])
        except UnreadableFrame:
            shutil.rmtree(out)
            out.mkdir(mode=0o700)
            return write_all(find_unreadable(story, decode_all=True))
    if to in TRACKS:
        from station.export import track_files

        if not story.sperm:
            raise SessionError(f"session {story.folder}: no sperm was followed; there are no tracks to export")
        left_out = find_unreadable(story, decode_all=False) if track_files.recorded_whole(story) else []
        if len(left_out) == len(story.frames):  # no picture is left for tracks to lie over
            left_out = []
        index = track_files.planes(story, selection.from_s, selection.until_s, set(left_out))
        places = track_files.count_left_out(story, selection.from_s, selection.until_s, index)
        write = track_files.write_napari if to == "napari" else track_files.write_trackmate
        return [write(story, out, index)], left_out, places
    from station.export.table_files import write_tables

    return write_tables(story, out, "parquet" if to == "parquet" else "csv"), [], 0


def _about(
    story: Story, to: str, made: Sequence[Path], left_out: Sequence[int], selection: Selection | None
) -> dict[str, Any]:
    source, model = story.opened.source, story.opened.model
    chosen = None if selection is None else asdict(selection)
    if chosen is not None and math.isinf(chosen["until_s"]):
        chosen["until_s"] = None
    return {
        "notice": NOTICE,
        "session": story.start.session,
        "started_utc": story.start.started_utc,
        "last_chain_value": story.chain,
        "exported_by": program(),
        "format": to,
        "files": [path.name for path in made],
        "selection": chosen,
        "frames_left_out": list(left_out),
        "damage": story.damage,
        "source": {"name": source.name, "fps": source.fps, "um_per_px": source.um_per_px},
        "model": {"name": model.name, "sha256": model.sha256, "demonstration": model.demonstration},
    }


def _unreadable(left_out: Sequence[int]) -> str:
    return f"{len(left_out)} frames cannot be read as they were recorded and are left out, the first is {left_out[0]}"
