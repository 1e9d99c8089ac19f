"""The shape of a network that an artifact or a checkpoint may hold: RoSTFine's, or another's it is compared with."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Tag, TypeAdapter

from engine.baseline_config import BaselineConfig
from engine.network_config import NetworkConfig

SystemName = Literal["vgg16", "r3d", "r2plus1d", "x3d", "i3d", "slowfast", "vivit", "timesformer", "rostfine"]
"""The paper's nine, in the order of its tables."""


def _kind(values: object) -> str:
    if isinstance(values, Mapping):
        return "baseline" if "system" in values else "rostfine"
    return "baseline" if isinstance(values, BaselineConfig) else "rostfine"


NetworkShape = Annotated[
    Annotated[NetworkConfig, Tag("rostfine")] | Annotated[BaselineConfig, Tag("baseline")], Discriminator(_kind)
]
"""Files say ``system`` for the others alone: those of before there were any have no such field."""
_SHAPE: Final[TypeAdapter[NetworkShape]] = TypeAdapter(NetworkShape)


def shape_from(values: Mapping[str, Any]) -> NetworkShape:
    """Return the shape that plain values describe. Raises ValidationError where they describe none."""
    return _SHAPE.validate_python(values)
