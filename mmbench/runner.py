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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from . import plugins, store
from .config import BUDGETS, Budget, Protocol, digest, override, to_json
from .data.dataset import Dataset, DatasetSource
from .errors import ConfigError, MmbenchError, PluginError, ResultError, StorageError, near
from .measuring import Measurement, evaluation_order, measure
from .metric import Bench, Metric
from .model import Model
from .networks import Networks
from .progress import Progress
from .seeding import seeded_init
from .training import StageRecord, train

__all__ = ["CellPlan", "Outcome", "Request", "Runner", "resolve_device"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    models: Sequence[str]
    """Names of installed models, 'all', or 'module:Class'."""
    dataset: str
    seeds: Sequence[int]
    budget: Budget | None = None
    """None for the dataset's default."""
    settings: Sequence[str] = ()
    """'field=value' for the models, 'eval.field=value' for the protocol, 'MODEL.field=value' for one of several."""
    data_root: Path
    results: Path
    runs: Path
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
    skipped: list[store.CellKey] = field(default_factory=list)
    failed: list[tuple[store.CellKey, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Why models of 'all' were left out."""


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
        source: type[DatasetSource] = plugins.load(plugins.DATASETS, request.dataset, DatasetSource)
        self.source: DatasetSource = source()
        self.source.allow_partial = request.allow_partial
        self.budget: Budget = request.budget or _budget(self.source.default_budget)
        self._memo: dict[str, Any] = {}

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
        protocol = override(Protocol.recipe(self.budget, spec.quality_count), protocol_settings)
        plans = []
        for name, cls in self.models.items():
            with _blaming(name):
                recipe = cls.recipe(spec, self.budget)
            config = override(recipe, own[name])
            plugin = plugins.find(plugins.MODELS, name)
            identity = {
                "model": name,
                "code": _code(plugin, cls),
                "config": to_json(config),
                "data": self.dataset.fingerprint,
                "spec": asdict(spec),
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

    def run(self) -> Outcome:
        """Compute the cells that are not complete yet; a cell that fails is recorded and the others go on.

        Raises StorageError if nothing can be written.
        """
        tune(self.device)
        store.check_writable(self.request.results)
        store.check_writable(self.request.runs)
        outcome = Outcome(broken=self.broken)
        for plan in self.plan():
            started = time.monotonic()
            try:
                with self._alone(plan):
                    if store.finished(self.request.results, plan.key):
                        outcome.skipped.append(plan.key)
                        self.progress.say(f"{plan.key.model} seed {plan.key.seed}: complete already, skipped")
                        continue
                    self._compute(plan)
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
                outcome.complete.append(plan.key)
                seconds = time.monotonic() - started
                self.progress.say(f"{plan.key.model} seed {plan.key.seed}: done in {seconds:.0f} s")
        return outcome

    def _compute(self, plan: CellPlan) -> None:
        seconds: dict[str, float] = {}
        self.progress.say(f"{plan.key.model} on {self.dataset.spec.title}, seed {plan.key.seed}, {self.budget}")
        metrics = self._metrics()
        bench = self._bench(plan.protocol)
        for metric in metrics.values():
            metric.prepare(bench)
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
        seconds["train"] = sum(record.seconds for record in records.values())
        result = measure(model, bench, metrics, plan.key.seed)
        seconds["evaluate"] = sum(result.seconds.values())
        store.write_samples(plan.key.samples(self.request.runs), result.samples)
        store.write(self.request.results, self._cell(plan, records, result, seconds))

    def folder(self, plan: CellPlan) -> Path:
        """Where the cell's checkpoints are."""
        parts = (plan.key.dataset, plan.key.model, f"{plan.key.budget}-{plan.training}", f"seed-{plan.key.seed}")
        return self.request.runs.joinpath("checkpoints", *parts)

    def _metrics(self) -> dict[str, type[Metric]]:
        return {name: plugins.load(plugins.METRICS, name, Metric) for name in self.dataset.spec.metrics}

    def _bench(self, protocol: Protocol) -> Bench:
        return Bench(
            dataset=self.dataset,
            protocol=protocol,
            device=self.device,
            order=evaluation_order(self.dataset.test, protocol.seed),
            cache=self.cache,
            progress=self.progress,
            memo=self._memo,
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
        store.write(self.request.results, self._cell(plan, {}, Measurement(), {}, reason))

    def _cell(
        self,
        plan: CellPlan,
        records: dict[str, StageRecord],
        result: Measurement,
        seconds: dict[str, float],
        reason: str | None = None,
    ) -> store.Cell:
        spec = self.dataset.spec
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
            "config": to_json(plan.config),
            "protocol": to_json(plan.protocol),
            "status": "failed" if reason else "complete",
            "reason": reason,
            "rows": result.rows,  # type: ignore[typeddict-item]
            "stages": {name: asdict(record) for name, record in records.items()},  # type: ignore[typeddict-item]
            "time": {**seconds, **result.seconds},
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
