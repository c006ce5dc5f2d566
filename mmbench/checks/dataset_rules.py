"""Rules of a dataset: what it declares and what it gives, that it is always the same, and that it can be used."""

from __future__ import annotations

import numpy as np

from ..config import BUDGETS
from ..data.agreement import check_apart, check_pairing, item_keys, shared
from ..data.dataset import Dataset, DatasetSource
from ..data.declared import check_name, check_texts
from ..errors import near
from ..metric import Metric
from ..networks.fitting import refuse_misfits
from ..plugins import METRICS, load
from .dataset_subject import DatasetSubject
from .rule import Checks, refuse

__all__ = ["DATASET_CHECKS"]

DATASET_CHECKS = Checks()


@DATASET_CHECKS.add()
def check_class(subject: DatasetSubject) -> None:
    """The class is a complete `mmbench.DatasetSource` with a title and a summary."""
    cls = subject.cls
    refuse(not issubclass(cls, DatasetSource), f"{cls.__name__} must derive from mmbench.DatasetSource")
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    refuse(bool(lacking), f"{cls.__name__} lacks {', '.join(lacking)}")
    for name in ("title", "summary"):
        value = getattr(cls, name, None)
        refuse(not isinstance(value, str) or not value, f"{cls.__name__} must declare {name} = 'a few words'")
    budget = cls.default_budget
    refuse(budget not in BUDGETS, f"there is no budget {budget!r} for default_budget; {near(str(budget), BUDGETS)}")


@DATASET_CHECKS.add("class")
def check_load(subject: DatasetSubject) -> None:
    """`load` gives a Dataset."""
    first = subject.first
    if first.error and not subject.broken:
        raise first.error
    kind = type(first.data).__name__
    wrong = not first.error and not isinstance(first.data, Dataset)
    refuse(wrong, f"load must return an mmbench.Dataset, and returned a {kind}")


def _raise(subject: DatasetSubject, rule: str) -> None:
    """Data that break a rule are refused as they are made, by the first rule that they break."""
    if subject.broken == rule and subject.first.error:
        raise subject.first.error


@DATASET_CHECKS.add("load")
def check_spec(subject: DatasetSubject) -> None:
    """Its spec declares modalities, classes and metrics."""
    _raise(subject, "spec")


@DATASET_CHECKS.add("spec")
def check_splits(subject: DatasetSubject) -> str:
    """Its splits hold tuples of all modalities, and share none."""
    _raise(subject, "splits")
    if not subject.first.data:
        return ""
    data = subject.data
    check_apart(data)
    _refuse_known_items(data)
    twice = shared(data)
    return f"{len(data.train):,} training and {len(data.test):,} test tuples" + (f", {twice} in both" if twice else "")


def _refuse_known_items(data: Dataset) -> None:
    """Training images in other pairs are no test data either."""
    for modality in data.spec.modalities:
        if not modality.is_text:
            name = modality.name
            test = item_keys(data.test, name)[data.test.used(name).cpu()]
            known = int(np.isin(test, item_keys(data.train, name)).sum())
            what = f"{known:,} of {len(test):,} test items of {name} are training items, too: split before you pair"
            refuse(2 * known > len(test), what)


@DATASET_CHECKS.add("splits")
def check_ranges(subject: DatasetSubject) -> None:
    """Its items have their modality's shape, type and range, and its index is one of them."""
    _raise(subject, "ranges")


@DATASET_CHECKS.add("ranges")
def check_labels(subject: DatasetSubject) -> str:
    """Its labels are classes from 0, as many as are declared."""
    _raise(subject, "labels")
    count = subject.spec.classes
    return f"{count} classes" if count else "no classes: coherence and what judges read cannot be measured"


@DATASET_CHECKS.add("labels")
def check_called(subject: DatasetSubject) -> None:
    """Its spec's name is the word after --dataset, and no other dataset's."""
    check_name(subject.spec, subject.typed)


@DATASET_CHECKS.add("labels")
def check_pairs(subject: DatasetSubject) -> None:
    """The modalities of a tuple agree: an image has one class, a text says its own."""
    check_texts(subject.spec)
    check_pairing(subject.data)


@DATASET_CHECKS.add("labels")
def check_repeats(subject: DatasetSubject) -> None:
    """Two loads are equal, whatever the global random state is."""
    refuse(
        subject.again() != subject.data.fingerprint,
        "two loads differ: draw from torch.Generator().manual_seed(0) or another generator with a seed of its own, "
        "and sort what a folder lists",
    )


@DATASET_CHECKS.add("load")
def check_global_state(subject: DatasetSubject) -> None:
    """`load` leaves the global random state, torch's settings and the working directory as they are."""
    touched = subject.first.touched
    refuse(bool(touched), f"load changes {', '.join(touched)}: use a generator of its own, and set nothing globally")


@DATASET_CHECKS.add("labels")
def check_networks(subject: DatasetSubject) -> str:
    """The network of every modality can be built and fits it."""
    modalities = subject.spec.modalities
    refuse_misfits(modalities)
    return ", ".join(f"{m.network} for {m.name}" for m in modalities)


@DATASET_CHECKS.add("labels")
def check_metrics(subject: DatasetSubject) -> str:
    """Its metrics are there and can measure something of it."""
    spec = subject.spec
    for name in spec.metrics:
        reason = load(METRICS, name, Metric).unfit(spec)
        refuse(bool(reason), f"{name} measures nothing of it, {reason}: take it out of metrics")
    return ", ".join(spec.metrics) or "none: name some in the spec, metrics=('coherence', 'fmd')"


@DATASET_CHECKS.add("metrics", "pairs")
def check_judges(subject: DatasetSubject) -> str:
    """A judge of every image can be built and trained, where there are classes."""
    images = [m.name for m in subject.spec.modalities if not m.is_text]
    if not subject.spec.classes or not images:
        return "no judges are needed"
    with subject.bench() as bench:
        kinds = {name: bench.extractor(name).name.rpartition(" ")[0].rpartition(" ")[0] for name in images}
    return ", ".join(f"{kind} for {name}" for name, kind in kinds.items())


@DATASET_CHECKS.add("labels")
def check_selection(subject: DatasetSubject) -> str:
    """Settings can be chosen on validation tuples that share no item with the rest."""
    chosen = subject.data.for_selection()
    return f"{len(chosen.test):,} validation tuples, {len(chosen.train):,} left to train on"
