"""Many importance samples of a tuple, and one copy of the tuple."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmbench.data.glyphs import SPEC as GLYPHS
from mmbench.data.mnist_svhn import SPEC as MNIST_SVHN
from mmbench.modality import DatasetSpec
from mmbench.networks import Networks
from mmbench.seeding import seeded_init
from mmbench_baselines.mmvae_dreg import MMVAEDReG

B, K = 4, 3


def place(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


class Copies(TorchDispatchMode):
    """The operators that make more values than they get, out of the batch's tensors alone."""

    def __init__(self, batch: dict[str, Tensor]) -> None:
        super().__init__()
        self.batch, self.found = {place(x): x.numel() for x in batch.values()}, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if given and all(place(x) in self.batch for x in given):
            bound = max(self.batch[place(x)] for x in given)
            new = [x for x in tree_leaves(made) if isinstance(x, Tensor) and place(x) not in self.batch]
            self.found += [str(func) for x in new if x.untyped_storage().nbytes() > bound * x.element_size()]
        return made


@pytest.mark.parametrize("spec", [MNIST_SVHN, GLYPHS], ids=lambda s: s.name)
def test_mmvae_dreg_copies_no_image_for_its_samples(spec: DatasetSpec) -> None:
    """Tokens of a text may be: they are few, and torch's cross-entropy wants them side by side."""
    config = replace(MMVAEDReG.recipe(spec, "smoke"), samples=K)
    with seeded_init(0):
        model = MMVAEDReG.build(spec, config, Networks())
    rng = torch.Generator().manual_seed(0)
    images = {m.name: torch.rand(B, *m.shape, generator=rng) for m in spec.modalities if not m.is_text}
    texts = {m.name: torch.randint(2, (B, *m.shape), generator=rng) for m in spec.modalities if m.is_text}
    with Copies(images) as copies:
        model.loss({**images, **texts}, rng)["loss"].backward()
    assert copies.found == []
    with Copies(images) as copies:  # it sees what it looks for
        next(iter(images.values())).repeat(K, 1, 1, 1)
    assert copies.found == ["aten.repeat.default"]
