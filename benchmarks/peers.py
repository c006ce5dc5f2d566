"""A training step of each VAE against multivae's (version 1.0.3), on the same networks and batch. Asserts nothing.

    pip install --no-deps multivae==1.0.3 pythae
    python benchmarks/peers.py                       # both in float32
    python benchmarks/peers.py --precision auto      # ours in bfloat16 where the machine has it natively

Forward and backward of one batch of 256 MNIST-SVHN-shaped tuples, no optimiser; theirs in float32, which is all that
multivae has, ours as the training loop does it. Ours and theirs take turns in one process, and the median of their
ratios is what counts. On a busy machine set OMP_NUM_THREADS=1: one thread is timed by its own time on the CPU.
multivae's MMVAE is the DReG one, so ours is `mmvae_dreg` (K = 5 in both); its Gaussian MMVAE does not exist.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from mmbench.config import Precision, override
from mmbench.data.mnist_svhn import SPEC
from mmbench.engine.device import tune
from mmbench.model import Model
from mmbench.networks import Networks
from mmbench.plugins import MODELS, load
from mmbench.precision import arithmetic
from mmbench.seeding import seeded_init

BATCH = 256
REPEAT = 7
THEIRS = {"mvae": "MVAE", "mmvae_dreg": "MMVAE", "mopoe": "MoPoE", "mvtcae": "MVTCAE", "nexus": "Nexus"}


def ours(name: str, batch: dict[str, Tensor], low: bool) -> Callable[[], None]:
    """A step of the suite's model, in bfloat16 where it is `low`."""
    cls: type[Model] = load(MODELS, name, Model)
    config = cls.recipe(SPEC, "paper")
    config = override(config, ["samples=5"]) if name == "mmvae_dreg" else config
    with seeded_init(0):
        model = cls.build(SPEC, config, Networks())
    (stage,) = model.stages()
    model.train()
    rng = torch.Generator()

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            loss = stage.loss(batch, rng)["loss"]
        loss.backward()

    return step


def theirs(name: str, batch: dict[str, Tensor]) -> Callable[[], None]:
    """A step of multivae's model with the suite's encoders and decoders."""
    import multivae.models as peers
    from multivae.data.datasets.base import MultimodalBaseDataset
    from multivae.models.base import BaseDecoder, BaseEncoder, ModelOutput

    class Encoder(BaseEncoder):
        def __init__(self, body: nn.Module, latent: int) -> None:
            super().__init__()
            self.body, self.latent_dim = body, latent

        def forward(self, x: Tensor) -> ModelOutput:
            mu, logvar = self.body(x)
            return ModelOutput(embedding=mu, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self, body: nn.Module, latent: int) -> None:
            super().__init__()
            self.body, self.latent_dim = body, latent

        def forward(self, z: Tensor) -> ModelOutput:
            x = self.body(z.reshape(-1, z.shape[-1]))
            return ModelOutput(reconstruction=x.reshape(*z.shape[:-1], *x.shape[1:]))

    own = {m.name: m.latent if name == "nexus" else 20 for m in SPEC.modalities}
    networks = Networks()
    with seeded_init(0):
        encoders = {m.name: Encoder(networks.encoder(m, own[m.name]), own[m.name]) for m in SPEC.modalities}
        decoders = {m.name: Decoder(networks.decoder(m, own[m.name]), own[m.name]) for m in SPEC.modalities}
        settings = {
            "mvae": {"beta": 5.0},
            "mmvae_dreg": {"K": 5},
            "mopoe": {"beta": 5.0},
            "mvtcae": {"beta": 5.0, "alpha": 5 / 6},
            "nexus": {"modalities_specific_dim": own, "msg_dim": 256, "dropout_rate": 0.5, "top_beta": 5.0},
        }[name]
        config = getattr(peers, f"{THEIRS[name]}Config")(
            n_modalities=2,
            latent_dim=20,
            input_dims={m.name: m.shape for m in SPEC.modalities},
            decoders_dist={m.name: "laplace" for m in SPEC.modalities},
            decoder_dist_params={m.name: {"scale": 0.75} for m in SPEC.modalities},
            **settings,
        )
        model = getattr(peers, THEIRS[name])(config, encoders=encoders, decoders=decoders)
    model.train()
    data = MultimodalBaseDataset(data=batch)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(data, epoch=1, batch_ratio=1.0, dataset_size=BATCH).loss.backward()

    return step


def seconds(step: Callable[[], None]) -> float:
    """Of one step: the process's time on the CPU with one thread, so that others on the machine hardly count; else
    wall time."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    step()
    return clock() - start


def main(
    precision: Annotated[Precision, typer.Option("--precision", help="Of our step.")] = "float32",
) -> None:
    logging.disable(logging.WARNING)
    tune(torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    batch = {m.name: torch.rand(BATCH, *m.shape, generator=rng) for m in SPEC.modalities}
    threads = torch.get_num_threads()
    clock = "CPU time of one thread" if threads == 1 else f"wall time, {threads} threads"
    dtype = arithmetic(precision, torch.device("cpu"))
    print(f"torch {torch.__version__}, {clock}, batch {BATCH}, ours in {dtype}, theirs in float32")
    print(f"{'model':<12}{'ours':>10}{'multivae':>12}{'multivae / ours':>18}")
    for name in THEIRS:
        one, other = ours(name, batch, dtype == torch.bfloat16), theirs(name, batch)
        seconds(one), seconds(other)
        times = [(seconds(one), seconds(other)) for _ in range(REPEAT)]
        ratio = statistics.median(b / a for a, b in times)
        mine, peer = (1e3 * statistics.median(t[k] for t in times) for k in (0, 1))
        print(f"{name:<12}{mine:>7.1f} ms{peer:>9.1f} ms{ratio:>18.2f}")


main.__doc__ = __doc__

if __name__ == "__main__":
    try:
        import multivae  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        sys.exit("multivae is not installed: pip install --no-deps multivae==1.0.3 pythae")
    typer.run(main)
