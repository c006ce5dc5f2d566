"""From a request to cells: every cell fully resolved, before any of them is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import plugins, store
from ..config import Precision, Protocol, digest, flat, override, to_json
from ..data.dataset import Dataset, Split
from ..data.missing import incomplete
from ..errors import ConfigError, MmbenchError, PluginError
from ..modality import FEW, DatasetSpec
from ..model import Model
from ..store.provenance import changed, code_of_class, harness
from ..store.schema import Cell, CodeRecord
from .blaming import blaming
from .data_record import modality_record
from .request import Request, expanded, split_settings
from .sweep import Variant, check_zip, variants
from .tasks import check_subsets
from .terms import network_code
from .whole import trainable
from .workshop import Workshop, deciding

__all__ = ["CellPlan", "Planner", "load_model"]


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """One cell to be computed, fully resolved."""

    key: store.CellKey
    typed: str
    """The word typed after --model."""
    cls: type[Model]
    source: str
    """Who brought the model: 'mmbench 0.1.0'."""
    config: Any
    protocol: Protocol
    overrides: Mapping[str, Any]
    """Settings that are not the recipe's -> their values."""
    code: CodeRecord
    """The code that is here now."""
    dataset: Dataset
    """Its test tuples are those of the protocol's split."""
    asked: tuple[str, int | None] = ("", None)
    """The word typed after --dataset, and --views."""
    varied: tuple[str, ...] = ()
    """The settings of which the request has several values, as this cell has them."""
    missing: float = 0.0
    """The probability with which each modality of a training tuple is dropped."""

    @property
    def train(self) -> Split:
        """The tuples that the model is trained on."""
        return incomplete(self.dataset.train, self.missing, self.key.seed)

    @property
    def what(self) -> str:
        """'mld', 'mld beta=0.5'."""
        return " ".join([self.key.model, *self.varied, *([f"missing={self.missing:g}"] if self.missing else [])])

    @property
    def who(self) -> str:
        """'mld seed 0'."""
        return f"{self.what} seed {self.key.seed}"

    def stale(self, cell: Cell) -> list[str]:
        """How the code of the model and of the training differs from what made a cell; nothing where it does not."""
        before, now = cell["code"], self.code
        found = changed(before["model"], now["model"])
        return found + changed({"training": before["harness"]["training"]}, {"training": now["harness"]["training"]})


class Planner:
    """Plans the cells of a request. Models and settings are checked at once, before any data are loaded.

    Arguments:
        names: the request's models that are loaded, one of them or all; one that cannot be is told of and left out.
    """

    def __init__(self, shop: Workshop, names: Sequence[str] | None = None) -> None:
        self.shop, self.request = shop, shop.request
        self.broken: list[str] = []
        every = expanded(self.request.models)
        own = split_settings(self.request.settings, every) if every else {}
        self.models = self._load_models(every if names is None else names)
        self.code = {name: self.code_of(cls) for name, cls in self.models.items()}
        self.variants = {n: variants(cls.Config, own[n], zipped=self.request.zip) for n, cls in self.models.items()}
        if self.request.zip and every:
            check_zip(own, {n: cls.Config for n, cls in self.models.items()})

    def _load_models(self, names: Sequence[str]) -> dict[str, type[Model]]:
        loaded: dict[str, type[Model]] = {}
        for name in names:
            try:
                cls = load_model(name)
                if trainable(name, cls, self.request, self.shop.progress):
                    loaded[name] = cls
            except PluginError as error:
                self.leave_out(name, str(error))
        return loaded

    def leave_out(self, name: str, reason: str) -> None:
        """Tell of a model or cell that is left out; the exit code will be 1."""
        self.broken.append(reason)
        self.shop.progress.say(f"{name}: left out: {reason}")

    @property
    def _recipe(self) -> Protocol:
        spec = self.shop.dataset.spec
        terms = {"judge_share": spec.judge_share, "many": len(spec.names) > FEW}
        return Protocol.recipe(self.shop.budget, spec.quality_count, spec.laptop_count, **terms)

    def plan(self) -> list[CellPlan]:
        """Every cell of the request, once; a model that fails here is told of and left out, the others are planned.

        Raises ConfigError for a setting that will not do.
        """
        plans = [plan for name, cls in self.models.items() for plan in self._cells(name, cls)]
        return list({plan.key: plan for plan in plans}.values())

    def _cells(self, name: str, cls: type[Model]) -> list[CellPlan]:
        planned, recipes = list[CellPlan](), dict[str, Any]()
        for variant in self.variants[name]:
            protocol = self._protocol(variant)
            if protocol.split not in recipes:
                recipes[protocol.split] = self._recipe_of(
                    name, cls, self.shop.given(protocol.split, self.shop.modalities)
                )
            if recipes[protocol.split] is None:
                return []
            planned += self._of_variant(name, cls, variant, recipes[protocol.split], protocol)
        return planned

    def _protocol(self, variant: Variant) -> Protocol:
        """How the cells of a variant are measured."""
        protocol = override(self._recipe, variant.protocol)
        check_subsets(self.shop.dataset.spec, protocol)
        return protocol

    def _recipe_of(self, name: str, cls: type[Model], dataset: Dataset) -> Any:
        """The model's recipe; None where the model is left out."""
        try:
            with blaming(name):
                return self._fit_recipe(name, cls, dataset)
        except MmbenchError as error:
            self.leave_out(name, str(error))
            return None

    def _of_variant(
        self, name: str, cls: type[Model], variant: Variant, recipe: Any, protocol: Protocol
    ) -> list[CellPlan]:
        """The cells of one model under some settings, one for each seed."""
        dataset, config = (
            self.shop.given(protocol.split, self.shop.modalities),
            _configured(name, recipe, self.request, variant.own),
        )
        hash = _cell_hash(name, config, dataset, protocol, self.request.missing)
        return [
            CellPlan(
                key=store.CellKey(dataset.spec.name, plugins.label(name), self.shop.budget, hash, seed),
                typed=name,
                cls=cls,
                source=plugins.find(plugins.MODELS, name).source,
                config=config,
                protocol=protocol,
                overrides=_differing(recipe, config) | _differing(self._recipe, protocol, "eval."),
                code=with_networks(self.code[name], dataset.spec),
                dataset=dataset,
                asked=(self.request.dataset, self.request.views),
                varied=variant.varied,
                missing=self.request.missing,
            )
            for seed in self.request.seeds
        ]

    def _fit_recipe(self, name: str, cls: type[Model], dataset: Dataset) -> Any:
        """The model's recipe, which JSON must be able to hold; None where 'all' leaves the model out."""
        reason = cls.unfit(dataset.spec) if name not in self.request.models else ""
        if reason:
            self.shop.progress.say(f"{name}: left out of 'all': {reason}")
            return None
        recipe = cls.recipe(dataset.spec, self.shop.budget)
        if not isinstance(recipe, cls.Config):
            raise PluginError(f"{name}: recipe must return a {cls.Config.__name__}, got a {type(recipe).__name__}")
        to_json(recipe)
        return recipe

    def code_of(self, cls: type[Model]) -> CodeRecord:
        """The code of a model, of the dataset and of the harness, as they are now."""
        parts = harness()
        return {
            "model": code_of_class(cls),
            "dataset": code_of_class(type(self.shop.source)),
            "harness": {"training": parts["training"], "measuring": parts["measuring"]},
        }


def with_networks(code: CodeRecord, spec: DatasetSpec) -> CodeRecord:
    """A model's code with that of the networks it is given, where these are not the suite's."""
    return {**code, "model": {**code["model"], **network_code(spec)}}


def load_model(name: str) -> type[Model]:
    """Raises PluginError for what is no model."""
    cls = plugins.load(plugins.MODELS, name, Model)
    if not hasattr(cls, "Config"):
        raise PluginError(f"{name} has no Config: give {cls.__qualname__} the class of its configuration")
    return cls


def _configured(name: str, recipe: Any, request: Request, own: Sequence[str]) -> Any:
    """The recipe with the model's own settings."""
    try:
        with blaming(name):
            config = override(recipe, [*_in_precision(recipe, request.precision), *own])
            _refuse_idle(config, own)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    return config


def _cell_hash(name: str, config: Any, dataset: Dataset, protocol: Protocol, missing: float) -> str:
    """What names a cell beside dataset, model, budget and seed: all that was run, code apart."""
    return digest(
        {
            "model": name,
            "config": to_json(config),
            "data": dataset.fingerprint,
            "modalities": [modality_record(m) for m in dataset.spec.modalities],
            "protocol": deciding(protocol),
            **({"missing": missing} if missing else {}),
        }
    )


def _refuse_idle(config: Any, settings: Sequence[str]) -> None:
    """A configuration may say which settings do nothing in it (`idle`: name -> what it waits for); one that was asked
    for all the same is a ConfigError."""
    for name, reason in getattr(config, "idle", {}).items():
        for setting in settings:
            asked = setting.partition("=")[0].strip()
            if asked == name or asked.startswith(f"{name}."):
                raise ConfigError(f"{asked} does nothing here, since {reason}")


def _in_precision(recipe: Any, precision: Precision | None) -> list[str]:
    """The settings that make a model compute in a precision: those named 'precision', or so at their end."""
    names = [name for name in flat(to_json(recipe)) if name.rpartition(".")[2].endswith("precision")]
    return [f"{name}={precision}" for name in names] if precision else []


def _differing(recipe: Any, config: Any, prefix: str = "") -> dict[str, Any]:
    """Fields, by dotted names, whose values are not the recipe's."""
    before, after = flat(to_json(recipe)), flat(to_json(config))
    return {f"{prefix}{name}": value for name, value in after.items() if before.get(name, ...) != value}
