"""Pretraining: batches with true targets, in any turn, and a network that learns from them and can be trained on."""

import itertools
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.__main__ import main
from trainer.data.dataset import open_clips, read_hashes, write_table
from trainer.model.rostfine import preset
from trainer.pretraining import loop
from trainer.pretraining.loop import by_patch, middle_patches
from trainer.pretraining.masked import Decoder, clip_cells
from trainer.pretraining.synthetic import SyntheticBatch, make_batch, synthetic_batches
from trainer.pretraining.targets import CELL_PX, MIDDLE
from trainer.training.recipe import build_recipe
from trainer.training.state import network_config

TINY = ["--network", "depth=2", "--network", "width=24", "--network", "patch_px=50"]
SMALL_PATCHES = [*TINY[:-1], "patch_px=25"]
"""The start from principal components takes seconds for large patches."""


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


def test_without_votes_a_network_learns_to_fill_in_what_is_hidden_and_training_begins_from_it(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "seen"
    assert main(["simulate", "--clips", "16", "--seed", "5", "--out", str(data)]) == 0
    without_votes(data)
    options = ["--frames", "2", "--epochs", "6", "--lr", "3e-3", "--threads", "1", *SMALL_PATCHES]
    assert main(["pretrain", "--clips", str(data), "--out", str(run), *options]) == 0
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert log[-1]["unexplained"] < 0.85 * log[0]["unexplained"]
    assert log[-1]["held_out"] < log[0]["held_out"]
    again = tmp_path / "again"
    assert main(["pretrain", "--clips", str(data), "--out", str(again), *options]) == 0
    assert (again / "log.jsonl").read_text() == (run / "log.jsonl").read_text()  # the same seed, the same bits
    labelled = tmp_path / "labelled"
    assert main(["simulate", "--clips", "6", "--seed", "6", "--out", str(labelled)]) == 0
    train = ["train", "--data", str(labelled), "--out", str(tmp_path / "run"), "--epochs", "1", "--batch", "4"]
    assert (
        main([*train, "--init", str(run / "last.pt"), *SMALL_PATCHES, "--network", "frames=2", "--threads", "1"]) == 0
    )


def without_votes(data: Path) -> None:
    """Take the votes out of a folder of clips."""
    clips = open_clips(data)
    rows = [replace(row, votes=()) for row in clips.rows]
    write_table(data, rows, read_hashes(data), clips.shape, clips.made)


def test_the_targets_are_cells_of_every_patch_with_mean_0_and_spread_1() -> None:
    config = preset("station", patch_px=50, frames=2)
    clips = torch.zeros(1, 2, 150, 150)
    clips[0, 1, 50:55, 145:150] = 200  # one cell: second row of patches, third column, its first row and last column
    cells = clip_cells(clips, config)
    assert cells.shape == (1, 2, 9, 100)
    assert cells.flatten().argmax() == 9 * 100 + 5 * 100 + 9
    assert cells.mean() == pytest.approx(0, abs=1e-5)
    assert cells.std() == pytest.approx(1, abs=1e-4)
    assert torch.isfinite(clip_cells(torch.full((1, 2, 150, 150), 90.0), config)).all()


def test_what_is_hidden_is_not_seen() -> None:
    """Whatever lies in the hidden patches, the guess is the same."""
    recipe = build_recipe({"network": {"depth": 2, "width": 24, "patch_px": 50, "frames": 2}, "data": "x"}, "test")
    config = network_config(recipe)
    decoder = Decoder(config)
    seen, visible = torch.randn(1, 2, 3, 24), torch.tensor([[4, 0, 7]])
    one = decoder(torch.randn(1, 24).zero_(), seen, visible, 9)
    assert one.shape == (1, 2, 9, 100)
    other = decoder(torch.zeros(1, 24), seen[:, :, [1, 0, 2]], visible[:, [1, 0, 2]], 9)
    torch.testing.assert_close(one, other)  # each token lies where it was seen


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--clips", "DATA", "--token-clips", "5"], "--token-clips: does nothing here, as --clips is a folder"),
        (["--clips", "50", "--hidden", "0.5"], "--hidden: does nothing here, as --clips is a number"),
        (["--clips", "DATA", "--hidden", "1.0"], "--hidden between 0 and 1"),
        (["--clips", "DATA", "--frames", "5"], "takes 5 frames"),
        (["--clips", "DATA", "--hidden", "0.01"], "hides none of 9 patches"),
        (["--clips", "NOWHERE"], "no finished folder of clips"),
    ],
)
def test_options_of_the_other_way_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "--clips", "2", "--seed", "5", "--out", "DATA"]) == 0
    assert main(["pretrain", "--out", "RUN", *TINY, *options]) == 2
    assert words in capsys.readouterr().err
    assert not Path("RUN").exists()
