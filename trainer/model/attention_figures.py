"""Pictures of what networks attended to, under the frames themselves: the paper's Figures 4 and 6.

A sheet has for each clip a row of its odd frames (the first, the third, ...), numbered, and under it one row for
every panel: the attention rollout of a network, or the patches that it selects. It draws what it is given and runs no
network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.network_config import NetworkConfig
from engine.overlay import heat, patch_boxes, selected_patches
from station.notice import NOTICE

MOST_FRAMES: Final = 8
LABEL_PX: Final = 150
HEAD_PX: Final = 22
"""Above a clip, for the frames' numbers."""
FOOT_PX: Final = 40
LEAST_PX: Final = 680
"""Width of a sheet, so that the words below it are whole."""
GAP_PX: Final = 3
"""Between frames: a patch at an edge must not seem to go on in the next frame."""
DIMMED: Final = 0.35
"""Brightness of what is not selected."""
HEAT: Final = "Attention rollout: from violet (none) to yellow (a clip's most, all its frames in one scale)."
SELECTED: Final = "Selected patches are bright, the rest is dimmed."

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Panel:
    """One network's row under each clip."""

    label: str
    """Such as "RoSTFine, K = 3"."""
    network: NetworkConfig
    scores: NDArray[np.float32]
    """(N, T, P) of the N clips: the flow into CLS, or the selection scores."""
    selected: int = 0
    """Patches of each frame that are shown bright; 0: the scores themselves are drawn over the frames."""


def odd_frames(frames: int) -> list[int]:
    """Return which of a clip's frames are shown, from 0: every second from the first, eight at most."""
    step = 2 if frames > 2 else 1
    shown = list(range(0, frames, step))
    return shown[:: -(-len(shown) // MOST_FRAMES)]


def sheet(clips: Picture, panels: Sequence[Panel]) -> Picture:
    """Return a BGR picture.

    Args:
        clips: (N, T, H, W) uint8.
        panels: What to draw under each clip; all of networks that take such clips.
    """
    shown = odd_frames(clips.shape[1])
    rows = []
    for number, clip in enumerate(clips):
        rows.append(_numbers(shown, clip.shape[2]))
        frames = [cv2.cvtColor(clip[t], cv2.COLOR_GRAY2BGR) for t in shown]
        rows.append(_row(f"clip {number + 1}", [np.asarray(frame, np.uint8) for frame in frames]))
        for panel in panels:
            draw = _selection if panel.selected else _heat
            rows.append(_row(panel.label, draw(panel, clip, number, shown)))
    width = max(rows[0].shape[1], LEAST_PX)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    foot = np.full((FOOT_PX, width, 3), 255, np.uint8)
    drawn = {SELECTED if panel.selected else HEAT for panel in panels}
    _write(foot, "  ".join(sorted(drawn)), 14)
    _write(foot, NOTICE, 32)
    return np.vstack([*rows, foot])


def _heat(panel: Panel, clip: Picture, number: int, shown: Sequence[int]) -> list[Picture]:
    """Return the frames with the scores over them, in one scale for the clip, so that frames can be compared."""
    scores = panel.scores[number]
    maps = heat(scores, panel.network)
    share = scores.max(axis=-1) / max(float(scores.max()), float(np.finfo(np.float32).tiny))
    coloured = []
    for t in shown:
        colours = cv2.applyColorMap((255 * share[t] * maps[t]).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
        frame = cv2.addWeighted(cv2.cvtColor(clip[t], cv2.COLOR_GRAY2BGR), 0.6, colours, 0.4, 0)
        coloured.append(np.asarray(frame, np.uint8))
    return coloured


def _selection(panel: Panel, clip: Picture, number: int, shown: Sequence[int]) -> list[Picture]:
    """Return the frames with the selected patches as they are and the rest dimmed."""
    boxes = patch_boxes(panel.network)
    best = selected_patches(panel.scores[number], panel.selected)
    frames = []
    for t in shown:
        frame = (clip[t] * DIMMED).astype(np.uint8)
        for left, top, right, bottom in np.round(boxes[best[t]]).astype(int).tolist():
            frame[top:bottom, left:right] = clip[t][top:bottom, left:right]
        frames.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8))
    return frames


def _row(label: str, frames: Sequence[Picture]) -> Picture:
    margin = np.full((frames[0].shape[0], LABEL_PX, 3), 255, np.uint8)
    for place, line in enumerate(label.split("\n")):
        _write(margin, line, 20 + 18 * place)
    row = np.hstack([margin, *(_with_gap(frame) for frame in frames)])
    return np.vstack([row, np.full((GAP_PX, row.shape[1], 3), 255, np.uint8)])


def _numbers(shown: Sequence[int], width: int) -> Picture:
    """Return the line with the frames' numbers, from 1, above a clip."""
    line = np.full((HEAD_PX, LABEL_PX + len(shown) * (width + GAP_PX), 3), 255, np.uint8)
    for place, t in enumerate(shown):
        _write(line, f"frame {t + 1}" if place == 0 else f"{t + 1}", 16, LABEL_PX + place * (width + GAP_PX) + GAP_PX)
    return line


def _with_gap(frame: Picture) -> Picture:
    return np.hstack([np.full((frame.shape[0], GAP_PX, 3), 255, np.uint8), frame])


def _write(picture: Picture, text: str, at_y: int, at_x: int = 6) -> None:
    cv2.putText(picture, text, (at_x, at_y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
