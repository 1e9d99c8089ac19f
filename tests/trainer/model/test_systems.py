"""The systems' shapes: published counts, what is refused, and the files that their authors publish."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")
for package in ("torchvision", "pytorchvideo", "transformers"):
    pytest.importorskip(package, reason="the baselines need the extra [baselines]")

from engine.baseline_config import BaselineConfig  # noqa: E402
from engine.network_config import NetworkConfig  # noqa: E402
from engine.network_shape import shape_from  # noqa: E402
from station.errors import InputError  # noqa: E402
from trainer.model.baselines import HEAD_NAMES, Baseline  # noqa: E402
from trainer.model.counting import count_network  # noqa: E402
from trainer.model.published import load_published  # noqa: E402
from trainer.model.systems import SYSTEMS, config_of, require_start  # noqa: E402

PUBLISHED: dict[str, tuple[dict[str, Any], int, float, float]] = {
    # torchvision 0.29, docs of VGG16_Weights.IMAGENET1K_V1: 138357544 parameters, 15.47 GFLOPS.
    "vgg16": ({"frames": 1}, 1000, 138.357544, 15.47),
    # torchvision 0.29, docs of R3D_18_Weights and R2Plus1D_18_Weights.KINETICS400_V1, 16 frames of 112 px.
    "r3d": ({}, 400, 33.371472, 40.7),
    "r2plus1d": ({}, 400, 31.505325, 40.52),
    # X3D-M, 16 frames of 224 px: FLOPs of the authors' model zoo (PySlowFast), parameters of PyTorchVideo's.
    "x3d": ({}, 400, 3.79, 4.73),
    # PyTorchVideo model zoo, Kinetics-400: I3D R50 8 x 8 and SlowFast R50 8 x 8, crops of 256 px.
    "i3d": ({"frames": 8, "image_px": 256}, 400, 28.04, 37.53),
    "slowfast": ({"frames": 32, "image_px": 256}, 400, 34.57, 65.71),
    # ViViT-B/16x2, model 1, 32 frames of 224 px: Arnab et al., ICCV 2021, table 2.
    "vivit": ({"frames": 32}, 400, 88.9, 455.2),
}
"""What differs from ``base``, classes, million parameters, 1e9 multiply-adds."""


@pytest.mark.parametrize("system", PUBLISHED)
def test_full_size_counts_are_the_published_ones(system: Any) -> None:
    changes, classes, parameters, operations = PUBLISHED[system]
    found = count_network(config_of(system, "base", changes), classes)
    assert found.parameters / 1e6 == pytest.approx(parameters, rel=0.02)
    assert found.multiply_adds / 1e9 == pytest.approx(operations, rel=0.02)


def test_timesformer_counts_are_the_published_ones() -> None:
    # Bertasius et al., ICML 2021, table 2: divided space-time, 121.4 million parameters, 8 frames of 224 px; 0.59
    # TFLOPs are those of three crops (section 4). Its 400 classes weigh 0.3 million.
    config = config_of("timesformer", "base", {"frames": 8})
    found = count_network(config)
    assert isinstance(config, NetworkConfig)
    assert found.parameters / 1e6 + 768 * 395 / 1e6 == pytest.approx(121.4, rel=0.02)
    # In its last block only CLS is read, so the work for the other tokens is left out here: query, projection, MLP,
    # attention.
    d, tokens = config.width, config.frames * config.patches
    left_out = tokens * ((2 + 2 * config.mlp_ratio) * d * d + 2 * (1 + config.patches) * d)
    assert 3 * (found.multiply_adds + left_out) / 1e12 == pytest.approx(0.59, rel=0.02)


def test_all_nine_have_three_sizes_each_smaller_than_the_last() -> None:
    for system in SYSTEMS:
        base, station, tiny = (config_of(system, size) for size in ("base", "station", "tiny"))
        assert base.frames == station.frames == tiny.frames == 16
        assert base.image_px >= station.image_px > tiny.image_px
        assert shape_from({name: getattr(tiny, name) for name in tiny.__dataclass_fields__}) == tiny


@pytest.mark.parametrize(
    ("system", "changes", "told"),
    [
        ("r3d", {"patches": 3}, "did you mean 'patch_px'"),
        ("i3d", {"depth": 18}, "i3d has depth 50 alone"),
        ("slowfast", {"frames": 6}, "takes a multiple of 4"),
        ("vivit", {"width": 100}, "not a multiple of heads"),
        ("vgg16", {"image_px": 20}, "vgg16 takes 32 or more"),
        ("x3d", {"width": 20}, "multiple of 12"),
        ("timesformer", {"features": ["g", "s"]}, "take rostfine"),
        ("rostfine", {"selected": 1000}, "must be from 1"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused_in_one_line(system: Any, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        config_of(system, "base", changes)


def test_a_start_from_nothing_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r3d_18-b3b3357e.pth, published at https://download.pytorch.org.*--scratch"):
        require_start("r3d", None, scratch=False)
    with pytest.raises(InputError, match=r"no such file; X3D's are X3D_M.pyth, published at https://dl.fbaipublic"):
        require_start("x3d", tmp_path / "X3D_M.pyth", scratch=False)
    with pytest.raises(InputError, match="leave one out"):
        require_start("r3d", tmp_path, scratch=True)
    require_start("r3d", None, scratch=True)
    require_start("rostfine", None, scratch=False)


@pytest.mark.parametrize("system", ["vgg16", "r3d", "i3d", "vivit"])
def test_published_weights_come_in_all_but_the_last_layer(system: Any, tmp_path: Path) -> None:
    shape = config_of(system, "tiny")
    assert isinstance(shape, BaselineConfig)
    more = {"frames": 32} if system == "vivit" else {}  # published with 32 frames
    theirs, ours = Baseline(replace(shape, **more), classes=7), Baseline(shape)
    weights = theirs.network.state_dict()
    torch.save({"model_state": {f"module.{name}": value for name, value in weights.items()}}, tmp_path / "theirs.pyth")
    load_published(ours, tmp_path / "theirs.pyth")
    head = HEAD_NAMES[system]
    found = ours.network.state_dict()
    same = [name for name in found if found[name].shape == weights[name].shape and found[name].equal(weights[name])]
    assert set(found) - set(same) - {"vivit.embeddings.position_embeddings"} == {f"{head}weight", f"{head}bias"}


def test_vivit_is_read_under_its_published_names_and_a_wrong_file_is_named(tmp_path: Path) -> None:
    shape = config_of("vivit", "tiny")
    assert isinstance(shape, BaselineConfig)
    ours = Baseline(shape)
    old = {}
    for name, value in Baseline(shape).network.state_dict().items():
        for new, published in (
            ("vivit.layers.", "vivit.encoder.layer."),
            ("attention.q_proj.", "attention.attention.query."),
            ("attention.k_proj.", "attention.attention.key."),
            ("attention.v_proj.", "attention.attention.value."),
            ("attention.o_proj.", "attention.output.dense."),
            ("mlp.fc1.", "intermediate.dense."),
            (".mlp.fc2.", ".output.dense."),
        ):
            name = name.replace(new, published)
        old[name] = value
    torch.save(old, tmp_path / "pytorch_model.bin")
    load_published(ours, tmp_path / "pytorch_model.bin")
    assert ours.network.state_dict()["vivit.layers.0.mlp.fc2.weight"].equal(
        old["vivit.encoder.layer.0.output.dense.weight"]
    )
    r3d = config_of("r3d", "tiny")
    assert isinstance(r3d, BaselineConfig)
    with pytest.raises(InputError, match=r"not the weights of this R3D; published are r3d_18-b3b3357e.pth"):
        load_published(Baseline(r3d), tmp_path / "pytorch_model.bin")
