"""Devices, precision and processes, by Lightning Fabric: this one process, or all that torchrun started.

    torchrun --nproc-per-node 2 -m trainer train ...

It knows nothing of networks and clips.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from station.errors import InputError


class Bfloat16(MixedPrecision):
    """Matrix products in bfloat16, everything else in float32, and what goes in stays as it is.

    Fabric's own also rounds the inputs, before a network can normalise them: grey levels above 128 to whole numbers,
    where the contrast of a sperm is a few of them.
    """

    def __init__(self, device: str) -> None:
        super().__init__("bf16-mixed", device)

    def convert_input(self, data: Any) -> Any:
        """Return the inputs as they are."""
        return data


def first_of_machine() -> bool:
    """Whether this is the one process of its machine that checks files for all."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def open_fabric(device: str, precision: str) -> Iterator[Fabric]:
    """Join the other processes, if torchrun started any, and leave them at the end.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1`` and so on. Of several processes each takes a device of its own.
        precision: ``float32`` or ``bfloat16``.

    Raises:
        InputError: The device is not there.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    several = TorchElasticEnvironment.detect()
    try:
        kind = torch.device(device)
        fabric = Fabric(
            accelerator=kind.type,
            strategy="ddp" if several else "auto",
            devices=_local_processes() if several else 1 if kind.index is None else [kind.index],
            num_nodes=int(os.environ["WORLD_SIZE"]) // _local_processes() if several else 1,
            plugins=[
                TorchElasticEnvironment() if several else LightningEnvironment(),
                Bfloat16(kind.type) if precision == "bfloat16" else Precision(),
            ],
        )
    except (RuntimeError, ValueError, AssertionError) as error:
        raise InputError(f"--device {device}: cannot be used ({str(error).splitlines()[0]}); take cpu") from error
    try:
        fabric.launch()
        yield fabric
    finally:
        if several and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _local_processes() -> int:
    return int(os.environ["LOCAL_WORLD_SIZE"])
