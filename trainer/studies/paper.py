"""The figures that the RoSTFine paper gives for its systems, to be printed beside one's own.

Fujii et al., WACV 2024 (arXiv 2311.05927), Table 2: five folds of 615 clips of their own, which are not public. So only
the order of the systems can be compared.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One system's mean over the folds."""

    mse_x100: float
    js_x100: float
    mean_balanced_accuracy: float
    """In %."""


TABLE_2: Final[dict[str, PaperRow]] = {
    "VGG16": PaperRow(1.517, 5.628, 25.44),
    "R3D": PaperRow(1.365, 4.978, 30.52),
    "R(2+1)D": PaperRow(1.702, 7.043, 24.30),
    "X3D": PaperRow(1.808, 7.186, 25.06),
    "I3D": PaperRow(1.376, 5.206, 30.98),
    "SlowFast": PaperRow(1.346, 5.059, 30.05),
    "ViViT": PaperRow(1.406, 4.987, 30.99),
    "TimeSformer": PaperRow(1.186, 4.283, 33.94),
    "RoSTFine alpha 0": PaperRow(1.121, 4.145, 35.24),
    "RoSTFine alpha 1": PaperRow(1.104, 4.109, 36.37),
}
