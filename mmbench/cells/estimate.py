"""How much a run may write to its folder, estimated before anything is computed.

Trained stages, judges and what else metrics keep, checkpoints, kept samples and those of the figures: from shapes
alone, each shared artefact once, and nothing that is there already. Caches of data are not in it: they are there once
a dataset is loaded, which planning does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch

from .. import plugins, store
from ..errors import MmbenchError, ResultError
from ..metric import Bench, Kept, Metric
from ..modality import Modality, Task
from ..model import Model, Stage
from ..networks import Networks
from ..seeding import seeded_init
from ..store.artefacts import CARD, Artefact
from ..training import stored_size
from .blaming import blaming
from .choosing import named
from .identity import keeper, sampler
from .measuring import KEPT, groups, targets
from .plan import CellPlan
from .shown import shown_name
from .workshop import Workshop

__all__ = ["DiskUse", "build", "built", "complete", "disk_use", "room", "size", "words"]

LETTERS = 6
"""Of a word of a caption, with its blank; 4 bytes each in an array of texts."""
PNG = 200
"""Bytes of a picture's file beside its pixels."""


@dataclass(frozen=True)
class DiskUse:
    """Bytes that a run may write."""

    end: int
    """What lies there when all is done."""
    peak: int
    """The most that lies there at a time: with the checkpoints of what is being trained."""


@dataclass
class _Found:
    """What will be written, each artefact once by its name."""

    kept: dict[str, Kept] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)


def disk_use(plans: Sequence[CellPlan], shop: Workshop, jobs: int = 1) -> DiskUse:
    """What the cells of a request may write below its runs folder.

    A model that cannot be built counts nothing: it is told of when its turn comes.

    Arguments:
        jobs: cells that are computed at once.
    """
    found = _Found()
    for plan in plans:
        try:
            with blaming(plan.typed):
                _add(found, plan, shop)
        except MmbenchError:
            continue
    end = sum(each.done for each in found.kept.values()) + sum(found.samples.values())
    largest = sorted((each.meanwhile for each in found.kept.values()), reverse=True)[: max(1, jobs)]
    return DiskUse(end, end + sum(largest))


def words(use: DiskUse, runs: Path) -> str:
    """'this run may write about 1.3 GB to runs, 42 GB free'."""
    return f"this run may write {room(use, runs)}"


def room(use: DiskUse, runs: Path) -> str:
    """'about 1.3 GB to runs, 42 GB free'."""
    left = free(runs)
    short = "; make room, or it will stop and can go on later" if left < use.peak else ""
    return f"about {size(use.peak)} to {runs}, {size(left)} free{short}"


def free(folder: Path) -> int:
    """Bytes that are free where a folder is, or would be made."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _add(found: _Found, plan: CellPlan, shop: Workshop) -> None:
    bench, done = shop.bench(plan.protocol), complete(plan, shop)
    model = built(plan, shop)
    stages = list(model.stages())
    artefacts = keeper(plan, shop, may_train=True).all(model, stages, plan.key.seed)
    if not done:
        for stage in stages:
            if not (artefacts[stage.name].folder / CARD).is_file():
                found.kept[artefacts[stage.name].name] = _of_stage(model, stage)
    for name in named(shop.request, plan.dataset.spec, new=not done):
        found.kept |= plugins.load(plugins.METRICS, name, Metric).keeps(bench)
    found.samples |= dict(_samples(plan, shop, bench, artefacts, done))


def complete(plan: CellPlan, shop: Workshop) -> bool:
    """Whether a cell is there and stays."""
    try:
        cell = store.existing(shop.request.results, plan.key)
    except ResultError:
        return True
    return cell is not None and not shop.request.again and not (shop.request.stale == "rerun" and plan.stale(cell))


def built(plan: CellPlan, shop: Workshop) -> Model:
    """The untrained model: without values where no stage is kept yet, else with its first ones, which are part of the
    names of stages."""
    kept = any((shop.artefacts.root / "stage").glob(f"*/{CARD}"))
    if not kept:
        try:
            with torch.device("meta"):
                return build(plan)
        except Exception:  # of models that look at the values of their parameters
            pass
    return build(plan)


def build(plan: CellPlan) -> Model:
    with seeded_init(plan.key.seed):
        return plan.cls.build(plan.dataset.spec, plan.config, Networks())


def _of_stage(model: Model, stage: Stage) -> Kept:
    """A stage keeps its module, and at most every buffer outside of it."""
    own = {id(t) for t in (*stage.module.parameters(), *stage.module.buffers())}
    state = model.state_dict(keep_vars=True).values()
    inside = [t for t in state if id(t) in own]
    outside = [t for t in state if id(t) not in own and not isinstance(t, torch.nn.Parameter)]
    return stored_size([*inside, *outside], average=stage.schedule.ema is not None)


def _samples(
    plan: CellPlan, shop: Workshop, bench: Bench, artefacts: dict[str, Artefact], done: bool
) -> Iterator[tuple[str, int]]:
    """(name, bytes) of kept samples, of files for other tools, and of the figures' samples."""
    names = {stage: artefact.name for stage, artefact in artefacts.items()}
    shelf = sampler(plan, shop, _no_model, names).shelf
    assert shelf is not None
    count, png = min(len(bench.order), shop.request.keep), shop.request.keep_format == "png"
    tasks = list(chain(*groups(bench)))
    for group in tasks:
        given, made = group[0].given, targets(group)
        modalities = [plan.dataset.spec.modality(name) for name in made]
        if count > shelf.count(given, made):
            yield shelf.artefact(given, made).name, count * sum(map(_exact, modalities)) + PNG
        if count and png:
            yield str(shelf.folder(given, made)), count * sum(_pictured(m) + PNG for m in modalities)
    if not done:
        shown = min(len(bench.order), KEPT) * _shown(plan, chain(*tasks))
        yield f"{shown_name(plan, names)} {plan.key.seed}", shown


def _shown(plan: CellPlan, tasks: Iterable[Task]) -> int:
    """Bytes that one sample and condition of each task takes, not compressed."""
    return sum(_pictured(plan.dataset.spec.modality(n)) for task in tasks for n in (*task.given, *task.targets))


def _exact(modality: Modality) -> int:
    return modality.size * (8 if modality.is_text else 4)


def _pictured(modality: Modality) -> int:
    """Bytes of an item for people: a byte a pixel, a text in four bytes a letter."""
    return modality.size * (4 * (LETTERS if modality.separator else 1) if modality.is_text else 1)


def _no_model() -> Model:
    raise AssertionError("nothing is drawn for an estimate")


def size(count: float) -> str:
    """'42 GB', '1.3 GB', '3.1 MB'."""
    unit, name = (1e9, "GB") if count >= 1e9 else (1e6, "MB")
    return f"{count / unit:.0f} {name}" if count >= 10 * unit else f"{count / unit:.1f} {name}"
