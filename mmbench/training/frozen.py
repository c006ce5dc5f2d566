"""Networks that are trained once and then only read: judges, reference autoencoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..config import Schedule
from ..errors import ConfigError
from ..progress import Progress
from ..seeding import derive, seeded_init
from .checkpoint import Checkpoints
from .draws import StreamDraws
from .loop import Trainer

__all__ = ["fit"]

N = TypeVar("N", bound=nn.Module)


def fit(
    build: Callable[[], N],
    loss: Callable[[N, Tensor], Tensor],
    *,
    count: int,
    schedule: Schedule,
    seed: int,
    purpose: str,
    modality: str,
    device: torch.device,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
) -> N:
    """A network trained with Adam over `count` tuples, in eval mode; the same seed gives the same weights.

    Arguments:
        loss: the mean loss (scalar) of the network on the tuples `rows` (B,), on the device.
        purpose: 'judge'; with the seed and the modality it chooses weights, dropout masks and the order of the tuples.

    An epoch is a pass over the tuples: an item that stands in 20 tuples is seen 20 times. Raises TrainingError if the
    loss is not finite, ConfigError if the schedule asks for an average of the weights or for low precision.
    """
    if schedule.ema is not None or schedule.precision != "float32":
        raise ConfigError(f"a {purpose} is trained without ema and in float32: set eval.judge.ema and .precision so")
    with seeded_init(derive(seed, purpose, modality)):
        network = build()
        layers = torch.get_rng_state()
    network = network.to(device).train()

    def terms(rows: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        return {"loss": loss(network, rows)}

    trainer = Trainer(
        title=f"{purpose} of {modality}",
        parameters=dict(network.named_parameters()),
        schedule=schedule,
        total=schedule.total_steps(count),
        draws=StreamDraws((seed, purpose, modality, "rows"), count, schedule.batch_size, device, layers),
        loss=terms,
        live=lambda: _state(network),
    )
    trainer.run(checkpoints, progress)
    return network.eval()


def _state(network: nn.Module) -> dict[str, Any]:
    return dict(network.state_dict(keep_vars=True))
