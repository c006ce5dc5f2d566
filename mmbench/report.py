"""Reports as Markdown, CSV and LaTeX: pure functions of cells, the same files give the same bytes.

Each group of comparable cells is one table in the shape of the paper's Tables 1, 4 and 5: models down, coherence
and quality across, mean and sample standard deviation over seeds, the reference points under the models; on the
paper's own datasets the paper's number and the difference stand with ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Literal

import pandas as pd

from .claims import claims
from .comparison import Column, Group, Line, Number, flat, groups, metric_title, model_title, paper_voices
from .errors import ResultError, near
from .store import DISPLAY_ONLY, Cell, CellKey

__all__ = ["FORMATS", "Format", "render", "tidy"]

Format = Literal["md", "csv", "tex"]
FORMATS: tuple[Format, ...] = ("md", "csv", "tex")

NO_CELLS = "There are no finished cells yet: run `mmbench run --model mld --dataset glyphs`, then `mmbench report`."
LEGEND = "Mean ± sample standard deviation over training seeds; best in bold."
WIDTH = 118
"""Characters that a line of a Markdown table may take; wider tables are cut into several."""
COLLAPSE = 0.5
"""Joint samples whose label entropy is below this share of the possible are called collapsed."""
OWN_SCALE = ("fmd",)
"""Metrics in the scale of their judge, which only ratios and ranks survive."""
TIDY = (
    *("dataset", "fingerprint", "budget", "protocol", "model", "hash", "settings"),
    *("source", "metric", "task", "modality", "unit", "higher_is_better", "count", "judge", "note"),
    *("mean", "std", "n", "seeds", "interval_low", "interval_high"),
    *("paper_table", "paper_mean", "paper_std", "difference"),
)


def render(cells: Iterable[Cell], failures: Iterable[Cell] = (), format: Format = "md") -> str:
    """These cells as Markdown, tidy CSV or LaTeX; a sentence that says what to run if there are none."""
    if format not in FORMATS:
        raise ResultError(f"there is no report format {format!r}; {near(format, FORMATS)}")
    found, lost = groups(cells), sorted(failures, key=CellKey.of)
    if format == "csv":
        return tidy(found).to_csv(index=False, lineterminator="\n")
    shown = {_place(group.cells[0]) for group in found}
    orphans = [_failure(cell) for cell in lost if _place(cell) not in shown]
    pages = [(group, [cell for cell in lost if _place(cell) == _place(group.cells[0])]) for group in found]
    if format == "md":
        blocks = [_markdown(group, failed) for group, failed in pages] or [NO_CELLS]
        blocks += ["## Failed cells\n\n" + _bullets(orphans)] if orphans else []
    else:
        blocks = [_latex(group, failed) for group, failed in pages] or [f"% {NO_CELLS}"]
        blocks += [f"% {line}" for line in orphans]
    return "\n\n".join(blocks) + "\n"


def tidy(found: Iterable[Group]) -> pd.DataFrame:
    """One line for each number, columns `TIDY`: ours over seeds, the paper's, the difference."""
    lines = [_record(group, source, n) for group in found for source, n in _in_order(group)]
    table = pd.DataFrame(lines, columns=list(TIDY))
    table["paper_table"] = table["paper_table"].astype("Int64")
    return table


def _in_order(group: Group) -> list[tuple[str, Number]]:
    """Models as in the table, then reconstructions, real and shuffled data; points in the order of the columns."""
    sources = ["model", "reconstruction", "real", "shuffled"]
    rank = {(line.model, line.hash): k for k, line in enumerate(group.lines)}
    points = [column.point for column in group.columns]

    def place(item: tuple[Any, ...]) -> tuple[Any, ...]:
        source, model, hash, point = item[0]
        at = points.index(point) if point in points else len(points)
        return sources.index(source), rank.get((model, hash), -1), at, point

    return [(key[0], n) for key, n in sorted(group.numbers.items(), key=place)]


def _record(group: Group, source: str, number: Number) -> dict[str, Any]:
    line = next((x for x in group.lines if (x.model, x.hash) == (number.model, number.hash)), None)
    row, paper = number.row, number.paper
    return {
        "dataset": group.dataset["name"],
        "fingerprint": group.dataset["fingerprint"],
        "budget": group.budget,
        "protocol": group.protocol,
        "model": number.model,
        "hash": number.hash,
        "settings": group.settings(line) if line else "",
        **{name: row[name] for name in TIDY if name in row},
        "source": source,
        "note": "; ".join(number.notes),
        "interval_low": number.interval[0],
        "interval_high": number.interval[1],
        "mean": number.mean,
        "std": number.std,
        "n": len(number.values),
        "seeds": " ".join(map(str, number.seeds)),
        "paper_table": paper.table if paper else None,
        "paper_mean": paper.mean if paper else math.nan,
        "paper_std": paper.std if paper else math.nan,
        "difference": number.difference,
    }


# --- the table as lines of text ---


@dataclass(frozen=True)
class Style:
    """How a format writes a number."""

    plus_minus: str
    bold: tuple[str, str]
    minus: str
    missing: str
    most: int | None
    """Columns of numbers in one table; None where the width of the text decides."""

    def value(self, mean: float, std: float, digits: int, *, best: bool = False) -> str:
        spread = "" if math.isnan(std) else f"{self.plus_minus}{std:.{digits}f}"
        text = f"{mean:.{digits}f}{spread}"
        return f"{self.bold[0]}{text}{self.bold[1]}" if best else text

    def difference(self, value: float, digits: int) -> str:
        return f"{value:+.{digits}f}".replace("-", self.minus)


MARKDOWN = Style(" ± ", ("**", "**"), "−", "–", None)
LATEX = Style(r" $\pm$ ", (r"\textbf{", "}"), "$-$", "--", 10)


@dataclass(frozen=True)
class Sheet:
    """A table as text: lines of a name, the number of seeds, and one text for each column."""

    title: str
    columns: list[Column]
    models: list[list[str]]
    references: list[list[str]]

    @property
    def lines(self) -> list[list[str]]:
        return self.models + self.references

    def pick(self, title: str, chosen: Sequence[int], missing: str) -> Sheet:
        """The same lines with some of the columns; lines left empty go."""
        parts: list[list[list[str]]] = []
        for lines in (self.models, self.references):
            picked = [[*line[:2], *(line[2 + k] for k in chosen)] for line in lines]
            parts.append([x for x in picked if x[1] or any(text not in ("", missing) for text in x[2:])])
        return Sheet(title, [self.columns[k] for k in chosen], *parts)


def _main_sheet(group: Group, style: Style) -> Sheet:
    """What the models generate, with the paper's numbers below ours, and the data's own reference points."""
    sheet = Sheet("", group.columns, [], [])
    for line in group.lines:
        numbers = [group.number("model", column.point, line) for column in group.columns]
        sheet.models.append(_model_line(group, "model", group.columns, line, style))
        if any(n and n.paper for n in numbers):
            sheet.models.append(["· paper", "", *(_paper(n, style) for n in numbers)])
            sheet.models.append(["· difference", "", *(_difference(n, style) for n in numbers)])
    for source, title in (("real", "Real data"), ("shuffled", "Shuffled tuples")):
        numbers = [group.number(source, column.point) for column in group.columns]
        sheet.references.append([title, "", *(_plain(n, style) for n in numbers)])
    return sheet


def _reconstructions(group: Group, style: Style) -> Sheet:
    """What each model makes of a modality that it is given: the bound that its decoders set."""
    columns = group.columns_of("reconstruction")
    lines = [_model_line(group, "reconstruction", columns, line, style) for line in group.lines]
    return Sheet("Reconstructions (reference points)", columns, lines, [])


def _model_line(group: Group, source: str, columns: list[Column], line: Line, style: Style) -> list[str]:
    seeds = len(group.of(line))
    return [group.title(line), str(seeds), *(_ours(group, source, c, line, seeds, style) for c in columns)]


def _ours(group: Group, source: str, column: Column, line: Line, seeds: int, style: Style) -> str:
    number = group.number(source, column.point, line)
    if number is None:
        return style.missing
    digits = _digits(column.metric)
    best = source == "model" and round(number.mean, digits) == _best(group, column)
    fewer = f" (n={len(number.values)})" if len(number.values) != seeds else ""
    return style.value(number.mean, number.std, digits, best=best) + fewer


def _paper(number: Number | None, style: Style) -> str:
    if number is None or number.paper is None:
        return ""
    return style.value(number.paper.mean, number.paper.std, _digits(number.row["metric"]))


def _difference(number: Number | None, style: Style) -> str:
    if number is None or number.paper is None:
        return ""
    return style.difference(number.difference, _digits(number.row["metric"]))


def _plain(number: Number | None, style: Style) -> str:
    return style.value(number.mean, number.std, _digits(number.row["metric"])) if number else style.missing


def _best(group: Group, column: Column) -> float | None:
    """The best of the models' means, as printed, where there are two to compare and one direction is better."""
    numbers = [group.number("model", column.point, line) for line in group.lines]
    means = [round(number.mean, _digits(column.metric)) for number in numbers if number]
    if column.higher_is_better is None or len(means) < 2:
        return None
    return max(means) if column.higher_is_better else min(means)


def _digits(metric: str) -> int:
    """Digits after the point: the paper's two, and a third for CLIP-S, which lies in 0.5 to 0.8."""
    return 3 if metric == "clip_s" else 2


# --- Markdown ---


def _markdown(group: Group, failed: Sequence[Cell]) -> str:
    parts = [f"## {group.dataset['title']} (`{group.dataset['name']}`), budget {group.budget}"]
    parts.append(_bullets(_about(group)))
    parts.append("\n>\n".join(f"> **Warning:** {line}" for line in _warnings(group, failed)))
    for sheet in _sheets(group, MARKDOWN):
        parts.append(f"### {sheet.title}\n\n{_pipe_table(sheet)}")
    parts.append(_bullets(_footnotes(group)))
    if lines := _claims(group, MARKDOWN):
        parts.append(f"### The paper's claims on this data\n\n{_bullets(lines)}")
    return "\n\n".join(part for part in parts if part)


def _sheets(group: Group, style: Style) -> list[Sheet]:
    """The tables to print, none of them too wide."""
    main, own = _main_sheet(group, style), _reconstructions(group, style)
    pieces = [main.pick(title, chosen, style.missing) for title, chosen in _pieces(main, style)]
    if own.columns:
        pieces += [own.pick(own.title, part, style.missing) for part in _cut(own, style, range(len(own.columns)))]
    return pieces


def _pipe_table(sheet: Sheet) -> str:
    head = ["Model", "Seeds", *(column.label for column in sheet.columns)]
    if len(set(head)) < len(head):
        head[2:] = [column.title for column in sheet.columns]
    apart = [["*Reference points*", *[""] * (len(head) - 1)]] if sheet.references else []
    table = pd.DataFrame([*sheet.models, *apart, *sheet.references], columns=pd.Index(head))
    align = ("left", *["right"] * (len(head) - 1))
    return table.to_markdown(index=False, disable_numparse=True, colalign=align)


def _pieces(sheet: Sheet, style: Style) -> list[tuple[str, list[int]]]:
    """(title, columns) of each printed table: cut by heading and by width, neighbours together where they fit."""
    runs: dict[str, list[int]] = {}
    for k, column in enumerate(sheet.columns):
        runs.setdefault(column.heading, []).append(k)
    pieces: list[tuple[str, list[int]]] = []
    for heading, columns in runs.items():
        parts = _cut(sheet, style, columns)
        for number, part in enumerate(parts, 1):
            if pieces and len(parts) == 1 and _fits(sheet, style, pieces[-1][1] + part):
                pieces[-1] = (f"{pieces[-1][0]}, {heading}", pieces[-1][1] + part)
            else:
                title = f"{heading}, {number} of {len(parts)}" if len(parts) > 1 else heading
                pieces.append((title, part))
    return pieces


def _cut(sheet: Sheet, style: Style, columns: Sequence[int]) -> list[list[int]]:
    """`columns` in the fewest runs of nearly equal length that fit, or in single columns."""
    for count in range(1, len(columns) + 1):
        cuts = [round(k * len(columns) / count) for k in range(count + 1)]
        parts = [list(columns[a:b]) for a, b in pairwise(cuts)]
        if all(_fits(sheet, style, part) for part in parts):
            return parts
    return [[k] for k in columns]


def _fits(sheet: Sheet, style: Style, columns: Sequence[int]) -> bool:
    if style.most is not None:
        return len(columns) <= style.most
    names = max(len("*Reference points*"), *(len(line[0]) for line in sheet.lines))
    widths = (max(len(sheet.columns[k].label), *(len(line[2 + k]) for line in sheet.lines)) for k in columns)
    return len("|  | Seeds   |") + names + sum(width + len("  |") for width in widths) <= WIDTH


# --- LaTeX ---


def _latex(group: Group, failed: Sequence[Cell]) -> str:
    """Tables for the packages booktabs and graphicx, with what a reader must know as comments above them."""
    words = [f"{group.dataset['title']} ({group.dataset['name']}), budget {group.budget}."]
    words += [*_about(group), *_warnings(group, failed), *_footnotes(group)]
    words += _claims(group, LATEX)
    sheets = enumerate(_sheets(group, LATEX), 1)
    return "\n".join([*(f"% {line}" for line in words), *(_latex_table(group, s, k) for k, s in sheets)])


def _latex_table(group: Group, sheet: Sheet, number: int) -> str:
    head = [("", "Model"), ("", "Seeds"), *((c.heading, c.label) for c in sheet.columns)]
    body = pd.DataFrame(
        [[_tex(line[0]), *line[1:]] for line in sheet.lines],
        columns=pd.MultiIndex.from_tuples([(_tex(heading), _tex(label)) for heading, label in head]),
    )
    align = "lr" + "r" * len(sheet.columns)
    text = body.style.hide(axis="index").to_latex(hrules=True, column_format=align, multicol_align="c")
    lines = text.splitlines()
    if sheet.references:
        lines.insert(lines.index(r"\midrule") + len(sheet.models) + 1, r"\midrule")
    title = f"{sheet.title}: {group.dataset['title']} ({group.dataset['name']}), budget {group.budget}. {LEGEND}"
    start = [r"\begin{table}", r"\centering", rf"\caption{{{_tex(title)}}}"]
    start += [rf"\label{{tab:{group.dataset['name']}-{group.budget}-{group.protocol}-{number}}}"]
    return "\n".join([*start, r"\resizebox{\textwidth}{!}{%", *lines, "}", r"\end{table}"])


SYMBOLS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "·": r"\quad{}",
    "–": "--",
    "−": "$-$",
    "<": "$<$",
    ">": "$>$",
}


def _tex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(SYMBOLS.get(letter, f"\\{letter}" if letter in "%_&#${}" else letter) for letter in text)


# --- the words around a table ---


def _about(group: Group) -> list[str]:
    """What the table shows: data, budget, counts, judges, seeds, configurations."""
    data, protocol = group.dataset, group.cells[0]["protocol"]
    legend = ", ".join(f"{group.initials[m]}: {group.long(m)}" for m in data["modalities"])
    settings = flat({k: v for k, v in protocol.items() if k not in DISPLAY_ONLY})
    chosen = ", ".join(f"{field}={value}" for field, value in sorted(settings.items()) if value is not None)
    sizes = f"{data['train']:,} training and {data['test']:,} test tuples"
    lines = [
        f"Data: {sizes} ({legend}); fingerprint {data['fingerprint']}.",
        f"Samples behind each number: {_counts(group)}. Protocol: {chosen}.",
        *(f"Judge of {what}: {judge}." for judge, what in _judges(group).items()),
        f"Seeds: {', '.join(map(str, group.seeds))}.",
    ]
    for line in group.lines:
        if group.title(line) != model_title(line.model):
            lines.append(f"{group.title(line)}: {group.settings(line) or 'equal in all recorded settings'}.")
    return lines


def _claims(group: Group, style: Style) -> list[str]:
    """A line for each of the paper's claims that can be judged, and one for those that cannot."""
    found, bold = claims(group), style.bold if style is MARKDOWN else ("", "")
    lines = [f"{bold[0]}{c.letter}. {c.verdict}{bold[1]}: {c.text}. {c.numbers}." for c in found if c.judged]
    if rest := [f"{c.letter} ({c.numbers})" for c in found if not c.judged]:
        lines.append(f"Not judged: {', '.join(rest)}.")
    return lines


def _counts(group: Group) -> str:
    """'Coherence 10,000; FID 500 to 5,000'."""
    counts: dict[str, set[int]] = {}
    for column in group.columns:
        for line in group.lines:
            if number := group.number("model", column.point, line):
                counts.setdefault(metric_title(column.metric), set()).add(int(number.row["count"]))
    parts = [f"{title} {min(n):,}" + (f" to {max(n):,}" if len(n) > 1 else "") for title, n in counts.items()]
    return "; ".join(parts) or "none"


def _judges(group: Group) -> dict[str, str]:
    """Judge -> what it judged: 'Coherence(M), FMD(M)'."""
    found: dict[str, dict[str, None]] = {}
    for column in group.columns:
        number = next(n for line in group.lines if (n := group.number("model", column.point, line)))
        what = f"{metric_title(column.metric)}({group.short(column.point[2])})"
        found.setdefault(number.row["judge"], {})[what] = None
    return {judge: ", ".join(what) for judge, what in found.items()}


def _warnings(group: Group, failed: Sequence[Cell]) -> list[str]:
    """What a reader must know before he believes the table."""
    lines = _collapsed(group) + _flips(group) + _left_out(group) + _notes(group)
    for line in group.lines:
        lost = sorted(set(group.seeds) - {cell["seed"] for cell in group.of(line)})
        if lost:
            lines.append(f"{group.title(line)} lacks seed {', '.join(map(str, lost))}.")
    lines += [_failure(cell) for cell in failed]
    if group.budget != "paper" and any(number.paper for number in group.numbers.values()):
        lines.append(f"The paper's numbers are of its full schedule, ours of budget {group.budget}.")
    return lines


def _collapsed(group: Group) -> list[str]:
    """A line for each model whose joint samples show few of the classes."""
    lines = []
    for line in group.lines:
        found = []
        for column in group.columns:
            number = group.number("model", column.point, line) if "entropy" in column.metric else None
            possible = _possible_entropy(group, column)
            if number and possible and number.mean < COLLAPSE * possible:
                found.append(f"{column.label} {number.mean:.2f} of {possible:.2f}")
        if found:
            who = f"{group.title(line)} collapses ({', '.join(found)} possible)"
            lines.append(f"{who}: its joint coherence is agreement on few classes.")
    return lines


def _flips(group: Group) -> list[str]:
    """Pairs of models that the second judge puts in the other order: a conclusion that depends on the judge."""
    lines = []
    for column in (c for c in group.columns if c.metric == "coherence"):
        second = ("coherence_second", *column.point[1:])
        read = {
            line: (first.mean, other.mean)
            for line in group.lines
            if (first := group.number("model", column.point, line)) and (other := group.number("model", second, line))
        }
        for one, other in combinations(read, 2):
            by_first, by_second = (read[one][k] - read[other][k] for k in (0, 1))
            if by_first * by_second < 0:
                lines.append(
                    f"{column.title}: the second judge puts {group.title(one)} and {group.title(other)} in the other "
                    f"order ({by_first:+.2f} and {by_second:+.2f} points apart): do not conclude from it."
                )
    return lines


def _left_out(group: Group) -> list[str]:
    """A line for each metric that some cells lack."""
    reasons = {name: reason for cell in group.cells for name, reason in cell["left_out"].items()}
    whole = group.dataset["name"].removesuffix("_partial")
    flag = "" if whole == group.dataset["name"] else " --allow-partial"
    return [
        f"{metric_title(name)} is left out: {reason.rstrip('.')}. Then: mmbench evaluate --dataset "
        f"{whole}{flag} --metrics {name}."
        for name, reason in reasons.items()
    ]


def _possible_entropy(group: Group, column: Column) -> float | None:
    """ln(classes), or log2 for bits; the real data's entropy where the number of classes is not recorded."""
    classes = group.dataset.get("classes", 0)
    if classes > 1 and column.unit in ("", "nats", "bits"):
        return math.log2(classes) if column.unit == "bits" else math.log(classes)
    real = group.number("real", column.point)
    return real.mean if real else None


def _notes(group: Group) -> list[str]:
    """Each note of a row once, with the columns it is about; notes that differ in their numbers only stand for one."""
    found: dict[str, tuple[set[str], dict[str, None]]] = {}
    for column in group.columns:
        for line in group.lines:
            number = group.number("model", column.point, line)
            for note in number.notes if number else ():
                notes, columns = found.setdefault(re.sub(r"\d+", "#", note), (set(), {}))
                notes.add(note)
                columns[column.title] = None
    lines = []
    for notes, columns in found.values():
        more = f" (and {len(notes) - 1} like it)" if len(notes) > 1 else ""
        lines.append(f"{', '.join(columns)}: {min(notes).rstrip('.')}{more}.")
    return lines


def _footnotes(group: Group) -> list[str]:
    """How to read the table, and where the paper speaks with two voices."""
    lines = [LEGEND]
    if not any(number.paper for number in group.numbers.values()):
        return lines
    for metric in OWN_SCALE:
        if any(column.metric == metric for column in group.columns):
            title = metric_title(metric)
            lines.append(f"{title} has the scale of its judge: compare ratios and ranks with the paper's.")
    models = {line.model for line in group.lines}
    labels = {column.point: column.title for column in group.columns}
    for (model, point), voices in paper_voices(group.dataset["name"]).items():
        if model in models and point in labels and len({voice.mean for voice in voices}) > 1:
            said = " and ".join(f"{voice.mean:g} in Table {voice.table}" for voice in voices)
            lines.append(f"{model_title(model)} {labels[point]}: the paper prints {said}; the latter is used.")
    return lines


def _failure(cell: Cell) -> str:
    name = f"{model_title(cell['model']['name'])} {cell['hash'][:6]} seed {cell['seed']}"
    reason = (cell["reason"] or "no reason was recorded").rstrip(".")
    return f"{name} failed on {cell['dataset']['name']}, budget {cell['budget']}: {reason}."


def _place(cell: Cell) -> tuple[str, str]:
    return cell["dataset"]["name"], cell["budget"]


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
