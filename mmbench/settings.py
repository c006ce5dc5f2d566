"""Is 'field=value' a setting of this class of configurations, whatever the dataset?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from .config import named, parsed, refusal
from .errors import ConfigError, near

__all__ = ["check_settings", "kind_of"]


def check_settings(cls: type, settings: Iterable[str]) -> None:
    """Refuse what is wrong with 'field=value' whatever the dataset: a name that no configuration of this class has, a
    value of the wrong type. Raises ConfigError, before any data are loaded."""
    for setting in settings:
        path, text = named(setting)
        _check_value(path, kind_of(cls, path), parsed(text))


def kind_of(cls: type, path: str) -> Any:
    """The type of the setting 'part.field'; ConfigError where no configuration of this class has it."""
    kind: Any = cls
    for name in path.split("."):
        if not dataclasses.is_dataclass(kind):
            kind = _values_of(kind)
            continue
        hints = get_type_hints(kind)
        if name not in hints:
            raise ConfigError(f"there is no setting {path!r}; {near(name, hints)}")
        kind = hints[name]
    return kind


def _values_of(kind: Any) -> Any:
    """The type of a mapping's values; Any where it is none."""
    arguments = get_args(kind)
    return arguments[1] if len(arguments) == 2 and isinstance(get_origin(kind) or kind, type) else Any


def _check_value(path: str, kind: Any, value: Any) -> None:
    if kind is Any or dataclasses.is_dataclass(kind):
        return
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(refusal(path, error, value)) from None
    except PydanticUserError:
        return  # a type of a stranger's that pydantic does not know
