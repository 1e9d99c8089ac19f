"""Chunk data of a Basler camera: what it says about each frame, in the frame's own buffer.

Exposure and gain can change from frame to frame (automatic control, another program, a sequencer); the camera's
registers would say what they are now, not what they were for the frame in hand. So they are read from the buffer, with
its pixels, or not at all. Frame number and time stamp are in every buffer's own header and need no chunk. This module
switches chunks on and reads them; what follows from a change is ``capture.camera.timestamps``'s business.
"""

import math
from typing import Any, Final

CHUNKS: Final = {"exposure_us": ("ExposureTime",), "gain": ("Gain", "GainAll")}
"""What is read, and the selector's words for it: of newer cameras, then of classic ones."""


class ChunkReader:
    """What a camera sends along with its frames; made before grabbing starts."""

    def __init__(self, nodes: Any) -> None:
        """Switch on the chunks that there are; a camera without any stays as it is.

        The SDK's emulated camera has the main switch and nothing behind it, and cannot grab while that is on.
        """
        from pypylon import genicam

        self.names: dict[str, str] = {}
        """Name of the buffer's node by what it tells."""
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
        """Return what a buffer says about itself, by name; empty where it carries nothing. Not after its release."""
        from pypylon import genicam

        if not self.names or not result.IsChunkDataAvailable():
            return {}
        nodes = result.GetChunkDataNodeMap()
        values = {what: nodes.GetNode(name) for what, name in self.names.items()}
        read = {what: float(node.Value) for what, node in values.items() if genicam.IsReadable(node)}
        return {what: value for what, value in read.items() if _means_something(what, value)}


def _means_something(what: str, value: float) -> bool:
    """Return whether a camera has filled a chunk in: some send an exposure of zero in the modes that do not know it."""
    return math.isfinite(value) and (value > 0 or what != "exposure_us")


def _entries_behind(mode: Any, selector: Any) -> tuple[str, ...]:
    """Return the selector's words and leave the switch on: some cameras show them only then. Off again without any."""
    from pypylon import genicam

    mode.Value = True
    if not genicam.IsReadable(selector):
        mode.Value = False
        return ()
    return tuple(w for w in selector.Symbolics if genicam.IsAvailable(selector.GetEntryByName(w)))
