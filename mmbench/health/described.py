"""What plugins say of themselves, read from their sources: nothing is imported, so that a list is there at once."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

from ..plugins import Plugin

__all__ = ["first_sentence", "summary"]


def summary(plugin: Plugin) -> str:
    """One line about a plugin: the `summary` of its class, or the first sentence of the class's docstring, or of the
    module's; '' where its source says nothing."""
    module, _, name = plugin.value.partition(":")
    with suppress(OSError, SyntaxError, ValueError):
        if path := _source(module):
            tree = ast.parse(path.read_bytes())
            own = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
            said = (own and (next(_assigned(own, "summary"), "") or ast.get_docstring(own))) or ast.get_docstring(tree)
            return first_sentence(said or "")
    return ""


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line, without its full stop."""
    words = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    return re.split(r"\. (?=[^a-z0-9])", words, maxsplit=1)[0].removesuffix(".")


def _assigned(cls: ast.ClassDef, name: str) -> Iterator[str]:
    """The text that a class's body gives a name."""
    for node in cls.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if isinstance(node.value.value, str) and name in map(ast.unparse, targets):
                yield node.value.value


def _source(module: str) -> Path | None:
    """The file of a module, found as an import would find it; its packages are not imported either."""
    package, _, _ = module.rpartition(".")
    folders = _folders(package) if package else None
    spec = PathFinder.find_spec(module, folders)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _folders(package: str) -> list[str]:
    """Where the modules of a package are."""
    above, _, _ = package.rpartition(".")
    spec = PathFinder.find_spec(package, _folders(above) if above else None)
    return list(spec.submodule_search_locations or ()) if spec else []
