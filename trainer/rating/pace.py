"""How long a rater takes, and so how long the rest will take: quartiles, because a single number would be a promise."""

from collections.abc import Sequence
from typing import Final

import numpy as np

ENOUGH: Final = 8
"""Votes before anything is said."""
NEWEST: Final = 60
"""Votes that are looked at: people get quicker, and tired."""
LONGEST_S: Final = 120.0
"""Whoever looks longer was elsewhere."""


def pace(seconds: Sequence[float]) -> list[float]:
    """Return the quartiles of the newest of a rater's seconds a clip, [] where there are too few."""
    used = [min(value, LONGEST_S) for value in seconds]
    if len(used) < ENOUGH:
        return []
    return [round(float(value), 2) for value in np.percentile(used, (25, 50, 75))]
