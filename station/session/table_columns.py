"""The columns of a session's tables, what they mean, and where the tables come from.

The same thing has the same name in every table, with its unit. Times are given twice: in seconds since the session
began and as wall time; positions in px and, where the source's scale is known, in um. This module writes
``about.json``; it writes no table.
"""

import contextlib
import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa

from station.clock import NS_PER_S
from station.files import PRIVATE, write_atomically
from station.notice import NOTICE
from station.session.layout import TABLES, began_utc
from station.session.records import FileRecord, OpenedRecord, Record, StartRecord, TracksRecord
from station.transport.messages import GRADES

HEADS: Final = ("global", "spatial", "temporal")
ABOUT: Final = "about.json"
INT, REAL, TEXT = pa.int64(), pa.float64(), pa.string()
TIME: Final = [("t_s", REAL), ("time_utc", TEXT)]
POSITION: Final = [("x_px", REAL), ("y_px", REAL), ("x_um", REAL), ("y_um", REAL)]
COLUMNS: Final[dict[str, list[tuple[str, pa.DataType]]]] = {
    "frames": [
        ("event", INT), ("frame", INT), *TIME, ("t_source_s", REAL), ("exposure_to_sent_ms", REAL),
        ("lost_before", INT), ("exposure_id", INT), ("exposure_us", REAL), ("gain", REAL), ("file", TEXT),
        ("index_in_file", INT), ("pts_ms", INT), ("every", INT),
    ],
    "tracks": [
        ("event", INT), ("frame", INT), *TIME, ("sperm", INT), *POSITION, ("state", TEXT), ("score", REAL),
        ("reason", TEXT), ("window_filled", INT), ("unbroken_since", INT), ("broken_by", TEXT),
        ("disturbance", TEXT),
    ],
    "kinematics": [
        ("event", INT), ("frame", INT), *TIME, ("sperm", INT), ("vcl_um_s", REAL), ("vsl_um_s", REAL),
        ("vap_um_s", REAL), ("lin", REAL), ("str", REAL), ("wob", REAL), ("alh_max_um", REAL), ("alh_mean_um", REAL),
        ("bcf_hz", REAL), ("mad_deg", REAL), ("who_motility", TEXT), ("confidence", REAL), ("rate_hz", REAL),
        ("duration_s", REAL), ("refused", TEXT),
    ],
    "windows": [
        ("event", INT), ("frame", INT), *TIME, ("sperm", INT), *POSITION, ("first_frame", INT), ("last_frame", INT),
        ("t_first_source_s", REAL), ("t_last_source_s", REAL), ("padded", INT),
    ],
    "grades": [
        ("event", INT), ("frame", INT), *TIME, ("sperm", INT), *POSITION,
        *((f"grade_{letter}", REAL) for letter in GRADES),
        *((f"{head}_{letter}", REAL) for head in HEADS for letter in GRADES),
        ("validity", TEXT), ("exposure_to_grade_ms", REAL), ("first_frame", INT), ("span_ms", REAL),
        ("causes", TEXT), ("doubts", TEXT), ("stage_px", REAL), ("sharpness", REAL), ("saturated", REAL),
        ("brightest", REAL), ("nearest_px", REAL), ("repeated", INT),
    ],
    "events": [("event", INT), *TIME, ("kind", TEXT), ("what", TEXT)],
}  # fmt: skip
MEANING: Final = {
    "event": "number of the event in log.jsonl",
    "frame": "number of the frame, from 0; of a window its newest",
    "t_s": "seconds since the session began: of the frame's exposure, in events of the event",
    "time_utc": "the same as wall time (UTC), to 1 ms",
    "t_source_s": "seconds on the source's own time axis: in a file, the time in the file",
    "sperm": "number of the sperm in this session",
    "x_px": "px of the full frame, to the right, from 0; y_px likewise downwards",
    "x_um": "x_px in um, as y_um; empty where the source's scale is not known",
    "every": "one in so many frames of the source was sent then, at even distances; 1: all",
    "exposure_to_sent_ms": "from the end of the exposure until the frame was handed on",
    "exposure_to_grade_ms": "from the end of the newest frame's exposure until the grade was published",
    "grade_A": "probability of grade A, and so to grade_E; global_, spatial_ and temporal_: of that head alone",
    "vcl_um_s": "velocity along the path, as vsl_um_s straight from end to end, vap_um_s along the smoothed path",
    "lin": "VSL / VCL, as str VSL / VAP, wob VAP / VCL",
    "alh_max_um": "amplitude of lateral head displacement; empty, as bcf_hz, where the frame rate is too low for it",
    "who_motility": "class of the WHO manual (2021), in words",
    "rate_hz": "samples per second: kinematics of different rates must not be compared",
    "refused": "why there are no kinematics",
    "padded": "1 where a crop of the window reached over the frame's edge",
    "unbroken_since": "frame since which no gap has broken the window",
    "broken_by": "what broke it then",
    "validity": "valid, or the worst that applies when it was published: padded (at the edge), unsuited (see doubts), "
    "stale (older than 1 s), disturbed (see causes), gap (frames missing in the window)",
    "first_frame": "oldest frame of the window",
    "span_ms": "source time from the window's first to its last frame",
    "causes": "what disturbed the window: stage, focus, crossing, repeated, bright, dark; several are separated by ' '",
    "doubts": "why the model may be wrong for this source, whatever the window; several are separated by ';'",
    "stage_px": "how far the stage moved the picture during the window: length of its way",
    "sharpness": "least during the window: what edges rise over a tenth of a head beside four tenths; 0.41 and more in "
    "focus, below 0.37 out of focus; empty where there were no edges to judge by",
    "saturated": "largest share of pixels at 255 during the window",
    "brightest": "least grey level during the window that 99 % of the pixels do not pass",
    "nearest_px": "least distance to another followed head during the window, centre to centre; empty where none was "
    "near",
    "repeated": "pictures during the window that were exactly one of the 64 before",
}
"""What the columns mean whose names do not say all of it."""


class Provenance:
    """``about.json``: where the tables come from and what their columns mean; and what that says of every row."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TABLES / ABOUT
        self._began_ns: int | None = None
        self._began: datetime | None = None
        self._scales: list[tuple[int, float | None]] = []
        """From which frame on which scale, um/px, was in force."""
        self._content: dict[str, object] = {"notice": NOTICE}

    def add(self, t_ns: int, record: Record) -> None:
        """Learn when the session began and what the scale is."""
        if self._began_ns is None:
            self._began_ns = t_ns
        if isinstance(record, StartRecord):
            self._began_ns = t_ns
            if (began := began_utc(record.started_utc)) is not None:  # else, in a log that was altered: no wall time
                self._began = began.replace(tzinfo=None)
            self._content |= {
                "session": record.session, "started_utc": record.started_utc, "program": record.program,
                "git_commit": record.git_commit,
            }  # fmt: skip
        elif isinstance(record, OpenedRecord):
            self._scales = [(0, record.source.um_per_px)]
            self._content |= {
                "source": record.source.name, "fps": record.source.fps, "um_per_px": record.source.um_per_px,
                "model": record.model.name, "model_sha256": record.model.sha256, "stride": record.stride,
            }  # fmt: skip

        elif isinstance(record, TracksRecord):
            for done in record.header.applied_commands:
                if done.um_per_px is not None:
                    self._scales.append((record.header.frame_seq, done.um_per_px))
                    changes = [{"frame": frame, "um_per_px": scale} for frame, scale in self._scales[1:]]
                    self._content["um_per_px_changes"] = changes

    def times(self, t_ns: int) -> tuple[float, str]:
        """Return the columns of ``TIME`` for a reading of the station clock."""
        since_s = (t_ns - (self._began_ns or 0)) / NS_PER_S
        if self._began is None:
            return round(since_s, 6), ""
        return round(since_s, 6), (self._began + timedelta(seconds=since_s)).isoformat(" ", "milliseconds")

    def position(self, frame: int, x_px: float, y_px: float) -> tuple[float, float, float | None, float | None]:
        """Return the columns of ``POSITION``, at the scale of that frame."""
        scale = next((scale for first, scale in reversed(self._scales) if frame >= first), None)
        return (x_px, y_px, round(x_px * scale, 4), round(y_px * scale, 4)) if scale else (x_px, y_px, None, None)

    def write(self) -> FileRecord:
        """Write the file; return what the log may say of it. Raises OSError."""
        content = (json.dumps({**self._content, "columns": MEANING}, indent=2, ensure_ascii=False) + "\n").encode()
        write_atomically(self._path, content, PRIVATE)
        digest = hashlib.sha256(content).hexdigest()
        return FileRecord(file=f"{TABLES}/{ABOUT}", bytes=len(content), sha256=digest)

    def discard(self) -> None:
        """Take the file away again, as far as the disk lets it."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
