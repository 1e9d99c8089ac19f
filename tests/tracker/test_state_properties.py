"""Whatever the camera sends, a track keeps to its rules: what is locked, what may fill a window, what is in sight."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from station.config import TrackerSettings
from station.transport.messages import TrackState
from tests.support.properties import few
from tests.tracker.drawn_scene import HEIGHT, WIDTH, draw_frame, swim
from tracker.results import FrameResult
from tracker.tracker import Tracker
from tracker.window import WindowShape

FRAMES = 3
KINDS = ("good", "good", "good", "black", "noise", "frozen", "bright", "no head", "lost", "exposure", "late")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 8)), min_size=1, max_size=6)


def shown(kind: str, number: int, before: np.ndarray) -> np.ndarray:
    if kind == "black":
        return np.zeros((HEIGHT, WIDTH), np.uint8)
    if kind == "noise":
        return np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    if kind == "frozen":
        return before
    if kind == "no head":
        return draw_frame(number, [])
    frame = draw_frame(number, [swim(number % 90), (250 - number % 90, 60)])
    return np.clip(frame.astype(np.int16) + 60, 0, 255).astype(np.uint8) if kind == "bright" else frame


def check(result: FrameResult, locked_since: dict[int, int], seq: int) -> None:
    for track in result.tracks:
        assert 0.0 <= track.score <= 1.0
        assert 0.0 <= track.x <= WIDTH - 1
        assert 0.0 <= track.y <= HEIGHT - 1
        assert 0 <= track.filled <= FRAMES
        if track.state is TrackState.LOCKED:
            assert track.reason == ""
            locked_since.setdefault(track.sperm_id, seq)
        else:
            assert track.reason != ""
            assert track.filled == 0, "only locked frames enter a window"
            locked_since.pop(track.sperm_id, None)
    states = {track.sperm_id: track.state for track in result.tracks}
    for window in result.windows:
        assert states[window.sperm_id] is TrackState.LOCKED
        assert window.frame_seqs[0] >= locked_since[window.sperm_id]
        assert window.frame_seqs[-1] == seq
        assert not np.array_equal(window.pixels[0], window.pixels[-1]) or window.measured.causes


@few(14)
@given(STEPS)
def test_a_track_keeps_to_its_rules(steps: list[tuple[str, int]]) -> None:
    tracker = Tracker(TrackerSettings(head_px=21.0), WindowShape(frames=FRAMES, size=32), HEIGHT, WIDTH)
    tracker.select(*swim(0))
    tracker.select(250.0, 60.0)
    locked_since: dict[int, int] = {}
    seq = exposure_id = t_ns = 0
    frame = draw_frame(0, [])
    for kind, count in [("good", 12), *steps]:
        exposure_id += kind == "exposure"
        seq += count if kind == "lost" else 0
        t_ns += 20_000_000 * count if kind in ("lost", "late") else 0
        for k in range(count):
            frame = shown(kind, seq, frame)
            lost = count if kind == "lost" and k == 0 else 0
            if lost or (kind == "exposure" and k == 0):
                locked_since.clear()
            result = tracker.update(
                frame, frame_seq=seq, t_source_ns=t_ns, lost_before=lost, exposure_id=exposure_id
            )  # fmt: skip
            check(result, locked_since, seq)
            seq += 1
            t_ns += 20_000_000
