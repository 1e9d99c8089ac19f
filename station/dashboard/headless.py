"""What a run says on standard output: without a dashboard a line now and then, and at the end a report."""

import textwrap

from station.dashboard.assessment import alarms, cautions
from station.dashboard.run_summary import RecordingSummary, ReplaySummary, RunSummary, SpermSummary
from station.dashboard.snapshot import Snapshot
from station.notice import NOTICE
from station.output import Writable, one_line, say, say_line
from station.transport.control_messages import ROSTFINE, ProcessName
from station.transport.counters import CaptureCounters, EngineCounters, counters_of
from station.transport.messages import GRADES, Validity

EVERY_S = 5.0
WIDTH = 80
BLIND = "BLIND: grades are hidden until a choice is marked"
DEMONSTRATION = "DEMONSTRATION model: its grades mean nothing about real sperm."


class HeadlessReport:
    """Prints what is running and each caution once, then a line of progress every few seconds."""

    def __init__(self, output: Writable) -> None:
        self._output = output
        self._introduced = False
        self._recording_said = False
        self._view_said = False
        self._blind = False
        self._next_s = EVERY_S
        self._said: set[str] = set()

    def show(self, snapshot: Snapshot) -> None:
        """Take in the state of the run; print where there is something to say."""
        source, model = snapshot.source, snapshot.model
        if source is None or model is None:
            return
        if not self._introduced:
            self._introduced = True
            say(NOTICE, file=self._output)
            say_line(
                f"source  {source.name}, {source.width} x {source.height} px, {source.fps:g} frames/s",
                file=self._output,
            )
            say_line(f"model   {model.title}, {model.runtime}", file=self._output)
            if model.demonstration:
                say(DEMONSTRATION, file=self._output)
        if snapshot.blind is not self._blind:
            self._blind = snapshot.blind
            say(BLIND if snapshot.blind else "grades are shown again", file=self._output)
        if snapshot.recording is not None and not self._recording_said:
            self._recording_said = True
            say_line(f"record  {snapshot.recording.folder}", file=self._output)
        if snapshot.view_link and not self._view_said:
            self._view_said = True
            say_line(f"view    {snapshot.view_link}", file=self._output)
        for caution in [*alarms(snapshot), *cautions(snapshot)]:
            kind = "".join(letter for letter in caution if not letter.isdigit())  # a count that rises is said once
            if kind not in self._said:
                self._said.add(kind)
                say(_caution(caution), file=self._output)
        if snapshot.elapsed_s >= self._next_s:
            self._next_s = snapshot.elapsed_s + EVERY_S
            captured = counters_of(CaptureCounters, snapshot.process(ProcessName.CAPTURE).status).captured
            grades = counters_of(EngineCounters, snapshot.process(ProcessName.ENGINE).status).grades
            say(f"{snapshot.elapsed_s:6.1f} s  {captured} frames, {grades} grades", file=self._output)


def closing_report(summary: RunSummary) -> str:
    """Return what a person wants to know when the run is over, in lines of at most 80 characters but for paths."""
    frames, latency = summary.frames, summary.latency_ms.exposure_to_grade
    graded = f"{summary.grades}"
    if latency.p50 is not None:
        graded += f", exposure to grade p50 {latency.p50:.0f} ms, p95 {latency.p95:.0f} ms"
    late = f", {frames.left_out} left out at the source" if frames.left_out else ""
    lines = [
        textwrap.fill(f"ended   {summary.ended}", WIDTH, subsequent_indent=" " * 8),
        f"frames  {frames.captured} captured{late}, {frames.tracked} tracked, {frames.dropped} dropped",
        f"grades  {graded}",
    ]
    if summary.recording is not None:
        lines += map(one_line, _recording_lines(summary.recording))
    if summary.replay is not None:
        lines += _replay_lines(summary.replay)
    for sperm in summary.sperm:
        network = summary.model.network if summary.model else ROSTFINE
        lines += _sperm_lines(sperm, network, hidden=summary.withheld is not None)
    lines += [_caution(caution) for caution in summary.cautions]
    if summary.model is not None and summary.model.demonstration:
        lines.append(DEMONSTRATION)
    lines.append(NOTICE)
    return "\n".join(lines)


def _replay_lines(replay: ReplaySummary) -> list[str]:
    """Return how much of a replay came out as it was recorded, to the last bit."""
    lines = [
        f"replay  tracks of {replay.tracks_as_recorded} frames exactly as recorded, {replay.tracks_differ} differ",
        f"replay  grades of {replay.grades_as_recorded} windows exactly as recorded, {replay.grades_differ} differ",
    ]
    if replay.windows_missing:
        lines.append(f"replay  {replay.windows_missing} windows that were graded in the recorded run are missing")
    return lines


def _recording_lines(recording: RecordingSummary) -> list[str]:
    """Return where the recording is, whether it is whole, and the hash to note against later changes."""
    if recording.stopped:
        state, until = "ENDED EARLY", " until then"
    else:
        closed = "INCOMPLETE" if recording.lost else "complete"
        state, until = closed if recording.complete else "NOT CLOSED PROPERLY", ""
    lost, size = recording.lost or "none", recording.size_bytes / 1e6
    lines = [
        f"record  {state}: {recording.frames} frames{until}, {lost} missing, {size:.1f} MB {recording.codec}",
        f"        {recording.folder}",
    ]
    return lines + ([f"chain   {recording.chain}"] if recording.chain else [])


def _sperm_lines(sperm: SpermSummary, network: str, *, hidden: bool) -> list[str]:
    last, state = sperm.last, sperm.state.value if sperm.state else "not seen"
    if last is None:
        return [f"sperm {sperm.id:>2}  {state} at the end, {'grades hidden' if hidden else 'never graded'}"]
    from station.dashboard.text import percent  # and rich, which a run starts without

    shares = " ".join(f"{letter} {percent(p)}" for letter, p in zip(GRADES, last.grade, strict=True))
    standing = last.standing.value if last.standing else "no longer tracked"
    padded = ", padded at the frame's edge" if last.validity is Validity.PADDED else ""
    ago = "" if last.frames_ago is None else f", {last.frames_ago} before the end"
    return [
        f"sperm {sperm.id:>2}  {state} at the end, {sperm.grades} grades",
        f"          {network} grade {shares}",
        f"          from frame {last.frame_seq}{ago}: {standing}{padded}",
    ]


def _caution(text: str) -> str:
    return textwrap.fill(f"! {text}", WIDTH, subsequent_indent="  ")
