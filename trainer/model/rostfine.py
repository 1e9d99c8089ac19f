"""RoSTFine, the network: TimeSformer, patch selection (PSM), fine-grained branches (FGS, FGT), grade heads.

Fujii et al., "Automated Sperm Assessment Framework and Neural Network Specialized for Sperm Video Recognition" (WACV
2024, arXiv 2311.05927); the encoder is TimeSformer with divided space-time attention (Bertasius et al., ICML 2021).
This file knows tensors. It knows nothing of files, training or export.

Axes: N clips, T frames, P patches a frame, D width, K selected patches a frame, C grades, S tokens of a sequence.
Tokens are kept frame-major, (N, T, P, D), the CLS token apart, (N, D): what a reshape does can be read off its axes.

Three readings of the fine-grained branches (``NetworkConfig.branch``):

- ``paper``: Eq. 7 and 10, every block is x = MHSA(norm(x)), x = MLP(norm(x)) with its own norms, no residual;
- ``reference``: the authors' public code: attention blocks that share one norm, then one MLP, no residual, scores from
  the last block only, and a selection that reads the tokens in another order than they are stored in (``_stored_at``);
- ``prenorm``: ordinary residual pre-norm blocks, which train best from scratch.

v_s is the mean over frames of the CLS outputs; the paper's Eq. 8 divides by K T: a constant scale, which the head
absorbs.
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.artifact import NUM_GRADES, NetworkConfig
from trainer.model.presets import preset as preset

ENCODER_EPS = 1e-6
BRANCH_EPS = 1e-5
PIXEL_MEAN = 0.45
PIXEL_STD = 0.225
ENCODER = "model.model."
"""What the names of the encoder's weights begin with."""


class RostfineOutput(NamedTuple):
    """What the network says about N clips, float."""

    grade: Tensor
    """(N, 5) probabilities of the grades A to E."""
    heads: Tensor
    """(N, 3, 5) the same by the global, spatial and temporal head; rows of heads that do not exist repeat ``grade``."""
    attention: Tensor
    """(N, T, P) selection scores: CLS rows of the spatial attention, summed over heads and score blocks."""
    v_g: Tensor
    """(N, D) global feature."""
    v_s: Tensor | None
    """(N, D) spatial feature; None where the configuration leaves it out."""
    v_t: Tensor | None
    """(N, D) temporal feature; None where the configuration leaves it out."""
    log_heads: Tensor
    """(N, H, 5) logarithms of the probabilities of the H heads that exist; finite where a probability underflows."""


class Attention(nn.Module):
    """Multi-head self-attention; ``attend`` is fused, ``row`` gives the softmax rows of single queries."""

    def __init__(self, width: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def project(self, x: Tensor, first: int, last: int) -> list[Tensor]:
        """Return parts ``first`` up to ``last`` of q, k, v (0, 1, 2) of x (B, S, D), each (B, heads, S, D/heads)."""
        width = x.shape[-1]
        bias = None if self.qkv.bias is None else self.qkv.bias[first * width : last * width]
        parts = F.linear(x, self.qkv.weight[first * width : last * width], bias)
        # (B, S, parts*heads*D/heads) -> parts of (B, heads, S, D/heads)
        parts = parts.reshape(*x.shape[:2], last - first, self.heads, width // self.heads)
        return [part.transpose(1, 2) for part in parts.unbind(2)]

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return softmax(q k^T / sqrt(D/heads)) v, heads joined again: (B, S_q, D), before ``proj``."""
        if self.training and not q.is_cuda:  # sequences are short: on a CPU the fused kernel's way back costs more
            return (self.row(q, k) @ v).transpose(1, 2).flatten(2)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def row(self, q: Tensor, k: Tensor) -> Tensor:
        """Return the softmax rows of the queries alone: (B, heads, S_q, S)."""
        return (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(dim=-1)

    def forward(self, x: Tensor, queries: int | None = None) -> Tensor:
        """Map (B, S, D) to (B, queries, D): only the first ``queries`` tokens are asked for; None: all."""
        if queries is None:
            q, k, v = self.project(x, 0, 3)
        else:
            (q,), (k, v) = self.project(x[:, :queries], 0, 1), self.project(x, 1, 3)
        return cast(Tensor, self.proj(self.attend(q, k, v)))


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        return cast(Tensor, self.fc2(F.gelu(self.fc1(x))))


class EncoderBlock(nn.Module):
    """One block of TimeSformer: attention over time, over space, then an MLP; all residual."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.width
        self.temporal_norm1 = nn.LayerNorm(width, eps=ENCODER_EPS)
        self.temporal_attn = Attention(width, config.heads, qkv_bias=True)
        self.temporal_fc = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=ENCODER_EPS)
        self.attn = Attention(width, config.heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(width, eps=ENCODER_EPS)
        self.mlp = Mlp(width, config.mlp_ratio * width)

    def over_time(self, tokens: Tensor) -> Tensor:
        """Let every patch look at itself in all frames: (N, T, P, D) to the same."""
        n, t, p, d = tokens.shape
        sequences = self.temporal_norm1(tokens).transpose(1, 2).reshape(n * p, t, d)
        update = self.temporal_fc(self.temporal_attn(sequences))
        return tokens + cast(Tensor, update).reshape(n, p, t, d).transpose(1, 2)

    def frame_sequences(self, cls: Tensor, tokens: Tensor) -> Tensor:
        """Put the CLS token before the patches of every frame, normalised: (N*T, 1+P, D)."""
        n, t, _, d = tokens.shape
        repeated = cls[:, None, None].expand(n, t, 1, d)
        return cast(Tensor, self.norm1(torch.cat([repeated, tokens], dim=2))).flatten(0, 1)

    def forward(self, cls: Tensor, tokens: Tensor, scored: bool) -> tuple[Tensor, Tensor, Tensor | float]:
        """Return CLS (N, D), tokens (N, T, P, D) and the scores (N, T, P), which are 0.0 unless ``scored``."""
        n, t, p, d = tokens.shape
        tokens = self.over_time(tokens)
        q, k, v = self.attn.project(self.frame_sequences(cls, tokens), 0, 3)
        update = self.attn.proj(self.attn.attend(q, k, v)).reshape(n, t, 1 + p, d)
        scores = self.attn.row(q[:, :, :1], k).sum(1)[:, 0, 1:].reshape(n, t, p) if scored else 0.0
        cls = cls + update[:, :, 0].mean(1)
        tokens = tokens + update[:, :, 1:]
        return cls + self.mlp(self.norm2(cls)), tokens + self.mlp(self.norm2(tokens)), scores

    def select(
        self, cls: Tensor, tokens: Tensor, earlier: Tensor | float, config: NetworkConfig
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Do the last block's work for the CLS token and the K patches it selects in each frame, and for no other.

        Returns CLS (N, D), the selected tokens (N, T, K, D), None where no branch reads them, and the scores (N, T, P).
        """
        n, t, p, d = tokens.shape
        tokens = self.over_time(tokens)
        sequences = self.frame_sequences(cls, tokens)
        k, v = self.attn.project(sequences, 1, 3)
        (q,) = self.attn.project(sequences[:, :1], 0, 1)
        row = self.attn.row(q, k)
        scores = row.sum(1)[:, 0, 1:].reshape(n, t, p) + earlier
        cls = cls + self.attn.proj((row @ v).transpose(1, 2).reshape(n, t, d)).mean(1)
        cls = cls + self.mlp(self.norm2(cls))
        if config.features == ("g",):
            return cls, None, scores

        indices = scores.topk(config.selected, dim=2).indices
        if config.branch == "reference":
            # The selected places belong to any frame, so every token asks and the answers are picked: (N, T*K, D).
            (q,) = self.attn.project(sequences[:, 1:], 0, 1)
            at = _stored_at(indices, t, p)
            update = _pick(self.attn.attend(q, k, v).reshape(n, t * p, d), at)
        else:
            at = (indices + p * torch.arange(t, device=indices.device)[:, None]).flatten(1)
            asking = _pick(sequences[:, 1:].reshape(n, t * p, d), at).reshape(n * t, config.selected, d)
            (q,) = self.attn.project(asking, 0, 1)
            update = self.attn.attend(q, k, v).reshape(n, t * config.selected, d)
        picked = _pick(tokens.reshape(n, t * p, d), at) + self.attn.proj(update)
        picked = picked + self.mlp(self.norm2(picked))
        return cls, picked.reshape(n, t, config.selected, d), scores


def _stored_at(indices: Tensor, frames: int, patches: int) -> Tensor:
    """Return where the authors' code really reads "frame t, patch p", as positions t*P + p of ours: (N, T*K) int64.

    Their tokens lie patch-major (p*T + t) and are read as if frame-major (t*P + p).
    """
    read = (indices + patches * torch.arange(frames, device=indices.device)[:, None]).flatten(1)
    patch, frame = read // frames, read % frames
    return frame * patches + patch


def _pick(tokens: Tensor, at: Tensor) -> Tensor:
    """Return rows ``at`` (N, M) of tokens (N, S, D): (N, M, D)."""
    return tokens.gather(1, at[..., None].expand(-1, -1, tokens.shape[-1]))


class Encoder(nn.Module):
    """TimeSformer up to its last norm, with the patch selection built into its last block."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + config.patches, config.width))
        self.time_embed = nn.Parameter(torch.empty(1, config.frames, config.width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, config.width, config.patch_px, config.patch_px)})
        self.blocks = nn.ModuleList([EncoderBlock(config) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.width, eps=ENCODER_EPS)

    def embed(self, clips: Tensor) -> Tensor:
        """Map clips (N, T, H, W) or (N, T, H, W, 3) in grey levels 0 to 255 to patch tokens (N, T, P, D)."""
        proj = cast(nn.Conv2d, self.patch_embed["proj"])
        mono = clips.ndim == 4
        pixels = (clips.to(proj.weight.dtype) / 255 - PIXEL_MEAN) / PIXEL_STD
        # (N, T, H, W[, 3]) -> (N*T, 1 or 3, H, W)
        pixels = pixels.flatten(0, 1)[:, None] if mono else pixels.flatten(0, 1).permute(0, 3, 1, 2)
        if pixels.shape[-1] != self.config.image_px:
            pixels = F.interpolate(pixels, size=(self.config.image_px, self.config.image_px), mode="bilinear")
        # Grey video has three equal channels, so the kernel summed over its channels gives the same.
        kernel = proj.weight.sum(1, keepdim=True) if mono else proj.weight
        maps = F.conv2d(pixels, kernel, proj.bias, stride=proj.stride)
        # (N*T, D, rows, columns) -> (N, T, P, D)
        return maps.flatten(2).transpose(1, 2).reshape(*clips.shape[:2], self.config.patches, self.config.width)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return CLS (N, D), selected tokens (N, T, K, D) or None, selection scores (N, T, P)."""
        tokens = self.embed(clips) + self.pos_embed[:, None, 1:] + self.time_embed[:, :, None]
        cls = (self.cls_token[:, 0] + self.pos_embed[:, 0]).expand(len(clips), -1)
        scores: Tensor | float = 0.0
        first_scored = len(self.blocks) - self.config.score_blocks
        for index, block in enumerate(self.blocks[:-1]):
            cls, tokens, more = block(cls, tokens, index >= first_scored)
            scores = scores + more
        cls, picked, attention = cast(EncoderBlock, self.blocks[-1]).select(cls, tokens, scores, self.config)
        return self.norm(cls), None if picked is None else self.norm(picked), attention


class BranchBlock(nn.Module):
    """One block of a fine-grained branch, with residuals (``prenorm``) or without (``paper``)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.residual = config.branch == "prenorm"
        self.norm1 = nn.LayerNorm(config.width, eps=BRANCH_EPS)
        self.attn = Attention(config.width, config.branch_heads, qkv_bias=False)
        self.norm2 = nn.LayerNorm(config.width, eps=BRANCH_EPS)
        self.mlp = Mlp(config.width, config.branch_mlp_ratio * config.width)

    def forward(self, x: Tensor, queries: int | None) -> Tensor:
        """Map (B, S, D) to (B, queries, D)."""
        update = self.attn(self.norm1(x), queries)
        x = x[:, :queries] + update if self.residual else update
        update = self.mlp(self.norm2(x))
        return cast(Tensor, x + update if self.residual else update)


class Rostfine(nn.Module):
    """Clips in, grade distributions out. Parameters are named as in the authors' public code where it has the part."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.model = nn.ModuleDict({"model": Encoder(config)})
        for name in config.features:
            if name != "g":
                self._add_branch(name)
        if config.aggregation == "mean":
            for name in config.features:
                self.add_module(f"head_{name}", nn.Linear(config.width, NUM_GRADES))
        else:
            parts = len(config.features) if config.aggregation == "concat" else 1
            self.head = nn.Linear(parts * config.width, NUM_GRADES)
        self.reset_parameters()

    @property
    def encoder(self) -> Encoder:
        """The TimeSformer."""
        return cast(Encoder, self.model["model"])

    def _add_branch(self, name: str) -> None:
        config = self.config
        if config.branch != "reference":
            self.add_module(f"blocks_{name}", nn.ModuleList([BranchBlock(config) for _ in range(config.branch_depth)]))
            return
        attentions = [Attention(config.width, config.branch_heads, qkv_bias=False) for _ in range(config.branch_depth)]
        self.add_module(f"norm_{name}1", nn.LayerNorm(config.width, eps=BRANCH_EPS))
        self.add_module(f"mhsa_{name}", nn.ModuleList(attentions))
        self.add_module(f"norm_{name}2", nn.LayerNorm(config.width, eps=BRANCH_EPS))
        self.add_module(f"mlp_{name}", Mlp(config.width, config.branch_mlp_ratio * config.width))

    def reset_parameters(self) -> None:
        """Draw all weights anew, as TimeSformer does: normal 0.02, no temporal update in any block but the first."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for embedding in (self.encoder.cls_token, self.encoder.pos_embed, self.encoder.time_embed):
            nn.init.trunc_normal_(embedding, std=0.02)
        for block in self.encoder.blocks[1:]:
            nn.init.zeros_(cast(EncoderBlock, block).temporal_fc.weight)

    def branch(self, name: str, x: Tensor) -> Tensor:
        """Run branch "s" or "t" on sequences (B, 1+S, D) that begin with CLS; return what becomes of CLS, (B, D)."""
        if self.config.branch == "reference":
            attentions = cast(nn.ModuleList, self.get_submodule(f"mhsa_{name}"))
            norm1, norm2 = self.get_submodule(f"norm_{name}1"), self.get_submodule(f"norm_{name}2")
            for index, attention in enumerate(attentions):
                x = attention(norm1(x), 1 if index == len(attentions) - 1 else None)
            return cast(Tensor, self.get_submodule(f"mlp_{name}")(norm2(x)))[:, 0]
        blocks = cast(nn.ModuleList, self.get_submodule(f"blocks_{name}"))
        for index, block in enumerate(blocks):
            x = block(x, 1 if index == len(blocks) - 1 else None)
        return x[:, 0]

    def forward(self, clips: Tensor) -> RostfineOutput:
        """Grade clips (N, T, H, W), or (N, T, H, W, 3), of any dtype, in grey levels 0 to 255."""
        v_g, selected, attention = self.encoder(clips)
        v_s = v_t = None
        if selected is not None and "s" in self.config.features:  # FGS: [CLS, K patches] of each frame
            n, t, _, d = selected.shape
            frames = torch.cat([v_g[:, None, None].expand(n, t, 1, d), selected], dim=2).flatten(0, 1)
            v_s = self.branch("s", frames).reshape(n, t, d).mean(1)
        if selected is not None and "t" in self.config.features:  # FGT: [CLS, all K*T patches]
            v_t = self.branch("t", torch.cat([v_g[:, None], selected.flatten(1, 2)], dim=1))
        grade, heads, log_heads = self.grade({"g": v_g, "s": v_s, "t": v_t})
        return RostfineOutput(grade, heads, attention, v_g, v_s, v_t, log_heads)

    def grade(self, features: dict[str, Tensor | None]) -> tuple[Tensor, Tensor, Tensor]:
        """Return grade (N, 5), heads (N, 3, 5) and log_heads (N, H, 5) of the features (N, D) by the aggregation."""
        used = [cast(Tensor, features[name]) for name in self.config.features]
        if self.config.aggregation == "mean":
            scores = {
                name: cast(Tensor, self.get_submodule(f"head_{name}")(feature))
                for name, feature in zip(self.config.features, used, strict=True)
            }
            each = {name: score.softmax(-1) for name, score in scores.items()}
            grade = torch.stack(list(each.values())).mean(0)
            heads = torch.stack([each.get(name, grade) for name in ("g", "s", "t")], dim=1)
            return grade, heads, torch.stack([score.log_softmax(-1) for score in scores.values()], dim=1)
        joined = torch.cat(used, dim=-1) if self.config.aggregation == "concat" else torch.stack(used).sum(0)
        score = cast(Tensor, self.head(joined))
        grade = score.softmax(-1)
        return grade, torch.stack([grade] * 3, dim=1), score.log_softmax(-1)[:, None]
