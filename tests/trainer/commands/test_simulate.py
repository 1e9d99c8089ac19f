"""Simulated folders: valid, the same for a seed whatever the number of workers, grades spread as requested."""

from pathlib import Path

import numpy as np
import pytest

from trainer.__main__ import main
from trainer.data.dataset import find_problems, open_clips
from trainer.data.synthetic import simulate
from trainer.evaluation.scored import second_panel


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_folder_follows_from_its_seed_whatever_the_number_of_workers(tmp_path: Path) -> None:
    simulate(tmp_path / "one", 20, 5, "mixed", workers=1)
    simulate(tmp_path / "two", 20, 5, "mixed", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_folder_is_valid_and_holds_what_the_network_takes(tmp_path: Path) -> None:
    simulate(tmp_path / "data", 6, 1, "table1")
    assert find_problems(tmp_path / "data") == []
    clips = open_clips(tmp_path / "data")
    assert clips.shape == (16, 150, 150)
    assert clips.votes.sum(axis=1).tolist() == [40] * 6
    assert len(set(clips.sources)) == 6
    assert [row.id for row in clips.rows] == [f"clip-{k:06d}" for k in range(6)]
    second = second_panel(clips)
    assert second is not None
    np.testing.assert_allclose(second.sum(axis=1), 1.0)
    assert not np.array_equal(second, clips.distributions)


def test_another_seed_is_another_folder(tmp_path: Path) -> None:
    simulate(tmp_path / "a", 2, 1, "mixed")
    simulate(tmp_path / "b", 2, 2, "mixed")
    assert not np.array_equal(open_clips(tmp_path / "a").pixels(0), open_clips(tmp_path / "b").pixels(0))


BAD_OPTIONS = {
    "no clips": ["--clips", "0"],
    "no workers": ["--workers", "0"],
    "negative seed": ["--seed", "-1"],
    "folder exists": ["--out", "."],
}


@pytest.mark.parametrize("options", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options_end_with_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    base = ["simulate", "--clips", "1", "--seed", "1", "--out", str(tmp_path / "data")]
    assert main([*base, *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "data").exists()
