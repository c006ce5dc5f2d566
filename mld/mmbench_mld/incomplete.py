r"""The losses of latents of which modalities are missing: Algorithm 1, and its ablations, for what is there.

Of a tuple that has the modalities A, A2 cut with A is given and the rest of A diffused: all of A where nothing would be
left. A missing modality is neither: its latents are 0, its time is `NEVER`, and it is no part of Omega or of the loss.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmbench.abilities import Present
from mmbench.model import Batch

from .diffusion import Network, choose_each, choose_given, conditions
from .latents import Layout
from .schedule import VPSDE

__all__ = ["NEVER", "draw_given", "known", "loss_of_present", "unmasked_loss_of_present"]

NEVER = -1.0
"""The time of a missing modality: neither 0, which is given, nor one of (0, 1], which is diffused."""


def known(batch: Batch, present: Present, layout: Layout) -> tuple[Tensor, Tensor]:
    """Latents (B, D), 0 where they are missing, and which modalities each tuple has, bool (B, M)."""
    parts: Mapping[str, Tensor] = {n: batch[n].masked_fill(~present[n][:, None], 0.0) for n in layout.names}
    return layout.concat(parts), torch.stack([present[n] for n in layout.names], 1)


def draw_given(layout: Layout, p_joint: float, subsets: str, count: int, generator: torch.Generator) -> Tensor:
    """A2 as bool (count, M), drawn once for a batch or ('sample') for each of its tuples, as for whole ones."""
    if subsets == "sample":
        chosen = choose_each(layout.names, p_joint, count, generator)
        return layout.patterns(conditions(layout.names), chosen.device)[0][chosen] == 0
    given = choose_given(layout.names, p_joint, generator)
    return layout.indicator(given, generator.device).bool().expand(count, -1)


def loss_of_present(
    network: Network, z: Tensor, t: Tensor, eps: Tensor, given: Tensor, present: Tensor, layout: Layout, sde: VPSDE
) -> Tensor:
    """Algorithm 1's loss of incomplete tuples; that of whole ones where nothing is missing.

    Arguments:
        network: (r (B, D), tau (B, M)) -> o (B, D).
        z: standardised latents (B, D), 0 where they are missing.
        t: times (B,).
        eps: standard normal noise (B, D).
        given: A2 of each tuple, bool (B, M).
        present: which modalities it has, bool (B, M).

    Of a network that answers 0, a tuple has the expected loss dim(A).
    """
    given = given & present
    given = given & (present & ~given).any(1, keepdim=True)
    rest = present & ~given
    mask, there = layout.spread(rest.to(z.dtype)), layout.spread(present.to(z.dtype))
    diffused = sde.mean(t)[:, None] * z + sde.sigma(t)[:, None] * eps
    r = mask * diffused + (1.0 - mask) * z
    tau = (rest * t[:, None]).masked_fill(~present, NEVER)
    errors = (mask * (network(r, tau).float() + eps)).square().sum(1)
    return (there.sum(1) / mask.sum(1) * errors).mean()


def unmasked_loss_of_present(
    network: Network, z: Tensor, t: Tensor, eps: Tensor, present: Tensor, layout: Layout, sde: VPSDE
) -> Tensor:
    """The ablations' loss, || o + eps ||^2 over the latents that are there, all of them diffused.

    Arguments:
        network, z, eps, present: as above; with one time for all, nothing but the zeros says what is missing.
        t: times (B, 1), one for all modalities; or (B, M), one for each.
    """
    there = layout.spread(present.to(z.dtype))
    times = t if t.shape[1] == 1 else layout.spread(t)
    r = there * (sde.mean(times) * z + sde.sigma(times) * eps)
    tau = t if t.shape[1] == 1 else t.masked_fill(~present, NEVER)
    return (there * (network(r, tau).float() + eps)).square().sum(1).mean()
