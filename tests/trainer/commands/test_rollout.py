"""Attention rollout against the product of full matrices over all tokens."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs the extra [train]")

from station.errors import InputError  # noqa: E402
from trainer.commands import rollout  # noqa: E402
from trainer.model.rollout import attention_maps  # noqa: E402
from trainer.model.rollout import rollout as attention_rollout  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402
from trainer.model.weights import save_weights  # noqa: E402

CONFIG = preset(
    "station", frames=3, clip_px=24, image_px=24, patch_px=8, width=24, depth=3, heads=2, selected=2, branch_heads=3
)


@pytest.fixture
def network() -> Rostfine:
    torch.manual_seed(0)
    network = Rostfine(CONFIG).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return network


@pytest.fixture
def clips() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, 24, 24), np.uint8)


def test_is_the_product_of_all_steps(network: Rostfine, clips: np.ndarray) -> None:
    t, p = CONFIG.frames, CONFIG.patches
    pixels = torch.from_numpy(clips)
    with torch.inference_mode():
        encoder = network.encoder
        tokens = encoder.embed(pixels) + encoder.pos_embed[:, None, 1:] + encoder.time_embed[:, :, None]
        cls = (encoder.cls_token[:, 0] + encoder.pos_embed[:, 0]).expand(2, -1)
        product = np.stack([np.eye(1 + t * p)] * 2)
        for block in encoder.blocks:
            over_time, over_space = attention_maps(block, cls, tokens)
            cls, tokens, _ = block(cls, tokens, scored=False)
            for clip in range(2):
                first, second = np.zeros((2, 1 + t * p, 1 + t * p))
                first[0, 0] = 1
                for frame in range(t):
                    at = 1 + frame * p
                    for patch in range(p):
                        for other in range(t):
                            first[at + patch, 1 + other * p + patch] = over_time[clip, patch, frame, other]
                    second[0, 0] += over_space[clip, frame, 0, 0].item() / t
                    second[0, at : at + p] = over_space[clip, frame, 0, 1:] / t
                    second[at : at + p, 0] = over_space[clip, frame, 1:, 0]
                    second[at : at + p, at : at + p] = over_space[clip, frame, 1:, 1:]
                for step in (first, second):
                    np.testing.assert_allclose(step.sum(axis=1), 1, atol=1e-5)
                    product[clip] = (np.eye(1 + t * p) + step) / 2 @ product[clip]
    found = attention_rollout(network, pixels).numpy()
    np.testing.assert_allclose(found, product[:, 0, 1:].reshape(2, t, p), atol=1e-6)


def test_draws_a_picture(network: Rostfine, clips: np.ndarray, tmp_path: Path) -> None:
    import argparse

    import cv2

    save_weights(network, tmp_path / "w.safetensors")
    np.save(tmp_path / "clips.npy", clips)
    parser = argparse.ArgumentParser()
    rollout.add_arguments(parser)
    words = ["--weights", str(tmp_path / "w.safetensors"), "--clips", str(tmp_path / "clips.npy"), "--out"]
    assert rollout.run(parser.parse_args([*words, str(tmp_path / "flow.png")])) == 0
    picture = cv2.imread(str(tmp_path / "flow.png"))
    assert picture is not None
    assert picture.shape == (4 * 24 + 24, 3 * 24, 3)
    assert (picture[:24, :24] == clips[0, 0][..., None]).all()
    with pytest.raises(InputError, match=r"ends in \.png"):
        rollout.run(parser.parse_args([*words, str(tmp_path / "flow.jpg")]))
