"""What a report says of a session, as plain values for the page: which window is shown, which figures, in which words.

It decides what is said; ``page.html`` how it looks.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup

from station.archive.catalogue import began, folder_bytes, recorded_label
from station.archive.moments import Choice, Seen, Span, choices, shares, spans
from station.archive.story import SpermStory, Story, WindowKey
from station.archive.windows import CutWindow, cut_windows
from station.dashboard.assessment import GradeValidity, disturbed_by
from station.machine import usable_cores
from station.report import clips, plots
from station.session.annotations import Annotations, read_annotations
from station.transport.control_messages import Percentiles
from station.transport.messages import GradeInfo, KinematicsInfo, TrackState, Validity

KINEMATICS = (
    ("VCL", "vcl_um_s", "um/s"), ("VSL", "vsl_um_s", "um/s"), ("VAP", "vap_um_s", "um/s"), ("LIN", "lin", ""),
    ("STR", "straightness", ""), ("WOB", "wob", ""), ("ALH max", "alh_max_um", "um"), ("ALH mean", "alh_mean_um", "um"),
    ("BCF", "bcf_hz", "Hz"), ("MAD", "mad_deg", "degrees"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clip:
    """The pictures of one window; addresses hold the data."""

    animation: str
    still: str
    patches: str
    patches_still: str
    """Empty where the record does not say which patches were selected."""


@dataclass(frozen=True, slots=True)
class GradeRow:
    """A grade in words and numbers."""

    shares: tuple[tuple[str, str, float], ...]
    """Letter, share in words, share."""
    age: str
    worth: str
    current: bool


@dataclass(frozen=True, slots=True)
class SpermReport:
    """One sperm of the report."""

    sperm_id: int
    chosen: bool
    followed: str
    graded: str
    clip: Clip | None
    why_no_clip: str
    shown: str
    """Which window the clip is."""
    grade: GradeRow | None
    grades_plot: Markup
    trajectory: Markup
    kinematics: tuple[tuple[str, str, str], ...]
    """Name, value, unit."""
    motility: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeenRow:
    """A sperm on the screen when one was chosen."""

    sperm_id: int
    chosen: bool
    state: str
    grade: GradeRow | None


@dataclass(frozen=True, slots=True)
class ChoiceReport:
    """A mark of the operator, and what was on the screen then."""

    when: str
    sperm_id: int
    by: str
    note: str
    blind: bool
    """No grade of a candidate had been shown by then."""
    hidden_since: str
    """Where it is not blind and grades were hidden at the mark: since when; else empty."""
    rows: tuple[SeenRow, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that the page shows."""

    session: str
    label: str
    began: str
    length: str
    ended: str
    demonstration: bool
    facts: tuple[tuple[str, str], ...]
    sperm: tuple[SpermReport, ...]
    choices: tuple[ChoiceReport, ...]
    notes: tuple[tuple[str, str, str], ...]
    """When, what, by whom."""
    later: tuple[tuple[str, str, str], ...]
    """The same of what was written after the run."""
    camera: tuple[tuple[str, str], ...]
    losses: tuple[tuple[str, str], ...]
    latency: tuple[tuple[str, Percentiles], ...]
    provenance: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]
    damage: tuple[str, ...]


def content_of(story: Story, keep_going: Callable[[], object] = lambda: None) -> Content:
    """Return what a report says of a session; cuts one window for each sperm."""
    made = choices(story)
    later = read_annotations(story.folder, story.start.session)
    picked = {sperm_id: _picked(story, sperm, made) for sperm_id, sperm in sorted(story.sperm.items())}
    pictures = _clips(story, {(sperm_id, grade.frame_seq): grade for sperm_id, grade in picked.items() if grade})
    sperm: list[SpermReport] = []
    for sperm_id, grade in picked.items():
        keep_going()
        clip = None if grade is None else pictures[sperm_id, grade.frame_seq]
        sperm.append(_sperm_report(story, story.sperm[sperm_id], grade, clip, made, later))
    opened = story.opened
    return Content(
        session=story.start.session,
        label=later.label if later.label is not None else recorded_label(story.start),
        began=_wall(story, 0.0),
        length=_time(story.length_s),
        ended=_ended(story),
        demonstration=opened.model.demonstration,
        facts=tuple(_facts(story, made, later)),
        sperm=tuple(sperm),
        choices=tuple(_choice_report(story, choice) for choice in made),
        notes=tuple(_notes(story)),
        later=tuple(_later(later)),
        camera=tuple(_camera(story)),
        losses=tuple(_losses(story)),
        latency=tuple(_latency(story)),
        provenance=tuple(_provenance(story, later)),
        notices=tuple(dict.fromkeys(n for status in story.statuses.values() for n in status.notices)),
        damage=(*story.damage, *later.faults),
    )


def _picked(story: Story, sperm: SpermStory, made: Sequence[Choice]) -> GradeInfo | None:
    """Return the grade whose window is shown: what was on the screen when it was chosen, else its newest."""
    for choice in made:
        chosen = choice.chosen
        if choice.sperm_id == sperm.sperm_id and chosen is not None and chosen.grade is not None:
            return chosen.grade
    known = [one for one in sperm.grades if (sperm.sperm_id, one.frame_seq) in story.windows]
    return max(known or sperm.grades, key=lambda one: one.frame_seq, default=None)


def _sperm_report(
    story: Story,
    sperm: SpermStory,
    grade: GradeInfo | None,
    clip: Clip | str | None,
    made: Sequence[Choice],
    later: Annotations,
) -> SpermReport:
    mine = [choice for choice in made if choice.sperm_id == sperm.sperm_id]
    worth = spans(story, sperm)
    chosen = next((one.chosen for one in mine if one.chosen and one.chosen.grade is grade), None)
    if grade is None:
        shown = ""
    elif chosen is not None:
        shown = "the newest graded window when it was marked as chosen"
    else:
        shown = f"its last graded window, {_time(story.grade_t_s(grade))} into the session"
    near = _kinematics(sperm, grade.frame_seq if grade is not None else None)
    return SpermReport(
        sperm_id=sperm.sperm_id,
        chosen=bool(mine),
        followed=_followed(story, sperm),
        graded=_graded(sperm, worth),
        clip=clip if isinstance(clip, Clip) else None,
        why_no_clip="it was never graded" if grade is None else clip if isinstance(clip, str) else "",
        shown=shown,
        grade=None if grade is None else _grade_row(story, grade, chosen),
        grades_plot=plots.grades_over_time(story, sperm, worth, mine),
        trajectory=plots.trajectory(story, sperm),
        kinematics=tuple(_kinematics_rows(near)),
        motility="" if near is None else near.refused or near.motility,
        remarks=tuple(
            [f"marked as chosen at {_time(one.t_s)}{f': {one.note}' if one.note else ''}" for one in mine]
            + [
                f"marked by a reviewer, {one.when:%Y-%m-%d}{f': {one.what.text}' if one.what.text else ''}"
                for one in later.remarks
                if getattr(one.what, "sperm_id", None) == sperm.sperm_id
            ]
        ),
    )


def _clips(story: Story, wanted: dict[WindowKey, GradeInfo]) -> dict[WindowKey, Clip | str]:
    """Return the pictures of windows, or why there are none: coded on all cores while the next ones are cut."""
    with ThreadPoolExecutor(usable_cores()) as coders:
        coded = [
            (key, window if isinstance(window, str) else coders.submit(_clip, story, wanted[key], window))
            for key, window in cut_windows(story, wanted)
        ]
        return {key: clip if isinstance(clip, str) else clip.result() for key, clip in coded}


def _clip(story: Story, grade: GradeInfo, window: CutWindow) -> Clip:
    grid = story.opened.model.patch_grid
    if grade.patches is None or not grid:
        return Clip(clips.animation(window), clips.still(window), "", "")
    return Clip(
        clips.animation(window),
        clips.still(window),
        clips.patches_animation(window, grade.patches, grid),
        clips.patches_still(window, grade.patches, grid),
    )


def _grade_row(story: Story, grade: GradeInfo, seen: Seen | None) -> GradeRow:
    """Return a grade; ``seen``: as it stood on the screen, where it did."""
    age = "" if seen is None or seen.age_s is None else f"{seen.age_s:.1f} s old"
    current = seen is None or seen.validity is GradeValidity.CURRENT
    standing = "" if seen is None else seen.validity.value
    if seen is not None and seen.validity is GradeValidity.DISTURBED:
        standing = f"disturbed: {disturbed_by(seen.track, grade)}"
    window = "" if grade.validity in (Validity.VALID, Validity.DISTURBED) and seen is not None else _window_worth(grade)
    demonstration = "demonstration model" if story.opened.model.demonstration else ""
    worth = ", ".join(word for word in (standing, window, demonstration) if word)
    rows = tuple((letter, "<1 %" if 0 < p < 0.01 else f"{p:.0%}".replace("%", " %"), p) for letter, p in shares(grade))
    return GradeRow(rows, age, worth, current)


def _window_worth(grade: GradeInfo) -> str:
    """Return what speaks against a grade's window itself, whatever became of the sperm since."""
    doubts = [doubt.value for doubt in grade.evidence.doubts] if grade.evidence is not None else []
    if grade.validity is Validity.PADDED:
        return "padded at the frame's edge"
    return doubts[0] if doubts else "" if grade.validity is Validity.VALID else grade.validity.value


def _choice_report(story: Story, choice: Choice) -> ChoiceReport:
    rows = tuple(
        SeenRow(
            one.sperm_id,
            one.sperm_id == choice.sperm_id,
            f"{one.track.state.value}{f' ({one.track.reason})' if one.track.reason else ''}",
            None if one.grade is None else _grade_row(story, one.grade, one),
        )
        for one in choice.seen
    )
    since = "" if choice.hidden_since_s is None else _time(choice.hidden_since_s)
    when, by = _time(choice.t_s), choice.asked_by
    return ChoiceReport(when, choice.sperm_id, by, choice.note, choice.blind, since, rows)


def _kinematics(sperm: SpermStory, frame_seq: int | None) -> KinematicsInfo | None:
    """Return how it swam nearest before a frame, or last; what says something before what was refused."""
    known = [info for seq, info in sperm.kinematics if frame_seq is None or seq <= frame_seq]
    said = [info for info in known if not info.refused] or [i for _, i in sperm.kinematics if not i.refused]
    return said[-1] if said else known[-1] if known else None


def _kinematics_rows(info: KinematicsInfo | None) -> Iterator[tuple[str, str, str]]:
    if info is None or info.refused:
        return
    for name, field, unit in KINEMATICS:
        value = getattr(info, field)
        if value is not None:
            yield name, f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}", unit


def _followed(story: Story, sperm: SpermStory) -> str:
    if not sperm.points:
        return "not in the record"
    first, last = sperm.points[0].frame_seq, sperm.points[-1].frame_seq
    locked = sum(point.track.state is TrackState.LOCKED for point in sperm.points)
    return f"{_time(story.t_s(first))} to {_time(story.t_s(last))}, locked in {locked} of {len(sperm.points)} frames"


def _graded(sperm: SpermStory, worth: Sequence[Span]) -> str:
    current_s = sum(span.to_s - span.from_s for span in worth if span.validity is GradeValidity.CURRENT)
    return f"{len(sperm.grades)} grades, the newest current for {current_s:.1f} s in all"


def _facts(story: Story, made: Sequence[Choice], later: Annotations) -> Iterator[tuple[str, str]]:
    source = story.opened.source
    scale = "scale not known" if source.um_per_px is None else f"{source.um_per_px:.4g} um/px"
    for first, um_per_px in story.scales[1:]:
        scale += f", from frame {first} on {um_per_px:.4g} um/px"
    yield "Began", _wall(story, 0.0)
    yield "Length", f"{_time(story.length_s)}, {_ended(story)}"
    yield "Sperm followed", str(len(story.sperm))
    yield "Marked as chosen", f"{len(made)}, and {sum(hasattr(o.what, 'sperm_id') for o in later.remarks)} later"
    yield "Source", f"{source.name}, {source.width} x {source.height} px, {source.fps:g} frames/s, {scale}"
    model = story.opened.model
    yield "Model", f"{model.title} ({model.sha256[:12]}){', DEMONSTRATION' if model.demonstration else ''}"
    if not story.live:
        yield "Pace", "offline, as fast as the machine could: ages and latencies are those of that machine's queue"


def _notes(story: Story) -> Iterator[tuple[str, str, str]]:
    for action in story.actions:
        if action.name == "note":
            frame = story.frame_at(action.t_ns)
            yield _time(0.0 if frame is None else story.t_s(frame)), action.details, action.asked_by


def _later(later: Annotations) -> Iterator[tuple[str, str, str]]:
    for one in later.written:
        at = getattr(one.what, "at", None)
        moment = f" at {_time(at.t_s)}" if at is not None else ""
        sperm_id = getattr(one.what, "sperm_id", None)
        kind = "label" if not hasattr(one.what, "at") else "note" if sperm_id is None else f"chosen: sperm {sperm_id}"
        yield f"{one.when:%Y-%m-%d %H:%M} UTC", one.what.text, f"{kind}{moment}"


def _camera(story: Story) -> Iterator[tuple[str, str]]:
    yield from story.opened.source.settings.items()
    exposures = {frame.header.exposure_us for frame in story.frames.values() if frame.header.exposure_us is not None}
    if exposures:
        yield "exposure of the frames", f"{min(exposures):g} to {max(exposures):g} us"
    yield (
        "changes of exposure, gain or region",
        str(len({f.header.exposure_id for f in story.frames.values()} or {0}) - 1),
    )
    disturbed = [text for _, text in story.disturbances if text]
    if disturbed:
        yield "disturbances of the field", f"{len(disturbed)} ({', '.join(dict.fromkeys(disturbed))})"


def _losses(story: Story) -> Iterator[tuple[str, str]]:
    yield "frames in the record", str(len(story.frames))
    yield "lost by the source", str(sum(frame.header.lost_before for frame in story.frames.values()))
    if thinned := sum(frame.header.every - 1 for frame in story.frames.values()):
        yield "left out evenly at the source", f"{thinned}, as this machine could not carry all"
    for name, status in story.statuses.items():
        counted = status.counters.model_dump(exclude_unset=True)
        said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in counted.items() if value is not None)
        if said:
            yield name.value, said
    for (link, reason), count in story.losses.items():
        yield f"missing in the record: {link}", f"{count} ({reason})"
    if story.stopped:
        yield "recording stopped", story.stopped


def _latency(story: Story) -> Iterator[tuple[str, Percentiles]]:
    for status in story.statuses.values():
        for name, found in status.latency_ms.items():
            if found.count:
                yield name.replace("_", " "), found


def _provenance(story: Story, later: Annotations) -> Iterator[tuple[str, str]]:
    start, model = story.start, story.opened.model
    yield "session", start.session
    yield "program", f"{start.program}, commit {start.git_commit or 'unknown'}"
    yield "model file, SHA-256", model.sha256
    if model.plan_sha256:
        yield "compiled plan, SHA-256", model.plan_sha256
    yield "runtime", model.runtime
    yield "machine", ", ".join(f"{key} {value}" for key, value in start.machine.items())
    yield "packages", ", ".join(f"{key} {value}" for key, value in start.packages.items())
    yield "events", f"{story.events}, chain checked while they were read"
    yield "size", f"{folder_bytes(story.folder) / 1e6:.1f} MB"
    yield "last chain value", story.chain
    if later.chain:
        yield "last chain value of what was written later", later.chain


def _ended(story: Story) -> str:
    return {"complete": "whole", "stopped": f"stopped early: {story.stopped}"}.get(story.outcome.value, "cut off")


def _wall(story: Story, t_s: float) -> str:
    found = began(story.start)
    return "unknown" if found is None else f"{found + timedelta(seconds=t_s):%Y-%m-%d %H:%M:%S} UTC"


def _time(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"
