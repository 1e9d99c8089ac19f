"""Attention rollout against the product of full matrices over all tokens."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs the extra [train]")

from station.errors import InputError  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.commands import rollout  # noqa: E402
from trainer.model.attention_figures import FOOT_PX, GAP_PX, HEAD_PX, LABEL_PX, LEAST_PX, odd_frames  # noqa: E402
from trainer.model.rollout import attention_maps  # noqa: E402
from trainer.model.rollout import rollout as attention_rollout  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402
from trainer.model.weights import save_weights  # noqa: E402

CONFIG = preset(
    "station", frames=3, clip_px=24, image_px=24, patch_px=8, width=24, depth=3, heads=2, selected=2, branch_heads=3
)


ROW_PX = 24 + GAP_PX


def frame_of(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """A frame of the first clip: row 0 is the clip itself."""
    top, left = HEAD_PX + row * ROW_PX, LABEL_PX + GAP_PX + column * (24 + GAP_PX)
    return picture[top : top + 24, left : left + 24]


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

    save_weights(network, tmp_path / "w.safetensors")
    np.save(tmp_path / "clips.npy", clips)
    parser = argparse.ArgumentParser()
    rollout.add_arguments(parser)
    words = ["--weights", str(tmp_path / "w.safetensors"), "--clips", str(tmp_path / "clips.npy"), "--out"]
    assert rollout.run(parser.parse_args([*words, str(tmp_path / "flow.png")])) == 0
    picture = cv2.imread(str(tmp_path / "flow.png"))
    assert picture is not None
    assert picture.shape == (2 * (HEAD_PX + 2 * ROW_PX) + FOOT_PX, LEAST_PX, 3)
    assert (frame_of(picture, 0, 0) == clips[0, 0][..., None]).all()  # the first and the third frame
    assert (frame_of(picture, 0, 1) == clips[0, 2][..., None]).all()
    assert (picture[: HEAD_PX + ROW_PX, LABEL_PX + 2 * (GAP_PX + 24) :] == 255).all()
    assert (picture[HEAD_PX : HEAD_PX + 24, LABEL_PX + GAP_PX + 24 : LABEL_PX + 2 * GAP_PX + 24] == 255).all()
    with pytest.raises(InputError, match=r"ends in \.png"):
        rollout.run(parser.parse_args([*words, str(tmp_path / "flow.jpg")]))


def test_selected_patches_of_several_networks_and_counts(network: Rostfine, clips: np.ndarray, tmp_path: Path) -> None:
    timesformer = Rostfine(replace(CONFIG, features=("g",))).eval()
    save_weights(network, tmp_path / "a.safetensors")
    save_weights(timesformer, tmp_path / "b.safetensors")
    np.save(tmp_path / "clips.npy", clips)
    weights = ["--weights", str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")]
    words = ["rollout", *weights, "--clips", str(tmp_path / "clips.npy"), "--out", str(tmp_path / "patches.png")]
    assert main([*words, "--selected", "1", "9"]) == 0
    picture = cv2.imread(str(tmp_path / "patches.png"))
    assert picture is not None
    assert picture.shape == (2 * (HEAD_PX + 5 * ROW_PX) + FOOT_PX, LEAST_PX, 3)
    one, all_nine = (frame_of(picture, row, 0)[..., 0] for row in (1, 2))
    assert (all_nine == clips[0, 0]).all()
    with torch.inference_mode():
        best = network(torch.from_numpy(clips)).attention[0, 0].argmax().item()
    top, left = (8 * place for place in divmod(best, 3))
    shown = np.zeros((24, 24), bool)
    shown[top : top + 8, left : left + 8] = True
    assert (one[shown] == clips[0, 0][shown]).all()
    assert (one[~shown] < 0.36 * 255).all()
    assert main([*words, "--selected", "10"]) == 2  # a frame has nine patches


def test_odd_frames_are_every_second_from_the_first() -> None:
    assert odd_frames(16) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert odd_frames(8) == [0, 2, 4, 6]
    assert odd_frames(2) == [0, 1]
    assert len(odd_frames(64)) == 8
