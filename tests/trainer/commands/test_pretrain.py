"""Pretraining: batches with true targets, in any turn, and a network that learns from them and can be trained on."""

import itertools
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.__main__ import main
from trainer.model.rostfine import preset
from trainer.pretraining import loop
from trainer.pretraining.loop import by_patch, middle_patches
from trainer.pretraining.synthetic import SyntheticBatch, make_batch, synthetic_batches
from trainer.pretraining.targets import CELL_PX, MIDDLE

TINY = ["--network", "depth=2", "--network", "width=24", "--network", "patch_px=50"]


@pytest.fixture(scope="module")
def batch() -> SyntheticBatch:
    return make_batch(3, 0, 4, "table1")


def tail_to_head(batch: SyntheticBatch) -> np.ndarray:
    """Return (N, T, 2) unit vectors from the middle of the tail's cells to that of the head's, x and y."""
    rows, columns = np.mgrid[: batch.cells.shape[3], : batch.cells.shape[4]]
    weights = batch.cells.astype(float)
    centres = np.stack([(weights * axis).sum((-1, -2)) / weights.sum((-1, -2)) for axis in (columns, rows)], axis=-1)
    ahead = centres[:, :, 0] - centres[:, :, 1]
    return ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_the_heading_points_away_from_the_tail_however_the_batch_is_turned(
    batch: SyntheticBatch, quarters: int, mirrored: bool
) -> None:
    turned = batch.turned(quarters, mirrored)
    told = turned.middle[..., :2] / np.linalg.norm(turned.middle[..., :2], axis=-1, keepdims=True)
    assert np.median((told * tail_to_head(turned)).sum(-1)) > 0.95


def test_the_cells_of_the_head_are_the_bright_ones(batch: SyntheticBatch) -> None:
    edge = CELL_PX * batch.cells.shape[3]
    cells = batch.clips[..., :edge, :edge].reshape(*batch.clips.shape[:2], edge // CELL_PX, CELL_PX, -1, CELL_PX)
    brightest = cells.max(axis=(3, 5))
    head = batch.cells[:, :, 0] > 0
    assert np.median(brightest[head]) > np.quantile(brightest[~head], 0.97)


def test_turning_leaves_what_does_not_depend_on_it_and_four_quarters_are_none(batch: SyntheticBatch) -> None:
    again = batch.turned(2, True).turned(2, True)
    for field in fields(batch):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(batch, field.name))
    np.testing.assert_array_equal(batch.turned(1, True).middle[..., 2:], batch.middle[..., 2:])


def test_batches_follow_from_the_seed_whatever_the_number_of_workers() -> None:
    alone, helped = synthetic_batches(5, 2, "table1", 0), synthetic_batches(5, 2, "table1", 1)
    for one, two in itertools.islice(zip(alone, helped, strict=False), 2):
        np.testing.assert_array_equal(one.clips, two.clips)
        np.testing.assert_array_equal(one.middle, two.middle)
    helped.close()


def test_what_is_said_of_the_middle_is_of_similar_size() -> None:
    middle = make_batch(4, 0, 4, "mixed").middle
    assert middle.shape[-1] == len(MIDDLE)
    assert np.abs(middle.mean(axis=(0, 1))).max() < 2.5
    assert np.median(middle.std(axis=(0, 1))) == pytest.approx(0.8, abs=0.5)


def test_cells_are_cut_into_patches_row_by_row() -> None:
    config = preset("station", patch_px=50)
    cells = torch.zeros(1, 1, 2, 30, 30)
    cells[0, 0, 1, 12, 25] = 1
    patches = by_patch(cells, config)
    assert patches.shape == (1, 9, 200)
    assert patches.nonzero().tolist() == [[0, 5, 100 + 2 * 10 + 5]]
    assert middle_patches(3) == [4]
    assert middle_patches(4) == [5, 6, 9, 10]


def test_a_pretrained_network_has_learnt_and_training_begins_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOGGED_EVERY", 1)
    run = tmp_path / "pre"
    options = ["--token-clips", "64", "--clips", "32", "--frames", "1", "--threads", "1", "--token-lr", "3e-3"]
    assert main(["pretrain", "--out", str(run), "--seed", "2", *TINY, *options]) == 0
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    tokens = [entry["cells"] for entry in log if entry["stage"] == "tokens"]
    assert [entry["stage"] for entry in log] == 4 * ["tokens"] + 2 * ["frames"]
    assert tokens[-1] < 0.9 * tokens[0]
    assert all(np.isfinite(entry["votes"]) for entry in log if entry["stage"] == "frames")

    data = tmp_path / "data"
    held = tmp_path / "held"
    for seed, folder in (("1", data), ("2", held)):
        assert main(["simulate", "--clips", "4", "--seed", seed, "--out", str(folder)]) == 0
    train = ["train", "--data", str(data), "--val", str(held), "--out", str(tmp_path / "run"), "--epochs", "1"]
    assert main([*train, "--init", str(run / "last.pt"), *TINY, "--network", "frames=2", "--batch", "4"]) == 0


def test_weights_of_another_network_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--token-clips", "32", "--clips", "0", "--threads", "1"]
    assert main(["pretrain", "--out", str(tmp_path / "first"), *TINY, *options]) == 0
    capsys.readouterr()
    again = ["pretrain", "--out", str(tmp_path / "second"), *options, "--init", str(tmp_path / "first" / "last.pt")]
    assert main(again) == 2
    assert "another network" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


BAD_OPTIONS = {
    "frames that do not divide a clip": ["--frames", "5"],
    "nothing to learn": ["--clips", "0", "--token-clips", "0"],
    "a network that cannot be": ["--network", "width=25"],
    "a rate of nothing": ["--lr", "0"],
}


@pytest.mark.parametrize("options", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options_end_with_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["pretrain", "--out", str(tmp_path / "run"), *options]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
