r"""The masked multi-time diffusion loss (Algorithm 1): which modalities are given, how the others are diffused.

R = m(A1) * (m(t) Z + sigma(t) eps) + (1 - m(A1)) * Z,        tau = t [1(1 in A1), ..., 1(M in A1)]

loss = Omega(A1, A2) || m(A1) * (o(R, tau) + eps) ||^2        (o = sigma(t) s_chi; lambda(t) = sigma(t)^2)

and its ablations' loss without mask and Omega, || o(R, tau) + eps ||^2 with everything diffused: MLD-Inpaint to one
time, MLD-Uni each modality to a time of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mmbench.modality import FEW, subsets
from mmbench.seeding import on_host

from .latents import Layout
from .schedule import VPSDE

__all__ = [
    "UNSKILLED",
    "choose_each",
    "choose_given",
    "conditions",
    "loss_of_each",
    "masked_multi_time_loss",
    "proper_subsets",
    "score_skills",
    "training_times",
    "unmasked_loss",
]

Network = Callable[[Tensor, Tensor], Tensor]

T_MIN = 1e-6
"""The smallest training time; t ~ U(T_MIN, 1)."""

UNSKILLED = 0.002
"""A score network whose best skill is below this answers nothing: with too high a learning rate it falls back to that,
its loss stays at D. The suite's shortest trainings came to 0.008 and more; the exact score of N(0, I) has 0.7."""


def training_times(generator: torch.Generator, *shape: int) -> Tensor:
    """t ~ U(T_MIN, 1) of a shape, on the generator's device."""
    return T_MIN + (1.0 - T_MIN) * torch.rand(*shape, generator=generator, device=generator.device)


def proper_subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The 2^M - 2 non-empty subsets that leave something to generate."""
    return subsets(names)[:-1]


def choose_given(names: tuple[str, ...], p_joint: float, generator: torch.Generator) -> tuple[str, ...]:
    """A2 ~ nu: empty with probability `p_joint`, else uniform over the proper non-empty subsets (Appendix A.3).

    The paper's formula also counts the full set, for which nothing is left to diffuse and Omega divides by zero. The
    draw is the host's, whatever the generator's device (`on_host`).
    """
    u, v = torch.rand(2, generator=on_host(generator)).tolist()
    if u < p_joint:
        return ()
    choices = proper_subsets(names)
    return choices[min(int(v * len(choices)), len(choices) - 1)]


def conditions(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """All choices of A2: the empty set, then the proper subsets."""
    return ((), *proper_subsets(names))


def choose_each(names: tuple[str, ...], p_joint: float, count: int, generator: torch.Generator) -> Tensor:
    """A2 ~ nu for each of `count` samples, as places in `conditions` (count,), on the generator's device."""
    u, v = torch.rand(2, count, generator=generator, device=generator.device)
    most = len(conditions(names)) - 1
    return torch.where(u < p_joint, 0, 1 + (v * most).long().clamp(max=most - 1))


def masked_multi_time_loss(
    network: Network, z: Tensor, t: Tensor, eps: Tensor, given: tuple[str, ...], layout: Layout, sde: VPSDE
) -> Tensor:
    """Algorithm 1's loss for one batch and one choice of A2 = `given`.

    Arguments:
        network: (r (B, D), tau (B, M)) -> o (B, D).
        z: standardised latents (B, D).
        t: times (B,).
        eps: standard normal noise (B, D).

    Returns the scalar sum over latents, mean over the batch, times Omega. A network that answers 0 has the expected
    loss D for every A2.
    """
    rest = layout.rest(given)
    mask, indicator = layout.mask(rest, z.device), layout.indicator(rest, z.device)
    return layout.omega(given) * _errors(network, z, t, eps, mask, indicator, sde).mean()


def loss_of_each(
    network: Network, z: Tensor, t: Tensor, eps: Tensor, chosen: Tensor, layout: Layout, sde: VPSDE
) -> Tensor:
    """Algorithm 1's loss with an A2 for each sample: the one of `conditions` which `chosen` (B,) says. Its expected
    value is that of `masked_multi_time_loss` with A2 drawn alike, of less variance: a batch holds every task."""
    indicator, mask, omega = (table[chosen] for table in layout.patterns(conditions(layout.names), z.device))
    return (omega * _errors(network, z, t, eps, mask, indicator, sde)).mean()


def _errors(network: Network, z: Tensor, t: Tensor, eps: Tensor, mask: Tensor, indicator: Tensor, sde: VPSDE) -> Tensor:
    """|| m(A1) * (o(R, tau) + eps) ||^2 of each sample, (B,)."""
    diffused = sde.mean(t)[:, None] * z + sde.sigma(t)[:, None] * eps
    r = mask * diffused + (1.0 - mask) * z
    return (mask * (network(r, t[:, None] * indicator).float() + eps)).square().sum(1)


def unmasked_loss(network: Network, z: Tensor, t: Tensor, eps: Tensor, layout: Layout, sde: VPSDE) -> Tensor:
    """|| o(m(t) z + sigma(t) eps, t) + eps ||^2 over all latents, mean over the batch: no mask, no Omega.

    Arguments:
        network: (r (B, D), t) -> o (B, D).
        z: standardised latents (B, D).
        t: times (B, 1), one for all modalities; or (B, M), one for each.
        eps: standard normal noise (B, D).

    A network that answers 0 has the expected loss D.
    """
    times = t if t.shape[1] == 1 else layout.spread(t)
    r = sde.mean(times) * z + sde.sigma(times) * eps
    return (network(r, t).float() + eps).square().sum(1).mean()


@torch.no_grad()
def score_skills(
    network: Network,
    z: Tensor,
    layout: Layout,
    sde: VPSDE,
    generator: torch.Generator,
    asked: Sequence[tuple[str, ...]] | None = None,
) -> dict[str, float]:
    """1 - loss / loss of the answer 0, on held-out standardised latents z (n, D): 'skill' of a joint step, 'skill given
    x' of the others, and 'best skill', the largest of them (NaN where one of them is). The others are `asked`, or
    all proper subsets; of more than three modalities those with one given, and those with all but one.

    The times are drawn one from each n-th of [0, 1], the noise is the generator's, both the same for every choice of A2
    and for the answer 0, so that the skills differ by what is given alone.
    """
    n = len(z)
    t = (torch.arange(n, device=z.device) + torch.rand(n, generator=generator, device=z.device)) / n
    t, eps = t.clamp(min=T_MIN), torch.randn(z.shape, generator=generator, device=z.device)
    skills = {}
    every = proper_subsets(layout.names)
    told = every if len(layout.names) <= FEW else [s for s in every if len(s) in (1, len(layout.names) - 1)]
    for given in ((), *(told if asked is None else asked)):
        name = f"skill given {' and '.join(given)}" if given else "skill"
        answers: tuple[Network, Network] = network, lambda r, tau: torch.zeros_like(r)
        loss, nothing = (float(masked_multi_time_loss(o, z, t, eps, given, layout, sde)) for o in answers)
        skills[name] = 1.0 - loss / nothing
    return {**skills, "best skill": float(np.max(list(skills.values())))}
