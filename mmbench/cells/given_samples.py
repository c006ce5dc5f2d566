"""Samples of a finished cell's model for what a user gives; nothing is trained or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import store
from ..data.given import parse_given
from ..errors import ConfigError, ResultError
from ..modality import DatasetSpec
from ..model import draw
from ..seeding import generator
from ..store.commands import rerun
from .blaming import blaming
from .cell import CellWork
from .export import as_array
from .plan import CellPlan, Planner
from .stored import stored

__all__ = ["Sampled", "sample_for"]

MEMORY = 4 * 2**30
"""Bytes that the samples of one call may take."""


@dataclass(frozen=True)
class Sampled:
    """Samples for what a user gave, as arrays: images uint8 (n, C, H, W), texts unicode (n,)."""

    key: store.CellKey
    """The cell whose model made them."""
    given: dict[str, np.ndarray]
    """One item of each given modality."""
    made: dict[str, np.ndarray]


def sample_for(planner: Planner, given: Sequence[str], targets: Sequence[str], count: int, noise: int) -> Sampled:
    """`count` samples of a trained model for what a user gives.

    Of several finished cells the one of the lowest seed is taken, of several settings the newest.

    Arguments:
        given: 'modality=text' or 'modality=image-file'.
        targets: modalities to generate; none for all that are not given.
        count: ConfigError where so many samples would not fit into memory.
        noise: seed of the samples' noise.
    """
    with store.only_reading():
        return _sampled(planner, given, targets, count, noise)


def _sampled(planner: Planner, given: Sequence[str], targets: Sequence[str], count: int, noise: int) -> Sampled:
    shop = planner.shop
    spec = shop.dataset.spec
    conditions = parse_given(spec, given)
    wanted = tuple(spec.modality(name).name for name in dict.fromkeys(targets)) or tuple(
        name for name in spec.names if name not in conditions
    )
    if not wanted:
        raise ConfigError("everything is given: name what to generate with --target, or give less")
    _check_memory(spec, wanted, count)
    plan = _chosen(planner)
    with blaming(plan.typed):
        model, _ = CellWork(plan, shop, may_train=False).trained()
    rows = {name: item.expand(count, *item.shape[1:]) for name, item in conditions.items()}
    with shop.progress.phase("generate", count, "sample") as advance, blaming(plan.typed):
        made = draw(
            model,
            rows,
            wanted,
            count=count,
            generator=generator(noise, "sample", "given", *conditions),
            batch_size=plan.protocol.batch_size,
            advance=advance,
        )
    arrays = [{n: as_array(spec.modality(n), v) for n, v in part.items()} for part in (conditions, made)]
    return Sampled(plan.key, arrays[0], arrays[1])


def _check_memory(spec: DatasetSpec, wanted: Sequence[str], count: int) -> None:
    """Raise ConfigError where the samples would not fit: 8 bytes a token, 4 a pixel, and each is held twice."""
    size = 2 * sum(spec.modality(name).size * (8 if spec.modality(name).is_text else 4) for name in wanted)
    if count * size > MEMORY:
        raise ConfigError(
            f"{count:,} samples would take {count * size / 2**30:.1f} GiB of memory: ask for at most {MEMORY // size:,}"
        )


def _chosen(planner: Planner) -> CellPlan:
    """One of the stored cells; a stale one is refused, since today's code would read its weights otherwise."""
    results = planner.request.results
    plans = sorted(stored(planner), key=lambda plan: (plan.key.seed, -plan.key.path(results).stat().st_mtime))
    if not plans:
        raise ResultError("; ".join(planner.broken))
    plan = plans[0]
    path = plan.key.path(results)
    if len(plans) > 1:
        others = "--seed, --budget and --set choose another"
        planner.shop.progress.say(f"of {len(plans)} finished cells, {path} is taken; {others}")
    cell = store.read(path)
    if stale := plan.stale(cell):
        raise ResultError(
            f"{path} is stale, other code made it ({'; '.join(stale)}): compute it anew with `{rerun([cell])}`, or go "
            "back to that code"
        )
    return plan
