"""The published constants, each with its source, as the code has them: defaults of settings, and what layers are built
with. A constant that enters a formula is tested with the formula too; here stands where it comes from.

"Paper": Bounoua et al., with its table or appendix. "Code": the public code of its authors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from mmbench.config import Protocol, Schedule
from mmbench.data import captions
from mmbench.data.cub import Cub
from mmbench.data.dataset import Split
from mmbench.data.glyphs import SPEC as GLYPHS
from mmbench.data.glyphs import STREET
from mmbench.data.mnist_fashion import SPEC as MNIST_FASHION
from mmbench.data.mnist_svhn import SPEC as MNIST_SVHN
from mmbench.data.pairing import CAP, COPIES
from mmbench.likelihoods import nll
from mmbench.modality import DatasetSpec, Modality
from mmbench.networks import Networks
from mmbench.training import train
from mmbench_baselines.mmvae import MMVAE, MMVAEConfig
from mmbench_baselines.mmvae_dreg import MMVAEDReG, MMVAEDReGConfig
from mmbench_baselines.mopoe import MoPoE, MoPoEConfig
from mmbench_baselines.mvae import MVAE, MVAEConfig
from mmbench_baselines.mvtcae import MVTCAE, MVTCAEConfig
from mmbench_baselines.nexus import Nexus, NexusConfig
from mmbench_evaluation.classifiers import LeNet, train_judge
from mmbench_mld.config import MLDConfig
from mmbench_mld.latents import Standardiser
from mmbench_mld.model import MLD
from mmbench_mld.schedule import VPSDE, TimePath
from mmbench_mld.score import ScoreNetwork

CUB = Cub()._spec(("<exc>", "<pad>", "<eos>", "bird"), whole=True)


def check_defaults(of: Any, **expected: Any) -> None:
    """These fields of a dataclass have these defaults."""
    made = {f.name: f.default for f in fields(of)}
    assert {name: made[name] for name in expected} == expected


# ---------------------------------------------------------------------------------------- data and likelihoods


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        # name, shape, network, latent, weight. Paper, Table 2 and Appendix C.2; code: 3.92 = 3072 / 784
        (MNIST_SVHN, [("mnist", (1, 28, 28), "mnist_mlp", 16, 3.92), ("svhn", (3, 32, 32), "svhn_conv", 64, 1.0)]),
        # Paper, Table 2 (latents); code: weights 32 / 64^2 and 5
        (CUB, [("image", (3, 64, 64), "cub_resnet", 64, 0.0078125), ("caption", (32,), "caption_conv", 32, 5.0)]),
        # the suite's own: equal weights for images of one size
        (MNIST_FASHION, [("mnist", (1, 28, 28), "mnist_mlp", 16, 1.0), ("fashion", (1, 28, 28), "mnist_mlp", 32, 1.0)]),
        # the suite's own: the rule behind 3.92, with names of five letters
        (
            GLYPHS,
            [
                ("pen", (1, 28, 28), "mnist_mlp", 16, 3.0),
                ("sign", (3, 28, 28), "mnist_mlp", 24, 1.0),
                ("name", (5,), "word_mlp", 8, 470.4),
            ],
        ),
        (
            STREET,
            [
                ("pen", (1, 28, 28), "mnist_mlp", 16, 3.92),
                ("sign", (3, 32, 32), "svhn_conv", 64, 1.0),
                ("name", (5,), "word_mlp", 8, 614.4),
            ],
        ),
    ],
    ids=lambda value: value.name if isinstance(value, DatasetSpec) else "",
)
def test_modalities(spec: DatasetSpec, expected: list[tuple[Any, ...]]) -> None:
    assert [(m.name, m.shape, m.network, m.latent, m.weight) for m in spec.modalities] == expected
    for m in spec.modalities:
        assert m.likelihood == ("categorical" if len(m.shape) == 1 else "laplace")
        assert m.scale == 0.75, "the code's Laplace of every image"


def test_an_images_likelihood_is_the_codes_laplace() -> None:
    """-log p = sum |x - xhat| / 0.75 + 784 log 1.5."""
    x, made = np.random.default_rng(0).random((2, 3, 1, 28, 28))
    expected = np.abs(x - made).sum((1, 2, 3)) / 0.75 + 784 * np.log(1.5)
    got = nll(MNIST_SVHN.modality("mnist"), torch.from_numpy(made), torch.from_numpy(x))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


def test_pairs_and_captions() -> None:
    """Paper, Appendix B.1: 20 instances of each item; code: at most 10,000 items of a class, captions of 32 tokens,
    words that occur more than three times, and the special tokens in this order."""
    assert (COPIES, CAP) == (20, 10_000)
    assert (captions.LENGTH, captions.RARE, captions.SPECIAL) == (32, 3, ("<exc>", "<pad>", "<eos>"))


# ---------------------------------------------------------------------------------------- training


class First(nn.Module):
    """A judge of one layer."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(int(np.prod(shape)), classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))


def optimisers(run: Callable[[], Any]) -> list[tuple[type, dict[str, Any]]]:
    """Every optimiser that takes a step while `run` runs, with the settings of its parameters."""
    seen: dict[int, tuple[type, dict[str, Any]]] = {}

    def note(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        seen[id(optimiser)] = type(optimiser), dict(optimiser.param_groups[0])

    handle = register_optimizer_step_pre_hook(note)
    try:
        run()
    finally:
        handle.remove()
    return list(seen.values())


def test_everything_is_trained_with_adam() -> None:
    """Paper, Appendix C: Adam; code: betas 0.9 and 0.999, no AMSGrad; eps 1e-8, torch's. The weight decay is the
    schedule's, and is added to the gradient (Adam), not taken from the parameters (AdamW)."""
    modality = Modality(name="a", shape=(1, 2, 2), network="mnist_mlp", latent=2)
    spec = DatasetSpec(name="toy", title="Toy", modalities=(modality, Modality(**{**_of(modality), "name": "b"})))
    rows = torch.arange(8)
    images = torch.randint(256, (8, 1, 2, 2), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    split = Split({"a": images, "b": images}, rows[:, None].expand(8, 2).contiguous(), rows % 2)
    schedule = Schedule(steps=2, batch_size=4, lr=0.25, weight_decay=0.125)
    model = MVAE.build(spec, MVAEConfig(schedule=schedule), Networks())

    def run() -> None:
        train(model, split, split, seed=0)
        train_judge(First, split, modality, 2, schedule, 0)

    found = optimisers(run)
    assert len(found) == 2
    for kind, settings in found:
        assert kind is torch.optim.Adam
        assert settings["betas"] == (0.9, 0.999)
        assert settings["eps"] == 1e-8
        assert settings["weight_decay"] == 0.125
        assert settings["lr"] == 0.25
        assert not settings["amsgrad"]
        assert not settings.get("decoupled_weight_decay", False)


def _of(modality: Modality) -> dict[str, Any]:
    return {f.name: getattr(modality, f.name) for f in fields(modality)}


def test_schedules_are_plain_unless_they_say_otherwise() -> None:
    """Paper and code: constant learning rate, no weight decay, no average of the weights but the score network's."""
    check_defaults(Schedule, weight_decay=0.0, warmup=0, decay="none", precision="float32", ema=None)


# ---------------------------------------------------------------------------------------- MLD


def test_mld() -> None:
    """Paper, Table 3 and Appendix A.3, A.4; code: groups. The floor of the standardisation is the suite's own."""
    check_defaults(
        MLDConfig,
        kl_width=64,
        augment="none",
        width=512,
        time_embed=256,
        blocks=2,
        groups=8,
        p_joint=0.5,
        std_floor=0.01,
        path=TimePath(steps=250, jump=10, resample=10),
        sampling_precision="float32",
    )
    check_defaults(VPSDE, beta_min=0.1, beta_max=20.0)
    check_defaults(TimePath, steps=250, jump=10, resample=10)


@pytest.mark.parametrize(("spec", "row"), [(MNIST_SVHN, (512, 256, 2, 8, 0.5)), (CUB, (1024, 512, 2, 32, 0.7))])
def test_the_score_network_that_mld_builds(spec: DatasetSpec, row: tuple[float, ...]) -> None:
    """Paper, Table 3; code: groups 8 and 32; EMA decay 0.999, learning rate 1e-4. GroupNorm's eps: torch's, 1e-5."""
    config = MLD.recipe(spec)
    assert (config.width, config.time_embed, config.blocks, config.groups, config.p_joint) == row
    assert (config.score.ema, config.score.lr, config.score.weight_decay, config.std_floor) == (0.999, 1e-4, 0.0, 0.01)
    with torch.device("meta"):
        model = MLD.build(spec, config, Networks())
    assert model.sde == VPSDE(beta_min=0.1, beta_max=20.0)
    assert [model._standardiser(name).floor for name in spec.names] == [0.01, 0.01]
    network = model.score
    assert isinstance(network, ScoreNetwork)
    norms = {(n.num_groups, n.eps) for n in network.modules() if isinstance(n, nn.GroupNorm)}
    assert norms == {(row[3], 1e-5)}
    assert len([n for n in network.modules() if isinstance(n, nn.GroupNorm)]) == 2 * 7 + 1, "seven blocks and the last"
    assert (network.lift.in_features, network.lift.out_features) == (sum(m.latent for m in spec.modalities), row[0])
    assert network.embed[0].in_features == 2
    assert network.embed[0].out_features == row[1]


def test_the_standardisers_floor_is_a_share_of_the_largest_deviation() -> None:
    """std >= 0.01 of the modality's largest."""
    z = torch.tensor([[1.0, 0.5], [3.0, 0.5]])
    standardiser = Standardiser(2, floor=0.01)
    standardiser.fit(z)
    assert standardiser.std.tolist() == pytest.approx([2**0.5, 0.01 * 2**0.5])


# ---------------------------------------------------------------------------------------- baselines


def test_vaes() -> None:
    """Paper, Appendix C.2: latent 20, beta 5; alpha 5/6 (MVTCAE); MMVAE's own K = 30; code: NEXUS' p = 0.5 and sizes,
    its KL weights rising over 20 of 150 epochs; b_c = 5 is the paper's."""
    for cls in (MVAEConfig, MMVAEConfig, MoPoEConfig, MVTCAEConfig):
        check_defaults(cls, latent=20, beta=5.0)
    check_defaults(MVAEConfig, random_subsets=1)
    check_defaults(MVTCAEConfig, alpha=5 / 6, prior_expert=False)
    check_defaults(MMVAEDReGConfig, latent=20, samples=30, bound="looser")
    check_defaults(NexusConfig, latent=20, beta=1.0, beta_c=5.0, dropout=0.5, message=256, hidden=256, warmup=20 / 150)


@pytest.mark.parametrize("cls", [MVAE, MMVAE, MMVAEDReG, MoPoE, MVTCAE, Nexus], ids=lambda cls: cls.__name__)
def test_vaes_are_trained_without_an_average(cls: Any) -> None:
    """Code: the last epoch's parameters; no weight decay, no warm-up of the learning rate."""
    for spec in (MNIST_SVHN, CUB):
        schedule = cls.recipe(spec).schedule
        assert (schedule.ema, schedule.weight_decay, schedule.warmup, schedule.decay) == (None, 0.0, 0, "none")
        assert schedule.precision == "float32"


@pytest.mark.parametrize(("spec", "latent", "size", "weights"), [
    (MNIST_SVHN, 20, 256, {"mnist": 3.92, "svhn": 1.0}),
    (CUB, 64, 512, {"image": 1.0, "caption": 128.0}),
], ids=["MNIST-SVHN", "CUB"])  # fmt: skip
def test_the_nexus_that_is_built(spec: DatasetSpec, latent: int, size: int, weights: dict[str, float]) -> None:
    """Code: messages by one linear layer; 2 hidden layers to the nexus and 3 from it, BatchNorm (momentum 0.1, eps
    1e-5) and LeakyReLU of slope 0.01 after each."""
    config = NexusConfig.recipe(spec)
    assert dict(config.top_weights) == weights
    with torch.device("meta"):
        model = Nexus.build(spec, config, Networks())
    for m in spec.modalities:
        message = model.messages[m.name]
        assert isinstance(message, nn.Linear)
        assert (message.in_features, message.out_features) == (m.latent, size)
        widths = [layer.out_features for layer in model.nexus_decoders[m.name] if isinstance(layer, nn.Linear)]
        assert widths == [size, size, size, m.latent]
    assert [layer.out_features for layer in model.nexus_encoder if isinstance(layer, nn.Linear)] == [size, size]
    assert [head.out_features for head in model.nexus_heads] == [latent, latent]
    parts = [model.nexus_encoder, *model.nexus_decoders.values()]
    layers = [layer for part in parts for layer in part.modules()]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.01}
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm1d)]
    assert {(layer.momentum, layer.eps) for layer in norms} == {(0.1, 1e-5)}


# ---------------------------------------------------------------------------------------- evaluation


def test_the_protocol() -> None:
    """Paper, Appendix B.2: all test tuples, 5,000 samples for FID and FMD (CUB: 10,000), as pytorch-fid resizes; code:
    judges of 50 epochs in batches of 256, learning rate 1e-3, constant."""
    paper = Protocol.recipe("paper")
    assert (paper.count, paper.quality_count, paper.fid_count) == (None, 5000, None)
    assert (paper.resize, paper.rounding, paper.second_judge) == ("pytorch-fid", False, None)
    assert paper.judge == Schedule(epochs=50, batch_size=256, lr=1e-3)
    assert (MNIST_SVHN.quality_count, CUB.quality_count) == (5000, 10_000)


def test_the_judges_dropout() -> None:
    """Code: channels of the second convolution and hidden units, each with probability 1/2."""
    drops = [m for m in LeNet((1, 28, 28), 10).modules() if isinstance(m, nn.Dropout | nn.Dropout2d)]
    assert [(type(m), m.p) for m in drops] == [(nn.Dropout2d, 0.5), (nn.Dropout, 0.5)]
