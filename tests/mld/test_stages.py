"""What MLD's stages depend on, and the first weights that its variants have in common: what the suite trains once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mmbench.config import canonical
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Stage
from mmbench.networks import Networks
from mmbench.seeding import seeded_init
from mmbench.store import Artefacts
from mmbench.training import Keeper
from mmbench.training.stages import first_weights
from mmbench_mld.model import MLD
from mmbench_mld.moves import FEW_CALLS
from mmbench_mld.schedule import TimePath
from mmbench_mld.star import MLDStar

IMAGE = Modality(name="image", shape=(3, 16, 8), network="cub_resnet", latent=2, weight=32 / 64**2)
CAPTION = Modality(
    name="caption", shape=(4,), network="caption_conv", latent=5, likelihood="categorical", vocabulary=tuple("abcdef")
)
TINY = DatasetSpec(name="tiny", title="Tiny", family="captions", modalities=(IMAGE, CAPTION))
"""Its image has two latents in MLD*'s architecture too, so that both score networks have one shape."""
TOY = DatasetSpec(
    name="toy",
    title="Toy",
    modalities=(
        Modality(name="a", shape=(1, 4, 4), network="mnist_mlp", latent=4),
        Modality(name="b", shape=(2, 3, 3), network="mnist_mlp", latent=3),
        Modality(name="c", shape=(3,), network="word_mlp", latent=2, likelihood="categorical", vocabulary=tuple("xyz")),
    ),
)


def build(cls: type[MLD], spec: DatasetSpec = TINY, seed: int = 0, **settings: Any) -> MLD:
    small = {"width": 64, "time_embed": 32, "kl_width": 8}
    with seeded_init(seed):
        return cls.build(spec, replace(cls.recipe(spec, "smoke"), **{**small, **settings}), Networks())


def stages(cls: type[MLD] = MLD, **settings: Any) -> dict[str, Stage]:
    return {stage.name: stage for stage in build(cls, **settings).stages()}


def equal(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---------------------------------------------------------------------------------------- settings


def test_stages_name_what_they_need_and_depend_on() -> None:
    found = stages()
    assert list(found) == ["autoencoder.image", "autoencoder.caption", "score"]
    image, caption, score = found.values()
    assert image.settings == {
        "network": "cub_resnet", "latent": 2, "likelihood": "laplace", "scale": 0.75, "augment": "trivial",
    }  # fmt: skip
    assert caption.settings == {"network": "caption_conv", "latent": 5, "likelihood": "categorical"}
    assert score.settings == {
        "width": 64, "time_embed": 32, "blocks": 2, "groups": 32, "p_joint": 0.7, "std_floor": 0.01,
        "subsets": "batch",
    }  # fmt: skip
    assert (image.needs, caption.needs) == ((), ())
    assert score.needs == ("autoencoder.image", "autoencoder.caption")
    assert all(canonical(stage.settings) for stage in found.values()), "plain JSON"


SCORE, ALL = {"score"}, {"autoencoder.image", "autoencoder.caption", "score"}


@pytest.mark.parametrize(
    ("settings", "touched"),
    [
        ({"path": TimePath(steps=7, resample=1)}, set()),
        ({"sampler": FEW_CALLS}, set()),
        ({"sampling_precision": "float32"}, set()),
        ({"kl_width": 16}, set()),
        ({"width": 128}, SCORE),
        ({"time_embed": 64}, SCORE),
        ({"blocks": 1}, SCORE),
        ({"groups": 8}, SCORE),
        ({"p_joint": 0.3}, SCORE),
        ({"subsets": "sample"}, SCORE),
        ({"std_floor": 0.1}, SCORE),
        ({"augment": "none"}, {"autoencoder.image"}),
        ({"squared_error": ("image",)}, {"autoencoder.image"}),
        ({"networks": {"image": "kl_autoencoder"}}, {"autoencoder.image"}),
    ],
    ids=lambda value: next(iter(value), "sampler") if isinstance(value, dict) else "",
)
def test_a_setting_touches_the_stages_that_it_changes(settings: dict[str, Any], touched: set[str]) -> None:
    """Every field of the configuration but the schedules, which the suite compares itself."""
    before, after = stages(), stages(**settings)
    assert {name for name in before if before[name].settings != after[name].settings} == touched


def test_the_width_of_mld_stars_autoencoder_touches_it_alone() -> None:
    before, after = stages(MLDStar), stages(MLDStar, kl_width=16)
    assert [name for name in before if before[name].settings != after[name].settings] == ["autoencoder.image"]


def test_losses_have_one_name_in_all_variants() -> None:
    """The suite tells losses apart by their qualified names; a partial's is that of what it calls."""
    for cls in (MLD, MLDStar):
        image, caption, score = (getattr(s.loss, "func", s.loss).__qualname__ for s in stages(cls).values())
        assert (image, caption, score) == ("MLD._autoencoder_loss", "MLD._autoencoder_loss", "MLD._score_loss")


# ---------------------------------------------------------------------------------------- first weights


def test_first_weights_of_version_0_1() -> None:
    """Sum and sum of squares of the autoencoders' and the score network's parameters, as 0.1.0 drew them."""
    model = build(MLD, TOY)
    parts = [*model.autoencoders.values(), model.score]
    drawn = [torch.cat([p.detach().double().flatten() for p in part.parameters()]) for part in parts]
    assert [float(p.sum()) for p in drawn] == pytest.approx([11.8796, 7.9886, 20.8489, 1193.5429], abs=2e-4)
    assert [float(p.square().sum()) for p in drawn] == pytest.approx(
        [315.3798, 331.8177, 152.2364, 1806.2688], abs=2e-4
    )


def test_mld_star_starts_where_mld_does() -> None:
    """But for its image autoencoder; nothing is equal under another seed."""
    mld, star, other = build(MLD), build(MLDStar), build(MLDStar, seed=1)
    assert star.layout.sizes == mld.layout.sizes
    assert equal(star.autoencoders["caption"], mld.autoencoders["caption"])
    assert equal(star.score, mld.score)
    assert not equal(star.score, other.score)
    for name in ("image", "caption"):
        assert not equal(star.autoencoders[name], other.autoencoders[name])


@pytest.mark.parametrize("cls", [MLD, MLDStar], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("settings", [{"width": 128}, {"time_embed": 16}, {"blocks": 1}], ids=lambda s: next(iter(s)))
def test_the_score_networks_size_leaves_the_autoencoders_alone(cls: type[MLD], settings: dict[str, Any]) -> None:
    """MLD*'s large one too, which is the dearest."""
    model, other = build(cls), build(cls, **settings)
    assert all(equal(model.autoencoders[name], other.autoencoders[name]) for name in TINY.names)


def test_a_replaced_autoencoder_leaves_the_others_alone() -> None:
    """Its own width, and which others are replaced, decide nothing of theirs."""
    one, wide = build(MLDStar), build(MLDStar, kl_width=16)
    assert equal(one.autoencoders["caption"], wide.autoencoders["caption"])
    assert equal(one.score, wide.score)


def keys(cls: type[MLD], folder: Path, **settings: Any) -> dict[str, str]:
    """Stage -> key of its artefact, as the harness computes it, the key of what it needs among the rest."""
    model = build(cls, **settings)
    keeper = Keeper(artefacts=Artefacts(folder), identity={"data": "x"}, config={}, owner="toy")
    found: dict[str, str] = {}
    for stage in model.stages():
        needs = {name: found[name] for name in (list(found) if stage.needs is None else stage.needs)}
        found[stage.name] = keeper.artefact(model, stage, first_weights(stage.module), 0, needs).key
    return found


def test_variants_share_the_artefacts_of_the_stages_that_agree(tmp_path: Path) -> None:
    mld, star, wide = keys(MLD, tmp_path), keys(MLDStar, tmp_path), keys(MLD, tmp_path, width=128)
    assert mld["autoencoder.caption"] == star["autoencoder.caption"]
    assert mld["autoencoder.image"] != star["autoencoder.image"]
    assert mld["score"] != star["score"], "it was made from another image autoencoder"
    assert {name for name in mld if mld[name] != wide[name]} == {"score"}
    path = TimePath(steps=7, jump=2, resample=2)
    assert keys(MLD, tmp_path, path=path, sampling_precision="bfloat16") == mld
    assert keys(MLD, tmp_path, sampler=FEW_CALLS) == mld
    assert {name for name in mld if mld[name] != keys(MLD, tmp_path, seed=1)[name]} == set(mld)
