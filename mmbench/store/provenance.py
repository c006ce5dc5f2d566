"""Which code made a number: hashes of syntax trees, the commit, versions.

The identity of code is a hash over the syntax trees of its sources: comments, docstrings and layout do not count, a
changed constant does. A model's code is that of the packages which its class and its base classes come from (the
harness's own left out), with the neighbouring modules that they import. The harness has two identities, of the path
that trains and of the path that samples and measures. Nothing is imported, so a report can ask for today's identity
of what made an old cell. No torch here.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["UNKNOWN", "changed", "code_of_class", "code_of_module", "commit", "harness", "syntax", "versions"]

UNKNOWN = "unknown"
"""The identity of code whose sources cannot be found."""
ROOT = Path(__file__).resolve().parents[1]
"""The package mmbench."""
TRAINING = (
    "config.py",
    "precision.py",
    "likelihoods.py",
    "modality.py",
    "model.py",
    "seeding.py",
    "networks",
    "training",
    "data/dataset.py",
    "data/soundness.py",
    "data/missing.py",
)
"""What decides the weights of a trained stage, beside the model's own code."""
MEASURING = ("metric.py", "bench.py", "modality.py", "model.py", "seeding.py", "cells/sampling.py",
             "cells/measuring.py", "cells/panel.py", "cells/references.py", "cells/tasks.py")  # fmt: skip
"""What decides which samples are drawn and what they are compared with."""
FOREIGN = frozenset({*sys.stdlib_module_names, "mmbench", "torch", "numpy"})
"""Packages that count as given: their versions are recorded, their sources are not read."""
LENGTH = 10
"""Hex digits of an identity."""


def code_of_class(cls: type) -> dict[str, str]:
    """Package (or module) -> identity, for a class and its base classes."""
    tops = dict.fromkeys(base.__module__.partition(".")[0] for base in cls.__mro__)
    return {top: code_of_module(_name(cls, top)) for top in tops if top not in FOREIGN}


@cache
def code_of_module(name: str) -> str:
    """The identity of a top-level package or module, found as an import would find it, the working directory first."""
    try:
        files = _sources(name)
        return _digest(files) if files else UNKNOWN
    except OSError:  # one of them may not be read
        return UNKNOWN


@cache
def harness() -> dict[str, str]:
    """'training' and 'measuring' -> identity of these parts of the harness."""
    return {
        part: _digest(_python_files(ROOT / path for path in paths))
        for part, paths in (("training", TRAINING), ("measuring", MEASURING))
    }


def changed(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """'mmbench_mld a1b2c3d4e5 -> 0f1e2d3c4b' for each part whose code is not what it was; unknown ones say nothing."""
    return [
        f"{name} {before} -> {now[name]}"
        for name, before in recorded.items()
        if name in now and UNKNOWN not in (before, now[name]) and before != now[name]
    ]


def syntax(source: str | bytes) -> str:
    """A text that is equal for two sources of the same meaning, in any version of Python that parses both."""
    return repr(_canonical(ast.parse(source)))


@cache
def commit() -> str | None:
    """The git commit of this package's checkout, '-dirty' where files were changed; None outside a checkout.

    Asked for once: it is that of the code which was imported, not of a checkout that changed while it ran.
    """
    if not (ROOT.parent / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env={**os.environ})
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def versions(*distributions: str) -> dict[str, str]:
    """Versions of Python and of installed distributions."""
    found = {"python": platform.python_version()}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _name(cls: type, top: str) -> str:
    """The top-level name, or the class's module where that is no package of files (a test's, for instance)."""
    return top if _place(top) else cls.__module__


def _place(name: str) -> Path | None:
    """The folder of a package, or the file of a module; None where there is none."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None) or PathFinder.find_spec(name, [str(Path.cwd()), *sys.path])
    folders = list(getattr(loaded, "__path__", None) or getattr(spec, "submodule_search_locations", None) or ())
    origin = getattr(loaded, "__file__", None) or getattr(spec, "origin", None)
    path = Path(folders[0]) if folders else Path(origin) if origin else None
    return path if path and path.exists() else None


def _sources(name: str) -> list[Path]:
    """The files of a package or module, and of the neighbours that it imports, sorted."""
    place = _place(name)
    found: dict[Path, None] = {}
    waiting = [place] if place else []
    while waiting:
        files = [path for path in _python_files([waiting.pop()]) if path not in found]
        found.update(dict.fromkeys(files))
        waiting += [other for path in files for other in _neighbours(path, place)]
    return sorted(found)


def _neighbours(path: Path, place: Path | None) -> Iterator[Path]:
    """What a file imports from beside its package, outside of site-packages."""
    if place is None or place.parent.name in ("site-packages", "dist-packages"):
        return
    for top in _imported(path) - FOREIGN:
        for other in (place.parent / top, place.parent / f"{top}.py"):
            if other.exists() and (other.is_file() or (other / "__init__.py").exists()):
                yield other


@cache
def _imported(path: Path) -> frozenset[str]:
    """Top-level names of a file's absolute imports."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):
        return frozenset()
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    whole = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return frozenset(name.partition(".")[0] for name in plain | whole)


def _python_files(paths: Iterable[Path]) -> list[Path]:
    """Files below; an editor's lock (.#name.py, a link to nothing) is none."""
    files = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py")))
    return sorted(file for file in files if file.is_file())


def _digest(files: Iterable[Path]) -> str:
    sha = hashlib.sha256()
    for path in files:
        sha.update(f"{path.parent.name}/{path.name}\n".encode())
        sha.update(_text(path))
    return sha.hexdigest()[:LENGTH]


def _text(path: Path) -> bytes:
    """What counts of a file; all of it where Python cannot parse it (a template)."""
    source = path.read_bytes()
    try:
        return syntax(source).encode()
    except (SyntaxError, ValueError):
        return source


def _canonical(node: Any) -> Any:
    """The tree as nested tuples: no positions, no bare strings (docstrings), nothing that is empty."""
    if isinstance(node, ast.AST):
        fields = ((name, _canonical(value)) for name, value in ast.iter_fields(node) if name != "kind")
        return (type(node).__name__, *((name, value) for name, value in fields if value not in (None, ())))
    if isinstance(node, list):
        return tuple(_canonical(item) for item in node if not _is_text(item))
    return node if node is None else repr(node)


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
