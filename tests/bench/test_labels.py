import json

import pytest

pytest.importorskip("torch", reason="training needs torch")

from bench.__main__ import main

pytestmark = pytest.mark.slow


def test_both_ways_are_trained_and_scored_on_the_same_clips(capsys: pytest.CaptureFixture[str]) -> None:
    small = "--labels 8 --unlabelled 12 --test 6 --passes 1 --shown 8 --seeds 1 --frames 2 --threads 1"
    assert main(["labels", *small.split()]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    without, with_it = (figures[f"8 labels, {name} pretraining"]["value"] for name in ("without", "with"))
    assert figures["8 labels, gain"]["value"] == pytest.approx(without - with_it)
    assert without > 0
    assert "95 %" in figures["8 labels, gain"]["note"]
