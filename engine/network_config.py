"""The shape of a RoSTFine network, and of a TimeSformer, which is one without branches. Numbers alone; no network."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The shape of a RoSTFine network; the defaults are the paper's best (K = 3, L = 6, H = 8) on TimeSformer-base."""

    branch: Literal["paper", "reference", "prenorm"] = "paper"
    frames: int = 16
    """T, frames of a clip."""
    clip_px: int = 150
    """Edge of the input clips."""
    image_px: int = 224
    """Edge they are resized to, bilinear."""
    patch_px: int = 16
    width: int = 768
    """D, width of the tokens."""
    depth: int = 12
    """Blocks of the encoder."""
    heads: int = 12
    """Attention heads of the encoder."""
    mlp_ratio: int = 4
    """Hidden width of the encoder's MLPs, as a multiple of ``width``."""
    score_blocks: int = 2
    """How many of the last blocks give the selection scores (Eq. 4: two; the authors' code: one)."""
    selected: int = 3
    """K, patches selected in each frame."""
    branch_depth: int = 6
    """L, attention blocks of each fine-grained branch."""
    branch_heads: int = 8
    """H, attention heads of the branches."""
    branch_mlp_ratio: int = 1
    """Hidden width of the branches' MLPs, as a multiple of ``width``."""
    features: tuple[Literal["g", "s", "t"], ...] = ("g", "s", "t")
    """Which of v^g, v^s, v^t are graded."""
    aggregation: Literal["mean", "concat", "sum"] = "mean"
    """Mean of one head per feature, or one head on the features concatenated or summed."""

    def __post_init__(self) -> None:
        """Raise ValueError for a shape that cannot be built."""
        if self.clip_px < 1 or self.frames < 1 or self.width < 1 or self.patch_px < 1:
            raise ValueError("frames, clip_px, patch_px and width must be at least 1")
        if self.image_px < self.patch_px or self.image_px % self.patch_px:
            raise ValueError(f"image_px {self.image_px} is not a multiple of patch_px {self.patch_px}")
        for name, heads in (("heads", self.heads), ("branch_heads", self.branch_heads)):
            if heads < 1 or self.width % heads:
                raise ValueError(f"width {self.width} is not a multiple of {name} {heads}")
        if not 1 <= self.score_blocks <= self.depth:
            raise ValueError(f"score_blocks {self.score_blocks} must be from 1 to depth {self.depth}")
        if not 1 <= self.selected <= self.patches:
            raise ValueError(f"selected {self.selected} must be from 1 to the {self.patches} patches of a frame")
        if self.branch_depth < 1 or self.mlp_ratio < 1 or self.branch_mlp_ratio < 1:
            raise ValueError("branch_depth, mlp_ratio and branch_mlp_ratio must be at least 1")
        ordered = tuple(name for name in ("g", "s", "t") if name in self.features)
        if not self.features or ordered != self.features:
            raise ValueError(f"features {self.features} must be some of 'g', 's', 't', in this order")

    @property
    def grid(self) -> int:
        """Patches along one edge."""
        return self.image_px // self.patch_px

    @property
    def patches(self) -> int:
        """P, patches of a frame."""
        return self.grid**2

    @property
    def system(self) -> Literal["rostfine", "timesformer"]:
        """TimeSformer is RoSTFine that grades v^g alone."""
        return "timesformer" if self.features == ("g",) else "rostfine"

    @property
    def selects_patches(self) -> bool:
        """Whether it grades patches that it selects."""
        return self.features != ("g",)

    @property
    def has_three_heads(self) -> bool:
        """Whether three heads grade, which can be compared."""
        return self.aggregation == "mean" and len(self.features) == 3
