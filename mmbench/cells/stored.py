"""The complete cells that a request names, as they were planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .. import plugins, store
from ..config import Protocol, canonical, flat, from_json, named, override
from ..errors import ConfigError, MmbenchError, ResultError
from ..modality import DatasetSpec, Modality
from ..store.files import word
from ..store.schema import Cell
from .blaming import blaming
from .plan import CellPlan, Planner, load_model, with_networks
from .request import split_settings
from .sweep import variants

__all__ = ["stored"]


def stored(planner: Planner) -> list[CellPlan]:
    """The complete cells that the request names, as they were planned; for `evaluate` and `sample`.

    A bad file, and a cell whose model is not installed any more, whose settings are none of its model's, or that
    was made with other data, are told of and left out. Raises ResultError if there are no cells.
    """
    request, name = planner.request, planner.shop.dataset.spec.name
    found = store.gather(request.results, name)
    cells = [cell for cell in found.cells if _asked_for(planner, cell)]
    cells = _with_settings(planner, cells) if request.settings else cells
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


def _with_settings(planner: Planner, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that have one of the values of each setting; ResultError where none of several has."""
    request = planner.request
    own = split_settings(request.settings, list(dict.fromkeys(cell["model"]["typed"] for cell in cells)))
    refused: list[str] = []
    chosen = [cell for cell in cells if _has(cell, own[cell["model"]["typed"]], refused)]
    if cells and not chosen:
        lacking = refused[0] if len(refused) == len(cells) else f"none has {' '.join(request.settings)}"
        raise ResultError(f"{request.results} holds such cells, but {lacking}; {_values(cells, own)}")
    return chosen


def _has(cell: Cell, settings: Sequence[str], refused: list[str]) -> bool:
    """Whether a cell has these settings; one that cannot be read may have them. Why a setting is none of its model's
    is added to `refused`."""
    try:
        cls = load_model(cell["model"]["typed"])
        config, protocol = from_json(cls.Config, cell["config"]), from_json(Protocol, cell["protocol"])
    except MmbenchError:
        return True
    try:
        return any(
            override(config, v.own) == config and override(protocol, v.protocol) == protocol
            for v in variants(cls.Config, settings)
        )
    except ConfigError as error:
        refused.append(str(error))
        return False


def _values(cells: Sequence[Cell], own: Mapping[str, Sequence[str]]) -> str:
    """'beta is 0.1, 0.5': which values the settings have that were asked for."""
    found: dict[str, dict[str, None]] = {}
    for cell in cells:
        known = flat({**cell["config"], "eval": cell["protocol"]})
        for path in [named(setting)[0] for setting in own[cell["model"]["typed"]]]:
            if path in known:
                found.setdefault(path, {})[canonical(known[path])] = None
    said = "; ".join(f"{path} is {', '.join(sorted(values))} there" for path, values in found.items())
    return said or "`mmbench report` shows the settings of cells"


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
    dataset = planner.shop.given(cell["dataset"]["split"], _modalities(dataset.spec, cell))
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
        code=with_networks(planner.code_of(cls), dataset.spec),
        dataset=dataset,
        missing=cell.get("missing", 0.0),
        asked=(planner.request.dataset, planner.request.views),
    )


def _modalities(spec: DatasetSpec, cell: Cell) -> tuple[Modality, ...]:
    """The modalities with the networks and latents that a cell's model was given."""
    given = {record["name"]: record for record in cell["dataset"]["modalities"]}
    return tuple(
        replace(m, network=given[m.name]["network"], latent=given[m.name]["latent"]) if m.name in given else m
        for m in spec.modalities
    )
