"""Which models can be trained as a request asks: with modalities missing, those alone that say they can."""

from __future__ import annotations

from ..abilities import Incomplete
from ..errors import PluginError
from ..model import Model
from ..progress import Progress
from .request import Request

__all__ = ["trainable"]

REASON = "it can only be trained on whole tuples (leave --missing out)"


def trainable(name: str, cls: type[Model], request: Request, progress: Progress) -> bool:
    """Whether a model can be trained so. One that cannot is told of where it is of 'all', and a PluginError where it is
    named."""
    able = not request.missing or issubclass(cls, Incomplete)
    if not able and name in request.models:
        raise PluginError(f"{name} cannot be trained with missing modalities: {REASON}")
    if not able:
        progress.say(f"{name}: left out of 'all': {REASON}")
    return able
