"""The file of a study and the runs that follow from it."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="a plan knows the networks' shapes")

from station.errors import InputError
from trainer.studies.plan import RESULT, make_plan
from trainer.studies.study import read_study, systems_of

STUDY = """
data = "clips"
folds = 2
seeds = [1, 2]
ours = "RoSTFine alpha 1"
[recipe]
epochs = 3
network = { frames = 2, clip_px = 20, image_px = 20, patch_px = 10, width = 16, depth = 2, heads = 2, selected = 2 }
[systems."RoSTFine alpha 1"]
alpha = 1.0
network = { branch_depth = 1, branch_heads = 2 }
[systems.TimeSformer]
like = "RoSTFine alpha 1"
alpha = 0.0
network = { features = ["g"] }
"""
ABLATIONS = """
[ablations]
of = "RoSTFine alpha 1"
alpha = [0.0, 1.0]
selected = [1, 2]
features = ["gst", "g"]
aggregation = ["mean", "concat"]
"""


def study(tmp_path: Path, text: str, clips: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text.replace('"clips"', json.dumps(str(clips))), encoding="utf-8")
    return path


def test_a_system_takes_over_what_it_is_like(tmp_path: Path, tiny_clips: Path) -> None:
    path = study(tmp_path, STUDY, tiny_clips)
    systems = systems_of(read_study(path), path)
    assert systems["TimeSformer"].fields["network"] == {
        "frames": 2, "clip_px": 20, "image_px": 20, "patch_px": 10, "width": 16, "depth": 2, "heads": 2, "selected": 2,
        "branch_depth": 1, "branch_heads": 2, "features": ["g"],
    }  # fmt: skip
    assert systems["TimeSformer"].fields["alpha"] == 0.0
    assert systems["RoSTFine alpha 1"].fields["epochs"] == 3


def test_every_run_is_planned_once_whatever_asks_for_it(tmp_path: Path, tiny_clips: Path) -> None:
    plan = make_plan(study(tmp_path, STUDY + ABLATIONS, tiny_clips), tmp_path / "out", verify=False)
    assert [variant.name for variant in plan.variants] == [
        "RoSTFine alpha 1", "TimeSformer", "alpha 0", "selected 1", "features g", "aggregation concat",
    ]  # fmt: skip
    assert len(plan.runs) == 6 * 2 * 2
    assert len({run.name for run in plan.runs}) == len(plan.runs)
    places = [(run.recipe.fold, run.recipe.seed) for run in plan.runs]
    assert places == sorted(places), "whole folds first"
    by_axis = {ablation.axis: ablation.variants for ablation in plan.ablations}
    base = plan.systems[0].first.name
    assert by_axis["alpha"]["1"].first.name == base
    assert by_axis["selected"]["2"].first.name == base
    assert by_axis["features"]["gst"].first.name == base
    assert by_axis["aggregation"]["mean"].first.name == base
    assert plan.systems[1].paper == "TimeSformer"
    assert plan.systems[0].paper == "RoSTFine alpha 1"


def test_a_changed_study_keeps_the_runs_that_still_belong_to_it(tmp_path: Path, tiny_clips: Path) -> None:
    out = tmp_path / "out"
    before = make_plan(study(tmp_path, STUDY, tiny_clips), out, verify=False)
    for run in before.runs:
        run.out.mkdir(parents=True)
        (run.out / RESULT).write_text("{}")
    renamed = STUDY.replace("RoSTFine alpha 1", "Ours").replace("alpha = 1.0", "alpha = 1.0\nbrightness = 0.1")
    after = make_plan(study(tmp_path, renamed, tiny_clips), out, verify=False)
    assert all(run.finished for run in after.runs), "another name and a default that is said change nothing"
    other = make_plan(study(tmp_path, STUDY.replace("alpha = 1.0", "alpha = 0.5"), tiny_clips), out, verify=False)
    assert [variant.first.finished for variant in other.systems] == [False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('ours = "RoSTFine', 'ours = "Rostfine'), "ours: no system 'Rostfine alpha 1'; did you mean 'RoSTFine"),
        (("folds = 2", "fold = 2"), "unknown key 'fold', did you mean 'folds'"),
        (("folds = 2", "folds = 1"), "'folds': expected at least 2"),
        (("seeds = [1, 2]", "seeds = [1, 1]"), "holds one twice"),
        (('like = "RoSTFine alpha 1"', 'like = "TimeSformer"'), "comes back to itself"),
        (("epochs = 3", "epoch = 3"), "system 'RoSTFine alpha 1': unknown key 'epoch', did you mean 'epochs'"),
        (("depth = 2,", "deep = 2,"), "system 'RoSTFine alpha 1': network: no field 'deep'; did you mean 'depth'"),
        (("alpha = 0.0", 'alpha = 0.0\npaper = "C3D"'), "'C3D' is not in Table 2"),
        (("alpha = 0.0", "alpha = 0.0\ninit = 7"), "init: expected text in quotes, got 7"),
        (("alpha = 0.0", 'alpha = 0.0\ninit = "none.pt"'), "no such file"),
        (("[systems.TimeSformer]", '[systems.TimeSformer]\nsystem = "r3d"'), "or ask for a start from nothing"),
        (("folds = 2", "folds = 99"), "expected 2 up to the number of source videos"),
        (("[recipe]", "[recipe"), "is no TOML"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, tiny_clips: Path, change: tuple[str, str], message: str) -> None:
    path = study(tmp_path, STUDY.replace(*change), tiny_clips)
    with pytest.raises(InputError, match=r"(?s).*") as raised:
        make_plan(path, tmp_path / "out", verify=False)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_folds_that_are_there_are_kept(tmp_path: Path, tiny_clips: Path) -> None:
    out = tmp_path / "out"
    first = make_plan(study(tmp_path, STUDY, tiny_clips), out, verify=False)
    assert make_plan(study(tmp_path, STUDY, tiny_clips), out, verify=False).folds == first.folds
    with pytest.raises(InputError, match=r"folds = 3, but .* has 2"):
        make_plan(study(tmp_path, STUDY.replace("folds = 2", "folds = 3"), tiny_clips), out, verify=False)
