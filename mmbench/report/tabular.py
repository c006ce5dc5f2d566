"""Parts of LaTeX: floats of 8 pt that say how wide they are, lists of notes, tables of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from .escape import tex, tex_comment, tex_words
from .points import COLUMN, PAGE, SIZE, points

__all__ = ["GAP", "LABEL", "boxed", "framed", "grid", "listed", "room", "width"]

GAP = 3.0
"""Points on either side of a column."""
LABEL = 90.0
"""Points from which on a column's label is broken into lines."""
Head = tuple[str, str]
"""What a column shares with its neighbours, '' for nothing, and its own label."""


def room(count: int) -> float:
    """Points from which on the heading of so many columns is broken into lines."""
    return max(LABEL, count * LABEL / 2)


def framed(title: str, label: str, width: float, lines: Iterable[str], notes: Sequence[str]) -> str:
    """A tabular of so many points as a float."""
    kind = "table" if width <= COLUMN else "table*"
    wide = (
        "" if width <= PAGE else f"This table is {width:.0f} pt wide at {SIZE:g} pt, more than a page of 6.75 inches."
    )
    return "\n".join(
        [
            tex_comment(f"{width:.0f} pt wide at {SIZE:g} pt: {_place(width)}"),
            rf"\begin{{{kind}}}[tp]",
            r"\centering",
            rf"\caption{{{tex(title)}}}",
            rf"\label{{tab:{label}}}",
            rf"\fontsize{{{SIZE:g}}}{{{1.2 * SIZE:g}}}\selectfont",
            rf"\setlength{{\tabcolsep}}{{{GAP:g}pt}}",
            *lines,
            *_notes([*filter(None, [wide]), *notes]),
            rf"\end{{{kind}}}",
        ]
    )


def _place(width: float) -> str:
    if width <= COLUMN:
        return "fits a column of 3.25 inches"
    return "fits a page of 6.75 inches" if width <= PAGE else "too wide for a page of 6.75 inches"


def grid(
    title: str,
    label: str,
    words: int,
    heads: Sequence[Head],
    lines: Sequence[Sequence[str]],
    notes: Sequence[str],
) -> str:
    """A float of plain text.

    Arguments:
        words: so many first columns are of words, the others of numbers.
        heads: for each column what it shares with its neighbours ('' for nothing), and its own label.
    """
    labels, above = [text for _, text in heads], _above(heads)
    spans = [rf"\multicolumn{{{n}}}{{c}}{{{boxed(heading, room(n), 'b')}}}" for heading, n in above]
    body = [
        rf"\begin{{tabular}}{{{'l' * words}{'r' * (len(labels) - words)}}}",
        r"\toprule",
        *([" & ".join(spans) + r" \\"] if any(heading for heading, _ in above) else []),
        " & ".join(boxed(text, LABEL, "b", "right" if k < words else "left") for k, text in enumerate(labels)) + r" \\",
        r"\midrule",
        *(" & ".join(boxed(text, LABEL, "t") for text in line) + r" \\" for line in lines),
        *(r"\bottomrule", r"\end{tabular}"),
    ]
    return framed(title, label, width(heads, lines), body, notes)


def _above(heads: Sequence[Head]) -> list[tuple[str, int]]:
    return [(heading, len(list(run))) for heading, run in groupby(heads, lambda head: head[0])]


def width(heads: Sequence[Head], lines: Sequence[Sequence[str]]) -> float:
    """Points of a `grid`'s columns with their margins, no narrower than their headings."""
    texts = zip((label for _, label in heads), *lines, strict=True)
    widths = [max(min(LABEL, points(cell)) for cell in column) for column in texts]
    total, start = 0.0, 0
    for heading, n in _above(heads):
        own = sum(widths[start : start + n]) + 2 * GAP * n
        total, start = total + max(own, min(points(heading), room(n)) + 2 * GAP), start + n
    return total


def boxed(text: str, width: float, place: str, side: str = "right") -> str:
    """Text that is broken into lines where it is wider, ragged on its right or left."""
    if points(text) <= width:
        return tex(text)
    return rf"\parbox[{place}]{{{width:.0f}pt}}{{\ragged{side} {tex(text)}}}"


def _notes(notes: Iterable[str]) -> list[str]:
    lines = [tex_words(note) for note in notes]
    if not lines:
        return []
    return [r"\par\smallskip", r"\begin{minipage}{\linewidth}\raggedright", "\\par\n".join(lines), r"\end{minipage}"]


def listed(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    start = rf"{{\fontsize{{{SIZE:g}}}{{{1.2 * SIZE:g}}}\selectfont\raggedright"
    return "\n".join([start, rf"\noindent {tex(title)}:\par", *(rf"{tex_words(line)}\par" for line in lines), "}"])
