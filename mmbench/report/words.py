"""The words around a table: what it shows, how to read it, the paper's claims, and what failed."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import canonical, flat
from ..store import DISPLAY_ONLY, Cell, RowRecord
from .claims import Claim
from .code import provenance
from .comparison import SHORT, Group
from .notes import footnotes
from .paper import model_title
from .text import MARKDOWN, Style

__all__ = ["about", "chosen", "claim_lines", "failure", "footnotes"]


def chosen(group: Group) -> str:
    """What a title adds where the numbers are none to be reported."""
    return ", validation tuples (to choose settings by)" if group.dataset["split"] == "validation" else ""


def about(group: Group) -> list[str]:
    """What the table shows: data, budget, counts, judges, seeds, configurations."""
    data, protocol = group.dataset, group.cells[0]["protocol"]
    legend = ", ".join(f"{group.names.initials[m]}: {group.names.long(m)}" for m in group.names.modalities)
    settings = flat({k: v for k, v in protocol.items() if k not in DISPLAY_ONLY})
    chosen = ", ".join(f"{field}={value}" for field, value in sorted(settings.items()) if value is not None)
    sizes = f"{data['train']:,} training and {data['test']:,} {data['split']} tuples"
    lines = [
        f"Data: {sizes} ({legend}); fingerprint {data['fingerprint']}.",
        f"Every model was given: {_equal_terms(group)}.",
        f"Samples behind each number: {_counts(group)}. Protocol: {chosen}{_departures(group)}.",
        *(f"Judge of {what}: {judge}." for judge, what in _judges(group).items()),
        *_reference_data(group),
        f"Seeds: {', '.join(map(str, group.seeds))}.",
        f"Made by: {provenance(group.cells)}.",
    ]
    for line in group.lines:
        many = group.changed(line) if len(group.changed(line)) > SHORT else ""
        parts = [group.settings(line), f"not the recipe's: {many}" if many else ""]
        if any(parts):
            lines.append(f"{group.title(line)}: {'; '.join(part for part in parts if part)}.")
    return lines


def _equal_terms(group: Group) -> str:
    """'M mnist_mlp, latent 16, laplace 0.75, weight 3.92; S svhn_conv, ...': what must agree within a table."""
    return "; ".join(
        f"{group.names.initials[m['name']]} {m['network']}, latent {m['latent']}, {m['likelihood']}"
        + (f" {m['scale']:g}" if not m["tokens"] else "")
        + f", weight {m['weight']:g}"
        for m in group.dataset["modalities"]
    )


def _departures(group: Group) -> str:
    """The protocol's settings that are not the budget's."""
    own = {name: value for name, value in group.cells[0]["overrides"].items() if name.startswith("eval.")}
    said = ", ".join(f"{name.removeprefix('eval.')}={canonical(value)}" for name, value in sorted(own.items()))
    return f" (not the budget's: {said})" if said else ""


def _reference_data(group: Group) -> list[str]:
    """Which real data the reference points were measured on: 'FMD: 400 other test tuples'."""
    found: dict[str, dict[str, None]] = {}
    for (source, _, point), number in group.numbers.items():
        if source == "real":
            where = f"{number.row['count']:,} samples, {number.row['data']}"
            found.setdefault(where, {})[group.names.metric(point[0])] = None
    said = "; ".join(f"{', '.join(metrics)} on {where}" for where, metrics in found.items())
    return [f"Real data: {said}."] if said else []


def _counts(group: Group) -> str:
    """'Coherence 10,000; FID 500 to 5,000'."""
    counts: dict[str, set[int]] = {}
    for column in group.columns:
        for line in group.lines:
            if number := group.number("model", column.point, line):
                counts.setdefault(group.names.metric(column.metric), set()).add(int(number.row["count"]))
    parts = [f"{title} {min(n):,}" + (f" to {max(n):,}" if len(n) > 1 else "") for title, n in counts.items()]
    return "; ".join(parts) or "none"


def _judges(group: Group) -> dict[str, str]:
    """Judge -> what it judged: 'Coherence(M), FMD(M)'."""
    found: dict[str, dict[str, None]] = {}
    for column in group.columns:
        number = next(n for line in group.lines if (n := group.number("model", column.point, line)))
        what = f"{group.names.metric(column.metric)}({group.names.short(column.point[2])})"
        found.setdefault(_judge(number.row), {})[what] = None
    return {judge: ", ".join(what) for judge, what in found.items()}


def _judge(row: RowRecord) -> str:
    """'lenet 98.9 % [a1b2c3d4], over reference autoencoder [e5f6a7b8]'."""
    identity = f" [{row['identity']}]" if row["identity"] else ""
    return row["judge"] + identity + (f", over reference autoencoder [{row['reference']}]" if row["reference"] else "")


def claim_lines(found: Sequence[Claim], style: Style) -> list[str]:
    """A line for each of the paper's claims whose numbers were measured, and one for those that lack some."""
    bold = style.best if style is MARKDOWN else ("", "")
    lines = [f"{bold[0]}{c.letter}. {c.verdict}{bold[1]}: {c.text}. {c.numbers}." for c in found if not c.lacking]
    if rest := [f"{c.letter} ({c.numbers})" for c in found if c.lacking]:
        lines.append(f"Cannot tell, for lack of numbers: {', '.join(rest)}.")
    return lines


def failure(cell: Cell) -> str:
    name = f"{model_title(cell['model']['name'])} {cell['hash'][:6]} seed {cell['seed']}"
    reason = (cell["reason"] or "no reason was recorded").rstrip(".")
    return f"{name} failed on {cell['dataset']['name']}, budget {cell['budget']}: {reason}."
