"""TimeSformer with divided attention, written plainly: what one would write from the paper without a thought of speed.

It is what the program's own training is measured against, the way research code is: every frame in three channels, one
sequence of all tokens that is put into order again before and after every attention, attention maps of every block as
tensors, the last block worked out for every token. It learns nothing here and is in no product.
"""

import torch
from torch import Tensor, nn

from engine.artifact import NUM_GRADES, NetworkConfig
from trainer.model.rostfine import ENCODER_EPS


class PlainAttention(nn.Module):
    """Multi-head self-attention with its maps kept."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.maps: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, S, D) to the same."""
        b, s, d = x.shape
        q, k, v = self.qkv(x).reshape(b, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        self.maps = ((q @ k.transpose(-2, -1)) * (d // self.heads) ** -0.5).softmax(dim=-1)
        joined: Tensor = self.proj((self.maps @ v).transpose(1, 2).reshape(b, s, d))
        return joined


class PlainBlock(nn.Module):
    """Attention over time, over space, then an MLP, on one sequence of CLS and all tokens, patch-major."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.width
        self.frames = config.frames
        self.norms = nn.ModuleList([nn.LayerNorm(width, eps=ENCODER_EPS) for _ in range(3)])
        self.over_time = PlainAttention(width, config.heads)
        self.after_time = nn.Linear(width, width)
        self.over_space = PlainAttention(width, config.heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, config.mlp_ratio * width), nn.GELU(), nn.Linear(config.mlp_ratio * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 1 + P T, D) to the same."""
        n, s, d = x.shape
        t, p = self.frames, (s - 1) // self.frames
        tokens = x[:, 1:].reshape(n * p, t, d)
        tokens = x[:, 1:] + self.after_time(self.over_time(self.norms[0](tokens))).reshape(n, p * t, d)
        cls = x[:, :1]
        repeated = cls.repeat(1, t, 1).reshape(n * t, 1, d)
        frames = tokens.reshape(n, p, t, d).permute(0, 2, 1, 3).reshape(n * t, p, d)
        update = self.over_space(self.norms[1](torch.cat([repeated, frames], dim=1)))
        moved = update[:, 1:].reshape(n, t, p, d).permute(0, 2, 1, 3).reshape(n, p * t, d)
        x = torch.cat([cls, tokens], dim=1) + torch.cat([update[:, :1].reshape(n, t, d).mean(1, True), moved], dim=1)
        out: Tensor = x + self.mlp(self.norms[2](x))
        return out


class PlainTimesformer(nn.Module):
    """Clips in, scores of the grades out."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Conv2d(3, config.width, config.patch_px, config.patch_px)
        self.cls = nn.Parameter(torch.zeros(1, 1, config.width))
        self.places = nn.Parameter(torch.zeros(1, config.patches, 1, config.width))
        self.times = nn.Parameter(torch.zeros(1, 1, config.frames, config.width))
        self.blocks = nn.ModuleList([PlainBlock(config) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.width, eps=ENCODER_EPS)
        self.head = nn.Linear(config.width, NUM_GRADES)

    def forward(self, clips: Tensor) -> Tensor:
        """Map (N, T, 3, H, W) in units of the normalised grey level to scores (N, C)."""
        n, t = clips.shape[:2]
        maps = self.embed(clips.flatten(0, 1)).flatten(2)  # (N T, D, P)
        tokens = maps.reshape(n, t, self.config.width, -1).permute(0, 3, 1, 2) + self.places + self.times
        x = torch.cat([self.cls.expand(n, -1, -1), tokens.flatten(1, 2)], dim=1)
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.head(self.norm(x)[:, 0])
        return scores
