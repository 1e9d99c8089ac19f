"""The matcher for CUDA: all heads of a frame in one batched normalised cross-correlation, and the field's planes too.

It behaves as ``tracker.matching.matcher.OpenCvMatcher``: the same maps but for rounding in float32, hence the same
peaks within a thousandth of a px. It runs on torch's CPU device as well, which is for tests; there the other one is
faster. This is the only module of the live path that imports torch.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from tracker.matching.lazy_image import Floats, LazyImage
from tracker.matching.matcher import HALVED_SIGMA_PX, gaussian
from tracker.matching.prepared_frame import Points, PreparedFrame
from tracker.params import DEFAULT_PARAMS, MatchingParams

FLAT = 1e-3
"""A patch or template with a smaller sum of squares round its mean is flat: it correlates with nothing."""


@dataclass(frozen=True, slots=True)
class Planes:
    """A frame on the device."""

    appearance: torch.Tensor
    """(H, W) float32."""
    energy: torch.Tensor
    """(H, W) float32."""


class TorchMatcher:
    """See ``tracker.matching.matcher.Matcher``."""

    def __init__(self, device: str | None = None, params: MatchingParams = DEFAULT_PARAMS.matching) -> None:
        """``device``: "cuda", "cpu"; None takes CUDA where there is one."""
        self._share = params.background_share
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @torch.inference_mode()
    def prepare(
        self, pixels: NDArray[np.uint8], background: NDArray[np.uint8], deadband: float, sigma_px: float
    ) -> tuple[LazyImage, object]:
        """See Matcher."""
        frame, still = self._plane(pixels), self._plane(background)
        energy = ((frame - still).abs() - deadband).clamp_min(0.0)[None, None]
        height, width = frame.shape
        halve = sigma_px >= HALVED_SIGMA_PX and min(height, width) > 1
        if halve:
            energy = F.interpolate(energy, size=(height // 2, width // 2), mode="area")
        taps = torch.from_numpy(gaussian(sigma_px / 2 if halve else sigma_px)).to(self.device)
        reach = len(taps) // 2
        padded = F.pad(energy, (reach, reach, reach, reach), mode="replicate")
        smooth = F.conv2d(F.conv2d(padded, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
        if halve:
            smooth = F.interpolate(smooth, size=(height, width), mode="bilinear", align_corners=False)
        energy = smooth[0, 0]
        level = (1 - self._share) * float(background.mean())
        appearance = frame - self._share * still - level
        return LazyImage.of(cast(Floats, energy.cpu().numpy())), Planes(appearance, energy)

    @torch.inference_mode()
    def maps(
        self, prepared: PreparedFrame, centres: NDArray[np.int64], templates: Floats, radius: int
    ) -> tuple[Floats, Floats]:
        """See Matcher."""
        planes = cast(Planes, prepared.planes)
        size = templates.shape[1]
        areas = self._cut(planes.appearance, centres, radius + size // 2)
        models = torch.from_numpy(templates).to(self.device)
        models = models - models.mean(dim=(1, 2), keepdim=True)
        model_power = (models * models).sum(dim=(1, 2))
        # Sums of squares lose their digits where the mean is large beside the variation.
        areas = areas - areas.mean(dim=(1, 2), keepdim=True)
        count = len(centres)
        raw = F.conv2d(areas[None], models[:, None], groups=count)[0]
        ones = torch.ones(1, 1, size, size, device=self.device)
        sums = F.conv2d(areas[:, None], ones)[:, 0]
        squares = F.conv2d((areas * areas)[:, None], ones)[:, 0]
        power = (squares - sums * sums / size**2).clamp_min(0.0)
        flat = (power < FLAT) | (model_power < FLAT)[:, None, None]
        ncc = torch.where(flat, 0.0, raw / (power * model_power[:, None, None]).clamp_min(1e-12).sqrt()).clamp(
            -1.0, 1.0
        )
        energy = self._cut(planes.energy, centres, radius)
        return cast(Floats, ncc.cpu().numpy()), cast(Floats, energy.cpu().numpy())

    @torch.inference_mode()
    def crops(self, prepared: PreparedFrame, points: Points, size: int) -> Floats:
        """See Matcher."""
        planes = cast(Planes, prepared.planes)
        height, width = planes.appearance.shape
        steps = torch.arange(size, device=self.device) - (size - 1) / 2
        at = torch.from_numpy(points).to(self.device)
        xs, ys = at[:, 0:1] + steps, at[:, 1:2] + steps
        left, top = xs.floor(), ys.floor()
        fx, fy = (xs - left).float()[:, None, :], (ys - top).float()[:, :, None]
        x0, x1 = (v.long().clamp(0, width - 1) for v in (left, left + 1))
        y0, y1 = (v.long().clamp(0, height - 1) for v in (top, top + 1))

        def at_corner(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return planes.appearance[y[:, :, None], x[:, None, :]]

        upper = at_corner(y0, x0) * (1 - fx) + at_corner(y0, x1) * fx
        lower = at_corner(y1, x0) * (1 - fx) + at_corner(y1, x1) * fx
        return cast(Floats, (upper * (1 - fy) + lower * fy).cpu().numpy())

    def _plane(self, image: NDArray[np.uint8]) -> torch.Tensor:
        # A frame may be read-only, which torch cannot say of a tensor; it is copied to the device and never written.
        return torch.from_numpy(np.array(image)).to(self.device).float()

    def _cut(self, plane: torch.Tensor, centres: NDArray[np.int64], reach: int) -> torch.Tensor:
        """Return squares of edge 2 reach + 1 (K, e, e); beyond the edge the edge's pixels repeat."""
        height, width = plane.shape
        steps = torch.arange(-reach, reach + 1, device=self.device)
        at = torch.from_numpy(centres).to(self.device)
        xs = (at[:, 0:1] + steps).clamp(0, width - 1)
        ys = (at[:, 1:2] + steps).clamp(0, height - 1)
        return plane[ys[:, :, None], xs[:, None, :]]
