"""Chunk data of a Basler camera: exposure and gain of each frame, in the frame's own buffer.

Exposure and gain can change from frame to frame (automatic control, another program, a sequencer), and the camera's
registers hold the current values, not those of the frame at hand. So they are read from the buffer, with its pixels, or
not at all. Frame number and time stamp are in every buffer's header and need no chunk. This module enables chunks and
reads them; ``capture.camera.timestamps`` decides what a change means.
"""

import math
from typing import Any, Final

CHUNKS: Final = {"exposure_us": ("ExposureTime",), "gain": ("Gain", "GainAll")}
"""What is read, and the selector's names for it: those of newer cameras, then of classic ones."""


class ChunkReader:
    """The chunks a camera sends with its frames; created before grabbing starts."""

    def __init__(self, nodes: Any) -> None:
        """Enable the available chunks; a camera without any is left as it is.

        The SDK's emulated camera has the main switch but no chunks, and cannot grab while the switch is on.
        """
        from pypylon import genicam

        self.names: dict[str, str] = {}
        """Name of the buffer's node for each value."""
        mode, selector, enable = (nodes.GetNode(n) for n in ("ChunkModeActive", "ChunkSelector", "ChunkEnable"))
        if not genicam.IsWritable(mode):
            return
        words = _entries_behind(mode, selector)
        for what, candidates in CHUNKS.items():
            word = next((c for c in candidates if c in words), None)
            if word is None:
                continue
            selector.Value = word
            if genicam.IsWritable(enable):
                enable.Value = True
            if genicam.IsReadable(enable) and enable.Value:
                self.names[what] = f"Chunk{word}"
        if not self.names:
            mode.Value = False

    def read(self, result: Any) -> dict[str, float]:
        """Return a buffer's chunk values by name; empty if it carries none. Call it before the buffer is released."""
        from pypylon import genicam

        if not self.names or not result.IsChunkDataAvailable():
            return {}
        nodes = result.GetChunkDataNodeMap()
        values = {what: nodes.GetNode(name) for what, name in self.names.items()}
        read = {what: float(node.Value) for what, node in values.items() if genicam.IsReadable(node)}
        return {what: value for what, value in read.items() if _means_something(what, value)}


def _means_something(what: str, value: float) -> bool:
    """Return whether a chunk value is real: some cameras send an exposure of 0 in modes that do not know it."""
    return math.isfinite(value) and (value > 0 or what != "exposure_us")


def _entries_behind(mode: Any, selector: Any) -> tuple[str, ...]:
    """Return the selector's entries, leaving the switch on if there are any: some cameras list them only then."""
    from pypylon import genicam

    mode.Value = True
    if not genicam.IsReadable(selector):
        mode.Value = False
        return ()
    return tuple(w for w in selector.Symbolics if genicam.IsAvailable(selector.GetEntryByName(w)))
