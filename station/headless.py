"""What a run says on standard output: a line now and then without a dashboard, and a closing report."""

from typing import Any

from station.dashboard_text import percent
from station.messages import GRADES, StageName
from station.snapshot import Snapshot
from station.summary import NOTICE

EVERY_S = 5.0


class HeadlessReport:
    """Prints what is running, once, and a line on progress every few seconds."""

    def __init__(self) -> None:
        self._introduced = False
        self._next_s = EVERY_S

    def show(self, snapshot: Snapshot) -> None:
        """Take in the state of the run; print where there is something to say."""
        source, model = snapshot.source, snapshot.model
        if not self._introduced and source is not None and model is not None:
            self._introduced = True
            demonstration = (
                " (a demonstration: its grades mean nothing about real sperm)" if model.demonstration else ""
            )
            print(NOTICE)
            print(f"source  {source.name}, {source.width} x {source.height} px, {source.fps:g} frames/s")
            print(f"model   {model.name}{demonstration}, {model.runtime}", flush=True)
        if snapshot.elapsed_s >= self._next_s:
            self._next_s = snapshot.elapsed_s + EVERY_S
            counts = {stage: view.status.counters for stage, view in snapshot.stages.items() if view.status}
            captured = counts.get(StageName.CAPTURE, {}).get("captured", 0)
            grades = counts.get(StageName.ENGINE, {}).get("grades", 0)
            print(f"{snapshot.elapsed_s:6.1f} s  {captured} frames, {grades} grades", flush=True)


def closing_report(summary: dict[str, Any]) -> str:
    """Return what a person wants to know when the run is over, from the summary document; lines of 80 at most."""
    frames, latency = summary["frames"], summary["latency_ms"]["exposure_to_grade"]
    lines = [
        f"frames  {frames['captured']} captured, {frames['tracked']} tracked, {frames['dropped']} dropped",
        f"grades  {summary['grades']}, exposure to grade p50 {latency['p50']:.0f} ms, p95 {latency['p95']:.0f} ms",
    ]
    for sperm in summary["sperm"]:
        last, state = sperm["last"], sperm["state"] or "not seen"
        if last is None:
            lines.append(f"sperm {sperm['id']:>2}  now {state}, never graded")
            continue
        shares = " ".join(f"{letter} {percent(p)}" for letter, p in zip(GRADES, last["grade"], strict=True))
        lines.append(
            f"sperm {sperm['id']:>2}  now {state}, {sperm['grades']} grades, the last at frame {last['frame_seq']}:"
        )
        lines.append(f"          RoSTFine grade {shares} ({last['validity']})")
    if summary["model"] and summary["model"]["demonstration"]:
        lines.append("DEMONSTRATION model: its grades mean nothing about real sperm.")
    lines.append(NOTICE)
    return "\n".join(lines)
