"""What a grade rests on, in one line for people: which frames, and what was measured in them."""

from station.transport.messages import GradeInfo


def evidence_in_words(grade: GradeInfo) -> str:
    """Return the frames of a grade's window and what was measured in them; empty for a grade of an older record."""
    evidence = grade.evidence
    if evidence is None or not evidence.frame_seqs:
        return ""
    first, last = evidence.frame_seqs[0], evidence.frame_seqs[-1]
    parts = [f"{len(evidence.frame_seqs)} frames {first} to {last}, {evidence.span_ms / 1000:.1f} s"]
    found = evidence.measured
    if found is not None:
        sharp = "no edges to judge the focus by" if found.sharpness is None else f"sharpness {found.sharpness:.2f}"
        near = "no other near" if found.nearest_px is None else f"nearest other {found.nearest_px:.0f} px"
        parts += [f"stage {found.stage_px:.0f} px", near, sharp]
        parts += [f"saturated {found.saturated:.0%}"] if found.saturated >= 0.005 else []
        parts += [f"{found.repeated} pictures repeated"] if found.repeated else []
        parts += [f"disturbed by {', '.join(cause.value for cause in found.causes)}"] if found.causes else []
    parts += [doubt.value for doubt in evidence.doubts]
    return "; ".join(parts)
