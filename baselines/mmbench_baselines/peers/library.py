"""multivae itself, imported when one of its models is asked for; and its version."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from types import ModuleType

from mmbench.errors import PluginError

__all__ = ["models", "version"]


def models() -> ModuleType:
    """`multivae.models`, whose loggers say no more than warnings.

    Raises PluginError where it, or something that it needs, is not installed.
    """
    try:
        import multivae.models as library  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise PluginError(
            f"multivae's models need the package multivae ({error}): pip install 'mmbench[multivae]'"
        ) from error
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("multivae", "pythae"):
            logging.getLogger(name).setLevel(logging.WARNING)
    return library


def version() -> str:
    """The version of the installed multivae; '' where there is none."""
    try:
        return version_of("multivae")
    except PackageNotFoundError:
        return ""
