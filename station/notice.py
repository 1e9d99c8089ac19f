"""The sentence that stands on every screen, report and export."""

from typing import Final, Literal

NOTICE: Final[Literal["For research use only. Not for use in diagnostic procedures."]] = (
    "For research use only. Not for use in diagnostic procedures."
)
