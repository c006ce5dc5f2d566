"""Files of pretrained weights that a user put somewhere."""

from __future__ import annotations

from pathlib import Path

from mmbench.errors import ResultError, UnavailableError
from mmbench.store.reading import readable

__all__ = ["given"]


def given(path: Path) -> bool:
    """Whether a file is there. Raises UnavailableError where it is and may not be read: no other is taken for it."""
    try:
        return readable(path)
    except ResultError as error:
        raise UnavailableError(str(error)) from None
