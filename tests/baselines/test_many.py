"""Five modalities and more: MoPoE's products are batched, whatever their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmbench.modality import DatasetSpec, Modality, subsets
from mmbench.networks import Networks
from mmbench.seeding import seeded_init
from mmbench_baselines.experts import Gaussian, subset_products
from mmbench_baselines.mopoe import MoPoE

B, LATENT = 254, 3


class Operations(TorchDispatchMode):
    """How many there are."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def mopoe(M: int) -> tuple[MoPoE, dict[str, torch.Tensor]]:
    modalities = tuple(Modality(name=f"m{k}", shape=(1, 2, 2), network="mnist_mlp", latent=2) for k in range(M))
    spec = DatasetSpec(name="many", title="Many", modalities=modalities)
    with seeded_init(0):
        model = MoPoE.build(spec, MoPoE.recipe(spec, "smoke"), Networks()).train()
    rng = torch.Generator().manual_seed(0)
    return model, {m.name: torch.rand(B, *m.shape, generator=rng) for m in modalities}


@pytest.mark.parametrize("missing", [False, True], ids=["whole", "incomplete"])
def test_a_step_grows_with_the_modalities_and_not_with_the_subsets(missing: bool) -> None:
    """As many operations, forward and backward, for each further modality: from 7 to 31 to 127 subsets."""
    counts = []
    for M in (3, 5, 7):
        model, batch = mopoe(M)
        present = {name: torch.ones(B, dtype=torch.bool) for name in batch} if missing else None
        model.loss(batch, torch.Generator().manual_seed(0), present)  # tabulates the order of the subsets
        with Operations() as operations:
            model.loss(batch, torch.Generator().manual_seed(0), present)["loss"].backward()
        counts.append(operations.count)
    assert counts[2] - counts[1] == counts[1] - counts[0] > 0


def test_the_products_of_31_subsets() -> None:
    """Each by hand, in NumPy."""
    rng = np.random.default_rng(0)
    mu, logvar = rng.normal(size=(2, 5, B, LATENT))
    q = subset_products([Gaussian(torch.from_numpy(m), torch.from_numpy(v)) for m, v in zip(mu, logvar, strict=True)])
    assert q.mu.shape == (31, B, LATENT)
    for k, S in enumerate(subsets(range(5))):
        precision = np.exp(-logvar[list(S)])
        np.testing.assert_allclose(q.logvar[k].numpy(), -np.log(precision.sum(0)), atol=1e-12)
        mean = (precision * mu[list(S)]).sum(0) / precision.sum(0)
        np.testing.assert_allclose(q.mu[k].numpy(), mean, rtol=1e-9, atol=1e-12)
