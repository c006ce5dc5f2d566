"""Rules of a metric: what it declares, what it gives, and what it tells apart."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from statistics import fmean, stdev

import torch

from ..declared import declaration_fault, row_fault
from ..metric import Metric, Row
from .constructed import DRAWS, Constructed
from .metric_subject import MetricSubject, Numbers
from .randomness import random_state_kept
from .rule import Checks, refuse

__all__ = ["METRIC_CHECKS"]

METRIC_CHECKS = Checks()
GAP, TIMES = 0.05, 10.0
"""The least relative difference that counts, and the least in standard deviations of perfect draws (of four: where
nothing is to be told, one number in a thousand is so far off)."""
KINDS = ("collapsed", "shuffled")


@METRIC_CHECKS.add()
def check_class(subject: MetricSubject) -> None:
    """The class is a complete `mmbench.metric.Metric`."""
    cls = subject.cls
    refuse(not issubclass(cls, Metric), f"{cls.__name__} must derive from mmbench.metric.Metric")
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    refuse(bool(lacking), f"{cls.__name__} lacks {', '.join(lacking)}")


@METRIC_CHECKS.add("class")
def check_declared(subject: MetricSubject) -> None:
    """It declares its name, direction, bounds, group, cost and whether it is on by default."""
    wrong = declaration_fault(subject.cls)
    refuse(bool(wrong), wrong)


@METRIC_CHECKS.add("declared")
def check_fit(subject: MetricSubject) -> None:
    """It can measure something of one of the toys, and says why it can not of the others."""
    for title, reason in subject.reasons.items():
        refuse(not isinstance(reason, str) or "\n" in reason, f"unfit must return one line of text for {title}")
    said = "; ".join(f"{title}: {reason}" for title, reason in subject.reasons.items())
    refuse(all(subject.reasons.values()), f"it measures nothing of {said}")


@METRIC_CHECKS.add("fit")
def check_prepared(subject: MetricSubject) -> None:
    """`prepare` makes ready what it needs."""
    subject.cls.prepare(subject.bench)


@METRIC_CHECKS.add("prepared")
def check_wants(subject: MetricSubject) -> None:
    """`wants` is a number of samples for every task, and not 0 for all of them."""
    metric = subject.cls(subject.bench)
    found = [operator.index(metric.wants(task)) for task in subject.tasks()]
    refuse(min(found) < 0, f"wants must not be negative, got {min(found)}")
    refuse(not any(found) and not metric.of_model, "wants is 0 for every task: nothing would be measured")


@METRIC_CHECKS.add("wants")
def check_rows(subject: MetricSubject) -> None:
    """Its rows are finite numbers within the declared bounds, of known tasks and modalities, each once."""
    rows = subject.rows(Constructed(subject.stage, "perfect"))
    refuse(not rows and not subject.cls.of_model, "compute gives no row of perfect samples")
    for row in rows:
        refuse(not isinstance(row, Row), f"compute must return a list of Row, got a {type(row).__name__}")
        what = f"{row.metric} of {row.task} ({row.modality})"
        refuse(not math.isfinite(row.value), f"{what} is {row.value} for perfect samples")
        wrong = row_fault(subject.cls, row, subject.spec.names)
        refuse(bool(wrong), wrong)
    points = [(row.metric, row.task, row.modality) for row in rows]
    twice = [point for point in points if points.count(point) > 1]
    refuse(bool(twice), f"{' '.join(twice[0]) if twice else ''} is given twice: rename one of its rows")


@METRIC_CHECKS.add("rows")
def check_batches(subject: MetricSubject) -> None:
    """How samples are cut into batches does not change a number."""
    whole, cut = subject.measured("perfect"), subject.measured("perfect", batch=7)
    for point, row in whole.items():
        other = cut[point].value if point in cut else math.nan
        alike = math.isclose(row.value, other, rel_tol=1e-4, abs_tol=1e-6)
        refuse(not alike, f"{' '.join(point)} is {row.value:g} in batches of 100, and {other:g} in batches of 7")


@METRIC_CHECKS.add("rows")
def check_repeats(subject: MetricSubject) -> None:
    """The same samples give the same numbers, whatever was measured before."""
    first, again = (subject.rows(Constructed(subject.stage, "perfect")) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        where = f"{one.metric} of {one.task} ({one.modality})"
        refuse(one.value != other.value, f"{where} is {one.value:g}, and {other.value:g} of the same samples")


@METRIC_CHECKS.add("rows")
def check_untouched(subject: MetricSubject) -> None:
    """It leaves samples and the global random state as they are."""
    metric = subject.cls(subject.bench)
    task = next((task for task in subject.tasks() if metric.wants(task)), None)
    if task is None:
        return
    rows = subject.bench.order[:20]
    samples = Constructed(subject.stage, "perfect").samples(task, rows)
    copies = {name: x.clone() for name, x in samples.items()}
    with random_state_kept("measuring", "use mmbench.seeding.generator"):
        metric.update(task, samples, rows)
        metric.compute()
    for name, copy in copies.items():
        refuse(not torch.equal(samples[name], copy), f"update changes the samples of {name!r}: work on a copy")


@METRIC_CHECKS.add("rows")
def check_tells(subject: MetricSubject) -> str:
    """It finds the generators that it declares to tell worse than a perfect one."""
    found = {kind: _told(subject, kind) for kind in KINDS}
    lacking = [kind for kind in subject.cls.tells if not found[kind]]
    refuse(
        bool(lacking),
        f"it declares to tell {lacking[0] if lacking else ''} samples, and no number is clearly worse for them; "
        "take the word out of tells, or mend it",
    )
    told = [f"{kind} ({said})" for kind, said in found.items() if said]
    rest = [kind for kind, said in found.items() if not said]
    return f"tells {' and '.join(told) or 'nothing'} apart" + (f", not {' or '.join(rest)}" if rest else "")


def _told(subject: MetricSubject, kind: str) -> str:
    """Where a generator is most clearly worse than the perfect one: 'coherence bar->tint of tint: 98 against 25'."""
    perfect, other = [subject.measured("perfect", draw) for draw in range(DRAWS)], subject.measured(kind)
    gaps = {point: _gap(point, perfect, other) for point in perfect[0]}
    point = max(gaps, key=lambda point: gaps[point], default=None)
    if point is None or gaps[point] <= 0:
        return ""
    return f"{point[0]} {point[1]} of {point[2]}: {perfect[0][point].value:.3g} against {other[point].value:.3g}"


def _gap(point: tuple[str, str, str], perfect: Sequence[Numbers], other: Numbers) -> float:
    """How much worse than the mean of perfect draws, relative to the larger value; 0 where it is not clear, or has no
    better side."""
    better = perfect[0][point].higher_is_better
    if better is None or point not in other or not all(point in draw for draw in perfect):
        return 0.0
    values, bad = [draw[point].value for draw in perfect], other[point].value
    one = fmean(values)
    gap, scale = (one - bad) if better else (bad - one), max(abs(one), abs(bad))
    return gap / scale if gap > TIMES * stdev(values) and gap > GAP * scale else 0.0
