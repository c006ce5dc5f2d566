"""What `import mmbench` offers: the verbs of the command line, and results as a DataFrame. No torch at import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import MmbenchError, ResultError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .cells.plan import CellPlan
    from .cells.request import Request
    from .cells.workshop import Workshop
    from .engine.outcome import Outcome
    from .model import Model
    from .progress import Progress

__all__ = ["evaluate", "load_model", "load_results", "run", "sample"]

Words = str | Sequence[str]
Place = str | Path


def run(
    model: Words = "mld",
    dataset: str = "glyphs",
    *,
    seeds: int | Sequence[int] = 1,
    budget: str | None = None,
    set: Mapping[str, Any] | Sequence[str] = (),
    zip: bool = False,
    network: Mapping[str, str] | None = None,
    latent: Mapping[str, int] | None = None,
    missing: float = 0.0,
    metrics: Words = (),
    again: bool = False,
    data_root: Place = "data",
    results: Place = "results",
    runs: Place = "runs",
    device: str = "auto",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Train, generate and evaluate in this process, as `mmbench run`; the results of these models on this dataset, as
    `load_results` gives them.

    Arguments:
        model: 'mld', 'mld,mvae', ['mld', 'module:Class'] or 'all'.
        seeds: their number, or the seeds themselves.
        set: setting -> value, or a list of values, which makes cells of each; or what stands after --set.
        network, latent: modality -> the network, or the size of its latent, of all models.
        missing: the probability with which each modality of a training tuple is dropped.
        progress: told of phases and sentences; nobody is by default.

    Raises MmbenchError: for what will not do, and, when all other cells are done, where a cell has failed.
    """
    from .engine.engine import Engine

    numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    terms = {"networks": _pairs(network), "latents": _pairs(latent), "missing": missing}
    asked = _request(
        (dataset, data_root, results, runs),
        models=_words(model), seeds=numbers, budget=budget, settings=_settings(set), zip=zip, metrics=_words(metrics),
        again=again, device=device, **terms,
    )  # fmt: skip
    _refuse_failed(Engine(asked, progress).run())
    return _of(load_results(results, dataset=dataset), asked)


def evaluate(
    dataset: str,
    *,
    model: Words = (),
    seeds: Sequence[int] = (),
    budget: str | None = None,
    set: Mapping[str, Any] | Sequence[str] = (),
    metrics: Words = (),
    again: bool = False,
    data_root: Place = "data",
    results: Place = "results",
    runs: Place = "runs",
    device: str = "auto",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure more of finished cells, as `mmbench evaluate`: all of the dataset, or those of some models, seeds, budget
    or settings. Returns and raises as `run` does."""
    from .engine.engine import Engine

    asked = _request(
        (dataset, data_root, results, runs),
        models=_words(model), seeds=tuple(seeds), budget=budget, settings=_settings(set), metrics=_words(metrics),
        again=again, device=device,
    )  # fmt: skip
    _refuse_failed(Engine(asked, progress).evaluate())
    return _of(load_results(results, dataset=dataset), asked)


def load_results(results: Place = "results", *, dataset: str | None = None) -> pd.DataFrame:
    """All numbers of a folder of results, a line each; values as they were stored.

    Columns: what was run (dataset, its split, the share of modalities missing in training, fingerprint, budget,
    protocol: a hash of how it was measured, model, hash: of its settings, seed); what the number is (source: 'model',
    'reconstruction', 'real' or 'shuffled'; metric, plugin, task: 'joint', 'a->b'; modality); value, unit,
    higher_is_better, count: samples behind it; judge, identity, reference, note, data. Then every setting of the
    models, as 'config.NAME'.

    Arguments:
        dataset: these alone, by their name or the word that was typed for a run ('module:Class').

    Raises ResultError where the folder is not there or holds a bad file.
    """
    from . import store
    from .config import flat
    from .store.commands import asked_of

    folder = Path(results)
    if not folder.is_dir():
        raise ResultError(f"{folder} is no folder of results: name one, or make it with mmbench.run")
    found = store.gather(folder, dataset if dataset and (folder / dataset).is_dir() else None, histories=False)
    if found.bad:
        raise ResultError("; ".join(bad.reason for bad in found.bad))
    cells = [cell for cell in found.cells if dataset in (None, cell["dataset"]["name"], asked_of(cell)[0])]
    table = store.frame(cells)
    settings = {(*_name(cell), cell["seed"]): cell for cell in cells}
    keys = list(map(tuple, table[["dataset", "model", "budget", "hash", "seed"]].itertuples(index=False)))
    table.insert(1, "split", [settings[key]["dataset"]["split"] for key in keys])
    table.insert(2, "missing", [settings[key].get("missing", 0.0) for key in keys])
    own = {key: flat(cell["config"]) for key, cell in settings.items()}
    names = sorted({name for config in own.values() for name in config})
    import pandas as pd

    more = pd.DataFrame({f"config.{n}": [own[key].get(n) for key in keys] for n in names}, index=table.index)
    return pd.concat([table, more], axis=1)


def load_model(cell: Place, *, data_root: Place = "data", runs: Place = "runs", device: str = "auto") -> Model:
    """The trained model of a finished cell, from its kept stages; `mmbench.model.draw` samples from it.

    Arguments:
        cell: the cell's file, 'results/DATASET/MODEL/BUDGET-HASH/seed-0.json'.

    Raises MmbenchError where the cell or its stages are not there, or other code made them.
    """
    return _loaded(cell, data_root, runs, device)[0]


def sample(
    cell: Place,
    given: Mapping[str, Any] | None = None,
    targets: Words = (),
    *,
    count: int = 8,
    noise: int = 0,
    data_root: Place = "data",
    runs: Place = "runs",
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """`count` samples of a finished cell's model, as `mmbench sample`: images uint8 (n, C, H, W), texts unicode (n,).

    Arguments:
        given: modality -> a text, or the path of an image.
        targets: what to generate; what is not given, by default.
        noise: seed of the samples' noise.
    """
    from .cells.export import as_array
    from .data.given import parse_given
    from .model import draw
    from .seeding import generator

    model, plan = _loaded(cell, data_root, runs, device)
    spec = plan.dataset.spec
    known = parse_given(spec, _pairs(given))
    wanted = tuple(spec.modality(name).name for name in _words(targets)) or tuple(
        name for name in spec.names if name not in known
    )
    if not wanted or count < 1:
        raise MmbenchError("there is nothing to generate: give fewer modalities, and ask for one sample or more")
    rows = {name: item.expand(count, *item.shape[1:]) for name, item in known.items()}
    rng = generator(noise, "sample", "given", *known)
    made = draw(model, rows, wanted, count=count, generator=rng, batch_size=plan.protocol.batch_size)
    return {name: as_array(spec.modality(name), values) for name, values in made.items()}


def _loaded(cell: Place, data_root: Place, runs: Place, device: str) -> tuple[Model, CellPlan]:
    from . import store
    from .cells.cell import CellWork
    from .cells.plan import Planner
    from .cells.stored import stored
    from .store.commands import asked_of

    path = Path(cell)
    if not path.is_file():
        raise ResultError(f"{path} is no file: name the file of a finished cell, seed-0.json")
    record = store.read(path)
    key = store.CellKey.of(record)
    dataset, views, partial = asked_of(record)
    places = (dataset, data_root, path.absolute().parents[3], runs)
    typed = record["model"]["typed"]
    request = _request(
        places, models=(typed,), seeds=(key.seed,), budget=key.budget, device=device, views=views, allow_partial=partial
    )
    shop = _shop(request)
    planner = Planner(shop)
    plan = next((plan for plan in stored(planner) if plan.key == key), None)
    if plan is None:
        raise ResultError("; ".join(planner.broken) or f"{path} is no finished cell")
    if stale := plan.stale(record):
        raise ResultError(
            f"{path} is stale, other code made it ({'; '.join(stale)}): compute it anew, or go back to it"
        )
    with store.only_reading():
        return CellWork(plan, shop, may_train=False).trained()[0], plan


def _shop(request: Request) -> Workshop:
    from .cells.workshop import Workshop
    from .engine.device import resolve_device
    from .progress import Progress

    return Workshop(request, resolve_device(request.device), Progress())


def _request(places: tuple[str, Place, Place, Place], *, budget: str | None, **more: Any) -> Request:
    from .cells.request import Request, budget_named

    dataset, data_root, results, runs = places
    where = {"data_root": Path(data_root), "results": Path(results), "runs": Path(runs)}
    return Request(dataset=dataset, budget=budget_named(budget) if budget else None, **where, **more)


def _words(words: Words) -> tuple[str, ...]:
    every = words.split(",") if isinstance(words, str) else words
    return tuple(dict.fromkeys(word.strip() for word in every if word.strip()))


def _pairs(named: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in (named or {}).items())


def _settings(given: Mapping[str, Any] | Sequence[str]) -> tuple[str, ...]:
    """Values as they are typed: a list has several of them, and a tuple is one."""
    from .config import canonical

    if not isinstance(given, Mapping):
        return (given,) if isinstance(given, str) else tuple(given)
    return tuple(
        f"{name}={canonical(one)}"
        for name, value in given.items()
        for one in (value if isinstance(value, list) else [value])
    )


def _refuse_failed(outcome: Outcome) -> None:
    lost = [f"{key.model} seed {key.seed}: {reason}" for key, reason in outcome.failed]
    if reasons := [*lost, *outcome.broken, *outcome.left_out]:
        raise MmbenchError("; ".join(reasons))


def _of(table: pd.DataFrame, asked: Request) -> pd.DataFrame:
    """The lines of the models asked for."""
    from .plugins import label

    names: Iterable[str] = map(label, asked.models)
    return table if not asked.models or "all" in asked.models else table.loc[table["model"].isin(list(names))]


def _name(cell: Any) -> tuple[str, str, str, str]:
    return cell["dataset"]["name"], cell["model"]["name"], cell["budget"], cell["hash"]
