"""What training and sampling cost at the laptop budget, on random data of MNIST-SVHN's shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from speed_clock import Stopwatch, product

from mmbench.config import override
from mmbench.data.dataset import Split
from mmbench.data.mnist_svhn import SPEC
from mmbench.model import Model, Stage
from mmbench.networks import Networks
from mmbench.plugins import MODELS, load
from mmbench.precision import native_bfloat16
from mmbench.seeding import Noise, generator, seeded_init
from mmbench.training import stage_trainer
from mmbench_mld.score import ScoreNetwork

__all__ = ["autoencoders", "built", "products", "sampler", "score_network", "score_steps", "step", "vaes"]

VAES = ("mvae", "mmvae", "mmvae_dreg", "mopoe", "mvtcae", "nexus")
DTYPES = (torch.float32, torch.bfloat16)
COUNT = 1000
"""Samples made at once."""


def products(watch: Stopwatch) -> None:
    """The machine's limit in bfloat16; the one in float32 is timed beside every number."""
    watch.add("matrix product 1000x512x512, bfloat16", product(torch.bfloat16), 30)


@torch.no_grad()
def score_network(watch: Stopwatch) -> None:
    """One network call of the sampler, and the noise that goes with it."""
    network = ScoreNetwork(80, 2, width=512, time=256, blocks=2, groups=8).eval()
    for dtype in DTYPES:
        low, r, tau = network.to(dtype), torch.randn(COUNT, 80).to(dtype), torch.rand(1, 2).to(dtype)
        watch.add(f"score network, 1,000 samples, {_name(dtype)}", lambda low=low, r=r, tau=tau: low(r, tau))
    noise = Noise(torch.Generator(), COUNT)
    watch.add("noise of 1,000 samples (Noise)", lambda: noise.normal(80), 15)


def score_steps(watch: Stopwatch) -> None:
    """A training step of the score network, its optimiser and average included, on random latents."""
    for dtype in DTYPES:
        model = built("mld", "width=512", "score.batch_size=256", f"score.precision={_name(dtype)}")
        stage = model.stages()[-1]
        sizes = {m.name: m.latent for m in SPEC.modalities}
        latents = random_tuples({n: torch.randn(2000, d, generator=generator(0, n)) for n, d in sizes.items()})
        work = step(model, stage, latents)
        watch.add(f"mld score, B = 256, W = 512, {_name(dtype)}: a step", work, 5)


@torch.no_grad()
def sampler(watch: Stopwatch) -> None:
    """A call of the sampler in all: network, solver, noise."""
    model: Any = built("mld", "sampler.kind=path", "path.steps=20", "path.resample=1", "sampling_precision=auto").eval()
    calls = model.config.path.calls
    work = lambda: model._complete({}, COUNT, Noise(generator(0, "speed"), COUNT))  # noqa: E731
    watch.add("mld sampler, 1,000 samples: a call", work, 3, per=calls)
    vae = built("mvae").eval()
    work = lambda: vae.generate({}, SPEC.names, count=COUNT, generator=generator(0, "speed"))  # noqa: E731
    watch.add("mvae, 1,000 joint samples", work, 3)


def autoencoders(watch: Stopwatch) -> None:
    """A training step of each of MLD's autoencoders."""
    for name, precision in ((n, p) for n in SPEC.names for p in precisions()):
        model = built("mld", f"autoencoders.{name}.precision={precision}")
        stage = next(s for s in model.stages() if s.name == f"autoencoder.{name}")
        watch.add(_title("mld", stage, precision), step(model, stage, images()), 5)


def vaes(watch: Stopwatch) -> None:
    """A training step of each VAE."""
    for name, precision in ((n, p) for n in VAES for p in precisions()):
        model = built(name, f"schedule.precision={precision}")
        (stage,) = model.stages()
        watch.add(_title(name, stage, precision), step(model, stage, images()), 5)


def precisions() -> Iterator[str]:
    """float32, and auto where it is another."""
    yield "float32"
    if native_bfloat16(torch.device("cpu")):
        yield "auto"


def built(name: str, *settings: str) -> Model:
    """A new model with its recipe of the laptop budget, and these settings."""
    cls: type[Model] = load(MODELS, name, Model)
    with seeded_init(0):
        return cls.build(SPEC, override(cls.recipe(SPEC, "laptop"), settings), Networks())


def step(model: Model, stage: Stage, tuples: Split) -> Callable[[], object]:
    """A function that does one optimiser step of a stage, as a cell's training does."""
    trainer = stage_trainer(model, stage, tuples, 0)
    stage.module.train()
    taken = iter(range(trainer.total))
    return lambda: trainer.step(next(taken))


def images() -> Split:
    """Random images of MNIST-SVHN's shapes."""
    rng = torch.Generator().manual_seed(0)
    shapes = {m.name: (1000, *m.shape) for m in SPEC.modalities}
    return random_tuples({n: torch.randint(256, s, generator=rng, dtype=torch.uint8) for n, s in shapes.items()})


def random_tuples(items: dict[str, torch.Tensor]) -> Split:
    """Every item once, the k-th of all modalities together."""
    rows = torch.arange(len(next(iter(items.values()))))
    return Split(items, torch.stack([rows] * len(items), 1), rows % 10)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _title(model: str, stage: Stage, precision: str) -> str:
    return f"{model} {stage.name}, B = {stage.schedule.batch_size}, {precision}: a step"
