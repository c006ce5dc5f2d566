"""Cells as one page of HTML: its text is escaped, its style, its script and its pictures are in it.

A policy in the page itself (Content-Security-Policy) forbids every request, and every script but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...progress import Progress, one_line
from ...store import Cell, Found
from ..comparison import Group, groups
from ..words import failure
from .colours import dark_rules, themed
from .overview import overview, overview_words
from .sections import section, steps

__all__ = ["page"]

NOTHING = "There are no finished cells yet: run `mmbench run --model mld --dataset glyphs`, then `mmbench report`."
COMMAND = re.compile(r"`((?:mmbench|pip|python) [^`]*)`")
DRAWING, TAG, STYLE = re.compile(r"<svg .*?</svg>", re.DOTALL), re.compile(r"<[^>]+>"), re.compile(r' style="([^"]*)"')


def page(found: Found, runs: Path, progress: Progress | None = None) -> str:
    """The whole page. `runs` holds the sample files; `progress` is told which are missing, and how far the work is."""
    progress = progress or Progress()
    shown = groups(found.cells)
    failed = [_failed_of(group, found.failures) for group in shown]
    sections = []
    with progress.phase("page", sum(map(steps, shown)), "part") as advance:
        for number, (group, lost) in enumerate(zip(shown, failed, strict=True)):
            sections.append(section(group, lost, number, runs, progress, advance))
    here = [cell for lost in failed for cell in lost]
    script = _own("page.js")
    return styled_once(
        _environment()
        .get_template("page.html")
        .render(
            title=_title(shown),
            lead=_lead(found, shown),
            version=metadata.version("mmbench"),
            style=Markup(_own("page.css")),
            script=Markup(script),
            script_hash=_hash(script),
            overview=overview(shown, failed) if len(shown) > 1 else None,
            overview_words=overview_words(shown[0], failed[0]) if len(shown) == 1 else [],
            dark=Markup(dark_rules(look.colour for section in sections for look in section.looks)),
            sections=sections,
            lost=[failure(cell) for cell in found.failures if cell not in here],
            bad=[f"{bad.reason}." for bad in found.bad],
        )
    )


def styled_once(html: str) -> str:
    """The page with each style that a drawing's parts have written once, in its style sheet: a hundred styles stand
    for ten thousand parts. Words between the tags are not touched."""
    names: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        return f' class="{names.setdefault(found[1], f"d{len(names)}")}"'

    def tagged(found: re.Match[str]) -> str:
        return TAG.sub(lambda tag: STYLE.sub(named, tag[0]), found[0])

    whole = DRAWING.sub(tagged, html)
    rules = "\n".join(f".{name} {{ {style} }}" for style, name in names.items())
    return whole.replace("</style>", f"\n{rules}</style>", 1) if rules else whole


def _environment() -> Environment:
    loader = PackageLoader("mmbench.report.html", "")
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_plain
    )
    made.filters |= {"commands": commands, "themed": themed}
    return made


def _plain(value: Any) -> Any:
    """Whatever is printed stands on one line and controls nothing; our own pieces of HTML stay as they are."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def commands(text: str) -> Markup:
    """A sentence whose commands, in backticks, stand as code."""
    return Markup(COMMAND.sub(r"<code>\1</code>", str(Markup.escape(one_line(text)))))


def _own(name: str) -> str:
    return resources.files("mmbench.report.html").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What the policy calls a script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _failed_of(group: Group, failures: Sequence[Cell]) -> list[Cell]:
    place = group.dataset["name"], group.cells[0]["budget"]
    return [cell for cell in failures if (cell["dataset"]["name"], cell["budget"]) == place]


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _title(shown: Sequence[Group]) -> str:
    names = list(dict.fromkeys(group.heading for group in shown))
    return f"mmbench report: {', '.join(names)}" if 0 < len(names) < 4 else "mmbench report"


def _lead(found: Found, shown: Sequence[Group]) -> str:
    if not shown:
        return NOTHING
    models = {cell["model"]["name"] for cell in found.cells}
    days = sorted({cell["environment"].get("finished", "")[:10] for cell in found.cells} - {""})
    when = f", finished {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    counts = (len(found.cells), "cell"), (len(models), "model"), (len({g.dataset["name"] for g in shown}), "dataset")
    cells, kinds, data = (_counted(*count) for count in counts)
    said = f"{cells} of {kinds} on {data}{when}"
    lost = [_counted(len(found.failures), "failed cell")] if found.failures else []
    lost += [f"{_counted(len(found.bad), 'bad file')}, left out"] if found.bad else []
    return f"{said}. {'; '.join(lost)}{'.' if lost else ''}".strip()
