"""What a cell records of its data: all that must agree within a table."""

from __future__ import annotations

from ..data.dataset import Dataset
from ..modality import Modality
from ..store.commands import PARTIAL
from ..store.schema import DatasetRecord, ModalityRecord

__all__ = ["dataset_record", "modality_record"]


def modality_record(modality: Modality) -> ModalityRecord:
    """A modality as models saw it."""
    return {
        "name": modality.name,
        "title": modality.title or modality.name,
        "shape": list(modality.shape),
        "network": modality.network,
        "latent": modality.latent,
        "likelihood": modality.likelihood,
        "scale": modality.scale,
        "weight": modality.weight,
        "tokens": len(modality.vocabulary),
    }


def dataset_record(dataset: Dataset, split: str, typed: str = "", views: int | None = None) -> DatasetRecord:
    """A dataset as a cell was trained and measured on it.

    Arguments:
        typed: the word typed after --dataset.
        views: what was asked for of a dataset that has a choice.
    """
    spec = dataset.spec
    record: DatasetRecord = {
        "name": spec.name,
        "title": spec.title,
        "family": spec.family,
        "fingerprint": dataset.fingerprint,
        "split": "validation" if split == "validation" else "test",
        "train": len(dataset.train),
        "test": len(dataset.test),
        "classes": spec.classes,
        "modalities": [modality_record(m) for m in spec.modalities],
    }
    if typed and typed != spec.name.removesuffix(PARTIAL):
        record["typed"] = typed
    if views is not None:
        record["views"] = views
    if spec.primary:
        record["primary"] = [list(point) for point in spec.primary]
    return record
