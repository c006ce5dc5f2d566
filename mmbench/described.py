"""What stands below the fields of a class, in its help: Python drops it, and `help`, `pydoc` and editors show it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from textwrap import dedent, indent
from typing import Any, TypeVar

__all__ = ["described"]

T = TypeVar("T")
SHORT = 40
"""Characters of a default value that is shown."""


def described(cls: type[T]) -> type[T]:
    """A class decorator, the outermost: `cls.__doc__` lists every public field with its type, its default and the
    docstring below it, those of described bases first. The source is read when somebody asks; of a class that has a
    metaclass at once, for `pydoc` asks it in another way."""
    own = _Doc(cls.__doc__ or "")
    cls.__doc__ = own  # type: ignore[assignment]
    if type(cls) is not type:
        cls.__doc__ = own.__get__(None, cls)
    return cls


class _Doc:
    """The docstring of a class and of its fields."""

    def __init__(self, own: str) -> None:
        self.own = own

    def __get__(self, instance: Any, owner: type) -> str:
        bases = [base for base in reversed(owner.__mro__) if isinstance(vars(base).get("__doc__"), _Doc)]
        fields: dict[str, list[str]] = {}
        for name, (head, *below) in (field for base in bases for field in _fields(base).items()):
            fields[name] = [head, *(below or fields.get(name, [])[1:])]
        listed = [indent("\n".join(line for lines in fields.values() for line in lines), " " * 4)] if fields else []
        return "\n\n".join([inspect.cleandoc(self.own), *(["Fields:\n" + part for part in listed])])


@cache
def _fields(cls: type) -> dict[str, list[str]]:
    """Field -> 'name: type = default' and, indented, its docstring; none where there is no source."""
    try:
        tree = ast.parse(dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(tree, ast.ClassDef)
    return dict(_read(tree))


def _read(tree: ast.ClassDef) -> Iterator[tuple[str, list[str]]]:
    for node, below in zip_longest(tree.body, tree.body[1:]):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id[0] != "_":
            yield node.target.id, [_head(node, node.target.id), *_below(below)]


def _head(node: ast.AnnAssign, name: str) -> str:
    default = ast.unparse(node.value) if node.value else ""
    shown = f" = {default}" if default and len(default) <= SHORT else ""
    return f"{name}: {ast.unparse(node.annotation)}{shown}"


def _below(node: ast.stmt | None) -> list[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return [indent(inspect.cleandoc(node.value.value), " " * 4)]
    return []
