"""Pages that are made from the code: the commands' options, and the form of a cell's file."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

from typer.main import get_command

from mmbench.cli import app
from mmbench.store import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "mmbench" / "store" / "schema.py"
PLAIN = {
    **dict.fromkeys(("Name", "Word", "Text", "Module"), "text"),
    **dict.fromkeys(("Number", "Measured"), "number"),
    "Amount": "number >= 0",
    "Count": "integer >= 0",
    "Settings": "JSON object",
    "Code": "dict[text, text]",
    "History": "list[number or None]",
    "bool": "true or false",
    "Any": "JSON data",
}
"""The schema's words for kinds of values -> what a reader calls them."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    made = {"commands": commands, "schema": schema, "columns": columns}
    return re.sub(r"\{\{ (commands|schema|columns) \}\}", lambda found: made[found[1]](), markdown)


def commands() -> str:
    """Every verb: what it does, and its options."""
    return "\n\n".join(_verb(name, verb) for name, verb in _verbs(get_command(app), "mmbench"))


def _verbs(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, verb in sorted(group.commands.items()):
        yield from _verbs(verb, f"{name} {word}") if hasattr(verb, "commands") else [(f"{name} {word}", verb)]


def _verb(name: str, verb: Any) -> str:
    words, _, examples = (verb.help or "").partition("\b")
    usage = " ".join([name, *(str(p.metavar or p.name) for p in verb.params if p.param_type_name == "argument")])
    shown = [_option(p) for p in verb.params if p.param_type_name == "option" and not p.hidden]
    table = "\n".join(["| option | |", "|---|---|", *shown]) if shown else ""
    example = f"```text\n{dedent(examples).strip() or usage}\n```"
    return "\n\n".join([f"## {name}", " ".join(words.split()), example, table])


def _option(option: Any) -> str:
    choices = get_args(option.type_descriptor.annotation)
    words = "\\|".join(map(str, choices)) if choices and isinstance(choices[0], str) else option.metavar or ""
    shown = f" `{words}`" if words and not option.is_flag else ""
    plain = isinstance(option.default, str | int | float | Path) and not isinstance(option.default, bool)
    more = f" Default: `{option.default}`." if plain else ""
    variable = f" Or the variable `{option.envvar}`." if option.envvar else ""
    text = " ".join(str(option.help or "").split()).replace("|", "\\|")
    return f"| `{option.opts[0]}`{shown} | {text}{more}{variable} |"


def columns() -> str:
    return ", ".join(f"`{name}`" for name in COLUMNS)


def schema() -> str:
    """Each record of `mmbench.store.schema` as a table of its keys, with the comments that stand beside them."""
    text = SCHEMA.read_text()
    notes = {t.start[0]: t.string.lstrip("# ") for t in tokenize.generate_tokens(io.StringIO(text).readline)
             if t.type == tokenize.COMMENT}  # fmt: skip
    return "\n\n".join(_record(name, keys, notes) for name, keys in _records(ast.parse(text)))


def _records(tree: ast.Module) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """The cell first, then what it is made of, in the order of the file."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "TypedDict" for base in node.bases):
            found[node.name] = [(f.target.id, f) for f in node.body if isinstance(f, ast.AnnAssign)]  # type: ignore[union-attr]
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("TypedDict("):
            call: Any = node.value
            name: Any = node.targets[0]
            pairs = zip(call.args[1].keys, call.args[1].values, strict=True)
            found[name.id] = [(key.value, value) for key, value in pairs]
    yield "Cell", found.pop("Cell")
    yield from found.items()


def _record(name: str, keys: list[tuple[str, Any]], notes: dict[int, str]) -> str:
    lines = [f"### {name}", "", "| key | form | what |", "|---|---|---|"]
    for key, node in keys:
        form = ast.unparse(node.annotation if isinstance(node, ast.AnnAssign) else node)
        note = " ".join(notes[line] for line in range(node.lineno, node.end_lineno + 1) if line in notes)
        lines.append(f"| `{key}` | {_form(form)} | {note.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def _form(annotation: str) -> str:
    """'Annotated[dict[Word, Text], Few]' as 'dict[Word, Text]', with links to other records."""
    optional = annotation.startswith("NotRequired[")
    tree: Any = ast.parse(annotation, mode="eval").body
    shown = ast.unparse(_Plain().visit(tree))
    shown = re.sub("|".join(rf"\\b{alias}\\b" for alias in PLAIN), lambda found: PLAIN[found[0]], shown)
    words = re.sub(r"(\w+Record|Environment)\b", lambda found: f"[{found[1]}](#{found[1].lower()})", shown)
    return words.replace("|", "\\|") + (" (may be absent)" if optional else "")


class _Plain(ast.NodeTransformer):
    """Types without their bounds."""

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        head = ast.unparse(node.value)
        if head in ("Annotated", "NotRequired"):
            inner: Any = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
            return self.visit(inner)
        return self.generic_visit(node)
