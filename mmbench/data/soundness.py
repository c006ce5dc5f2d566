"""Whether the data of a split are what their dataset declares: told before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import DataError
from ..modality import DatasetSpec, Modality

if TYPE_CHECKING:
    from .dataset import Split

__all__ = ["LEAST", "check_held_out", "check_labels", "check_parts", "check_ranges", "check_tensors", "unsound"]

LEAST = 2
"""Tuples of a split: one is held out of the training tuples, and a covariance needs two samples."""


def unsound(rule: str, message: str) -> DataError:
    """Data are not what was declared; `rule` is the check of `mmbench check --dataset` that says so."""
    error = DataError(message)
    error.rule = rule
    return error


def check_tensors(items: Any, index: Any, labels: Any) -> None:
    """Raises DataError where a split's parts are no tensors that belong together: NumPy's arrays have other
    methods."""
    if not isinstance(items, Mapping):
        _refuse(f"the items of a split must be a dict, modality -> tensor, not {type(items).__name__}")
    named = {**{f"items of {name}": value for name, value in items.items()}, "index": index}
    for name, value in (named if labels is None else {**named, "labels": labels}).items():
        _check_tensor(f"the {name}", value)
    if index.ndim != 2 or index.shape[1] != len(items):
        _refuse(f"index must be (N, {len(items)}), a column for each modality, got {tuple(index.shape)}")
    if labels is not None and tuple(labels.shape) != (len(index),):
        _refuse(
            f"{len(index)} tuples but labels of shape {tuple(labels.shape)}: give one whole number for each tuple, (N,)"
        )


def check_parts(spec: Any, parts: Mapping[str, tuple[Any, int]], kind: type) -> None:
    """Raises DataError where a dataset is not made of splits of its modalities, each with as many tuples as needed.

    Arguments:
        parts: 'training' -> the split and how many tuples it needs.
        kind: Split.
    """
    if not isinstance(spec, DatasetSpec):
        raise unsound("spec", f"spec must be a mmbench.DatasetSpec(name=..., ...), not {_kind(spec)}")
    for part, (split, least) in parts.items():
        where = f"{spec.name}, {part} tuples"
        if not isinstance(split, kind):
            _refuse(f"{where}: they must be a mmbench.Split(items, index, labels), not {_kind(split)}")
        _check_names(where, spec.names, split.names)
        if len(split) < least:
            few = "there are none, check that its files share a class" if not len(split) else "there is but one"
            _refuse(f"{where}: {few}; {least} or more are needed")


def check_held_out(spec: DatasetSpec, train: Split, held_out: Split) -> None:
    """Raises DataError where the validation tuples are no training tuples: they index the same items."""
    for name, items in train.items.items():
        other = held_out.items[name]
        if other.data_ptr() != items.data_ptr() or other.shape != items.shape:
            _refuse(f"{spec.name}, validation tuples: they must be a part of the training ones: use train.take(rows)")


def check_ranges(spec: DatasetSpec, split: Split, part: str) -> None:
    """Raises DataError where items are not of their modality's shape, type and range, or the index not of them."""
    where = f"{spec.name}, {part} tuples"
    for k, modality in enumerate(spec.modalities):
        items = split.items[modality.name]
        _check_items(f"{where}: {modality.name}", modality, items)
        _check_range("ranges", f"{where}: the index of {modality.name}", split.index[:, k], len(items))


def check_labels(spec: DatasetSpec, split: Split, part: str) -> None:
    """Raises DataError where labels are not the classes that are declared, or a text says another one's name."""
    where, labels = f"{spec.name}, {part} tuples", split.labels
    if labels is None:
        if spec.classes:
            raise unsound(
                "labels",
                f"{where}: they have no labels, and {spec.classes} classes are declared: give Split(..., labels=...), "
                "or leave out classes",
            )
        return
    if labels.dtype != torch.int64:
        hint = "labels.long()" if not labels.is_floating_point() else "labels.long() if they are whole numbers"
        raise unsound("labels", f"{where}: the labels must be whole numbers, int64, not {labels.dtype}: {hint}")
    _check_range("labels", f"{where}: the labels", labels, spec.classes or int(labels.max()) + 1)


def _check_tensor(what: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        _refuse(f"{what} must be a torch.Tensor, not {type(value).__name__}: use torch.as_tensor")
    if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
        _refuse(f"{what} must be a plain tensor with values: use .to_dense() or .dequantize()")
    if value.requires_grad:
        _refuse(f"{what} must carry no gradient: use .detach()")


def _check_names(where: str, wanted: tuple[str, ...], found: tuple[str, ...]) -> None:
    lacking, surplus = [n for n in wanted if n not in found], [n for n in found if n not in wanted]
    if lacking or surplus:
        facts = [
            f"{word} {', '.join(map(repr, some))}" for word, some in (("lack", lacking), ("hold", surplus)) if some
        ]
        _refuse(f"{where}: its items {' and '.join(facts)}, and the spec declares {', '.join(wanted)}: give these")
    if found != wanted:
        _refuse(f"{where}: items {found} where {wanted} was declared: give them in this order, the index's columns too")


def _check_items(what: str, modality: Modality, items: Tensor) -> None:
    """Shape, type and range of the items of one modality."""
    if items.ndim and not len(items):
        raise unsound("ranges", f"{what} has no items at all: check that its files were found")
    if tuple(items.shape[1:]) != modality.shape or not items.ndim:
        raise unsound(
            "ranges", f"{what} has shape {tuple(items.shape[1:])}, not {modality.shape}{_turned(modality, items)}"
        )
    wrong = _text_fault(items) if modality.is_text else _image_fault(items)
    if wrong:
        raise unsound("ranges", f"{what} {wrong}")
    if modality.is_text:
        _check_range("ranges", f"the tokens of {what}", items, len(modality.vocabulary))


def _turned(modality: Modality, items: Tensor) -> str:
    """What turns items into the declared shape, where that is seen."""
    shape = tuple(items.shape[1:])
    if len(modality.shape) == 3 and shape == (*modality.shape[1:], modality.shape[0]):
        return ": channels come first, use .permute(0, 3, 1, 2)"
    if shape == modality.shape[1:] and modality.shape[0] == 1:
        return ": add the channel, items[:, None]"
    return ": resize them, or declare the shape that they have"


def _text_fault(items: Tensor) -> str:
    """Half a sentence; '' for nothing."""
    if items.dtype in (torch.uint8, torch.bool):
        return f"holds {items.dtype}, which is read as an image's bytes: give tokens as .to(torch.int16), or .long()"
    return "holds floats, and tokens must be whole numbers: use .long()" if _is_real(items) else ""


def _image_fault(items: Tensor) -> str:
    if items.dtype == torch.uint8:
        return "holds uint8 of 0 and 1 alone, and white is 255: multiply by 255" if int(items.max()) == 1 else ""
    if items.dtype != torch.float32:
        if _is_real(items) and not items.is_complex():
            return f"holds {items.dtype}, and images are uint8 or float32: use .float()"
        return f"holds {items.dtype}, and images are uint8, or floats in [0, 1]: use .to(torch.uint8) if 255 is white"
    lost = int((~items.isfinite()).sum())
    if lost:
        return f"holds NaN or an infinity at {lost:,} places: repair or leave out these images, floats lie in [0, 1]"
    low, high = (float(bound) for bound in items.aminmax())
    if low >= 0 and high <= 1:
        return ""
    remedy = (
        "divide them by 255"
        if low >= 0 and high > 2
        else "use x / 2 + 0.5"
        if low >= -1 and high <= 1
        else "scale them"
    )
    return f"holds values from {low:g} to {high:g}, and images of floats lie in [0, 1]: {remedy}"


def _check_range(rule: str, what: str, values: Tensor, count: int) -> None:
    """Whole numbers from 0 to count - 1."""
    if _is_real(values) or values.dtype == torch.bool:
        raise unsound(rule, f"{what} must be whole numbers, not {values.dtype}: use .long()")
    low, high = (int(bound) for bound in values.aminmax())
    if low < 0 or high >= count:
        raise unsound(
            rule, f"{what} run from {low} to {high}, and must lie in 0 to {count - 1}{_advice(rule, low, high, count)}"
        )


def _advice(rule: str, low: int, high: int, count: int) -> str:
    if low == 1 and high == count:
        return ": count from 0, subtract 1"
    if rule == "labels":
        return f": declare classes={high + 1}, or correct them" if low >= 0 else ": number the classes from 0"
    return ""


def _is_real(values: Tensor) -> bool:
    return values.is_floating_point() or values.is_complex()


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _refuse(message: str) -> None:
    raise unsound("splits", message)
