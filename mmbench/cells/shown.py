"""The samples of a cell that figures show: kept beside its record, drawn anew where their file is damaged or gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from .. import store
from ..errors import DamagedError, ResultError, UnreadableError
from ..metric import Bench
from ..store.artefacts import CARD
from ..store.files import make_way, set_aside
from ..store.reading import reading
from ..store.schema import Cell
from .identity import token
from .plan import CellPlan
from .workshop import Workshop

__all__ = ["keep_shown", "labelled", "shown_lack", "shown_name"]


def shown_name(plan: CellPlan, stages: Mapping[str, str]) -> str:
    """What a cell records of its sample file, which the models of these stages made."""
    return plan.key.samples(token(plan, stages)).as_posix()


def keep_shown(shop: Workshop, name: str, samples: Mapping[str, np.ndarray]) -> None:
    """Write a sample file, if there are samples; a damaged one in its place is set aside. Raises UnreadableError where
    one is there that may not be read: it stays."""
    if samples:
        path = shop.request.runs / name
        _wrong(path, shop.progress.say)
        make_way(path, shop.progress.say)
        store.write_samples(path, samples)


def labelled(samples: Mapping[str, np.ndarray], bench: Bench) -> dict[str, np.ndarray]:
    """Samples with the classes of the tuples that they were made for, 'labels', where the data have them: grids show
    conditions of different classes."""
    labels, count = bench.dataset.test.labels, max(map(len, samples.values()), default=0)
    if labels is None or not count:
        return dict(samples)
    return {**samples, "labels": labels[bench.order[:count].to(labels.device)].cpu().numpy()}


def shown_lack(plan: CellPlan, shop: Workshop, cell: Cell) -> str:
    """Why a cell's samples must be drawn anew: their file is gone or damaged, and the stages that make them are kept;
    '' where they need not. A damaged file is set aside, with a sentence, unless the command only reads; one that may
    not be read stays."""
    stages = {name: record["artefact"] for name, record in cell["stages"].items()}
    if cell["samples"] != shown_name(plan, stages):
        return ""
    try:
        wrong = _wrong(shop.request.runs / str(cell["samples"]), shop.progress.say)
    except UnreadableError:
        return ""
    kept = wrong and all(store.there(shop.artefacts.root / name / CARD) for name in stages.values())
    return wrong if kept else ""


def _wrong(path: Path, say: Callable[[str], None]) -> str:
    """What is wrong with a sample file, half a sentence; '' where it is what was written. A damaged one is set aside,
    with a sentence, unless the command only reads. Raises UnreadableError."""
    try:
        store.read_samples(path)
    except UnreadableError:
        raise
    except ResultError as error:
        wrong = str(error).partition(": run")[0]
        if isinstance(error, DamagedError) and not reading():
            say(f"{wrong}; set aside as {set_aside(path).name}")
        return wrong
    return ""
