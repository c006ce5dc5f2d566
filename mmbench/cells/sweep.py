"""Several values of one setting: each makes cells of its own, `--set beta=0.1,0.5` two for each model and seed.

A comma at the top of a value parts it, one within brackets or quotes does not; a setting whose type is a list stays
one (`widths=64,128` is [64, 128]), and several lists are several values (`widths=[64],[64,128]`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from types import UnionType
from typing import Any, Union, get_args, get_origin

from ..config import Protocol, named, parsed
from ..errors import ConfigError
from ..settings import check_settings, kind_of

__all__ = ["Variant", "check_zip", "pieces", "values", "variants"]

EVAL = "eval."
LISTS = (list, tuple, set, frozenset, Sequence)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Settings with one value each, 'field=value'."""

    own: tuple[str, ...]
    """Of the model."""
    protocol: tuple[str, ...]
    """Of the protocol, without their 'eval.'."""
    varied: tuple[str, ...]
    """Those, of both, that have other values in other variants."""


def variants(config: type, settings: Sequence[str], *, zipped: bool = False) -> list[Variant]:
    """The settings of each cell of a model: every combination of their values, or with `zipped` the first of each, the
    second of each, ... One that is given twice has the values of both.

    Arguments:
        config: the class of the model's configuration.
        settings: 'field=value' or 'field=value,value', the protocol's as 'eval.field=value'.

    Raises ConfigError for a setting that there is not, a value of the wrong type, settings of which one would hide
    another, and lists to zip that are not equally long.
    """
    found = _texts(settings, config)
    _refuse_hidden(list(found))
    choices = [[f"{path}={value}" for value in texts] for path, texts in found.items()]
    many = {path for path, texts in found.items() if len(texts) > 1}
    made = [_variant(combined, many) for combined in (_zipped(choices) if zipped else product(*choices))]
    for variant in made:
        check_settings(config, variant.own)
        check_settings(Protocol, variant.protocol)
    return made


def check_zip(settings: Mapping[str, Sequence[str]], configs: Mapping[str, type]) -> None:
    """Raise ConfigError where no model has two settings of several values.

    Arguments:
        settings, configs: a model's name -> its settings, the class of its configuration.
    """
    counts = [sum(len(t) > 1 for t in _texts(settings[name], config).values()) for name, config in configs.items()]
    if max(counts, default=2) < 2:
        raise ConfigError("--zip pairs the values of two settings or more: write --zip --set a=1,2 --set b=3,4")


def _variant(settings: Iterable[str], many: Container[str]) -> Variant:
    settings = tuple(settings)
    return Variant(
        own=tuple(s for s in settings if not s.startswith(EVAL)),
        protocol=tuple(s.removeprefix(EVAL) for s in settings if s.startswith(EVAL)),
        varied=tuple(s for s in settings if named(s)[0] in many),
    )


def _texts(settings: Iterable[str], config: type) -> dict[str, list[str]]:
    """Setting -> its values as they were typed, each once."""
    found: dict[str, list[str]] = {}
    for path, text in map(named, settings):
        kind = partial(kind_of, *((Protocol, path.removeprefix(EVAL)) if path.startswith(EVAL) else (config, path)))
        known = found.setdefault(path, [])
        known += [value for value in values(path, text, kind) if value not in known]
    return found


def values(path: str, text: str, kind: Callable[[], Any]) -> list[str]:
    """'0.1,0.5' as ['0.1', '0.5']; the commas of a list's own are not those between values. `kind` gives its type."""
    found = pieces(text)
    if len(found) < 2:
        return [text]
    if not all(piece.strip() for piece in found):
        raise ConfigError(f"--set {path}={text} lacks a value beside a comma: write {path}=1,2")
    if _is_list(kind()) and not all(piece.strip().startswith("[") for piece in found):
        return [json.dumps([parsed(piece.strip()) for piece in found])]
    return [piece.strip() for piece in found]


def pieces(text: str) -> list[str]:
    """A text cut at its commas, but for those within brackets and quotes; uncut where one of these is left open."""
    found, depth, quoted, escaped = [""], 0, False, False
    for letter in text:
        if letter == '"' and not escaped:
            quoted = not quoted
        elif not quoted:
            depth = max(0, depth + (letter in "[{(") - (letter in ")}]"))
        escaped = letter == "\\" and not escaped
        if letter == "," and not quoted and not depth:
            found.append("")
        else:
            found[-1] += letter
    return found if not quoted and not depth else [text]


def _is_list(kind: Any) -> bool:
    """Whether a type, or one of a union, is a list's."""
    if get_origin(kind) in (Union, UnionType):
        return any(map(_is_list, get_args(kind)))
    plain = get_origin(kind) or kind
    return isinstance(plain, type) and plain is not str and issubclass(plain, LISTS)


def _refuse_hidden(paths: Sequence[str]) -> None:
    """Raise ConfigError where a setting would undo another without a word."""
    for path in paths:
        part, _, leaf = path.rpartition(".")
        whole = next((other for other in paths if path.startswith(f"{other}.")), "")
        twin = f"{part}.epochs".lstrip(".")
        if whole:
            raise ConfigError(f"{path} is a part of {whole}, which is set as well: set one of the two")
        if leaf == "steps" and twin in paths:
            raise ConfigError(f"{path} and {twin} are both set, and a schedule has one of them: set one of the two")


def _zipped(choices: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    longest = max(map(len, choices), default=1)
    for choice in choices:
        if len(choice) not in (1, longest):
            name, first = choice[0].partition("=")[0], next(c for c in choices if len(c) == longest)
            raise ConfigError(
                f"--zip takes equally many values of each setting: {name} has {len(choice)}, "
                f"{first[0].partition('=')[0]} has {longest}"
            )
    full = [[*choice] * (longest if len(choice) == 1 else 1) for choice in choices]
    return [tuple(choice[k] for choice in full) for k in range(longest)]
