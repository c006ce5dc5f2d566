"""Whether the data of a split are what their dataset declares: told before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from ..errors import DataError
from ..modality import DatasetSpec, Modality

if TYPE_CHECKING:
    from .dataset import Split

__all__ = ["LEAST", "check_split", "check_tensors"]

LEAST = 2
"""Tuples of a split: one is held out of the training tuples, and a covariance needs two samples."""


def check_split(spec: DatasetSpec, split: Split, part: str, least: int = LEAST) -> None:
    """Raises DataError, naming the dataset and its `part`, where a model or a metric would fail on the split."""
    where = f"{spec.name}, {part} tuples"
    if split.names != spec.names:
        raise DataError(f"{where}: items {split.names} where {spec.names} was declared")
    if len(split) < least:
        few = "there are none, check that its files share a class" if not len(split) else "there is but one"
        raise DataError(f"{where}: {few}; {least} or more are needed")
    for k, modality in enumerate(spec.modalities):
        items = split.items[modality.name]
        _check_items(f"{where}: {modality.name}", modality, items)
        _check_range(f"{where}: the index of {modality.name}", split.index[:, k], len(items))
    if split.labels is not None:
        _check_range(f"{where}: the labels", split.labels, spec.classes or int(split.labels.max()) + 1)


def check_tensors(items: Mapping[str, object], index: object, labels: object) -> None:
    """Raises DataError where one of them is no tensor: NumPy's arrays have other methods."""
    named = {**{f"items of {name}": value for name, value in items.items()}, "index": index}
    for name, value in (named if labels is None else {**named, "labels": labels}).items():
        if not isinstance(value, Tensor):
            raise DataError(f"the {name} must be a torch.Tensor, not {type(value).__name__}: use torch.as_tensor")


def _check_items(what: str, modality: Modality, items: Tensor) -> None:
    """Shape, type and range of the items of one modality."""
    if not len(items):
        raise DataError(f"{what} has no items at all: check that its files were found")
    if tuple(items.shape[1:]) != modality.shape:
        raise DataError(f"{what} has shape {tuple(items.shape[1:])}, not {modality.shape}")
    if modality.is_text:
        _check_range(f"the tokens of {what}", items, len(modality.vocabulary))
    elif items.is_floating_point():
        low, high = (float(bound) for bound in items.aminmax())
        if not (low >= 0 and high <= 1):
            raise DataError(f"{what} holds values from {low:g} to {high:g}, and images of floats lie in [0, 1]")
    elif items.dtype.itemsize > 1 or items.dtype.is_signed:
        raise DataError(f"{what} holds {items.dtype}, and images are uint8, or floats in [0, 1]")


def _check_range(what: str, values: Tensor, count: int) -> None:
    """Whole numbers from 0 to count - 1."""
    if values.is_floating_point() or values.is_complex():
        raise DataError(f"{what} must be whole numbers, not {values.dtype}")
    low, high = (int(bound) for bound in values.aminmax())
    if low < 0 or high >= count:
        raise DataError(f"{what} run from {low} to {high}, and must lie in 0 to {count - 1}")
