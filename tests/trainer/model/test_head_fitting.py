"""Fitting the grade heads: clips that count as if their grades had other shares."""

from pathlib import Path

import numpy as np
import pytest

from trainer.__main__ import main
from trainer.model.head_fitting import weights_for_shares


def test_weighted_clips_have_the_shares_that_were_asked_for() -> None:
    votes = np.eye(5)[[0, 1, 1, 2, 2, 2, 2, 3, 4, 4]]
    wanted = np.array([0.1, 0.3, 0.4, 0.15, 0.05])
    weights = weights_for_shares(votes, wanted)
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(np.bincount(votes.argmax(axis=1), weights) / len(votes), wanted)


def test_a_grade_that_no_clip_has_gets_no_share_and_the_rest_keep_theirs() -> None:
    votes = np.eye(5)[[0, 1, 1, 1]]
    weights = weights_for_shares(votes, np.array([0.2, 0.2, 0.2, 0.2, 0.2]))
    np.testing.assert_allclose(np.bincount(votes.argmax(axis=1), weights) / len(votes), [0.5, 0.5])


@pytest.mark.parametrize("value", ["-0.1", "1.5", "nan"])
def test_an_evenness_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    data = tmp_path / "data"
    assert main(["simulate", "--clips", "1", "--seed", "1", "--out", str(data)]) == 0
    arguments = ["fit-heads", "--run", str(tmp_path), "--data", str(data), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--evenness", value]) == 2
    assert "--evenness" in capsys.readouterr().err
