"""Networks that the evaluation trains once per dataset, caches and then only reads; and files that are checked.

One process computes, the others wait for it. A file that is damaged counts as absent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from mmbench.config import Schedule
from mmbench.errors import ConfigError, ResultError, StorageError, TrainingError
from mmbench.progress import Progress
from mmbench.seeding import derive, generator, seeded_init
from mmbench.training import learning_rate, load_tensors, save_tensors

__all__ = ["checksum", "exclusive", "fit", "read", "trained_once", "write"]

N = TypeVar("N", bound=nn.Module)
CHECK_EVERY = 50
"""Training steps between two looks at the loss."""


def trained_once(
    path: Path,
    build: Callable[[], N],
    train: Callable[[], tuple[N, Mapping[str, float]]],
    title: str,
    progress: Progress,
) -> tuple[N, dict[str, float]]:
    """A network and facts about it: from the file, or trained and put there.

    Arguments:
        build: makes the network; its first weights are replaced.
        train: returns the trained network and its facts, for instance {"accuracy": 0.98}.
        title: what is trained, in print: 'judge of mnist'.
    """
    with exclusive(path, f"trains the {title}", progress):
        with seeded_init(0):  # the first weights must not be drawn from the global state
            network = build()
        found = read(path)
        if found is not None and _fits(network, found[0]):
            return network.eval(), found[1]
        network, facts = train()
        write(path, network.state_dict(), facts)
    return network.eval(), dict(facts)


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
) -> N:
    """A network trained with Adam over `count` tuples; the same seed gives the same weights.

    Arguments:
        loss: the mean loss (scalar) of the network on the tuples `rows` (B,), on the device.
        purpose: 'judge'; with the seed and the modality it chooses weights, dropout masks and the order of the tuples.

    An epoch is a pass over the tuples: an item that stands in 20 tuples is seen 20 times. Raises TrainingError if the
    loss is not finite, ConfigError if the schedule asks for an average of the weights or for low precision.
    """
    if schedule.ema is not None or schedule.precision != "float32":
        raise ConfigError(f"a {purpose} is trained without ema and in float32: set eval.judge.ema and .precision so")
    steps, title = schedule.total_steps(count), f"{purpose} of {modality}"
    batches = _row_batches(count, schedule.batch_size, generator(seed, purpose, modality, "rows"))
    with (
        _own_randomness(derive(seed, purpose, modality), device),
        progress.phase(title, steps) as advance,
    ):
        network = build().to(device).train()
        optimiser = torch.optim.Adam(network.parameters(), weight_decay=schedule.weight_decay, fused=True)
        for step in range(steps):
            value = loss(network, next(batches).to(device))
            optimiser.zero_grad()
            value.backward()
            optimiser.param_groups[0]["lr"] = learning_rate(schedule, step, steps)
            optimiser.step()
            if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
                _refuse_nonfinite(value, title, step + 1)
                advance(step % CHECK_EVERY + 1, note=f"loss {value.item():.3f}")
    return network.eval()


@contextmanager
def exclusive(path: Path, doing: str, progress: Progress) -> Iterator[None]:
    """Only one process at a time makes the file `path`; say so if another must be waited for."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.say(f"waiting for another process that {doing}")
            lock.acquire()
    except OSError as error:
        raise StorageError(f"cannot write to {path.parent}: {error.strerror}; choose another --runs folder") from error
    try:
        yield
    finally:
        lock.release()


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the bytes of all tensors, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, float]) -> None:
    """Tensors, their checksum and some numbers in one safetensors file, whole or not at all."""
    save_tensors(path, tensors, {**{k: repr(v) for k, v in facts.items()}, "sha256": checksum(tensors)})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, float]] | None:
    """The inverse of `write`; None if there is no such file, or if it is damaged."""
    try:
        tensors, metadata = load_tensors(path)
        if metadata.pop("sha256", None) != checksum(tensors):
            return None
        return tensors, {k: float(v) for k, v in metadata.items()}
    except (ResultError, ValueError, RuntimeError):
        return None


def _fits(network: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        return False
    return True


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """First weights and dropout masks depend on the seed alone; the global random state is put back after."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), seeded_init(seed):
        yield


def _row_batches(count: int, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Rows (size,) in a new random order for each pass; the last, incomplete batch of a pass is dropped."""
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=rng)
        yield from (order[start : start + size] for start in range(0, count - size + 1, size))


def _refuse_nonfinite(loss: Tensor, title: str, step: int) -> None:
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss of the {title} is {loss.item()} at step {step}: look at its images for NaNs")
