"""The nine systems of the paper: their names, their sizes, where their weights are published. docs/systems.md.

All nine are trained, scored, resumed and exported by the same program. Their shapes are plain values: no torch is
loaded before a network is made.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import ValidationError

from engine.baseline_config import BaselineConfig
from engine.network_config import NetworkConfig
from engine.network_shape import NetworkShape, SystemName, shape_from
from station.errors import InputError
from trainer.model.presets import PresetName, preset

if TYPE_CHECKING:
    from trainer.model.baselines import Baseline
    from trainer.model.rostfine import Rostfine

Network: TypeAlias = "Rostfine | Baseline"


@dataclass(frozen=True, slots=True)
class System:
    """One of the nine, for people."""

    name: SystemName
    title: str
    """As tables call it."""
    reference: str
    """Who described it, and where."""
    file: str
    """Name of the pretrained weights that its authors, or its library's, publish."""
    url: str
    """Where."""


SYSTEMS: Final[Mapping[SystemName, System]] = {
    system.name: system
    for system in (
        System(
            "vgg16", "VGG16", "Simonyan and Zisserman, ICLR 2015", "vgg16-397923af.pth",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
        ),
        System(
            "r3d", "R3D", "Tran et al., CVPR 2018", "r3d_18-b3b3357e.pth",
            "https://download.pytorch.org/models/r3d_18-b3b3357e.pth",
        ),
        System(
            "r2plus1d", "R(2+1)D", "Tran et al., CVPR 2018", "r2plus1d_18-91a641e6.pth",
            "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        ),
        System(
            "x3d", "X3D", "Feichtenhofer, CVPR 2020", "X3D_M.pyth",
            "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/X3D_M.pyth",
        ),
        System(
            "i3d", "I3D", "Carreira and Zisserman, CVPR 2017", "I3D_8x8_R50.pyth",
            "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/I3D_8x8_R50.pyth",
        ),
        System(
            "slowfast", "SlowFast", "Feichtenhofer et al., ICCV 2019", "SLOWFAST_8x8_R50.pyth",
            "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/SLOWFAST_8x8_R50.pyth",
        ),
        System(
            "vivit", "ViViT", "Arnab et al., ICCV 2021", "model.safetensors (or pytorch_model.bin)",
            "https://huggingface.co/google/vivit-b-16x2-kinetics400",
        ),
        System(
            "timesformer", "TimeSformer", "Bertasius et al., ICML 2021", "TimeSformer_divST_8x32_224_K400.pyth",
            "https://github.com/facebookresearch/TimeSformer",
        ),
        System(
            "rostfine", "RoSTFine", "Fujii et al., WACV 2024", "TimeSformer_divST_8x32_224_K400.pyth (its encoder)",
            "https://github.com/facebookresearch/TimeSformer",
        ),
    )
}  # fmt: skip
"""In the order of the paper's tables."""

BASELINE_PRESETS: Final[Mapping[str, Mapping[PresetName, BaselineConfig]]] = {
    "vgg16": {
        "base": BaselineConfig("vgg16", width=64, depth=16, image_px=224),
        "station": BaselineConfig("vgg16", width=24, depth=16, image_px=112),
        "tiny": BaselineConfig("vgg16", width=2, depth=16, image_px=32),
    },
    "r3d": {
        "base": BaselineConfig("r3d", width=64, depth=2, image_px=112),
        "station": BaselineConfig("r3d", width=16, depth=1, image_px=64),
        "tiny": BaselineConfig("r3d", width=2, depth=1, image_px=16),
    },
    "r2plus1d": {
        "base": BaselineConfig("r2plus1d", width=64, depth=2, image_px=112),
        "station": BaselineConfig("r2plus1d", width=16, depth=1, image_px=64),
        "tiny": BaselineConfig("r2plus1d", width=2, depth=1, image_px=16),
    },
    "x3d": {
        "base": BaselineConfig("x3d", width=24, depth=2.2, image_px=224),
        "station": BaselineConfig("x3d", width=12, depth=1, image_px=96),
        "tiny": BaselineConfig("x3d", width=12, depth=0.1, image_px=32),
    },
    "i3d": {
        "base": BaselineConfig("i3d", width=64, depth=50, image_px=224),
        "station": BaselineConfig("i3d", width=16, depth=50, image_px=96),
        "tiny": BaselineConfig("i3d", width=2, depth=50, image_px=32),
    },
    "slowfast": {
        "base": BaselineConfig("slowfast", width=64, depth=50, image_px=224),
        "station": BaselineConfig("slowfast", width=16, depth=50, image_px=128),
        "tiny": BaselineConfig("slowfast", width=8, depth=50, image_px=32),
    },
    "vivit": {
        "base": BaselineConfig("vivit", width=768, depth=12, image_px=224),
        "station": BaselineConfig("vivit", width=192, depth=5, image_px=150, heads=3, patch_px=30),
        "tiny": BaselineConfig("vivit", width=16, depth=1, image_px=40, heads=2, patch_px=20),
    },
}
"""``base``: as published, with 16 frames. ``station``: a step of training takes about as long as RoSTFine's."""


def config_of(system: SystemName, size: PresetName, changes: Mapping[str, Any] | None = None) -> NetworkShape:
    """Return a system's shape in a size, with fields changed.

    Raises:
        InputError: A changed field does not exist or does not fit.
    """
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in (changes or {}).items()}
    if system == "timesformer" and given.setdefault("features", ("g",)) != ("g",):
        raise InputError(f"network: features {given['features']}: timesformer grades v^g alone; take rostfine")
    baseline = None if system in ("rostfine", "timesformer") else BASELINE_PRESETS[system][size]
    names = [field.name for field in dataclasses.fields(baseline or preset(size)) if field.name != "system"]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
            raise InputError(f"network: no field {name!r}; did you mean {near!r}? (there are {', '.join(names)})")
    try:
        if baseline is None:
            return _checked(preset(size, **given))
        return _checked(dataclasses.replace(baseline, **dict[str, Any](given)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path, wrong = ".".join(str(part) for part in first["loc"][1:]), f"{first['msg']}, got {first['input']!r}"
        raise InputError(f"network: {path}: {wrong}; change this field") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"network: {error}; change this field of the preset {size!r}") from error


def _checked(shape: NetworkConfig | BaselineConfig) -> NetworkShape:
    """Return a shape whose values are of the right types. Raises ValidationError where one is not."""
    return shape_from(dataclasses.asdict(shape))


def make_network(config: NetworkShape) -> Network:
    """Return a network of a shape with random weights. Raises MissingExtraError where its library is missing."""
    if isinstance(config, BaselineConfig):
        from trainer.model.baselines import Baseline

        return Baseline(config)
    from trainer.model.rostfine import Rostfine

    return Rostfine(config)


def network_from(values: Mapping[str, Any]) -> Network:
    """Return the network of the shape in a file, with random weights. Raises ValidationError for values of none."""
    return make_network(shape_from(values))


def require_start(system: SystemName, init: Path | None, scratch: bool) -> None:
    """Refuse a run of a system that RoSTFine is compared with where nothing says what it begins from.

    Raises:
        InputError: It names the pretrained weights and where they are published.
    """
    about = SYSTEMS[system]
    published = f"{about.title}'s are {about.file}, published at {about.url}"
    if init is not None and scratch:
        raise InputError("--init and --scratch: a network begins from one or the other; leave one out")
    if init is not None and not init.exists():
        raise InputError(f"--init {init}: no such file; {published}")
    if init is None and not scratch and system != "rostfine":
        raise InputError(
            f"--system {system}: give --init FILE with pretrained weights ({published}), or ask for a start from "
            "nothing with --scratch true"
        )
