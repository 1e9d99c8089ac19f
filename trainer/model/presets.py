"""RoSTFine's shapes by name; TimeSformer, which is RoSTFine that grades v^g alone, has the same. No torch is loaded."""

from dataclasses import replace
from typing import Any, Final, Literal

from engine.artifact import NetworkConfig

PresetName = Literal["base", "station", "tiny"]
BASE: Final = NetworkConfig()
"""The paper's."""
STATION: Final = NetworkConfig(
    branch="prenorm",
    image_px=150,
    patch_px=30,
    width=192,
    depth=5,
    heads=3,
    selected=6,
    branch_depth=1,
    branch_heads=3,
    branch_mlp_ratio=4,
)
"""What a CPU at the microscope grades with, and learns from scratch."""
TINY: Final = replace(STATION, image_px=60, patch_px=20, width=32, depth=2, heads=2, selected=2, branch_heads=2)
"""For trying things out: it learns little."""
PRESETS: Final[dict[PresetName, NetworkConfig]] = {"base": BASE, "station": STATION, "tiny": TINY}


def preset(name: PresetName, **changes: Any) -> NetworkConfig:
    """Return the preset with fields changed. A change to ``reference`` brings the authors' depth and score blocks."""
    if changes.get("branch") == "reference":
        changes = {"branch_depth": 2, "score_blocks": 1, "branch_mlp_ratio": 1} | changes
    return replace(PRESETS[name], **changes)
