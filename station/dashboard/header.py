"""The upper part of the screen: source, model, processes, losses, latency.

It words what ``station.dashboard.assessment`` finds; the sperm are drawn by ``station.dashboard.sperm_table``.
"""

from rich.cells import cell_len
from rich.text import Text

from station.dashboard.assessment import (
    LATENCY_PARTS,
    LATENCY_TOTAL,
    Overall,
    ProcessCondition,
    condition,
    latency,
    overall,
    progress_age_s,
    source_slow,
)
from station.dashboard.playback import playback_text, share_played
from station.dashboard.snapshot import Snapshot
from station.dashboard.text import NOT_AVAILABLE, Glyphs, clock, fit, flow, shorten
from station.transport.control_messages import PIPELINE, Percentiles, PlaybackInfo, ProcessName, RecordingInfo

DEMONSTRATION = "DEMONSTRATION trained on simulated clips: grades mean nothing about real sperm"
"""At most as wide as the narrowest full screen, so that it is always one whole line."""
OVERALL_STYLE = {Overall.FAILED: "bold red reverse", Overall.ATTENTION: "bold magenta reverse"}
LABEL = 8
CAMERA_CLOCK = "camera_clock_error"
"""Name in ``ProcessStatus.recent_ms``; only cameras with a clock have it."""


def title_line(snapshot: Snapshot, width: int) -> Text:
    """Return the bar at the top: the program, its overall condition, its pace."""
    found = overall(snapshot)
    pace = "live" if snapshot.speed == "live" else "as fast as possible, not live"
    if snapshot.replay:
        pace = "replay, not live" if snapshot.speed == "live" else "replay, as fast as possible"
    left, right = " RoSTFine station  ", f"{pace}  {clock(snapshot.elapsed_s)} "
    gap = " " * max(1, width - len(left) - len(found.value) - 2 - len(right))
    return Text.assemble(
        (left, "bold reverse"),
        (f" {found.value} ", OVERALL_STYLE.get(found, "bold reverse")),
        (gap + right, "reverse"),
    )


def source_line(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Text:
    """Return the source with its size, frame rate and scale."""
    source = snapshot.source
    if source is None:
        return _labelled("Source", "N/A, not open yet", "", 20, width, glyphs)
    rate_hz = snapshot.process(ProcessName.CAPTURE).rate_hz
    rate = NOT_AVAILABLE if rate_hz is None else f"{rate_hz:.1f}"
    slow = ", SLOW" if source_slow(snapshot) else ""
    scale = "scale not known" if source.um_per_px is None else f"{source.um_per_px:.3g} um/px"
    scale += f" ({source.objective})" if source.objective else ""
    facts = f"  {source.width} x {source.height} px  {rate} fps (nominal {source.fps:.1f}{slow})  {scale}"
    clock_error = latency(snapshot, CAMERA_CLOCK)
    if clock_error is not None:
        facts += f"  camera clock within {clock_error.max:.2f} ms"
    return _labelled("Source", source.name, facts, 12, width, glyphs)


def model_line(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Text:
    """Return the model with its hash, its runtime and what it was trained for."""
    model = snapshot.model
    if model is None:
        return _labelled("Model", "N/A, not loaded yet", "", 20, width, glyphs)
    scale = "any scale" if model.um_per_px is None else f"{model.um_per_px:.3g} um/px"
    rate = "" if model.fps is None else f", {model.fps:.3g} fps"
    facts = f" {model.sha256[:8]}  trained for {scale}{rate}  {glyphs.clean(model.runtime)}"
    return _labelled("Model", model.title, facts, 20, width, glyphs)


STANDS_STILL = (ProcessCondition.FAILED, ProcessCondition.NO_PROGRESS, ProcessCondition.SUSPENDED)


def process_lines(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    """Return the row of processes: two lines, one column for each."""
    cell = width // len(PIPELINE)
    upper, lower = Text(), Text()
    for name in PIPELINE:
        found = condition(snapshot, name)
        sign, style = _sign(found, glyphs)
        word = found.value.upper() if found in STANDS_STILL else found.value
        upper.append(f"{name.value:{LABEL}}", "bold")
        upper.append(fit(f"{sign} {word}", cell - LABEL, glyphs), style)
        lower.append(fit(_pace(snapshot, name, found, cell), cell, glyphs))
    return [upper, lower]


def drop_lines(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    """Return the losses of each link so far."""
    items = [f"{glyphs.clean(name)} {count}" for name, count in snapshot.drops.items()]
    return flow(f"{'Dropped':{LABEL}}", items or [NOT_AVAILABLE], width, glyphs)


def replay_line(playback: PlaybackInfo, width: int, glyphs: Glyphs) -> Text:
    """Return where a replay is, with a bar."""
    text = playback_text(playback)
    cells = max(0, min(40, width - LABEL - cell_len(text) - 4))
    done = round(cells * share_played(playback))
    bar = f"  [{'=' * done}{'-' * (cells - done)}]" if cells >= 5 else ""
    return _labelled("Replay", text, bar, 20, width, glyphs)


def recording_line(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Text:
    """Return whether this run is recorded, how much so far, and for how long the disk has room."""
    if ProcessName.RECORDER not in snapshot.processes and snapshot.playback is not None:
        return replay_line(snapshot.playback, width, glyphs)
    if ProcessName.RECORDER not in snapshot.processes:
        return _labelled("Record", "off", ", nothing is recorded", 3, width, glyphs)
    recording = snapshot.recording
    if recording is None:
        word = (
            "STOPPED"
            if condition(snapshot, ProcessName.RECORDER) is ProcessCondition.FAILED
            else "N/A, not started yet"
        )
        return _labelled("Record", word, "", 20, width, glyphs)
    over = bool(recording.stopped) or condition(snapshot, ProcessName.RECORDER) is ProcessCondition.FAILED
    if over:
        name = f"{glyphs.alarm} STOPPED"
    elif recording.mode == "keep":
        name = f"{glyphs.idle} kept frames only"
    else:
        name = f"{glyphs.running} every frame"
    facts = f"  {recording.frames} frames, {recording.lost} lost, {recording.size_bytes / 1e6:.1f} MB {recording.codec}"
    if recording.pre_trigger_s is not None:
        facts += f"  k keeps {recording.pre_trigger_s:.0f} s"
    if recording.kept:
        facts += f"  kept {recording.kept}"
    if recording.left_s is not None and not over:
        facts += f"  room {room(recording.left_s)}"
    return _labelled("Record", name, f"{facts}  {session_name(recording)}", 19, width, glyphs)


def view_lines(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    """Return the link of the live view, whole or not at all: part of it opens nothing."""
    link = snapshot.view_link
    if not link:
        return []
    shown = glyphs.clean(link) if LABEL + cell_len(link) <= width else "link too long for this terminal: make it wider"
    return [Text.assemble((f"{'View':{LABEL}}", "bold"), fit(shown, width - LABEL, glyphs))]


def room(seconds: float) -> str:
    """Return how long the disk will last, in a unit that people can picture."""
    if seconds >= 100 * 3600:
        return "> 100 h"
    return f"{seconds / 3600:.0f} h" if seconds >= 5 * 3600 else f"{seconds / 60:.0f} min"


def session_name(recording: RecordingInfo) -> str:
    """Return the last part of the session's folder."""
    return recording.folder.replace("\\", "/").rpartition("/")[2]


def latency_lines(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    """Return the time from exposure to grade and its parts: always two lines, so that nothing below moves."""
    total = latency(snapshot, LATENCY_TOTAL)
    if total is None:
        first, second = "N/A, no grade yet", ""
    else:
        first = f"exposure to grade, p50/p95: {_milliseconds(total)} ms (latest {total.count} grades)"
        parts = [f"{word} {_milliseconds(latency(snapshot, name))}" for word, name in LATENCY_PARTS.items()]
        second = f"{', '.join(parts)} ms"
        if cell_len(second) > width - LABEL:  # the first part matters least
            second = f"{glyphs.ellipsis} {', '.join(parts[1:])} ms"
    return [
        Text.assemble((f"{label:{LABEL}}", "bold"), fit(text, width - LABEL, glyphs))
        for label, text in (("Latency", first), ("", second))
    ]


def _labelled(label: str, name: str, facts: str, at_least: int, width: int, glyphs: Glyphs) -> Text:
    """Return a line that fits: the name is shortened first, down to ``at_least`` cells, then the end of the facts."""
    shown = shorten(glyphs.clean(name), max(at_least, width - LABEL - cell_len(facts)), glyphs)
    return Text.assemble(
        (f"{label:{LABEL}}", "bold"), (shown, "bold"), fit(facts, width - LABEL - cell_len(shown), glyphs)
    )


def _sign(found: ProcessCondition, glyphs: Glyphs) -> tuple[str, str]:
    if found in STANDS_STILL:
        return glyphs.alarm, "bold red"
    if found is ProcessCondition.RUNNING:
        return glyphs.running, "green"
    return (glyphs.ended if found is ProcessCondition.ENDED else glyphs.idle), ""


def _pace(snapshot: Snapshot, name: ProcessName, found: ProcessCondition, width: int) -> str:
    """Return the rate of a process and the time since its last progress."""
    age_s = progress_age_s(snapshot, name)
    if found is ProcessCondition.FAILED:
        return "see below"
    if found in (ProcessCondition.ENDED, ProcessCondition.READY) or age_s is None:
        return ""
    if found in (ProcessCondition.NO_PROGRESS, ProcessCondition.SUSPENDED, ProcessCondition.STARTING):
        return f"for {age_s:.1f} s"
    if found is ProcessCondition.WAITING:
        return "no sperm has a full window"
    rate_hz, unit = snapshot.process(name).rate_hz, "grades/s" if name is ProcessName.ENGINE else "frames/s"
    rate = NOT_AVAILABLE if rate_hz is None else f"{rate_hz:.1f}" if rate_hz < 999.95 else f"{rate_hz:.0f}"
    return f"{rate} {unit}, {'last progress ' if width >= 40 else ''}{age_s:.1f} s ago"


def _milliseconds(found: Percentiles | None) -> str:
    """Return p50/p95, in ms."""
    if found is None:
        return NOT_AVAILABLE
    digits = 1 if found.p95 < 9.95 else 0
    return f"{found.p50:.{digits}f}/{found.p95:.{digits}f}"
