"""What a program that joins late must know before it can read a link: model, source, scale, versions.

It is said on the links of tracks and grades when they open, at every change, and once a second: a subscriber
knows within a second what the numbers that follow mean. It takes no place in the sequence of the link's messages.
"""

from typing import Annotated

from pydantic import Field

from station.notice import NOTICE
from station.transport.control_messages import ModelInfo, SourceInfo
from station.transport.counters import Count
from station.transport.messages import Header


class HelloHeader(Header):
    """Who speaks on this link. ``seq`` is that of the message that comes next; none is used up by this one."""

    program: str
    """Name and version of the program; the version of the wire is ``v``."""
    notice: str = NOTICE
    source: SourceInfo
    """With the scale as it is now: a calibration or another objective changes it in mid-run."""
    model: ModelInfo
    window_frames: Annotated[Count, Field(ge=1)]
    window_px: Annotated[Count, Field(ge=1)]
    stride: Annotated[Count, Field(ge=1)]
    """Every stride-th frame enters a window."""
    withheld: bool = False
    """Grades are withheld for now: a blind study."""
