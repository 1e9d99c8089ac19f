"""Tracks for napari (a table in the order of its tracks layer) and TrackMate (its XML).

Left out are lost places, and those in frames of which a stack of the same part has no picture. A grade stands where it
was current and valid at that frame, and nowhere else.
"""

import csv
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from station.archive.moments import worth_at
from station.archive.story import SpermStory, Story, TrackPoint
from station.dashboard.assessment import GradeValidity
from station.notice import NOTICE
from station.output import one_line
from station.transport.messages import GRADES, GradeInfo, TrackState, Validity

NAPARI_COLUMNS: Final = (
    "track_id", "t", "y", "x", "frame", "t_s", "score", "state", *(f"grade_{letter}" for letter in GRADES),
    "grade_frame",
)  # fmt: skip
TRACKMATE_VERSION: Final = "7.11.1"
SPOT_FEATURES: Final = (
    ("QUALITY", "Quality", "Quality", "QUALITY", False),
    ("POSITION_X", "X", "X", "POSITION", False),
    ("POSITION_Y", "Y", "Y", "POSITION", False),
    ("POSITION_Z", "Z", "Z", "POSITION", False),
    ("POSITION_T", "T", "T", "TIME", False),
    ("FRAME", "Frame", "Frame", "NONE", True),
    ("RADIUS", "Radius", "R", "LENGTH", False),
    ("VISIBILITY", "Visibility", "Visibility", "NONE", True),
)
HEAD_UM: Final = 5.0


def planes(story: Story, from_s: float, until_s: float, unreadable: Collection[int]) -> dict[int, int]:
    """Return the number of each frame of a part in a stack of it, from 0; ``unreadable``: frames without a plane.

    Where not every frame was recorded, there is no such stack: the tracked frames are counted.
    """
    known = story.frames if recorded_whole(story) else story.exposures_ns
    chosen = (seq for seq in sorted(known) if seq not in unreadable and from_s <= story.t_s(seq) <= until_s)
    return {seq: number for number, seq in enumerate(chosen)}


def recorded_whole(story: Story) -> bool:
    """Return whether the record has the frames themselves, not only what was found in them."""
    return story.start.mode == "all" and bool(story.frames)


def count_left_out(story: Story, from_s: float, until_s: float, index: Mapping[int, int]) -> int:
    """Return how many places of a part are in frames that have no plane."""
    return sum(
        point.frame_seq not in index and from_s <= story.t_s(point.frame_seq) <= until_s
        for sperm in story.sperm.values()
        for point in sperm.points
        if point.track.state is not TrackState.LOST
    )


def write_napari(story: Story, folder: Path, index: Mapping[int, int]) -> Path:
    """Write ``tracks.csv``: its first four columns are what napari's tracks layer takes, the rest are properties.

    ``index``: as from ``planes``; it is the column ``t``.
    """
    path = folder / "tracks.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(NAPARI_COLUMNS)
        for sperm_id, sperm in sorted(story.sperm.items()):
            current = _CurrentGrade(story, sperm)
            for point in _places(sperm, index):
                track, grade = point.track, current.at(point)
                said = ("",) * 6 if grade is None else (*(f"{share:.6f}" for share in grade.grade), grade.frame_seq)
                lines.writerow(
                    (sperm_id, index[point.frame_seq], track.y, track.x, point.frame_seq,
                     f"{story.t_s(point.frame_seq):.6f}", track.score, track.state.value, *said)
                )  # fmt: skip
    return path


def write_trackmate(story: Story, folder: Path, index: Mapping[int, int]) -> Path:
    """Write ``trackmate.xml``: spots in um (px where the scale is not known) and seconds, one track a sperm.

    ``index``: as from ``planes``; it is the feature FRAME.
    """
    path = folder / "trackmate.xml"
    known = story.scale_known
    unit = "micron" if known else "pixel"
    root = ET.Element("TrackMate", version=TRACKMATE_VERSION)
    ET.SubElement(root, "Log").text = one_line(f"{NOTICE} Session {story.start.session}, {story.start.program}.")
    model = ET.SubElement(root, "Model", spatialunits=unit, timeunits="sec")
    declared = ET.SubElement(model, "FeatureDeclarations")
    spot_features = ET.SubElement(declared, "SpotFeatures")
    grade_features = tuple(
        (f"GRADE_{letter}", f"Grade {letter}", f"Grade {letter}", "NONE", False) for letter in GRADES
    )
    grade_frame = ("GRADE_FRAME", "Frame of the grade", "Grade frame", "NONE", True)
    for feature, name, short, dimension, whole in (*SPOT_FEATURES, *grade_features, grade_frame):
        _feature(spot_features, feature, name, short, dimension, whole)
    edge_features = ET.SubElement(declared, "EdgeFeatures")
    _feature(edge_features, "SPOT_SOURCE_ID", "Source spot ID", "Source ID", "NONE", True)
    _feature(edge_features, "SPOT_TARGET_ID", "Target spot ID", "Target ID", "NONE", True)
    track_features = ET.SubElement(declared, "TrackFeatures")
    _feature(track_features, "TRACK_ID", "Track ID", "ID", "NONE", True)
    _feature(track_features, "TRACK_INDEX", "Track index", "Index", "NONE", True)
    _feature(track_features, "NUMBER_SPOTS", "Number of spots in track", "N spots", "NONE", True)
    by_frame: dict[int, list[ET.Element]] = {}
    ids: dict[int, list[int]] = {}
    spot_id = 0
    for sperm_id, sperm in sorted(story.sperm.items()):
        current = _CurrentGrade(story, sperm)
        for point in _places(sperm, index):
            track, frame, grade = point.track, index[point.frame_seq], current.at(point)
            scale = (story.um_per_px(point.frame_seq) if known else None) or 1.0
            spot = ET.Element(
                "Spot", ID=str(spot_id), name=f"sperm {sperm_id}", QUALITY=_number(track.score),
                POSITION_T=_number(story.t_s(point.frame_seq)), POSITION_X=_number(track.x * scale),
                POSITION_Y=_number(track.y * scale), POSITION_Z="0.0", FRAME=str(frame),
                RADIUS=_number(HEAD_UM / 2 if known else 10.0), VISIBILITY="1",
            )  # fmt: skip
            if grade is not None:
                for letter, share in zip(GRADES, grade.grade, strict=True):
                    spot.set(f"GRADE_{letter}", _number(share))
                spot.set("GRADE_FRAME", str(grade.frame_seq))
            by_frame.setdefault(frame, []).append(spot)
            ids.setdefault(sperm_id, []).append(spot_id)
            spot_id += 1
    all_spots = ET.SubElement(model, "AllSpots", nspots=str(spot_id))
    for frame, elements in sorted(by_frame.items()):
        ET.SubElement(all_spots, "SpotsInFrame", frame=str(frame)).extend(elements)
    all_tracks = ET.SubElement(model, "AllTracks")
    linked = {sperm_id: spots for sperm_id, spots in ids.items() if len(spots) > 1}
    for number, (sperm_id, spots) in enumerate(linked.items()):
        track_element = ET.SubElement(
            all_tracks, "Track", name=f"sperm {sperm_id}", TRACK_ID=str(sperm_id), TRACK_INDEX=str(number),
            NUMBER_SPOTS=str(len(spots)),
        )  # fmt: skip
        for source, target in pairwise(spots):
            ET.SubElement(track_element, "Edge", SPOT_SOURCE_ID=str(source), SPOT_TARGET_ID=str(target))
    filtered = ET.SubElement(model, "FilteredTracks")
    for sperm_id in linked:
        ET.SubElement(filtered, "TrackID", TRACK_ID=str(sperm_id))
    source_info = story.opened.source
    px = (story.scales[-1][1] if known else None) or 1.0
    settings = ET.SubElement(root, "Settings")
    ET.SubElement(
        settings, "ImageData", filename="frames.ome.tif", folder="", width=str(source_info.width),
        height=str(source_info.height), nslices="1", nframes=str(len(index)),
        pixelwidth=_number(px), pixelheight=_number(px), voxeldepth="1.0",
        timeinterval=_number(_interval_s(story)),
    )  # fmt: skip
    ET.SubElement(settings, "InitialSpotFilter", feature="QUALITY", value="0.0", isabove="true")
    ET.SubElement(settings, "SpotFilterCollection")
    ET.SubElement(settings, "TrackFilterCollection")
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)
    return path


class _CurrentGrade:
    """The newest grade of a sperm where it is current and valid, asked place by place in rising order."""

    def __init__(self, story: Story, sperm: SpermStory) -> None:
        self._story = story
        self._coming = sorted(sperm.grades, key=lambda one: one.frame_seq)
        self._next = 0

    def at(self, point: TrackPoint) -> GradeInfo | None:
        while self._next < len(self._coming) and self._coming[self._next].frame_seq <= point.frame_seq:
            self._next += 1
        grade = self._coming[self._next - 1] if self._next else None
        worth = worth_at(self._story, point.track, grade, self._story.exposures_ns[point.frame_seq])
        valid = grade is not None and grade.validity is Validity.VALID and worth is GradeValidity.CURRENT
        return grade if valid else None


def _places(sperm: SpermStory, index: Mapping[int, int]) -> Iterator[TrackPoint]:
    return (point for point in sperm.points if point.track.state is not TrackState.LOST and point.frame_seq in index)


def _interval_s(story: Story) -> float:
    """Return the middle one of the times between frames; the nominal one where there are not two."""
    times = [story.t_s(seq) for seq in sorted(story.exposures_ns)]
    steps = sorted(after - before for before, after in pairwise(times))
    return round(steps[len(steps) // 2], 9) if steps else 1 / story.opened.source.fps


def _feature(parent: ET.Element, feature: str, name: str, short: str, dimension: str, whole: bool) -> None:
    ET.SubElement(
        parent, "Feature", feature=feature, name=name, shortname=short, dimension=dimension,
        isint="true" if whole else "false",
    )  # fmt: skip


def _number(value: float) -> str:
    return repr(float(value))
