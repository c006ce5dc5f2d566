"""The models on small data of the shapes that cells have: glyphs, and images of 64x64 with captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.config import override
from mmbench.data.dataset import Dataset, Split
from mmbench.data.glyphs import STREET
from mmbench.data.glyphs import draw as draw_glyphs
from mmbench.model import Model
from mmbench.networks import Networks
from mmbench.seeding import seeded_init
from mmbench_baselines.mmvae import MMVAE
from mmbench_baselines.mmvae_dreg import MMVAEDReG
from mmbench_baselines.mopoe import MoPoE
from mmbench_baselines.mvae import MVAE
from mmbench_baselines.mvtcae import MVTCAE
from mmbench_baselines.nexus import Nexus
from mmbench_mld.model import MLD

from ..specs import CUB

MODELS: Mapping[str, type[Model]] = {cls.__name__: cls for cls in (MLD, MVAE, MMVAE, MMVAEDReG, MoPoE, MVTCAE, Nexus)}
STEPS, BATCH = {"glyphs_street": 16, "cub": 5}, {"glyphs_street": 16, "cub": 4}
CASES = [*((name, "glyphs_street") for name in MODELS), ("MLD", "cub"), ("MVTCAE", "cub")]
every_case = pytest.mark.parametrize(("model", "dataset"), [pytest.param(*case, id="-".join(case)) for case in CASES])


@cache
def data(name: str) -> Dataset:
    """300 tuples to train on and 100 to test on."""
    if name == "cub":
        return Dataset(CUB, _birds(300, 0), _birds(100, 1))
    return draw_glyphs(300, 100, spec=STREET)


def _birds(count: int, seed: int) -> Split:
    """Smooth random images and captions whose first words repeat the image's colours."""
    g = torch.Generator().manual_seed(seed)
    colours = torch.randint(200, (count, 3), generator=g)
    noise = torch.randint(56, (count, 3, 64, 64), generator=g)
    words = torch.cat((2 + colours, torch.ones(count, 29, dtype=torch.int64)), 1)
    items = {"image": (colours[..., None, None] + noise).to(torch.uint8), "caption": words.to(torch.int16)}
    return Split(items, torch.arange(count)[:, None].expand(count, 2).contiguous())


def build(model: str, dataset: str, device: torch.device) -> Model:
    """A new model at the smoke recipe, its stages `STEPS` long, sampled in full float32."""
    cls, spec = MODELS[model], data(dataset).spec
    short = [f"steps={STEPS[dataset]}", f"batch_size={BATCH[dataset]}", "warmup=0"]
    if cls is MLD:
        stages = [f"autoencoders.{m}" for m in spec.names] + ["score"]
        extra = ["sampler.kind=path", "path.steps=12", "sampling_precision=float32"]
    else:
        stages, extra = ["schedule"], ["samples=3"] if cls is MMVAEDReG else []
    config = override(cls.recipe(spec, "smoke"), [f"{s}.{word}" for s in stages for word in short] + extra)
    with seeded_init(0):
        return cls.build(spec, config, Networks()).to(device)


def in_float32(model: Model) -> Model:
    """The same model whose stages train in float32."""
    stages = [replace(s, schedule=replace(s.schedule, precision="float32")) for s in model.stages()]
    model.stages = lambda: stages  # type: ignore[method-assign]
    return model


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Names of the tensors that are not equal bit by bit."""
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])]
