"""The videos that people give, by the names that tables call them. It opens none."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from capture.files.image_folder import list_images
from capture.files.names import IMAGE_ENDINGS
from station.errors import InputError
from trainer.data.clip_ids import match_ids

SINGLE_IMAGES: Final = tuple(ending for ending in IMAGE_ENDINGS if ending not in (".tif", ".tiff"))


def find_videos(places: Iterable[Path]) -> dict[str, Path]:
    """Return the videos by name: a file by its own, what lies in a folder by its path in that folder.

    A folder that holds pictures is one video. Raises InputError for what does not exist, and for two of one name.
    """
    videos: dict[str, Path] = {}
    for place in places:
        if not place.exists():
            raise InputError(f"{place}: no such video or folder; give files, or the folder that holds them")
        for name, path in _named(place):
            if name in videos and videos[name].resolve() != path.resolve():
                raise InputError(f"two videos are called {name}: {videos[name]} and {path}; give their common folder")
            videos[name] = path
    return videos


def _named(place: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of everything that may be a video: a TIFF file as a stack, its folder as pictures."""
    if place.is_file():
        yield place.name, place
        return
    if list_images(place):
        yield place.name, place
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place)
        if any(part.startswith(".") for part in name.parts):
            continue
        video = path.suffix.lower() not in SINGLE_IMAGES if path.is_file() else bool(list_images(path))
        if video:
            yield name.as_posix(), path


def resolve(name: str, videos: Mapping[str, Path]) -> str | None:
    """Return the video that a tag's ``video`` means, None where there is none, or more than one.

    It may be the video's name, its name without ending, or that without its leading zeros, which spreadsheets drop.
    ImageJ's labels have the slice's name after a colon.
    """
    stems: dict[str, list[str]] = {}
    for full in videos:
        stems.setdefault(full.rpartition(".")[0] or full, []).append(full)
    colon = ":"
    while colon:
        if name in videos:
            return name
        meant = match_ids([name], stems).get(name)
        if meant is not None:
            return stems[meant][0] if len(stems[meant]) == 1 else None
        name, colon, _ = name.rpartition(":")
    return None
