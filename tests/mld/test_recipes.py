"""What MLD and MLD* are trained with: the paper's rows and the suite's shorter ones, in literal numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mmbench.config import BUDGETS, Budget, Schedule, from_json, to_json
from mmbench.data.glyphs import SPEC as GLYPHS
from mmbench.data.glyphs import STREET
from mmbench.data.mnist_fashion import SPEC as MNIST_FASHION
from mmbench.data.mnist_svhn import SPEC as MNIST_SVHN
from mmbench.data.polymnist import specification
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec
from mmbench.model import Model
from mmbench.networks import Networks
from mmbench_mld.config import MLDConfig
from mmbench_mld.model import MLD
from mmbench_mld.star import MLDStar

from ..specs import CAPTION, CUB, IMAGE

POLYMNIST = specification("polymnist", "PolyMNIST", 5)
PICTURES = DatasetSpec(name="pictures", title="Pictures", modalities=(IMAGE, replace(CAPTION, name="title")))
SPECS = (MNIST_SVHN, MNIST_FASHION, GLYPHS, STREET, PICTURES, CUB)

both = pytest.mark.parametrize("cls", [MLD, MLDStar], ids=lambda cls: cls.__name__)


def named(name: str) -> DatasetSpec:
    return next(spec for spec in SPECS if spec.name == name)


def path(config: MLDConfig) -> tuple[int, int, int]:
    return config.path.steps, config.path.jump, config.path.resample


# ---------------------------------------------------------------------------------------- the paper's rows


@both
def test_the_papers_row_of_cub(cls: type[Model]) -> None:
    """Tables 2 and 3; groups from the paper's code; MLD* "kept the same configuration" (Appendix C.3)."""
    config = cls.recipe(CUB)
    shared: dict[str, Any] = {"batch_size": 128, "weight_decay": 1e-6}
    assert config.autoencoders == {
        "image": Schedule(epochs=300, lr=1e-4, **shared),
        "caption": Schedule(epochs=500, lr=1e-3, **shared),
    }
    assert config.score == Schedule(epochs=3000, batch_size=64, lr=1e-4, ema=0.999)
    assert (config.width, config.time_embed, config.blocks, config.groups) == (1024, 512, 2, 32)
    assert (config.p_joint, config.augment, config.std_floor) == (0.7, "trivial", 0.01)
    assert path(config) == (250, 10, 10)
    assert config.sampling_precision == "float32"


@pytest.mark.parametrize("spec", [MNIST_SVHN, MNIST_FASHION, STREET, PICTURES], ids=lambda spec: spec.name)
def test_the_papers_row_of_mnist_svhn(spec: DatasetSpec) -> None:
    """Tables 2 and 3; groups from the paper's code. Datasets on which the paper is silent have it too."""
    config = MLD.recipe(spec)
    assert config.autoencoders == dict.fromkeys(spec.names, Schedule(epochs=150, batch_size=128, lr=1e-3))
    assert config.score == Schedule(epochs=150, batch_size=128, lr=1e-4, ema=0.999)
    assert (config.width, config.time_embed, config.blocks, config.groups) == (512, 256, 2, 8)
    assert (config.p_joint, config.augment, config.std_floor) == (0.5, "none", 0.01)
    assert path(config) == (250, 10, 10)
    assert config.sampling_precision == "float32"


# ---------------------------------------------------------------------------------------- shorter budgets

SMALL, LARGE = (4000, 128, 4e-3, 600), (1500, 128, 4e-3, 225)
QUICK = (400, 64, 3e-3, 160)
LAPTOP, SMOKE = (4300, 256, 1e-3, 215, 0.999), (150, 128, 2e-3, 10, 0.95)

SHORT: Mapping[tuple[type[Model], str, Budget], tuple[Mapping[str, Any], tuple[int, int, float, int, float]]] = {
    # model, dataset, budget: steps, batch size, learning rate, warm-up of the autoencoders; of the score, and EMA
    (MLD, "mnist_svhn", "laptop"): ({"mnist": SMALL, "svhn": LARGE}, LAPTOP),
    (MLD, "mnist_svhn", "smoke"): ({"mnist": QUICK, "svhn": QUICK}, SMOKE),
    (MLD, "mnist_fashion", "laptop"): ({"mnist": SMALL, "fashion": SMALL}, LAPTOP),
    (MLD, "mnist_fashion", "smoke"): ({"mnist": QUICK, "fashion": QUICK}, SMOKE),
    (MLD, "glyphs_street", "laptop"): ({"pen": SMALL, "sign": LARGE, "name": SMALL}, LAPTOP),
    (MLD, "glyphs_street", "smoke"): ({"pen": QUICK, "sign": QUICK, "name": QUICK}, SMOKE),
    (MLD, "glyphs", "laptop"): ({"pen": SMALL, "sign": SMALL, "name": SMALL}, LAPTOP),
    (MLD, "glyphs", "smoke"): (
        {"pen": (1000, 128, 4e-3, 130), "sign": (1000, 128, 4e-3, 130), "name": (400, 64, 3e-3, 40)},
        (3000, 256, 2e-3, 150, 0.995),
    ),
    (MLD, "pictures", "laptop"): ({"image": LARGE, "title": SMALL}, LAPTOP),
    (MLD, "cub", "laptop"): (
        {"image": (1600, 16, 1e-3, 160), "caption": (6000, 64, 3e-3, 600)},
        (8000, 64, 5e-4, 800, 0.999),
    ),
    (MLD, "cub", "smoke"): ({"image": (120, 8, 1e-3, 12), "caption": (60, 64, 3e-3, 6)}, (20, 32, 3e-4, 2, 0.95)),
    (MLDStar, "cub", "laptop"): (
        {"image": (80, 16, 1e-3, 8), "caption": (6000, 64, 3e-3, 600)},
        (8000, 64, 5e-4, 800, 0.999),
    ),
    (MLDStar, "cub", "smoke"): ({"image": (3, 8, 1e-3, 0), "caption": (60, 64, 3e-3, 6)}, (20, 32, 3e-4, 2, 0.95)),
    (MLDStar, "pictures", "laptop"): ({"image": (80, 16, 4e-3, 8), "title": SMALL}, LAPTOP),
    (MLDStar, "mnist_svhn", "smoke"): ({"mnist": QUICK, "svhn": (3, 8, 3e-3, 0)}, SMOKE),
}
"""But for glyphs, the numbers of version 0.1.0, with which the results of the README were made."""


def short(
    steps: int, batch_size: int, lr: float, warmup: int, ema: float | None = None, decay: float = 0.0
) -> Schedule:
    return Schedule(
        steps=steps, batch_size=batch_size, lr=lr, warmup=warmup, decay="cosine", ema=ema, precision="auto",
        weight_decay=decay,
    )  # fmt: skip


@pytest.mark.parametrize(("cls", "name", "budget"), SHORT, ids=lambda value: getattr(value, "__name__", value))
def test_shorter_budgets(cls: type[Model], name: str, budget: Budget) -> None:
    autoencoders, score = SHORT[cls, name, budget]
    config = cls.recipe(named(name), budget)
    decay = 1e-6 if name == "cub" else 0.0
    assert config.autoencoders == {m: short(*row, decay=decay) for m, row in autoencoders.items()}
    assert config.score == short(*score)
    assert config.calls == (40 if budget == "laptop" else 35)
    assert budget == "smoke" or path(config) == (45, 5, 5), "what sampler.kind=path goes along"
    assert config.sampling_precision == "auto"


@both
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("spec", [CUB, STREET, PICTURES], ids=lambda spec: spec.name)
def test_budgets_scale_schedules_and_sampling_only(cls: type[Model], budget: Budget, spec: DatasetSpec) -> None:
    config, paper = cls.recipe(spec, budget), cls.recipe(spec)
    free = ("autoencoders", "score", "path", "sampler", "sampling_precision")
    assert replace(config, **{name: getattr(paper, name) for name in free}) == paper
    assert from_json(MLDConfig, to_json(config)) == config


def test_glyphs_have_a_network_in_proportion_to_their_latents() -> None:
    """Appendix C.1: the width in proportion to the latent space, the same at every budget; the schedule at 'paper' is
    that of MNIST-SVHN."""
    paper, digits = MLDConfig.recipe(GLYPHS), MLDConfig.recipe(MNIST_SVHN)
    for budget in BUDGETS:
        config = MLDConfig.recipe(GLYPHS, budget)
        assert (config.width, config.time_embed, config.blocks, config.groups) == (192, 96, 2, 8)
    assert (paper.score, paper.path, paper.sampler) == (digits.score, digits.path, digits.sampler)
    assert set(paper.autoencoders.values()) == set(digits.autoencoders.values())


def test_polymnist() -> None:
    """The paper's code: autoencoders of 160, W = 1536, T = 512, one level, 32 groups, batch 256, 3000 epochs at 1e-4, d
    = 0.2 conditional steps. On two cores a narrower network with narrower latents in proportion (a width below that of
    the latents passes their noise on in part, and its samples diverge), and half of the steps conditional."""
    paper = MLDConfig.recipe(POLYMNIST)
    assert set(paper.autoencoders.values()) == {Schedule(epochs=300, batch_size=128, lr=1e-3)}
    assert paper.score == Schedule(epochs=3000, batch_size=256, lr=1e-4, ema=0.999)
    assert (paper.width, paper.time_embed, paper.blocks, paper.groups) == (1536, 512, 1, 32)
    assert (paper.p_joint, paper.augment, path(paper)) == (0.8, "none", (250, 10, 10))
    assert MLD.build(POLYMNIST, paper, Networks()).layout.dim == 800
    laptop, smoke = (MLDConfig.recipe(POLYMNIST, budget) for budget in ("laptop", "smoke"))
    assert (laptop.width, laptop.blocks, laptop.groups, laptop.p_joint, laptop.calls) == (512, 1, 32, 0.5, 40)
    assert (smoke.width, smoke.blocks, smoke.groups, smoke.p_joint, smoke.calls) == (256, 1, 32, 0.5, 35)
    short: dict[str, Any] = {"decay": "cosine", "precision": "auto"}
    assert set(laptop.autoencoders.values()) == {Schedule(steps=6000, batch_size=16, lr=3e-3, warmup=600, **short)}
    assert laptop.score == Schedule(steps=3500, batch_size=128, lr=1e-3, warmup=175, ema=0.999, **short)
    dims = [MLD.build(POLYMNIST, config, Networks()).layout.dim for config in (laptop, smoke)]
    assert dims == [5 * 48, 5 * 24]
    assert [width / dim for width, dim in zip((512, 256), dims, strict=True)] == pytest.approx(
        [1536 / 800] * 2, rel=0.15
    )
    asked = replace(POLYMNIST, modalities=tuple(replace(m, latent=100) for m in POLYMNIST.modalities))
    assert MLD.build(asked, MLDConfig.recipe(asked, "laptop"), Networks()).layout.dim == 500


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("spec", [*SPECS, POLYMNIST], ids=lambda spec: spec.name)
def test_every_width_passes_the_noise_of_all_latents_on(budget: Budget, spec: DatasetSpec) -> None:
    """At t = 1 the network's answer is the noise itself, D numbers, through W of them: the rank of what it can say is
    W, so the share of the noise that it loses is 1 - W / D at least."""
    config = MLDConfig.recipe(spec, budget)
    assert MLD.build(spec, config, Networks()).layout.dim <= config.width


def test_a_width_below_that_of_the_latents_is_refused() -> None:
    config = MLDConfig.recipe(POLYMNIST, "laptop")
    with pytest.raises(ConfigError, match=r"width = 224 is less than the 240 dimensions of the latents"):
        MLD.build(POLYMNIST, replace(config, width=224), Networks())
    assert MLD.build(POLYMNIST, replace(config, width=256), Networks()).layout.dim == 240


def test_the_latents_size_is_a_setting_where_the_network_leaves_it_free() -> None:
    with pytest.raises(ConfigError, match="latent must be >= 1"):
        replace(MLDConfig.recipe(POLYMNIST), latent=0)
    star = MLDStar.recipe(CUB, "laptop")
    with pytest.raises(ConfigError, match=r"has a latent of its own size, .*latent=none"):
        MLDStar.build(CUB, replace(star, latent=7), Networks())


# ---------------------------------------------------------------------------------------- families


@both
@pytest.mark.parametrize("budget", BUDGETS)
def test_the_dataset_names_its_family(cls: type[Model], budget: Budget) -> None:
    """No network's name decides; an unknown family is trained as 'digits'."""
    as_digits = cls.recipe(replace(CUB, family="digits"), budget)
    assert (as_digits.width, as_digits.augment) == (512, "none")
    assert cls.recipe(replace(CUB, family="sounds"), budget) == as_digits
    drawn = replace(CUB, modalities=tuple(replace(m, network="mnist_mlp") for m in (IMAGE, CAPTION)))
    assert cls.recipe(drawn, budget) == cls.recipe(CUB, budget)
    assert cls.recipe(CUB, budget).width == 1024


def test_mld_star_is_mld_with_another_image_autoencoder() -> None:
    config = MLDStar.recipe(CUB)
    assert (config.networks, config.squared_error) == ({"image": "kl_autoencoder"}, ("image",))
    assert replace(config, networks={}, squared_error=()) == MLD.recipe(CUB)
