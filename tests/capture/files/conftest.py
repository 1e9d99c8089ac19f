"""Reading a file from its first frame to its last."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from capture.files.file_source import open_file
from capture.source import Frame
from station.transport.control_messages import SourceInfo


@dataclass(frozen=True)
class Read:
    """What came out of a file."""

    info: SourceInfo
    frames: list[Frame]
    notices: tuple[str, ...]
    damage: tuple[str, ...]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        return np.stack([frame.pixels for frame in self.frames])

    @property
    def times_ms(self) -> list[float]:
        return [frame.t_source_ns / 1e6 for frame in self.frames]

    @property
    def cautions(self) -> tuple[str, ...]:
        return tuple(notice for notice in self.notices if notice not in self.damage)


@pytest.fixture
def read() -> Callable[..., Read]:
    def read(path: Path, **options: Any) -> Read:
        with open_file(path, **options) as source:
            frames = []
            while isinstance(frame := source.read(), Frame):
                frames.append(frame)
            return Read(source.info, frames, source.condition.notices, source.condition.damage)

    return read
