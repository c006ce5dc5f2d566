"""Which models can be trained as a request asks: with modalities missing, those alone that say they can."""

from __future__ import annotations

from ..abilities import Incomplete
from ..errors import PluginError
from ..model import Model
from .request import Request

__all__ = ["left_out"]

REASON = "it can only be trained on whole tuples (leave --missing out)"


def left_out(name: str, cls: type[Model], request: Request) -> str:
    """Why `--model all` leaves a model out of the request; '' where it does not. PluginError where it is named."""
    if not request.missing or issubclass(cls, Incomplete):
        return ""
    if name in request.models:
        raise PluginError(f"{name} cannot be trained with missing modalities: {REASON}")
    return REASON
