"""The shape of a network that RoSTFine is compared with: one distribution out, no heads to compare, no patches.

It knows numbers and which of them fit together. The networks themselves are libraries' (``trainer.model.baselines``).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

BaselineName = Literal["vgg16", "r3d", "r2plus1d", "x3d", "i3d", "slowfast", "vivit"]
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)
ONE_DEPTH: dict[str, float] = {"vgg16": 16, "i3d": 50, "slowfast": 50}
"""Depth of those that their libraries build in one depth alone."""
LEAST_PX: dict[str, int] = {"vgg16": 32, "r3d": 16, "r2plus1d": 16, "x3d": 32, "i3d": 32, "slowfast": 32}
"""Edge of the picture from which each reduces to at least one place; ViViT's follows from its patches."""


@dataclass(frozen=True, slots=True)
class BaselineConfig:
    """The shape of one of the networks; what ``width`` and ``depth`` count is each network's own."""

    system: BaselineName
    width: int
    """VGG16, R3D, R(2+1)D, X3D, I3D, SlowFast (slow path): channels of the first stage. ViViT: width of the tokens."""
    depth: float
    """R3D, R(2+1)D: blocks of each stage. X3D: its depth factor. ViViT: layers. VGG16: 16, I3D and SlowFast: 50."""
    image_px: int
    """Edge that the clips are resized to, bilinear."""
    frames: int = 16
    """T, frames of a clip. VGG16 looks at the first."""
    clip_px: int = 150
    """Edge of the input clips."""
    heads: int = 12
    """Attention heads (ViViT)."""
    patch_px: int = 16
    """Edge of a patch (ViViT); it is two frames long."""

    def __post_init__(self) -> None:
        """Raise ValueError for a shape that cannot be built."""
        if not math.isfinite(self.depth):
            raise ValueError(f"depth {self.depth}: expected a number")
        if min(self.width, self.depth, self.image_px, self.frames, self.clip_px, self.heads, self.patch_px) <= 0:
            raise ValueError("width, depth, image_px, frames, clip_px, heads and patch_px must be above 0")
        only = ONE_DEPTH.get(self.system)
        if only is not None and self.depth != only:
            raise ValueError(f"depth {self.depth:g}: {self.system} has depth {only:g} alone")
        if self.system in ("r3d", "r2plus1d", "vivit") and self.depth != int(self.depth):
            raise ValueError(f"depth {self.depth:g}: {self.system} takes whole numbers")
        if self.image_px < LEAST_PX.get(self.system, 1):
            raise ValueError(f"image_px {self.image_px}: {self.system} takes {LEAST_PX[self.system]} or more")
        step = {"slowfast": 4, "i3d": 2, "vivit": 2}.get(self.system, 1)
        if self.frames % step:
            raise ValueError(f"frames {self.frames}: {self.system} takes a multiple of {step}")
        if self.system == "slowfast" and self.width % 8:
            raise ValueError(
                f"width {self.width}: slowfast takes a multiple of 8, as its fast path has an eighth of it"
            )
        if self.system == "x3d" and self.width % 12:
            raise ValueError(f"width {self.width}: x3d takes a multiple of 12")
        if self.system == "vivit" and self.image_px % self.patch_px:
            raise ValueError(f"image_px {self.image_px} is not a multiple of patch_px {self.patch_px}")
        if self.system == "vivit" and self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")

    @property
    def selects_patches(self) -> bool:
        """Whether it grades patches that it selects: never."""
        return False

    @property
    def has_three_heads(self) -> bool:
        """Whether three heads grade, which can be compared: never."""
        return False
