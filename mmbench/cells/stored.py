"""The complete cells that a request names, as they were planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .. import plugins, store
from ..config import Protocol, from_json
from ..errors import MmbenchError, ResultError
from ..store.files import word
from ..store.schema import Cell
from .blaming import blaming
from .plan import CellPlan, Planner, load_model

__all__ = ["stored"]


def stored(planner: Planner) -> list[CellPlan]:
    """The complete cells that the request names, as they were planned; for `evaluate` and `sample`.

    A bad file, and a cell whose model is not installed any more, whose settings are none of its model's, or that
    was made with other data, are told of and left out. Raises ResultError if there are no cells.
    """
    request, name = planner.request, planner.shop.dataset.spec.name
    found = store.gather(request.results, name)
    cells = [cell for cell in found.cells if _asked_for(planner, cell)]
    for bad in found.bad:
        if _may_be_asked_for(planner, bad.path.relative_to(request.results)):
            planner.leave_out("a cell", bad.reason)
    if not cells and not planner.broken:
        raise ResultError(f"{request.results} holds no such cells of {name}: compute them with `mmbench run`")
    plans = [_stored(planner, cell) for cell in cells]
    return [plan for plan in plans if plan]


def _asked_for(planner: Planner, cell: Cell) -> bool:
    request = planner.request
    return (
        (not planner.models or cell["model"]["typed"] in planner.models)
        and (not request.seeds or cell["seed"] in request.seeds)
        and (not request.budget or cell["budget"] == request.budget)
    )


def _may_be_asked_for(planner: Planner, path: Path) -> bool:
    """The same of a file or folder that cannot be read, by its place below the results: of a folder, any of its cells
    may be."""
    request, dataset = planner.request, planner.shop.dataset.spec.name
    models = {word(plugins.label(name)) for name in planner.models}
    files = {f"seed-{seed}.json" for seed in request.seeds}
    asked: Sequence[Callable[[str], bool]] = (
        lambda name: name == word(dataset),
        lambda name: not models or name in models,
        lambda name: not request.budget or name.startswith(f"{request.budget}-"),
        lambda name: name in files if files else ".failed" not in name,
    )
    return all(test(name) for test, name in zip(asked, path.parts, strict=False))


def _stored(planner: Planner, cell: Cell) -> CellPlan | None:
    key = store.CellKey.of(cell)
    try:
        return _planned_again(planner, key, cell)
    except MmbenchError as error:
        planner.leave_out(f"{key.model} seed {key.seed}", str(error))
        return None


def _planned_again(planner: Planner, key: store.CellKey, cell: Cell) -> CellPlan:
    dataset, typed = planner.shop.of_split(cell["dataset"]["split"]), cell["model"]["typed"]
    if cell["dataset"]["fingerprint"] != dataset.fingerprint:
        raise ResultError(f"{key.path(planner.request.results)} was made with other data: give its own --data-root")
    cls = load_model(typed)
    with blaming(typed):
        config = from_json(cls.Config, cell["config"])
    return CellPlan(
        key=key,
        typed=typed,
        cls=cls,
        source=plugins.find(plugins.MODELS, typed).source,
        config=config,
        protocol=from_json(Protocol, cell["protocol"]),
        overrides=cell["overrides"],
        code=planner.code_of(cls),
        dataset=dataset,
    )
