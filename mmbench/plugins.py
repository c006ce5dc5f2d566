"""Models, datasets and metrics by name: entry points are listed without being imported and loaded when asked for.

The suite's own are declared in the same groups as a stranger's. A model or metric that is not installed is named
'module:Class', with the current directory searched first, as `python -m` does. The models of another library, made
models of this suite by somebody's adapter, are named 'library:Name': the entry points of the group 'mmbench.models.' +
library, which are there while the library can be imported.
"""

from __future__ import annotations

import importlib
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import reduce
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import IO, Any, TypeVar, cast, overload

from .described import described
from .errors import PluginError, deed, near
from .untouched import untouched

__all__ = ["DATASETS", "EXTRACTORS", "METRICS", "MODELS", "NETWORKS", "Plugin", "available", "find", "label", "load"]

MODELS = "mmbench.models"
"""Entry-point group of the classes that derive from `mmbench.model.Model`."""
DATASETS = "mmbench.datasets"
"""Entry-point group of the classes that derive from `mmbench.data.dataset.DatasetSource`."""
EXTRACTORS = "mmbench.extractors"
"""Entry-point group of functions (bench, modality) -> `mmbench.bench.Extractor`, networks that give features."""
METRICS = "mmbench.metrics"
"""Entry-point group of the classes that derive from `mmbench.metric.Metric`."""
NETWORKS = "mmbench.networks"
"""Entry-point group of the encoders and decoders that models share: objects of `mmbench.networks.Architecture`."""
LOCAL = (MODELS, DATASETS, METRICS, NETWORKS)
"""Groups of which one that is not installed is named module:NAME."""
SAID = 200
"""Characters that are told of what a module said."""

T = TypeVar("T")


@described
@dataclass(frozen=True, slots=True)
class Plugin:
    """What is known of a plugin before it is imported."""

    name: str
    """The word typed after --model or --dataset."""
    value: str
    """Where it is: 'module:Class'."""
    distribution: str
    """The installed distribution that brought it, or the module of a model that is not installed."""
    version: str = ""
    """The version of that distribution, empty where it is not known."""

    @property
    def source(self) -> str:
        """Who brought it, for messages and tables: 'mmbench 0.1.0'."""
        return f"{self.distribution} {self.version}".rstrip()


def available(group: str) -> dict[str, Plugin]:
    """The plugins of a group by name, sorted; nothing is imported.

    Raises PluginError where two distributions bring the same name.
    """
    found: dict[str, Plugin] = {}
    every = [*map(_plugin, entry_points(group=group)), *_of_libraries(group)]
    for plugin in sorted(every, key=lambda p: (p.name, p.distribution)):
        other = found.setdefault(plugin.name, plugin)
        if other.distribution != plugin.distribution:
            raise PluginError(
                f"both {other.source} and {plugin.source} bring {plugin.name!r} to {group!r}; uninstall one of them or "
                "ask its author to rename it"
            )
    return found


def find(group: str, name: str) -> Plugin:
    """The plugin that a name stands for, not imported. Raises PluginError for an unknown name."""
    if group in LOCAL and ":" in name:
        library = _of_library(name) if group == MODELS else None
        return library or Plugin(name, name, distribution=name.partition(":")[0])
    plugins = available(group)
    if name not in plugins:
        kind = group.rpartition(".")[2].removesuffix("s")
        own = "; a class that is not installed is named module:Class" if group in LOCAL else ""
        raise PluginError(f"there is no {kind} {name!r}; {near(name, plugins)}{own}")
    return plugins[name]


@overload
def load(group: str, name: str, base: type[T]) -> type[T]: ...
@overload
def load(group: str, name: str, base: None = None) -> Any: ...
def load(group: str, name: str, base: type | None = None) -> Any:
    """Import the plugin `name`; with `base`, it must be a concrete class that derives from it.

    Raises PluginError, naming the distribution and the cause, for an unknown name, a failing import, a missing
    attribute or a class of the wrong kind.
    """
    plugin = find(group, name)
    value = _attribute(plugin, _module(plugin, local=_typed(plugin)))
    if base is not None:
        _refuse_wrong_class(plugin, value, base)
    return value


def label(name: str) -> str:
    """The name of a model in results and on disk: 'my_package.MyModel' for 'my_package:MyModel'."""
    return name.replace(":", ".")


def _plugin(entry: EntryPoint, library: str = "") -> Plugin:
    value = entry.value.partition("[")[0].strip()  # extras, which nothing here asks for
    return Plugin(f"{library}:{entry.name}" if library else entry.name, value, *_brought_by(entry))


def _of_libraries(group: str) -> Iterator[Plugin]:
    """The plugins that are made of the libraries which are installed."""
    for name in sorted(entry_points().groups):
        library = name.removeprefix(f"{group}.")
        if library != name and _importable(library):
            yield from (_plugin(entry, library) for entry in entry_points(group=name))


def _of_library(name: str) -> Plugin | None:
    """The plugin 'library:Name'; None where no distribution adapts such a library."""
    library, _, own = name.partition(":")
    found = {entry.name: _plugin(entry, library) for entry in entry_points(group=f"{MODELS}.{library}")}
    if not found:
        return None
    if not _importable(library):
        who = next(iter(found.values())).distribution
        raise PluginError(f"{name} needs the package {library}, which is not installed: pip install '{who}[{library}]'")
    if own not in found:
        raise PluginError(f"there is no model {own!r} of {library}; {near(own, found)}")
    return found[own]


def _importable(library: str) -> bool:
    """Whether there is such a top-level package or module; it is not imported."""
    try:
        return find_spec(library) is not None
    except (ImportError, ValueError):
        return False


def _typed(plugin: Plugin) -> bool:
    """Whether somebody named it 'module:Class'."""
    return plugin.name == plugin.value


def _brought_by(entry: EntryPoint) -> tuple[str, str]:
    """Name and version of a distribution, also of one whose metadata are broken."""
    try:
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else (None, None)
    except (KeyError, TypeError, OSError):
        name = version = None
    return name or "an unknown distribution", version or ""


def _who(plugin: Plugin) -> str:
    return repr(plugin.name) if _typed(plugin) else f"{plugin.name!r} of {plugin.source}"


def _module(plugin: Plugin, local: bool) -> ModuleType:
    module = plugin.value.partition(":")[0]
    here = _working_directory()
    if local and here not in sys.path:
        sys.path.insert(0, here)
    said: Callable[[], str] = str
    try:
        with _at_ease() as said:
            return importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's module may raise anything
        absent = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        place = f"{here} or among the installed packages" if local else plugin.source
        cause = f"there is no module {module!r} in {place}" if absent else _cause(error, said())
        remedy = "repair it or correct the name" if local else f"repair or reinstall {plugin.distribution}"
        raise PluginError(f"{_who(plugin)} cannot be imported ({cause}); {remedy}") from error


def _working_directory() -> str:
    """'.' where it was removed meanwhile."""
    try:
        return os.getcwd()
    except OSError:
        return "."


def _attribute(plugin: Plugin, module: ModuleType) -> Any:
    name = plugin.value.partition(":")[2]
    try:
        return reduce(getattr, name.split("."), module)
    except AttributeError as error:
        known = [n for n, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module.__name__]
        raise PluginError(f"{_who(plugin)}: {module.__name__} has no {name!r}; {near(name, known)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of a module's __getattr__
        raise PluginError(f"{_who(plugin)}: {module.__name__} gives no {name!r} ({_cause(error, '')})") from error


def _cause(error: BaseException, said: str) -> str:
    """In one line; of a module that ends the program also what it said."""
    if not isinstance(error, SystemExit):
        return deed(error).removeprefix("failed with ")
    words = " ".join(said.split())
    short = f", saying {words if len(words) <= SAID else '...' + words[-SAID:]!r}" if words else ""
    return f"it {deed(error)}{short}; nothing may run at import"


class _Held:
    """A stream that keeps back what is written to it until it is let go: from then on it is the stream itself, for a
    module that took it for its own."""

    def __init__(self, stream: IO[str] | None) -> None:
        self.stream, self.held, self.holding = stream, io.StringIO(), True

    def write(self, text: str) -> int:
        return (self.held if self.holding or self.stream is None else self.stream).write(text)

    def close(self) -> None:
        """It is not the module's to close."""

    def let_go(self) -> None:
        """A stream that takes no more is none of the module's faults: who writes to it next will be told."""
        self.holding = False
        if said := self.held.getvalue():
            with suppress(OSError):
                self.write(said)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def _at_ease() -> Iterator[Callable[[], str]]:
    """A module is imported inside without our command line and input, which are not its own; yields what tells what it
    said.

    What it prints comes out after, unless it asks to end the program. The working directory, and what else belongs to
    the whole process (`untouched`), stay what they are.
    """
    streams, folder = (_Held(sys.stdout), _Held(sys.stderr)), _working_directory()
    before, sys.argv, typed, sys.stdin = sys.argv, sys.argv[:1], sys.stdin, io.StringIO()
    try:
        with untouched(), redirect_stdout(cast(IO[str], streams[0])), redirect_stderr(cast(IO[str], streams[1])):
            yield lambda: " ".join(stream.held.getvalue() for stream in streams)
    except SystemExit:
        for stream in streams:
            stream.holding = False
        raise
    finally:
        sys.argv, sys.stdin = before, typed
        if _working_directory() != folder:
            os.chdir(folder)
        for stream in streams:
            if stream.holding:
                stream.let_go()


def _refuse_wrong_class(plugin: Plugin, value: Any, base: type) -> None:
    expected = f"a class that derives from {base.__module__}.{base.__qualname__}"
    who = _who(plugin)
    if not inspect.isclass(value):
        raise PluginError(f"{who} must be {expected}, and {plugin.value} is a {type(value).__name__}")
    if not issubclass(value, base):
        bases = ", ".join(b.__qualname__ for b in value.__bases__)
        raise PluginError(f"{who} must be {expected}, and {value.__qualname__} derives from {bases}")
    if inspect.isabstract(value):
        lacking = ", ".join(sorted(getattr(value, "__abstractmethods__", ())))
        raise PluginError(f"{who} must be a complete {base.__qualname__}: give {value.__qualname__} also {lacking}")
