"""What a table's metrics are and how to read them, with the values that real data reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .columns import Column
from .comparison import Group, Number
from .paper import CAPTION_MATCH, CLIP_S, COHERENCE, ENTROPY, FID, FMD, FMD_RATIO, SECOND_JUDGE, metric_digits

__all__ = ["meanings"]

BLUNT = 0.5
"""Of its FMD ratio for real data: below it the reference autoencoder is far from the data."""
Columns = Sequence[Column]


def meanings(group: Group, columns: Columns) -> list[str]:
    """A sentence or two for each metric that has such; the others' names are theirs."""
    found: dict[str, list[Column]] = {}
    for column in columns:
        found.setdefault(column.metric, []).append(column)
    return [SAID[metric](group, own) for metric, own in found.items() if metric in SAID]


def _coherence(group: Group, columns: Columns) -> str:
    joint = any("->" not in point[1] for c in columns for point in c.over or (c.point,))
    given = any("->" in point[1] for c in columns for point in c.over or (c.point,))
    parts = ["the same class in all modalities (joint)"] if joint else []
    parts += ["the class of the given items (conditional)"] if given else []
    second = " by a second, independent judge" if columns[0].metric == SECOND_JUDGE else ""
    return f"Coherence{second}: of how many samples the judges read {', or '.join(parts)}."


def _entropy(group: Group, columns: Columns) -> str:
    classes = group.dataset["classes"]
    most = f", at most ln {classes} = {math.log(classes):.2f}" if classes > 1 else ""
    real = _reached(group, columns)
    return (
        f"Label entropy: how evenly joint samples spread over the classes that the judges read{most}"
        f"{f'; real data have {real}' if real else ''}. Closer to real data is better: well below, few classes are "
        "generated. Samples that show no class are left out (and are wrong in coherence)."
    )


def _fmd(group: Group, columns: Columns) -> str:
    real = _reached(group, columns)
    than = f"as many other real samples reach {real}, so read FMD beside that, not beside 0" if real else ""
    return (
        f"FMD: Frechet distance in the features of this table's own judges, from {_counted(group, columns)} samples"
        f"{f'; {than}' if than else ''}. Not comparable with FMD by other judges or from other numbers of samples, the "
        f"paper's included.{_mixed(columns)}"
    )


def _mixed(columns: Columns) -> str:
    """That a mean over modalities is one over several judges' scales."""
    mixed = any(len({point[2] for point in column.over}) > 1 for column in columns)
    return (
        " A mean over modalities mixes the scales of their judges: compare it within this table only." if mixed else ""
    )


def _ratio(group: Group, columns: Columns) -> str:
    real = _reached(group, columns)
    known = [number.mean for column in columns if (number := group.measured("real", column))]
    blunt = ", a blunt yardstick: that autoencoder is far from the data" if known and max(known) < BLUNT else ""
    return (
        "FMD ratio: FMD divided by that of the same real images as one fixed autoencoder reconstructs them; 1 is as "
        f"good as those{f', real data reach {real}{blunt}' if real else ''}."
    )


def _fid(group: Group, columns: Columns) -> str:
    real = _reached(group, columns)
    return (
        f"FID: Frechet distance in Inception's features, from {_counted(group, columns)} samples"
        f"{f'; as many other real samples reach {real}' if real else ''}."
    )


def _clip(group: Group, columns: Columns) -> str:
    return "CLIP-S: 2.5 times the mean cosine of an image and its caption in CLIP's features."


def _match(group: Group, columns: Columns) -> str:
    return (
        "Caption match: of how many samples image and caption fit better than the image and another caption, by chance "
        "50 %; not CLIP-S."
    )


SAID: dict[str, Callable[[Group, Columns], str]] = {
    COHERENCE: _coherence,
    SECOND_JUDGE: _coherence,
    ENTROPY: _entropy,
    FMD: _fmd,
    FMD_RATIO: _ratio,
    FID: _fid,
    CLIP_S: _clip,
    CAPTION_MATCH: _match,
}


def _reached(group: Group, columns: Columns) -> str:
    """'54.04 (P) and 55.82 (S)': real data's, by modality where they differ."""
    found: dict[str, dict[str, None]] = {}
    for point in dict.fromkeys(point for c in columns for point in c.over or (c.point,)):
        if number := group.number("real", point):
            found.setdefault(_shown(number), {})[group.names.short(point[2])] = None
    if len(found) < 2:
        return "".join(found)
    said = [f"{value} ({', '.join(of)})" for value, of in found.items()]
    return f"{', '.join(said[:-1])} and {said[-1]}"


def _shown(number: Number) -> str:
    return f"{number.mean:.{metric_digits(number.row['metric'])}f}"


def _counted(group: Group, columns: Columns) -> str:
    """'400', '500 to 5,000'."""
    points = {point for column in columns for point in column.over or (column.point,)}
    counts = {
        int(n.row["count"]) for (source, _, point), n in group.numbers.items() if source == "model" and point in points
    }
    return " to ".join(f"{count:,}" for count in dict.fromkeys((min(counts), max(counts)))) if counts else "0"
