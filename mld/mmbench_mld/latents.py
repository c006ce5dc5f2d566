"""The common latent space: concatenation of the uni-modal latents, masks m(A), standardisation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

__all__ = ["Layout", "Standardiser"]


@dataclass(frozen=True)
class Layout:
    """Where each modality's latent Z^m lies in Z = [Z^1, ..., Z^M] of size D."""

    sizes: Mapping[str, int]
    """Modality name -> dim(Z^m), in the order of concatenation."""
    _tables: dict[tuple[tuple[float, ...], torch.device], tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Indicators and masks by pattern and device."""

    _patterns: dict[tuple[Sequence[Collection[str]], torch.device], tuple[Tensor, Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Tables of several conditions."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.sizes)

    @property
    def dim(self) -> int:
        """D."""
        return sum(self.sizes.values())

    def concat(self, latents: Mapping[str, Tensor]) -> Tensor:
        """{name: (B, dim)} -> (B, D)."""
        return torch.cat([latents[name] for name in self.names], dim=1)

    def split(self, z: Tensor) -> dict[str, Tensor]:
        """(B, D) -> {name: (B, dim)}."""
        return dict(zip(self.names, z.split(list(self.sizes.values()), dim=1), strict=True))

    def rest(self, chosen: Collection[str]) -> tuple[str, ...]:
        """The modalities that are not chosen."""
        return tuple(name for name in self.names if name not in chosen)

    def indicator(self, chosen: Collection[str], device: torch.device | str = "cpu") -> Tensor:
        """The multi-time vector's pattern 1(m in chosen), float (M,); made once for a device, to be read only."""
        return self._tabulated(chosen, torch.device(device))[0]

    def mask(self, chosen: Collection[str], device: torch.device | str = "cpu") -> Tensor:
        """m(A): 1 on the latents of the chosen modalities, 0 elsewhere, float (D,); made once, to be read only."""
        return self._tabulated(chosen, torch.device(device))[1]

    def _tabulated(self, chosen: Collection[str], device: torch.device) -> tuple[Tensor, Tensor]:
        pattern = tuple(float(name in chosen) for name in self.names)
        if (pattern, device) not in self._tables:
            with torch.inference_mode(False):  # a training may use them later
                indicator = torch.tensor(pattern)
                mask = indicator.repeat_interleave(torch.tensor(list(self.sizes.values())))
                self._tables[pattern, device] = indicator.to(device), mask.to(device)
        return self._tables[pattern, device]

    def patterns(self, conditions: tuple[tuple[str, ...], ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """For each of C choices of A2: 1(m in A1) (C, M), m(A1) (C, D) and Omega (C,); made once, to be read only."""
        if (conditions, device) not in self._patterns:
            rests = [self.rest(given) for given in conditions]
            with torch.inference_mode(False):
                indicators = torch.stack([self.indicator(rest, device) for rest in rests])
                masks = torch.stack([self.mask(rest, device) for rest in rests])
                omegas = torch.tensor([self.omega(given) for given in conditions]).to(device)
            self._patterns[conditions, device] = indicators, masks, omegas
        return self._patterns[conditions, device]

    def spread(self, values: Tensor) -> Tensor:
        """One value for each modality -> for each latent: (B, M) -> (B, D)."""
        columns = zip(values.unbind(1), self.sizes.values(), strict=True)
        return torch.cat([column[:, None].expand(-1, size) for column, size in columns], dim=1)

    def omega(self, given: Collection[str]) -> float:
        """Omega(A1, A2) = 1 + dim(A2) / dim(A1) of Equation 9, for A2 = `given`; 1 for joint steps."""
        frozen = sum(self.sizes[name] for name in given)
        return 1.0 + frozen / (self.dim - frozen)


class Standardiser(nn.Module):
    """Element-wise (z - mean) / std, with statistics of the training latents kept as buffers (Appendix A.1).

    `floor` bounds std from below by a share of the largest std, so that an unused latent is not blown up.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    @torch.no_grad()
    def fit(self, z: Tensor) -> None:
        """Take the statistics of z (n, dim): mean and unbiased standard deviation."""
        self.mean.copy_(z.mean(0))
        std = z.std(0)
        self.std.copy_(std.clamp(min=max(self.floor * std.max().item(), 1e-12)))

    def forward(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.std

    def inverse(self, z: Tensor) -> Tensor:
        return z * self.std + self.mean
