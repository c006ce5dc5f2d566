"""Figures and samples inside a page: SVG whose colours are the page's, samples as WebP in the page itself."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from ...progress import one_line
from ..comparison import Group, Line
from ..figures.grids import rgb
from ..figures.kept import tasks_of
from ..figures.measures import called
from ..figures.plates import Kept, Plate, Row, plate, task_words
from ..figures.style import GRID, INK, SOFT, Width, laid_out
from .colours import themed
from .parts import Grid, GridRow, Plot

__all__ = ["grids", "narrow", "plot"]

COLOURS = {INK: "var(--ink)", SOFT: "var(--soft)", GRID: "var(--grid)", "#ffffff": "var(--card)"}
"""Of a figure -> the page's, light or dark."""
TAG, APART = re.compile(r"<[^>]+>"), "\0"
PLACES = re.compile(r'\s(?:d|x|y)="[^"]*"')
LONG_NUMBER = re.compile(r"(\d\.\d\d)\d+")
"""A hundredth of a point is not seen: the rest of a place is half of the page."""
UNSEEN = re.compile(r""" font-family: [^;"]*;| transform="rotate\(-0 [^"]*\"""")
"""What a page's style says once, and turns by nothing."""
LEVELS = 31
"""Of a colour's parts in a page, above black: off by 5 of 255 at most, and half as large."""
ACROSS = 10
"""Samples in a row."""
FEWER = 4
"""Of long texts."""
LONG = 14


def plot(draw: Callable[[Width], Figure | None], ident: str, alt: str, caption: str) -> Plot | None:
    """A figure for wide and for narrow screens; None where there is nothing to draw."""
    wide = draw("page")
    small = draw("phone") if wide else None
    if wide is None or small is None:
        return None
    return Plot(inline(wide, f"{ident}-wide", alt), caption, inline(small, f"{ident}-small", alt))


def narrow(draw: Callable[[Width], Figure | None], ident: str, alt: str, caption: str) -> Plot | None:
    """A figure that is as wide as a phone on any screen."""
    drawn = draw("phone")
    return Plot(inline(drawn, ident, alt), caption) if drawn else None


def inline(figure: Figure, ident: str, alt: str) -> Markup:
    """A figure as an SVG element whose parts are named after `ident`, so that no two of a page share a name."""
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": ident, "text.parse_math": False}):
        laid_out(figure).savefig(
            out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    _, _, inside = text.partition(">")
    label, box = Markup.escape(one_line(alt)), re.search(r'viewBox="[\d. ]+"', text)
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = f'<svg {space} {box[0] if box else ""} role="img" aria-label="{label}">'
    return Markup(head + _ours(inside, ident))


def _ours(svg: str, ident: str) -> str:
    """The tags with names and colours of the page, all at once; words between them are not touched."""
    words = [word if word.strip() else "" for word in TAG.split(svg)]
    tags = _renamed(APART.join(TAG.findall(svg)), ident).split(APART)
    return "".join(part for pair in zip(words, [*tags, ""], strict=True) for part in pair)


def _renamed(tags: str, ident: str) -> str:
    """Without what is not seen, and without names of groups of parts, to which nothing refers."""
    tags = re.sub(r'\bid="line-(\d+)-\d+"', r'data-line="\1"', tags)
    tags = re.sub(r'<g id="[^"]*"', "<g", tags)
    tags = re.sub(r'\bid="([^"]*)"', rf'id="{ident}-\1"', tags)
    tags = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{ident}-", tags)
    tags = re.sub("|".join(COLOURS), lambda found: COLOURS[found[0]], tags)
    tags = PLACES.sub(lambda found: LONG_NUMBER.sub(r"\1", found[0]).replace(" \n", ""), tags)
    tags = re.sub(r"(?<=: )#[0-9a-f]{6}\b", lambda found: themed(found[0]), tags)
    return UNSEEN.sub("", tags)


def grids(group: Group, ident: str, samples: Mapping[Line, Kept]) -> list[tuple[str, Grid]]:
    """(task, grid) for each task that some model has samples of."""
    found = []
    for number, task in enumerate(tasks_of(samples.values())):
        if shown := plate(group, task, samples, ACROSS):
            found.append((task, _grid(group, task, _room(shown), f"{ident}-samples-{number}")))
    return found


def _room(shown: Plate) -> Plate:
    """Fewer items where texts are long."""
    texts = [str(text) for row in shown.rows if row.values.dtype.kind == "U" for text in row.values]
    return shown.first(FEWER) if any(len(text) > LONG for text in texts) else shown


def _grid(group: Group, task: str, shown: Plate, ident: str) -> Grid:
    seed = f"seed {shown.seeds[0]}" if len(shown.seeds) == 1 else "seeds as named"
    words = task_words(group, task)
    left = ", ".join(group.title(line) for line in shown.left_out)
    foot = f"Left out, since they were given other conditions: {left}." if left else ""
    if task == "joint":
        foot = f"Nothing was given: a column has nothing to do with the real tuple above it. {foot}".strip()
    rows = [_row(group, shown, row) for row in shown.rows]
    return Grid(ident, f"{words[:1].upper()}{words[1:]}, {seed}", shown.count, rows, foot)


def _row(group: Group, shown: Plate, row: Row) -> GridRow:
    line = group.lines.index(row.line) if row.line else None
    several = len({other.modality for other in shown.rows if other.line}) > 1
    name = called(group, row.modality)
    seed = f" (seed {row.seed})" if row.line and len(shown.seeds) > 1 else ""
    title = f"{row.block}{seed}" + (f": {name}" if several or not row.line else "")
    if row.values.dtype.kind == "U":
        return GridRow(title, line, [one_line(str(text)) for text in row.values])
    image, width, height = _strip(row.values)
    return GridRow(title, line, None, image, width, height, f"{title}: {len(row.values)} pictures of {name}")


def _strip(values: np.ndarray) -> tuple[str, int, int]:
    """Pictures side by side with a clear gap between them: a data URI, width and height in pixels.

    Grey ones are exact."""
    coloured = [rgb(image) for image in values]
    levels = 255 if all((image == image[..., :1]).all() for image in coloured) else LEVELS
    items = [np.round(np.round(image * levels) * 255 / levels).astype(np.uint8) for image in coloured]
    height, width = items[0].shape[:2]
    gap = max(1, width // 28)
    whole = np.zeros((height, len(items) * (width + gap), 4), dtype=np.uint8)
    for k, item in enumerate(items):
        whole[:, k * (width + gap) : k * (width + gap) + width] = np.dstack([item, np.full(item.shape[:2], 255)])
    out = io.BytesIO()
    Image.fromarray(whole).save(
        out, "WEBP", lossless=True, quality=100, method=6
    )  # of grey images less than half of a PNG
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}", whole.shape[1], height
