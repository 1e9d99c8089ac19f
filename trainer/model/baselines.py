"""The networks that RoSTFine is compared with, built by the libraries that publish them and only adapted.

Adapted means: a grey clip of the station goes in (normalised as the network's authors do it, resized, the grey channel
three times), and grades come out by softmax. The layers are torchvision's (VGG16, R3D, R(2+1)D), pytorchvideo's (X3D,
I3D, SlowFast) and transformers' (ViViT); a narrower or shallower network is built by the same functions.

It knows no files and no training. TimeSformer is no baseline in this sense: it is RoSTFine without its branches.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.artifact import NUM_GRADES
from engine.baseline_config import BaselineConfig
from station.errors import MissingExtraError

SLOWFAST_RATIO: Final = 4
"""Frames of SlowFast's fast path for one of its slow path (alpha)."""
HEAD_NAMES: Final = {
    "vgg16": "classifier.6.",
    "r3d": "fc.",
    "r2plus1d": "fc.",
    "x3d": "blocks.5.proj.",
    "i3d": "blocks.6.proj.",
    "slowfast": "blocks.6.proj.",
    "vivit": "classifier.",
}
"""What the names of the last layer's weights begin with: it has the classes of what a network was made for."""
IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KINETICS: Final = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
"""Mean and standard deviation of the channels, of 1, that torchvision's video networks were trained with."""
PIXELS: Final = {
    "vgg16": IMAGENET,
    "r3d": KINETICS,
    "r2plus1d": KINETICS,
    "x3d": ((0.45,) * 3, (0.225,) * 3),
    "i3d": ((0.45,) * 3, (0.225,) * 3),
    "slowfast": ((0.45,) * 3, (0.225,) * 3),
    "vivit": ((0.5,) * 3, (0.5,) * 3),
}
PACKAGES: Final = {
    "vgg16": "torchvision",
    "r3d": "torchvision",
    "r2plus1d": "torchvision",
    "x3d": "pytorchvideo",
    "i3d": "pytorchvideo",
    "slowfast": "pytorchvideo",
    "vivit": "transformers",
}


class BaselineOutput(NamedTuple):
    """What a baseline says about N clips, float."""

    grade: Tensor
    """(N, 5) probabilities of the grades A to E."""
    log_heads: Tensor
    """(N, 1, 5) their logarithms; finite where a probability underflows."""


class Baseline(nn.Module):
    """Clips in, grade distributions out, like ``Rostfine``."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: BaselineConfig, classes: int = NUM_GRADES) -> None:
        """Build it with random weights. Raises MissingExtraError where its library is not installed.

        Args:
            config: Its shape.
            classes: Of its last layer; other than the grades only to count what was published with others.
        """
        super().__init__()
        package = PACKAGES[config.system]
        if find_spec(package) is None:
            raise MissingExtraError(f'{config.system} needs {package}; install it with pip install ".[baselines]"')
        self.config = config
        self.network = BUILDERS[config.system](config, classes)
        mean, std = PIXELS[config.system]
        self.register_buffer("mean", torch.tensor(mean)[:, None, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None, None], persistent=False)

    def forward(self, clips: Tensor) -> BaselineOutput:
        """Grade clips (N, T, H, W) of any dtype, in grey levels 0 to 255."""
        scores = self.scores(self.pixels(clips))
        return BaselineOutput(scores.softmax(-1), scores.log_softmax(-1)[:, None])

    def pixels(self, clips: Tensor) -> Tensor:
        """Return what the network looks at: (N, 3, T or 1, image_px, image_px), normalised."""
        grey = clips[:, :1] if self.config.system == "vgg16" else clips
        grey = grey.to(self.mean.dtype) / 255
        if grey.shape[-1] != self.config.image_px:
            grey = F.interpolate(grey, size=(self.config.image_px, self.config.image_px), mode="bilinear")
        return (grey[:, None] - self.mean) / self.std

    def scores(self, pixels: Tensor) -> Tensor:
        """Return the scores (N, classes) before the softmax."""
        match self.config.system:
            case "vgg16":
                return cast(Tensor, self.network(pixels[:, :, 0]))
            case "slowfast":
                return cast(Tensor, self.network([pixels[:, :, ::SLOWFAST_RATIO], pixels]))
            case "vivit":
                return cast(Tensor, self.network(pixels.transpose(1, 2)).logits)
            case _:
                return cast(Tensor, self.network(pixels))


def _vgg16(config: BaselineConfig, classes: int) -> nn.Module:
    from torchvision.models.vgg import VGG, make_layers

    w, hidden = config.width, 64 * config.width
    with torch.device("meta"):  # its own classifier has a fixed size; it is replaced
        network = VGG(nn.Identity(), init_weights=False)
    places: list[str | int] = [w, w, "M", 2 * w, 2 * w, "M", *3 * [4 * w], "M", *3 * [8 * w], "M", *3 * [8 * w], "M"]
    network.features = make_layers(places)
    network.classifier = nn.Sequential(
        nn.Linear(8 * w * 7 * 7, hidden), nn.ReLU(True), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(True),
        nn.Dropout(), nn.Linear(hidden, classes),
    )  # fmt: skip
    _draw(network)
    return cast(nn.Module, network)


def _video_resnet(config: BaselineConfig, classes: int) -> nn.Module:
    from torchvision.models.video.resnet import (
        BasicBlock,
        BasicStem,
        Conv2Plus1D,
        Conv3DSimple,
        R2Plus1dStem,
        VideoResNet,
    )

    conv, stem = (Conv3DSimple, BasicStem) if config.system == "r3d" else (Conv2Plus1D, R2Plus1dStem)
    with torch.device("meta"):  # its stages have fixed widths; they are replaced
        network = VideoResNet(BasicBlock, [conv] * 4, [1] * 4, stem)
    network.stem = stem()
    network.inplanes = 64  # what the stem gives
    for stage in range(4):
        made = network._make_layer(
            BasicBlock, conv, config.width * 2**stage, int(config.depth), stride=1 if stage == 0 else 2
        )
        setattr(network, f"layer{stage + 1}", made)
    network.fc = nn.Linear(8 * config.width, classes)
    _draw(network)
    return cast(nn.Module, network)


def _x3d(config: BaselineConfig, classes: int) -> nn.Module:
    with _quiet():
        from pytorchvideo.models.x3d import create_x3d

    return cast(
        nn.Module,
        create_x3d(
            input_clip_length=config.frames, input_crop_size=config.image_px, model_num_class=classes,
            width_factor=config.width / 12, depth_factor=config.depth, head_activation=None, inner_act=nn.SiLU,
        ),
    )  # fmt: skip


def _i3d(config: BaselineConfig, classes: int) -> nn.Module:
    with _quiet():
        from pytorchvideo.models.hub import i3d_r50

    edge = _reduced(config.image_px)
    return cast(
        nn.Module,
        i3d_r50(
            stem_dim_out=config.width, model_num_class=classes, head_pool_kernel_size=(config.frames // 2, edge, edge)
        ),
    )


def _slowfast(config: BaselineConfig, classes: int) -> nn.Module:
    with _quiet():
        from pytorchvideo.models.hub import slowfast_r50

    edge = _reduced(config.image_px)
    pools = ((config.frames // SLOWFAST_RATIO, edge, edge), (config.frames, edge, edge))
    return cast(
        nn.Module,
        slowfast_r50(
            stem_dim_outs=(config.width, config.width // 8), model_num_class=classes, head_pool_kernel_sizes=pools
        ),
    )


def _vivit(config: BaselineConfig, classes: int) -> nn.Module:
    from transformers import VivitConfig, VivitForVideoClassification

    shape = VivitConfig(
        image_size=config.image_px, num_frames=config.frames, tubelet_size=[2, config.patch_px, config.patch_px],
        hidden_size=config.width, num_hidden_layers=int(config.depth), num_attention_heads=config.heads,
        intermediate_size=4 * config.width,
    )  # fmt: skip
    shape.num_labels = classes
    return cast(nn.Module, VivitForVideoClassification(shape))


BUILDERS: Final[dict[str, Callable[[BaselineConfig, int], nn.Module]]] = {
    "vgg16": _vgg16,
    "r3d": _video_resnet,
    "r2plus1d": _video_resnet,
    "x3d": _x3d,
    "i3d": _i3d,
    "slowfast": _slowfast,
    "vivit": _vivit,
}


def _reduced(edge_px: int) -> int:
    """Return the edge that five halvings leave, each rounded up."""
    return -(-edge_px // 32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let pytorchvideo be loaded: a package that it imports calls what torch has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _draw(network: nn.Module) -> None:
    """Draw the weights as torchvision does for VGG and for its video networks."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)
