"""How near an image's reconstruction is to it, pixel by pixel: mean squared error and structural similarity.

    SSIM = (2 m_x m_y + c_1) (2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1) (s_x^2 + s_y^2 + c_2)),

with means, variances and covariance under a Gaussian window of 11 x 11 pixels and standard deviation 1.5, c_1 = 0.01^2
and c_2 = 0.03^2 for images in [0, 1]; averaged over channels and over the places where the window lies inside.

Reference: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity", 2004.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from mmbench.metric import Bench, Metric, Quantity, Row
from mmbench.modality import DatasetSpec, Modality, Task

from .intervals import Clustered, shared_items

__all__ = ["ReconstructionError", "ssim"]

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity (B,) in [-1, 1] of images (B, C, H, W) in [0, 1], H and W at least 11."""
    x, y = x.double(), y.double()
    mean_x, mean_y, xx, yy, xy = (_windowed(a) for a in (x, y, x * x, y * y, x * y))
    var_x, var_y, both = xx - mean_x.square(), yy - mean_y.square(), xy - mean_x * mean_y
    brightness = (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
    structure = (2 * both + C2) / (var_x + var_y + C2)
    return (brightness * structure).flatten(1).mean(1)


def _windowed(x: Tensor) -> Tensor:
    """Means of each channel under the window, where it lies inside."""
    at = torch.arange(WINDOW, dtype=x.dtype) - (WINDOW - 1) / 2
    line = torch.exp(-at.square() / (2 * SIGMA**2))
    line = line / line.sum()
    flat = x.flatten(0, 1)[:, None]
    return conv2d(conv2d(flat, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1)).view(*x.shape[:2], -1)


class ReconstructionError(Metric):
    """Rows 'mse' (1000 times the mean squared error of a pixel in [0, 1]) and 'ssim' of each image that the model is
    given and makes again.

    What a model loses on the way through its latent bounds what it can generate; a small error is no sign of good
    samples.
    """

    name: ClassVar[str] = "reconstruction_error"
    higher_is_better: ClassVar[bool | None] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1000.0)
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "mse": Quantity(bounds=(0.0, 1000.0), higher_is_better=False, title="MSE × 1000", group="quality"),
        "ssim": Quantity(bounds=(-1.0, 1.0), higher_is_better=True, title="SSIM", group="quality"),
    }
    paired: ClassVar[bool] = True

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._sums: dict[tuple[str, str], Clustered] = {}

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        return "" if any(map(_covers, dataset.modalities)) else f"no modality is an image of {WINDOW} x {WINDOW} pixels"

    def wants(self, task: Task) -> int:
        if task.given != task.targets or not any(map(self._image, task.targets)):
            return 0
        return min(self.bench.protocol.quality_count, len(self.bench.order))

    def _image(self, name: str) -> bool:
        return _covers(self.bench.dataset.spec.modality(name))

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        data = self.bench.dataset
        for name in filter(self._image, task.targets):
            x, y = data.test.gather(rows, (name,))[name].cpu(), samples[name].cpu()
            shared = shared_items(data.spec, data.test, rows, (name,))
            for metric, values in (("mse", 1000 * (x - y).double().square().flatten(1).mean(1)), ("ssim", ssim(x, y))):
                self._sums.setdefault((metric, name), Clustered()).add(values, shared)

    def compute(self) -> list[Row]:
        return [self._row(metric, name, sums) for (metric, name), sums in self._sums.items()]

    def _row(self, metric: str, name: str, sums: Clustered) -> Row:
        quantity = self.quantities[metric]
        return Row(
            metric=metric,
            task=Task((name,), (name,)).name,
            modality=name,
            value=sums.mean,
            count=sums.count,
            judge="exact",
            higher_is_better=quantity.higher_is_better,
            interval=sums.mean_interval(quantity.bounds),
        )


def _covers(modality: Modality) -> bool:
    return not modality.is_text and len(modality.shape) == 3 and min(modality.shape[1:]) >= WINDOW
