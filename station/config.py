"""The configuration of a station: one typed model, from a TOML file and the command line.

Every section is a frozen model that forbids unknown keys; a misspelt key fails with its path and the nearest valid
name. Units are in the names. This module knows values and their bounds, not what the processes do with them.
"""

import codecs
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from station.errors import InputError
from station.files import read_bounded
from station.objectives import ObjectiveName, Objectives
from station.ranges import MIN_FPS, FrameRate, Scale
from station.validation import explain

REPLAY = "replay:"
"""Prefix of a source that is a recorded session."""
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PATH_CURE = "in double quotes a backslash begins an escape: write a Windows path in single quotes, or with /"
MOST_POINTS = 256
"""Sperm selected by point: each takes its time in the first frame."""
MAX_BYTES, MAX_LINE = 1 << 16, 10_000
"""Size of a configuration file, and of a line in it: a key of ever more parts takes ever longer to read."""


class Section(BaseModel):
    """Base of all sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SourceSettings(Section):
    """[source] Where frames come from."""

    kind: str = "simulated"
    """"simulated", "basler" or "basler:SERIAL", "replay:SESSION", "tcp://[NAME@]HOST:PORT" (another
    machine), or the path of a video, a TIFF stack or a folder."""
    fps: FrameRate | None = None
    """Frame rate to go by instead of the source's own, 1/s; None: what the source says, else assumed, with a notice."""
    um_per_px: Scale | None = None
    """Micrometres per px of the source, where known."""
    objective: ObjectiveName | None = None
    """The objective in use, one of [objectives] or of those that were calibrated: it says um_per_px."""
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    """Bits in use, for images and videos of more than 8 bits; None: what the file says, else all of them."""

    @field_validator("kind")
    @classmethod
    def _is_named(cls, kind: str) -> str:
        """Refuse no name, which as a path is the current folder. As a bound on its length it would forbid odd names."""
        if not kind:
            raise ValueError("a source")
        return kind


Trigger = Literal["off", "line1", "line2", "line3", "line4"]


class CameraSettings(Section):
    """[camera] Settings sent to the camera; None leaves the camera's own."""

    pixel_format: str = "Mono8"
    """The camera's own name for it. All but Mono8 are converted to 8-bit grey, at a cost that is measured and shown."""
    width: Annotated[int, Field(ge=1, le=65535)] | None = None
    height: Annotated[int, Field(ge=1, le=65535)] | None = None
    offset_x: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Left edge of the picture on the sensor, px; None: a picture of the given width is centred."""
    offset_y: Annotated[int, Field(ge=0, le=65535)] | None = None
    exposure_us: Annotated[float, Field(gt=0, le=1e9)] | None = None
    gain: Annotated[float, Field(ge=0)] | None = None
    """In the camera's own unit: dB, or steps (classic GigE)."""
    fps: FrameRate | None = None
    """Frame rate in free run, 1/s."""
    trigger: Trigger = "off"
    """"off": free run; else each signal on that input exposes one frame, and [source] fps says how often it comes."""
    trigger_edge: Literal["rising", "falling"] = "rising"
    buffers: Annotated[int, Field(ge=2, le=1024)] = 32
    """Frames that the driver can hold while this process is not running."""
    features: dict[str, bool | int | float | str] = {}
    """Any other feature of the camera, by its GenICam name, set before the rest; true executes a command."""


class SimulatedSettings(Section):
    """[simulated] The simulated microscope."""

    width: Annotated[int, Field(ge=64, le=8192)] = 1392
    height: Annotated[int, Field(ge=64, le=8192)] = 976
    fps: Annotated[float, Field(ge=MIN_FPS, le=500)] = 15.0
    sperm: Annotated[int, Field(ge=0, le=500)] = 20
    """In the field at the start; later as many on average, as some leave and others enter."""
    debris: Annotated[int, Field(ge=0, le=2000)] = 60
    """Pieces of debris in the field, about one in six of them drifting."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1
    um_per_px: Scale = 0.25
    noise: Annotated[float, Field(ge=0, le=50)] = 2.5
    """Standard deviation of the camera noise in grey levels."""
    stage_speed_px_s: Annotated[float, Field(ge=0, le=2000)] = 0.0
    """Speed at which the stage moves for 1 s after every 3 s of rest; 0: it does not move."""


class TrackerSettings(Section):
    """[tracker] How selected sperm are tracked."""

    matcher: Literal["auto", "opencv", "torch"] = "auto"
    """OpenCV on the CPU, or torch (for CUDA); "auto": OpenCV, which keeps up with dozens of sperm."""
    head_px: Annotated[float, Field(ge=6, le=300)] | None = None
    """Side of the box around a head in px, about twice the head's length; None: measured at the first selection."""


class WindowSettings(Section):
    """[window] The clips cut for the network. Must be what the model was trained for; left out, it is taken from it."""

    frames: Annotated[int, Field(ge=1, le=256)] = 16
    size: Annotated[int, Field(ge=8, le=1024)] = 150
    """Side of the square crop in px."""
    stride: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = "auto"
    """Take every stride-th frame; "auto": the whole number that comes nearest to the model's frame rate."""


class EngineSettings(Section):
    """[engine] Which network, on which runtime."""

    model: str = str(Path(__file__).resolve().parent.parent / "models" / "demo")
    """Folder of the model; by default the one that comes with the program."""
    runtime: Literal["auto", "onnxruntime", "openvino", "torch", "tensorrt_rtx", "tensorrt"] = "auto"
    precision: Literal["auto", "float32", "float16", "bfloat16", "int8"] = "auto"
    """"auto": the fastest that the model was proven for and that holds on this machine."""
    force_model: bool = False
    """Grade even where the model was made for another scale or frame rate than the source's; every grade says so."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """CPU threads of the network; 0: all cores but one, at least one, so that the tracker keeps a core."""
    grades_per_s: Annotated[float, Field(ge=0, le=1000)] = 5.0
    """At most so many grades per second of one sperm, in a live run; 0: every window, as offline."""


class ReplaySettings(Section):
    """[replay] What a replay writes (``--source replay:SESSION``)."""

    comparison: str = ""
    """CSV file for recorded and new grades side by side; "": one in the current folder if the model is not the same."""
    from_s: Annotated[float, Field(ge=0, le=1e7)] = 0.0
    """Go there at once, in seconds from the session's first frame: every frame before is tracked and none is graded."""
    pause_s: Annotated[float, Field(ge=0, le=1e7)] | None = None
    """Pause at the last frame that is no later than so many seconds from the first; behind ``from_s``."""
    pace: Annotated[float, Field(ge=0.125, le=4)] = 1.0
    """Of the recorded pace; the nearest that a reviewer can choose."""
    every_window: bool = False
    """Grade every recorded window, not only those that were graded then; nothing is compared with recorded grades."""


class RecordSettings(Section):
    """[record] The flight recorder."""

    mode: Literal["all", "keep", "off"] = "all"
    """"all": every frame; "keep": tracks and grades, and frames only where the key k keeps them; "off": nothing."""
    folder: str | None = None
    """Folder for sessions; None: in the user's data folder (``station.session.layout``)."""
    codec: Literal["auto", "ffv1", "raw"] = "auto"
    """"auto": FFV1 where this machine can afford it at the source's frame rate, else uncompressed. Both lossless."""
    pre_trigger_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """The key k keeps so many seconds before it was pressed."""
    pre_trigger_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Memory for these seconds with mode "keep"; when it is full they become fewer."""
    chunk_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """A new video file starts after so much source time,"""
    chunk_mb: Annotated[int, Field(ge=1, le=100_000)] = 256
    """or this size."""
    queue_mb: Annotated[int, Field(ge=16, le=1_000_000)] = 512
    """Frames that may wait for the recorder; when it is full the oldest are lost to the record, counted and shown."""
    reserve_mb: Annotated[int, Field(ge=0, le=100_000_000)] = 1000
    """Recording stops when less than this is free on the disk."""
    max_session_mb: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Recording stops when a session reaches this size."""


class DashboardSettings(Section):
    """[dashboard] The terminal."""

    hz: Annotated[float, Field(ge=1, le=30)] = 10.0


class ViewSettings(Section):
    """[view] The live view in a browser."""

    enabled: bool = False
    host: str = "127.0.0.1"
    """Where it listens: this machine alone, or the name or address under which others reach this machine."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0: any that is free; the link says which."""


class Config(Section):
    """Everything a run depends on."""

    source: SourceSettings = SourceSettings()
    simulated: SimulatedSettings = SimulatedSettings()
    camera: CameraSettings = CameraSettings()
    tracker: TrackerSettings = TrackerSettings()
    window: WindowSettings = WindowSettings()
    engine: EngineSettings = EngineSettings()
    replay: ReplaySettings = ReplaySettings()
    record: RecordSettings = RecordSettings()
    dashboard: DashboardSettings = DashboardSettings()
    view: ViewSettings = ViewSettings()
    objectives: Objectives = {}
    """[objectives] The scale, um/px, by the name of the objective; in a run also those that were calibrated."""
    select: Annotated[
        tuple[Annotated[tuple[float, float], Field(strict=False)], ...], Field(strict=False, max_length=MOST_POINTS)
    ] = ()
    """Points (x, y) in px of the first frame at which sperm are selected."""
    select_auto: Annotated[int, Field(ge=0, le=64)] = 4
    """How many sperm are selected automatically where no point is given."""
    replace_lost_s: Annotated[float, Field(ge=0, le=3600)] = 3.0
    """A sperm that was selected automatically and has been lost for so long is replaced by the next best; 0: never."""
    label: Annotated[str, Field(max_length=80)] = ""
    """What the recorded session is called in lists and reports; no names of persons."""
    blind: bool = False
    """Study mode: grades are hidden everywhere until the operator has marked a choice."""
    operator: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,32}$")] = ""
    """Pseudonym of who operates, for studies; never a name."""
    speed: Literal["live", "max"] = "live"
    """"max": as fast as the machine allows, nothing dropped (files and simulation only)."""
    duration_s: Annotated[float, Field(gt=0, le=1e7)] | None = None
    """Ends the run after this much source time."""

    @property
    def extras(self) -> frozenset[str]:
        """The processes that run beside the pipeline, by name."""
        wanted = {"recorder": self.record.mode != "off", "view": self.view.enabled}
        return frozenset(name for name, runs in wanted.items() if runs)

    @property
    def lossless(self) -> bool:
        """True where nothing may be dropped and senders wait: offline, and in a replay at any speed."""
        return self.speed == "max" or self.replay_of is not None

    @property
    def replay_of(self) -> Path | None:
        """The folder of the session to replay; None for any other source."""
        if not self.source.kind.startswith(REPLAY):
            return None
        try:
            return Path(self.source.kind.removeprefix(REPLAY)).expanduser()
        except RuntimeError:
            raise InputError(f"source {self.source.kind}: no such user; give the full path of the folder") from None


def load_config(path: Path) -> Config:
    """Read a TOML file, in UTF-8 or UTF-16, with or without a byte order mark. Raises InputError with all mistakes."""
    origin = f"configuration {path}"
    try:
        content = read_bounded(path, MAX_BYTES)
    except OSError as error:
        raise InputError(f"{origin}: cannot be read ({error.strerror}); give the path of a TOML file") from error
    try:
        text = content.decode("utf-16" if content.startswith(UTF_16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{origin}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    if (longest := max(map(len, text.splitlines()), default=0)) > MAX_LINE:
        raise InputError(f"{origin}: a line of {longest} characters; write settings on lines of at most {MAX_LINE}")
    try:
        data = tomllib.loads(text)
        _refuse_escapes(data, origin)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{origin}: not valid TOML ({error}); {_toml_cure(text, error)}") from error
    except RecursionError:
        raise InputError(f"{origin}: is nested too deep; give sections of plain values") from None
    except ValueError:  # of Python's own making of numbers
        raise InputError(f"{origin}: a number has thousands of digits; give a smaller one") from None
    return build_config(data, origin)


def build_config(data: dict[str, Any], origin: str) -> Config:
    """Validate nested plain values. ``origin`` opens the error message."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{origin}: {explain(error, Config)}") from error


def require_used_settings(config: Config) -> None:
    """Refuse settings that the source of this run would ignore. Raises InputError.

    A file, a folder and a camera take ``[source] um_per_px`` in place of what they state themselves; the simulated
    microscope and a recorded session have a scale of their own.
    """
    if config.source.objective is not None:
        if config.source.um_per_px is not None:
            raise InputError("[source] objective and um_per_px: both say the scale; leave one of them out")
        if config.replay_of is not None:
            raise InputError("[source] objective: a replay has the scale of the recording; leave it out")
    given = [key for key in ("fps", "um_per_px", "bits") if getattr(config.source, key) is not None]
    if given and config.source.kind == "simulated":
        own = ", ".join(key for key in given if key != "bits")
        cure = f"set [simulated] {own}" if own else "leave it out"
        raise InputError(f"[source] {', '.join(given)}: not for the simulated microscope; {cure}")
    if given and config.replay_of is not None:
        raise InputError(f"[source] {', '.join(given)}: a replay takes these from the recorded session; leave them out")


def _toml_cure(text: str, error: tomllib.TOMLDecodeError) -> str:
    place = re.search(r"at line (\d+)", str(error))
    lines = text.splitlines()
    line = lines[int(place.group(1)) - 1] if place and int(place.group(1)) <= len(lines) else ""
    return PATH_CURE if re.search(r'"[^"]*\\', line) else "fix that line"


def _refuse_escapes(value: Any, origin: str, key: str = "") -> None:
    r"""Refuse text in which a backslash became a tab or a new line: "C:\new\tracks" is valid TOML."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_escapes(inner, origin, f"{key}.{name}" if key else name)
    elif isinstance(value, str) and not value.isprintable():
        raise InputError(f"{origin}: '{key}': {value!r} holds a control character; {PATH_CURE}")
    elif isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        raise InputError(f"{origin}: '{key}': {value} has quotes inside the quotes; leave out the inner ones")
