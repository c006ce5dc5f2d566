"""`{{ code FILE NAME }}` becomes the source of a function or class, without its docstring: text and code are one."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ASKED = re.compile(r"^\{\{ code (\S+) (\S+) \}\}$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    return ASKED.sub(lambda found: _shown(found[1], found[2]), markdown)


def _shown(file: str, name: str) -> str:
    text = (ROOT / file).read_text()
    lines, node = text.splitlines(), _found(ast.parse(text), name)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    kept = lines[first - 1 : node.end_lineno]
    if ast.get_docstring(node) is not None:
        doc = node.body[0]
        del kept[doc.lineno - first : doc.end_lineno - first + 1]
    code = dedent("\n".join(kept)).strip("\n")
    return f'```python title="{file}, line {first}"\n{code}\n```'


def _found(tree: ast.AST, name: str) -> Any:
    for part in name.split("."):
        tree = next(node for node in tree.body if getattr(node, "name", None) == part)  # type: ignore[attr-defined]
    return tree
