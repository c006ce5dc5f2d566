"""The experiment: models x datasets x seeds under one budget. Cells that are complete are skipped."""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock, Timeout

from . import plugins, store
from .config import BUDGETS, Budget, Protocol, digest, from_json, override, to_json
from .data.dataset import Dataset, DatasetSource
from .data.given import parse_given
from .errors import ConfigError, MmbenchError, PluginError, ResultError, StorageError, UnavailableError, near
from .measuring import Measurement, evaluation_order, measure
from .metric import Bench, Metric
from .model import Model, draw
from .networks import Networks
from .progress import Progress
from .sampling import Sampler, as_array
from .seeding import generator, seeded_init
from .training import StageRecord, has_model, train

__all__ = ["CellPlan", "Outcome", "Request", "Runner", "Sampled", "resolve_device"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    models: Sequence[str]
    """Names of installed models, 'all', or 'module:Class'; for `evaluate`, none stands for every model with cells."""
    dataset: str
    seeds: Sequence[int]
    """Training seeds; for `evaluate`, none stands for every seed with cells."""
    budget: Budget | None = None
    """None for the dataset's default; for `evaluate`, for every budget with cells."""
    metrics: Sequence[str] = ()
    """What is measured; none stands for the dataset's own metrics."""
    again: bool = False
    """Whether `evaluate` measures anew what was measured before."""
    keep: int = 0
    """Samples of each condition that are kept on disk."""
    keep_format: Literal["safetensors", "png"] = "safetensors"
    settings: Sequence[str] = ()
    """'field=value' for the models, 'eval.field=value' for the protocol, 'MODEL.field=value' for one of several."""
    data_root: Path
    results: Path
    runs: Path
    weights: Path | None = None
    """A folder of pretrained weights that metrics may need."""
    device: str = "auto"
    allow_partial: bool = False
    """Run on a dataset of which only a part of the files is there, under a name that says so."""


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """One cell to be computed, fully resolved."""

    key: store.CellKey
    cls: type[Model]
    plugin: plugins.Plugin
    config: Any
    protocol: Protocol
    training: str
    """Hash of what the trained model depends on; the protocol is not part of it."""


@dataclass
class Outcome:
    """What became of the cells."""

    complete: list[store.CellKey] = field(default_factory=list)
    extended: list[store.CellKey] = field(default_factory=list)
    """Cells that were complete and got further metrics or samples."""
    skipped: list[store.CellKey] = field(default_factory=list)
    failed: list[tuple[store.CellKey, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Why models of 'all' were left out."""
    left_out: list[str] = field(default_factory=list)
    """Why metrics that were asked for by name could not be measured."""


@dataclass(frozen=True)
class Sampled:
    """Samples for what a user gave, as arrays: images uint8 (n, C, H, W), texts unicode (n,)."""

    key: store.CellKey
    """The cell whose model made them."""
    given: dict[str, np.ndarray]
    """One item of each given modality."""
    made: dict[str, np.ndarray]


class _BusyError(ResultError):
    """Another process computes the cell: nothing failed, nothing is recorded."""


class Runner:
    """Plans and computes the cells of a request. Names are checked at once, before any data are loaded."""

    def __init__(self, request: Request, progress: Progress | None = None) -> None:
        self.request = request
        self.progress = progress or Progress()
        self.device = resolve_device(request.device)
        self.broken: list[str] = []
        self.models = self._load_models()
        for name in request.metrics:
            plugins.find(plugins.METRICS, name)
        source: type[DatasetSource] = plugins.load(plugins.DATASETS, request.dataset, DatasetSource)
        self.source: DatasetSource = source()
        self.source.allow_partial = request.allow_partial
        self.budget: Budget = request.budget or _budget(self.source.default_budget)
        self._memos: dict[str, dict[str, Any]] = {}

    def _load_models(self) -> dict[str, type[Model]]:
        """The request's models by name; one of 'all' that cannot be loaded is told of and left out."""
        every = list(plugins.available(plugins.MODELS)) if "all" in self.request.models else []
        loaded: dict[str, type[Model]] = {}
        for name in [n for model in self.request.models for n in (every if model == "all" else [model])]:
            try:
                loaded[name] = plugins.load(plugins.MODELS, name, Model)
            except PluginError as error:
                if name in self.request.models:
                    raise
                self.broken.append(str(error))
                self.progress.say(f"{name}: left out: {error}")
        return loaded

    @property
    def cache(self) -> Path:
        return self.request.runs / "cache"

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, loaded at first use."""
        with self.progress.phase(f"load {self.request.dataset}", 1, "dataset") as advance:
            with _blaming(self.request.dataset):
                dataset = self.source.load(self.request.data_root, self.cache)
            advance(1)
        return dataset

    def plan(self) -> list[CellPlan]:
        """Every cell of the request. Raises ConfigError or PluginError for a setting or name that will not do."""
        spec = self.dataset.spec
        own, protocol_settings = _split_settings(self.request.settings, list(self.models))
        protocol = override(Protocol.recipe(self.budget, spec.quality_count, spec.laptop_count), protocol_settings)
        plans = []
        for name, cls in self.models.items():
            reason = cls.unfit(spec) if name not in self.request.models else ""
            if reason:
                self.progress.say(f"{name}: left out of 'all': {reason}")
                continue
            with _blaming(name):
                recipe = cls.recipe(spec, self.budget)
            config = override(recipe, own[name])
            plugin = plugins.find(plugins.MODELS, name)
            identity = {
                "model": name,
                "code": _code(plugin, cls),
                "config": to_json(config),
                "data": self.dataset.fingerprint,
                "spec": [asdict(modality) for modality in spec.modalities],
            }
            full = digest({**identity, "protocol": _deciding(protocol)})
            for seed in self.request.seeds:
                plans.append(
                    CellPlan(
                        key=store.CellKey(spec.name, plugins.label(name), self.budget, full, seed),
                        cls=cls,
                        plugin=plugin,
                        config=config,
                        protocol=protocol,
                        training=digest(identity),
                    )
                )
        return plans

    def stored(self) -> list[CellPlan]:
        """The complete cells that the request names, as they were planned; for `evaluate`.

        Raises ResultError if there are none, or if the data are not those that a cell was made with.
        """
        spec, request = self.dataset.spec, self.request
        plans = []
        for cell in store.cells(request.results, spec.name):
            key, name = store.CellKey.of(cell), _plugin_name(cell)
            if (self.models and name not in self.models) or (request.seeds and key.seed not in request.seeds):
                continue
            if request.budget and key.budget != request.budget:
                continue
            if cell["dataset"]["fingerprint"] != self.dataset.fingerprint:
                raise ResultError(f"{key.path(request.results)} was made with other data: give its own --data-root")
            cls = plugins.load(plugins.MODELS, name, Model)
            plans.append(
                CellPlan(
                    key=key,
                    cls=cls,
                    plugin=plugins.find(plugins.MODELS, name),
                    config=from_json(cls.Config, cell["config"]),
                    protocol=from_json(Protocol, cell["protocol"]),
                    training=cell["training"],
                )
            )
        if not plans:
            raise ResultError(f"{request.results} holds no such cells of {spec.name}: compute them with `mmbench run`")
        return plans

    def sample(self, given: Sequence[str], targets: Sequence[str], count: int, noise: int) -> Sampled:
        """`count` samples of a trained model for what a user gives; nothing is trained or written.

        Of several finished cells the one of the lowest seed is taken, of several settings the newest.

        Arguments:
            given: 'modality=text' or 'modality=image-file'.
            targets: modalities to generate; none for all that are not given.
            noise: seed of the samples' noise.
        """
        spec = self.dataset.spec
        conditions = parse_given(spec, given)
        wanted = tuple(spec.modality(name).name for name in targets) or tuple(
            name for name in spec.names if name not in conditions
        )
        if not wanted:
            raise ConfigError("everything is given: name what to generate with --target, or give less")
        results = self.request.results
        plans = sorted(self.stored(), key=lambda plan: (plan.key.seed, -plan.key.path(results).stat().st_mtime))
        plan = plans[0]
        if len(plans) > 1:
            self.progress.say(f"of {len(plans)} finished cells, {plan.key.path(results)} is taken")
        tune(self.device)
        model, _ = self._trained(plan, may_train=False)
        rows = {name: item.expand(count, *item.shape[1:]) for name, item in conditions.items()}
        with self.progress.phase("generate", count, "sample") as advance:
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

    def run(self) -> Outcome:
        """Compute the cells that are not complete yet, and of the others the metrics that they lack.

        A cell that fails is recorded and the others go on. Raises StorageError if nothing can be written.
        """
        return self._all(self.plan, may_train=True)

    def evaluate(self) -> Outcome:
        """Measure what complete cells lack (or, with `again`, what is asked for), from their trained models."""
        return self._all(self.stored, may_train=False)

    def _all(self, plans: Callable[[], list[CellPlan]], *, may_train: bool) -> Outcome:
        tune(self.device)
        store.check_writable(self.request.results)
        store.check_writable(self.request.runs)
        outcome = Outcome(broken=self.broken)
        for plan in plans():
            started = time.monotonic()
            try:
                with self._alone(plan):
                    done = self._compute(plan, outcome, may_train=may_train)
            except StorageError:
                raise
            except _BusyError as error:
                outcome.failed.append((plan.key, str(error)))
                self.progress.say(str(error))
            except MmbenchError as error:
                self._record_failure(plan, str(error), outcome)
            except Exception as error:
                self._record_failure(plan, self._explain(plan, error), outcome)
            else:
                if done is not outcome.skipped:
                    seconds = time.monotonic() - started
                    self.progress.say(f"{plan.key.model} seed {plan.key.seed}: done in {seconds:.0f} s")
                done.append(plan.key)
        return outcome

    def _compute(self, plan: CellPlan, outcome: Outcome, *, may_train: bool) -> list[store.CellKey]:
        """Compute what is missing of a cell and write it; returns the part of the outcome that it belongs to."""
        cell = store.existing(self.request.results, plan.key)
        names = self.request.metrics or self.dataset.spec.metrics
        lacking = [n for n in names if cell is None or self.request.again or n not in cell["metrics"]]
        who = f"{plan.key.model} seed {plan.key.seed}"
        if cell and not lacking and not self._samples_lack(plan):
            self.progress.say(f"{who}: complete already, skipped")
            return outcome.skipped
        self.progress.say(f"{plan.key.model} on {self.dataset.spec.title}, seed {plan.key.seed}, {plan.key.budget}")
        bench = self._bench(plan.protocol)
        metrics, left_out = self._ready(bench, lacking)
        if self.request.metrics:
            outcome.left_out += [f"{name}: {reason}" for name, reason in left_out.items()]
        if cell and not metrics and not self._samples_lack(plan):
            self.progress.say(f"{who}: nothing more can be measured, skipped")
            return outcome.skipped
        if cell:
            self._extend(plan, cell, bench, metrics, may_train)
            return outcome.extended
        model, records = self._trained(plan)
        result = measure(self._sampler(plan, lambda: model), bench, metrics)
        store.write_samples(plan.key.samples(self.request.runs), result.samples)
        store.write(self.request.results, self._cell(plan, records, result, left_out))
        return outcome.complete

    def _extend(
        self, plan: CellPlan, cell: store.Cell, bench: Bench, metrics: dict[str, type[Metric]], may_train: bool
    ) -> None:
        """Measure more of a complete cell; nothing else in its file changes."""

        @lru_cache
        def model() -> Model:
            return self._trained(plan, may_train=may_train)[0]

        result = measure(self._sampler(plan, model), bench, metrics, figures=False)
        fresh = {row["metric"] for row in result.rows}
        cell["rows"] = [row for row in cell["rows"] if row["metric"] not in fresh] + result.rows  # type: ignore[assignment]
        cell["metrics"] |= self._metric_records(result)
        cell["left_out"] = {n: reason for n, reason in cell["left_out"].items() if n not in metrics}
        if metrics:
            store.write(self.request.results, cell)

    def _trained(self, plan: CellPlan, *, may_train: bool = True) -> tuple[Model, dict[str, StageRecord]]:
        """The cell's model, from its checkpoint where it is finished."""
        if not may_train and not has_model(self.folder(plan)):
            raise ResultError(
                f"there is no trained model of {plan.key.model} seed {plan.key.seed} in {self.folder(plan)}; give the "
                "--runs folder of its training, or train it again with `mmbench run`"
            )
        with seeded_init(plan.key.seed):
            model = plan.cls.build(self.dataset.spec, plan.config, Networks())
        model.to(self.device)
        records = train(
            model,
            self.dataset.train.to(self.device),
            self.dataset.test,
            seed=plan.key.seed,
            folder=self.folder(plan),
            progress=self.progress,
        )
        return model, records

    def _sampler(self, plan: CellPlan, model: Callable[[], Model]) -> Sampler:
        return Sampler(
            model=model,
            seed=plan.key.seed,
            folder=plan.key.kept(self.request.runs),
            keep=self.request.keep,
            format=self.request.keep_format,
        )

    def _samples_lack(self, plan: CellPlan) -> bool:
        """Whether samples shall be kept and none are."""
        return self.request.keep > 0 and not any(plan.key.kept(self.request.runs).glob("*.safetensors"))

    def _ready(self, bench: Bench, names: Sequence[str]) -> tuple[dict[str, type[Metric]], dict[str, str]]:
        """The metrics that can be measured here, prepared; and why the others cannot."""
        metrics: dict[str, type[Metric]] = {}
        left_out: dict[str, str] = {}
        for name in names:
            metric: type[Metric] = plugins.load(plugins.METRICS, name, Metric)
            try:
                metric.prepare(bench)
            except UnavailableError as error:
                left_out[name] = str(error)
                self.progress.say(f"{name} is left out: {error}")
            else:
                metrics[name] = metric
        return metrics, left_out

    @staticmethod
    def _metric_records(result: Measurement) -> dict[str, store.MetricRecord]:
        return {
            name: {
                "distribution": plugins.find(plugins.METRICS, name).source,
                "seconds": seconds,
                "commit": _commit(),
            }
            for name, seconds in result.metric_seconds.items()
        }

    def folder(self, plan: CellPlan) -> Path:
        """Where the cell's checkpoints are."""
        parts = (plan.key.dataset, plan.key.model, f"{plan.key.budget}-{plan.training}", f"seed-{plan.key.seed}")
        return self.request.runs.joinpath("checkpoints", *parts)

    def _bench(self, protocol: Protocol) -> Bench:
        return Bench(
            dataset=self.dataset,
            protocol=protocol,
            device=self.device,
            order=evaluation_order(self.dataset.test, protocol.seed),
            cache=self.cache,
            progress=self.progress,
            weights=self.request.weights,
            memo=self._memos.setdefault(digest(_deciding(protocol)), {}),
        )

    @contextmanager
    def _alone(self, plan: CellPlan) -> Iterator[None]:
        """Two processes never compute one cell at the same time."""
        folder = self.folder(plan)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error.strerror}; choose another --runs folder") from error
        lock = FileLock(folder / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            who = f"{plan.key.model} seed {plan.key.seed}"
            raise _BusyError(
                f"{who}: another process is computing it in {folder}; run again when it has ended"
            ) from None
        try:
            for left in folder.glob("*.tmp"):  # of a process that was killed while it wrote
                left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def _explain(self, plan: CellPlan, error: Exception) -> str:
        """One line for the record; the whole traceback goes into a file beside the checkpoints."""
        path = self.folder(plan) / "error.txt"
        store.write_text(path, "".join(traceback.format_exception(error)))
        first = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {first} (the traceback is in {path})"

    def _record_failure(self, plan: CellPlan, reason: str, outcome: Outcome) -> None:
        outcome.failed.append((plan.key, reason))
        self.progress.say(f"{plan.key.model} seed {plan.key.seed}: FAILED: {reason}")
        if store.existing(self.request.results, plan.key) is None:
            store.write(self.request.results, self._cell(plan, {}, Measurement(), {}, reason))

    def _cell(
        self,
        plan: CellPlan,
        records: dict[str, StageRecord],
        result: Measurement,
        left_out: dict[str, str],
        reason: str | None = None,
    ) -> store.Cell:
        spec = self.dataset.spec
        training = sum(record.seconds for record in records.values())
        return {
            "schema": store.SCHEMA,
            "dataset": {
                "name": spec.name,
                "title": spec.title,
                "fingerprint": self.dataset.fingerprint,
                "train": len(self.dataset.train),
                "test": len(self.dataset.test),
                "modalities": list(spec.names),
                "titles": {m.name: m.title or m.name for m in spec.modalities},
                "classes": spec.classes,
            },
            "model": {
                "name": plan.key.model,
                "class": f"{plan.cls.__module__}:{plan.cls.__qualname__}",
                "distribution": plan.plugin.source,
            },
            "budget": plan.key.budget,
            "hash": plan.key.hash,
            "seed": plan.key.seed,
            "training": plan.training,
            "config": to_json(plan.config),
            "protocol": to_json(plan.protocol),
            "status": "failed" if reason else "complete",
            "reason": reason,
            "metrics": self._metric_records(result),
            "left_out": left_out,
            "rows": result.rows,  # type: ignore[typeddict-item]
            "stages": {name: asdict(record) for name, record in records.items()},  # type: ignore[typeddict-item]
            "time": {"train": training, "evaluate": sum(result.seconds.values()), **result.seconds},
            "calls": result.calls,
            "environment": environment(self.device),
            "samples": plan.key.samples().as_posix() if result.samples else None,
        }


def resolve_device(name: str) -> torch.device:
    """'auto' is a GPU where there is one. Raises ConfigError for a device that is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"there is no device {name!r}; {near(name, ('auto', 'cpu', 'cuda'))}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device is to be seen here; use --device cpu or auto")
    return torch.device(name)


def tune(device: torch.device) -> None:
    """Process-wide settings: a quicker CPU with the same results up to float rounding, a GPU that repeats itself.

    Denormals (from collapsed posteriors) slow a CPU 5 to 18 times; they are flushed to zero, which must be asked for
    before any parallel region. glibc gives freed memory back to the system and faults it in again for each tensor above
    128 KiB; told to keep it, a step of the score network took some per cent less time (two noisy comparisons).
    """
    torch.set_flush_denormal(True)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(-3, 2**25)  # M_MMAP_THRESHOLD, at its greatest allowed value
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """An unforeseen error of a plugin becomes one sentence that names it."""
    try:
        yield
    except MmbenchError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        raise PluginError(f"{name} failed with {type(error).__name__}: {error} ({place}); tell its author") from error


def _plugin_name(cell: store.Cell) -> str:
    """The word that names a cell's model: an installed plugin's, or 'module:Class'."""
    name = cell["model"]["name"]
    return name if name in plugins.available(plugins.MODELS) else cell["model"]["class"]


def _code(plugin: plugins.Plugin, cls: type[Model]) -> str:
    """What tells one version of a model from another: its distribution's, or the bytes of a file not installed."""
    if ":" not in plugin.name:
        return plugin.source
    path = inspect.getsourcefile(cls)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else plugin.source


def environment(device: torch.device) -> store.Environment:
    """Versions, device and commit, for the cell's file."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "mmbench": version("mmbench"),
        "platform": platform.platform(),
        "device": f"{device.type}: {name}, {torch.get_num_threads()} threads",
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The git commit of this package's checkout, '-dirty' where files were changed; None outside a checkout."""
    folder = Path(__file__).parent
    if not (folder.parent / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env={**os.environ})
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _budget(name: str) -> Budget:
    for budget in BUDGETS:
        if budget == name:
            return budget
    raise ConfigError(f"there is no budget {name!r}; {near(name, BUDGETS)}")


def _deciding(protocol: Protocol) -> dict[str, Any]:
    """The protocol's settings that decide a number."""
    return {k: v for k, v in to_json(protocol).items() if k not in store.DISPLAY_ONLY}


def _split_settings(settings: Sequence[str], names: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Settings of each model, and those of the protocol ('eval.')."""
    own: dict[str, list[str]] = {name: [] for name in names}
    protocol: list[str] = []
    installed = plugins.available(plugins.MODELS)
    for setting in settings:
        owner = next((n for n in sorted(names, key=len, reverse=True) if setting.startswith(f"{n}.")), None)
        if setting.startswith("eval."):
            protocol.append(setting.removeprefix("eval."))
        elif owner is not None:
            own[owner].append(setting.removeprefix(f"{owner}."))
        elif setting.partition(".")[0] in installed:
            raise ConfigError(f"{setting!r} is for a model that this run does not name; add --model to name it")
        else:
            for chosen in own.values():
                chosen.append(setting)
    return own, protocol
