"""The words around a table: what it shows, how to read it, the paper's claims, and what failed."""

from __future__ import annotations

from collections.abc import Sequence

from ..store import Cell, ModalityRecord
from .claims import claims, unjudged
from .code import provenance
from .comparison import SHORT, Group
from .judges import judges_said
from .notes import footnotes, own_notes
from .paper import model_title
from .protocol import protocol_said
from .table import reference_title
from .text import MARKDOWN, Style

__all__ = ["about", "chosen", "claim_lines", "failure", "footnotes", "own_notes"]


def chosen(group: Group) -> str:
    """What a title adds where the numbers are none to be reported."""
    return ", validation tuples (to choose settings by)" if group.dataset["split"] == "validation" else ""


def about(group: Group) -> list[str]:
    """How a table was made: data, networks, judges, samples, seeds, code, configurations."""
    data = group.dataset
    lines = [
        f"{group.heading}: {_items(group)}. {data['train']:,} training and {data['test']:,} {data['split']} tuples, "
        "each with an item of every modality.",
        f"Networks and likelihoods of all models: {_equal_terms(group)}.",
        *judges_said(group),
        f"Samples behind each number: {_counts(group)}.",
        *_reference_data(group),
        *protocol_said(group),
        f"Training seeds: {_seeds(group.seeds)}.",
        f"Made by: {provenance(group.cells)}; data fingerprint {data['fingerprint']}.",
    ]
    for line in group.lines:
        many = group.changed(line) if len(group.changed(line)) > SHORT else ""
        parts = [group.settings(line), f"not the recipe's: {many}" if many else ""]
        if any(parts):
            lines.append(f"{group.title(line)}: {'; '.join(part for part in parts if part)}.")
    return lines


def _items(group: Group) -> str:
    """'P: pen (image, 1 × 28 × 28), N: name (text, 5 tokens)'; those of one kind together."""
    kinds: dict[str, list[str]] = {}
    for m in group.dataset["modalities"]:
        short, long = group.names.initials[m["name"]], group.names.long(m["name"])
        kinds.setdefault(_kind(m), []).append(long if short == long else f"{short}: {long}")
    return ", ".join(f"{', '.join(names)} ({kind})" for kind, names in kinds.items())


def _kind(modality: ModalityRecord) -> str:
    shape = " × ".join(map(str, modality["shape"]))
    if modality["tokens"]:
        return f"text, {shape} tokens"
    return f"image, {shape}" if len(modality["shape"]) == 3 else shape


def _seeds(seeds: Sequence[int]) -> str:
    """'1 (number 0)', '5 (0 to 4)', '2 (0, 2)'."""
    if len(seeds) == 1:
        return f"1 (number {seeds[0]})"
    whole = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{len(seeds)} ({f'{seeds[0]} to {seeds[-1]}' if whole else ', '.join(map(str, seeds))})"


def _equal_terms(group: Group) -> str:
    """'M mnist_mlp, 16 latent dimensions, laplace likelihood of scale 0.75, its loss × 3.92; S ...': what must agree
    within a table; modalities that are given the same share their words."""
    found: dict[str, list[str]] = {}
    for m in group.dataset["modalities"]:
        scale = "" if m["tokens"] else f" of scale {m['scale']:g}"
        words = f"{m['network']}, {m['latent']} latent dimensions, {m['likelihood']} likelihood{scale}"
        found.setdefault(f"{words}, its loss × {m['weight']:g}", []).append(group.names.initials[m["name"]])
    return "; ".join(f"{', '.join(names)} {words}" for words, names in found.items())


def _reference_data(group: Group) -> list[str]:
    """Which real data the reference points were measured on: 'FMD of 400 other test tuples'."""
    found: dict[str, dict[str, None]] = {}
    for (source, _, point), number in group.numbers.items():
        if source == "real":
            where = f"{number.row['count']:,} samples ({number.row['data'] or 'unknown'})"
            found.setdefault(where, {})[group.names.metric(point[0])] = None
    said = "; ".join(f"{', '.join(metrics)} from {where}" for where, metrics in found.items())
    return [f"{reference_title(group, 'real')}: {said}."] if said else []


def _counts(group: Group) -> str:
    """'Coherence, FMD 10,000; FID 500 to 5,000'."""
    counts: dict[str, set[int]] = {}
    for column in group.columns:
        for line in group.lines:
            if number := group.number("model", column.point, line):
                counts.setdefault(group.names.metric(column.metric), set()).add(int(number.row["count"]))
    found: dict[str, list[str]] = {}
    for title, n in counts.items():
        found.setdefault(f"{min(n):,}" + (f" to {max(n):,}" if len(n) > 1 else ""), []).append(title)
    return "; ".join(f"{', '.join(titles)} {count}" for count, titles in found.items()) or "none"


def claim_lines(group: Group, style: Style) -> list[str]:
    """A line for each of the paper's claims whose numbers were measured, and one for those that lack some."""
    bold, found = style.best if style is MARKDOWN else ("", ""), claims(group)
    lines = [f"{bold[0]}{c.letter}. {c.verdict}{bold[1]}: {c.text}. {c.numbers}." for c in found if not c.lacking]
    return lines + unjudged(group, found)


def failure(cell: Cell) -> str:
    name = f"{model_title(cell['model']['name'])} {cell['hash'][:6]} seed {cell['seed']}"
    reason = (cell["reason"] or "no reason was recorded").rstrip(".")
    return f"{name} failed on {cell['dataset']['name']}, budget {cell['budget']}: {reason}."
