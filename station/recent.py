"""What is kept about sperm that are no longer tracked: a bounded number, however long a run is.

Heartbeats, screen and summary name the sperm that something was said of last; the session's record has them all.
"""

from typing import Final, TypeVar

RECENT_SPERM: Final = 100
Value = TypeVar("Value")


def put_recent(values: dict[int, Value], sperm_id: int, value: Value, most: int = RECENT_SPERM) -> None:
    """Set a sperm's value and drop the values that were set longest ago, so that at most ``most`` are kept."""
    values.pop(sperm_id, None)
    values[sperm_id] = value
    while len(values) > most:
        del values[next(iter(values))]
