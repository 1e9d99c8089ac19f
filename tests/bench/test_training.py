"""The network that training is measured against is the same network: with our weights it gives our answers."""

import argparse

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from bench.support.plain_timesformer import PlainTimesformer  # noqa: E402
from bench.training import _short, _Speed  # noqa: E402
from trainer.model.presets import preset  # noqa: E402
from trainer.model.rostfine import PIXEL_MEAN, PIXEL_STD, Rostfine  # noqa: E402

SMALL = preset("station", features=("g",), frames=3, clip_px=24, image_px=24, patch_px=8, width=12, depth=2)


def test_the_plain_timesformer_is_ours() -> None:
    torch.manual_seed(1)
    config = SMALL
    ours = Rostfine(config).eval()
    with torch.no_grad():
        for weight in ours.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    encoder, plain = ours.encoder, PlainTimesformer(config).eval()
    pairs = [(plain.embed, encoder.patch_embed["proj"]), (plain.norm, encoder.norm), (plain.head, ours.head_g)]
    for mine, theirs in zip(plain.blocks, encoder.blocks, strict=True):
        pairs += zip(mine.norms, (theirs.temporal_norm1, theirs.norm1, theirs.norm2), strict=True)
        pairs += [(mine.over_time.qkv, theirs.temporal_attn.qkv), (mine.over_time.proj, theirs.temporal_attn.proj)]
        pairs += [(mine.over_space.qkv, theirs.attn.qkv), (mine.over_space.proj, theirs.attn.proj)]
        pairs += [(mine.after_time, theirs.temporal_fc), (mine.mlp[0], theirs.mlp.fc1), (mine.mlp[2], theirs.mlp.fc2)]
    for mine, theirs in pairs:
        mine.load_state_dict(theirs.state_dict())
    plain.cls.data = encoder.cls_token.data + encoder.pos_embed.data[:, :1]
    plain.places.data = encoder.pos_embed.data[:, 1:, None]
    plain.times.data = encoder.time_embed.data[:, None]
    clips = torch.randint(0, 256, (2, 3, 24, 24)).float()
    pixels = ((clips / 255 - PIXEL_MEAN) / PIXEL_STD)[:, :, None].expand(-1, -1, 3, -1, -1)
    with torch.inference_mode():
        assert torch.allclose(plain(pixels).softmax(-1), ours(clips).grade, atol=1e-5)


def test_both_train_in_the_short_loop_and_are_compared_round_by_round() -> None:
    args = argparse.Namespace(batch=2, device="cpu", precision="float32", compile=False)
    contenders = [_short(Rostfine(SMALL), SMALL, args), _short(PlainTimesformer(SMALL), SMALL, args)]
    for contender in contenders:
        speed = contender.measure(0.02)
        assert speed.clips_s > 0
        assert speed.clips_cpu_s > 0
    ours, plain = contenders
    ours.rounds.extend([_Speed(2.0, 8.0), _Speed(9.0, 9.0), _Speed(6.0, 6.0)])
    plain.rounds.extend([_Speed(1.0, 4.0), _Speed(3.0, 3.0), _Speed(3.0, 2.0)])
    assert ours.clips_s == 6.0
    assert ours.against(plain, cpu=True) == "2.00 times as fast as plain PyTorch; by processor time 3.00"
    assert ours.against(plain, cpu=False) == "2.00 times as fast as plain PyTorch"
