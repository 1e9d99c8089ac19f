"""Attention rollout: where the global feature comes from, for figures (the paper's Figure 4).

Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (ACL 2020), for divided space-time attention: every
block is two steps, over time and over space, each half identity (the residual) and half attention averaged over heads.
CLS takes no part in the first; in the second it gathers the mean over all frames. Only the flow into CLS is followed,
so no matrix of all tokens is ever made. It explains the encoder; the branches and heads are not in it. It draws nothing
(``trainer.model.attention_figures`` does).
"""

import torch
from torch import Tensor

from trainer.model.rostfine import EncoderBlock, Rostfine


@torch.inference_mode()
def rollout(network: Rostfine, clips: Tensor) -> Tensor:
    """Return how much of each patch token arrives at CLS: (N, T, P), not negative; the sum is at most 1.

    Args:
        network: In evaluation mode.
        clips: (N, T, H, W) or (N, T, H, W, 3) in grey levels.
    """
    encoder = network.encoder
    tokens = encoder.embed(clips) + encoder.pos_embed[:, None, 1:] + encoder.time_embed[:, :, None]
    cls = (encoder.cls_token[:, 0] + encoder.pos_embed[:, 0]).expand(len(clips), -1)
    maps = []
    for block in encoder.blocks:
        assert isinstance(block, EncoderBlock)
        maps.append(attention_maps(block, cls, tokens))
        cls, tokens, _ = block(cls, tokens, scored=False)
    n, t, p, _ = tokens.shape
    at_cls, at_tokens = torch.ones(n), torch.zeros(n, t, p)
    for over_time, over_space in reversed(maps):
        # From the last step to the first: what arrives at a token came from where that token looked.
        from_cls = at_cls[:, None, None] / t * over_space[:, :, 0]
        from_tokens = torch.einsum("ntp,ntpk->ntk", at_tokens, over_space[:, :, 1:])
        both = from_cls + from_tokens
        at_cls, at_tokens = (at_cls + both[:, :, 0].sum(1)) / 2, (at_tokens + both[:, :, 1:]) / 2
        at_tokens = (at_tokens + torch.einsum("ntp,nptu->nup", at_tokens, over_time)) / 2
    return at_tokens


def attention_maps(block: EncoderBlock, cls: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return a block's attention averaged over heads: over time (N, P, T, T), over space (N, T, 1+P, 1+P)."""
    n, t, p, d = tokens.shape
    sequences = block.temporal_norm1(tokens).transpose(1, 2).reshape(n * p, t, d)
    q, k = block.temporal_attn.project(sequences, 0, 2)
    over_time = block.temporal_attn.row(q, k).mean(1).reshape(n, p, t, t)
    q, k = block.attn.project(block.frame_sequences(cls, block.over_time(tokens)), 0, 2)
    return over_time, block.attn.row(q, k).mean(1).reshape(n, t, 1 + p, 1 + p)
