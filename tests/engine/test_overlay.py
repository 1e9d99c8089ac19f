"""Attention in the clip's pixels."""

import numpy as np

from engine.artifact import NetworkConfig
from engine.overlay import heat, patch_boxes, selected_patches

NETWORK = NetworkConfig(image_px=32, patch_px=16, clip_px=20, selected=1)


def test_selected_patches_are_the_highest_best_first() -> None:
    attention = np.array([[[0.1, 0.4, 0.3, 0.4], [1, 0, 0, 2]]], np.float32)
    assert selected_patches(attention, 2).tolist() == [[[1, 3], [3, 0]]]


def test_boxes_cover_the_clip_row_by_row() -> None:
    assert patch_boxes(NETWORK).tolist() == [[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20], [10, 10, 20, 20]]


def test_heat_lies_where_the_boxes_are() -> None:
    scores = np.array([[1, 2, 3, 4], [0, 0, 0, 0]], np.float32)
    maps = heat(scores, NETWORK)
    assert maps.shape == (2, 20, 20)
    for score, (left, top, right, bottom) in zip(scores[0], patch_boxes(NETWORK).astype(int), strict=True):
        assert (maps[0, top:bottom, left:right] == score / 4).all()
    assert not maps[1].any()
