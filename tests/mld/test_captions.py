"""MLD on images with captions: MLD*, and the augmentation of the images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from mmbench.config import Schedule, override
from mmbench.data.dataset import Split
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import draw
from mmbench.networks import Networks
from mmbench.seeding import generator, seeded_init
from mmbench.training import train
from mmbench_mld.augmentation import trivial_augment
from mmbench_mld.model import MLD
from mmbench_mld.star import MLDStar

from ..specs import CAPTION, CUB, IMAGE

TINY = DatasetSpec(
    name="tiny",
    title="Tiny",
    family="captions",
    modalities=(replace(IMAGE, shape=(3, 16, 8), latent=5), replace(CAPTION, shape=(4,), vocabulary=tuple("abcdef"))),
)
PLAIN = DatasetSpec(
    name="plain",
    title="Plain",
    modalities=tuple(Modality(name=n, shape=(1, 28, 28), network="mnist_mlp", latent=3) for n in "ab"),
)


def test_the_published_size_of_the_score_network() -> None:
    with seeded_init(0):
        model = MLD.build(CUB, MLD.recipe(CUB), Networks())
    assert sum(p.numel() for p in model.score.parameters()) == 32_509_024


def test_mld_star_replaces_the_rgb_image_alone() -> None:
    config = MLDStar.recipe(TINY)
    assert replace(config, networks={}, squared_error=()) == MLD.recipe(TINY)
    with seeded_init(0):
        model = MLDStar.build(TINY, replace(config, kl_width=8, width=64), Networks())
    image, caption = (model._autoencoder(name).modality for name in ("image", "caption"))
    assert (image.network, image.latent, caption) == ("kl_autoencoder", 16 * 8 // 64, TINY.modality("caption"))
    assert model.layout.sizes == {"image": 2, "caption": 32}
    assert model.dataset == TINY


def test_a_short_schedule_has_few_tuples_encoded() -> None:
    """20 tuples are asked for, of 100 of ten captions to an image: what is in them is encoded, the rest is not read."""
    config = replace(MLD.recipe(TINY, "smoke"), width=64, score=Schedule(steps=5, batch_size=4, lr=1e-3))
    with seeded_init(0):
        model = MLD.build(TINY, config, Networks()).eval()
    rng = generator(0, "items")
    items = {
        "image": torch.randint(256, (10, 3, 16, 8), generator=rng, dtype=torch.uint8),
        "caption": torch.randint(6, (100, 4), generator=rng, dtype=torch.int16),
    }
    rows = torch.arange(100)
    split = Split(items, torch.stack((rows // 10, rows), 1))
    (*_, stage) = model.stages()
    assert stage.prepare is not None
    latents = stage.prepare(split)
    assert len(latents) == 20
    assert {tuple(row) for row in latents.index.tolist()} < {tuple(row) for row in split.index.tolist()}
    for name, z in latents.items.items():
        used = latents.used(name)
        assert torch.equal(z.any(1).nonzero().flatten(), used)
        torch.testing.assert_close(z[used].mean(0), torch.zeros(z.shape[1]), atol=1e-5, rtol=0)  # over distinct items


def test_mld_stars_image_loss_is_the_squared_error_up_to_a_constant() -> None:
    with seeded_init(0):
        model = MLDStar.build(TINY, replace(MLDStar.recipe(TINY), kl_width=8, width=64), Networks())
    autoencoder = model._autoencoder("image")
    x = torch.rand(3, 3, 16, 8, generator=generator(0, "x"))
    weight = autoencoder.decoder.body[-1].weight
    (got,) = torch.autograd.grad(autoencoder.loss(x), weight)
    made = autoencoder.decoder(autoencoder.encode(x))
    (expected,) = torch.autograd.grad((made - x).square().sum() / 3, weight)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_mld_star_needs_a_fitting_image() -> None:
    with pytest.raises(ConfigError, match="mld_star needs an RGB image whose sides are multiples of 8, and plain has"):
        MLDStar.recipe(PLAIN)


@pytest.mark.parametrize(
    "settings",
    [
        {"networks": {"picture": "kl_autoencoder"}},
        {"squared_error": ("caption",)},
    ],
)
def test_unknown_modalities_in_the_settings_are_refused(settings: dict[str, Any]) -> None:
    config = replace(MLD.recipe(TINY), **settings)
    with pytest.raises(ConfigError, match=r"networks or squared_error names .*; tiny has the images .'image'."):
        MLD.build(TINY, config, Networks())


def test_the_settings_can_be_typed() -> None:
    config = override(MLD.recipe(TINY), ['networks={"image": "kl_autoencoder"}', 'squared_error=["image"]'])
    assert config == replace(MLD.recipe(TINY), networks={"image": "kl_autoencoder"}, squared_error=("image",))
    with pytest.raises(ConfigError, match="augment"):
        override(config, ["augment=trival"])


# ------------------------------------------------------------------------------------------------- augmentation


def pictures(count: int = 40) -> torch.Tensor:
    return torch.randint(256, (count, 3, 16, 16), generator=generator(1, "pictures"), dtype=torch.uint8).float() / 255


def test_augmentation_depends_on_its_generator_alone() -> None:
    before = torch.get_rng_state()
    one = trivial_augment(pictures(), generator(0, "augment"))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(one, trivial_augment(pictures(), generator(0, "augment")))
    assert not torch.equal(one, trivial_augment(pictures(), generator(1, "augment")))


def test_augmentation_moves_its_generator() -> None:
    rng = generator(0, "augment")
    assert not torch.equal(trivial_augment(pictures(), rng), trivial_augment(pictures(), rng))


def test_augmented_images_are_images_and_differ_one_by_one() -> None:
    """The same picture forty times: many different answers (an operation for each image), in [0, 1]."""
    same = pictures(1).expand(40, -1, -1, -1)
    out = trivial_augment(same, generator(0, "augment"))
    assert (out.shape, out.dtype) == (same.shape, same.dtype)
    assert float(out.min()) >= 0
    assert float(out.max()) <= 1
    assert len(torch.unique(out.flatten(1), dim=0)) > 20


def test_only_the_images_training_is_augmented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not captions, not the latents, not the held-out items; and training ends in samples of every kind."""
    seen: list[torch.Size] = []

    def note(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seen.append(x.shape)
        return x

    monkeypatch.setattr("mmbench_mld.model.trivial_augment", note)
    config = MLD.recipe(TINY, "smoke")
    few = Schedule(steps=3, batch_size=8, lr=1e-3)
    config = replace(config, autoencoders=dict.fromkeys(TINY.names, few), score=few, width=64)
    with seeded_init(0):
        model = MLD.build(TINY, config, Networks())
    rng = generator(0, "items")
    items = {
        "image": torch.randint(256, (16, 3, 16, 8), generator=rng, dtype=torch.uint8),
        "caption": torch.randint(6, (16, 4), generator=rng, dtype=torch.int16),
    }
    split = Split(items, torch.arange(16)[:, None].expand(16, 2).contiguous())
    records = train(model, split, split, seed=0)
    assert seen == [torch.Size((8, 3, 16, 8))] * 3
    assert set(records["autoencoder.caption"].skill) == {"skill", "token accuracy"}
    for given in ((), ("image",), ("caption",)):
        batch = split.gather(torch.arange(5), given) if given else {}
        draw(model, batch, TINY.names, count=5, generator=generator(0, "draw"))
