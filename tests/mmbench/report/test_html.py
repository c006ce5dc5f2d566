"""The report as a page: what a reader finds on it, that it loads nothing, and that words stay words."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mmbench import store
from mmbench.cli import app
from mmbench.progress import Progress, one_line
from mmbench.report.html import page
from mmbench.report.html.page import styled_once
from mmbench.report.html.pictures import _strip
from mmbench.store import BadFile, Cell, Found, read_samples

from ..cells import cell, keep_samples, mnist_svhn_rows, row
from .test_escape import CONTROL, WORDS, hostile

VOID = {"meta", "img", "input", "br", "link", "path", "use", "rect", "image", "hr"}


@dataclass
class Element:
    tag: str
    attrs: dict[str, str]
    inside: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list[Element]:
        found = [self] if self.tag == tag else []
        return found + [e for child in self.inside for e in child.all(tag)]

    def words(self) -> str:
        return " ".join((self.text + " " + " ".join(child.words() for child in self.inside)).split())


class Tree(HTMLParser):
    """The elements of a page; AssertionError where a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert [e.tag for e in self.open] == [""], "all is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in ("meta", "img", "input", "br", "hr"):
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


def tree(text: str) -> Element:
    return Tree(text).root


def every(element: Element) -> list[Element]:
    return [element, *(e for child in element.inside for e in every(child))]


def grid(element: Element) -> list[list[str]]:
    """The words of a table, row by row."""
    return [[c.words() for c in tr.inside if c.tag in ("th", "td")] for tr in element.all("tr")]


def captioned(root: Element, words: str) -> Element:
    return next(t for t in root.all("table") if any(words in c.words() for c in t.all("caption")))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def found(runs: Path) -> Found:
    made = [cell(model, seed) for model in ("mvae", "mld", "own") for seed in range(3)]
    made = [one for one in made if (one["model"]["name"], one["seed"]) != ("own", 2)]
    for one in made:
        keep_samples(runs, one)
        one["environment"] |= {"commit": "abc1234", "finished": f"2026-11-2{one['seed']}T10:00:00+00:00"}
    lost = [
        cell("own", 2, status="failed", reason="it fell over", rows=[]),
        cell("m", dataset="d", status="failed", rows=[]),
    ]
    return Found(made, lost, [BadFile(Path("x"), "x.json is damaged: delete it")])


@pytest.fixture(scope="module")
def text(found: Found, runs: Path) -> str:
    return page(found, runs)


@pytest.fixture(scope="module")
def root(text: str) -> Element:
    return tree(text)


def test_the_page_loads_nothing_and_runs_only_its_own_script(
    root: Element, text: str, found: Found, runs: Path
) -> None:
    for element in every(root):
        for name, value in element.attrs.items():
            if name in ("src", "href", "xlink:href", "data", "poster", "action", "srcset"):
                assert value.startswith(("#", "data:image/webp;base64,")), (element.tag, value)
            assert not name.startswith("on"), "no script in attributes"
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {e.tag for e in every(root)}
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    (policy,) = [m.attrs["content"] for m in root.all("meta") if m.attrs.get("http-equiv") == "Content-Security-Policy"]
    (script,) = root.all("script")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert page(found, runs) == text, "the same files give the same bytes"


def test_names_are_unique_and_links_lead_somewhere(root: Element) -> None:
    names = Counter(e.attrs["id"] for e in every(root) if "id" in e.attrs)
    assert [name for name, count in names.items() if count > 1] == []
    links = [e.attrs.get("href", "") or e.attrs.get("xlink:href", "") for e in every(root)]
    assert {link[1:] for link in links if link} <= set(names)
    shown = {e.attrs.get("aria-labelledby", "") for e in every(root)} - {""}
    assert shown <= set(names)


def test_tables_say_what_they_are_and_pictures_what_they_show(root: Element) -> None:
    assert root.all("html")[0].attrs["lang"] == "en"
    for table in root.all("table"):
        assert len([c for c in table.all("caption") if c.words()]) == 1
        assert all(th.attrs.get("scope") in ("col", "row", "colgroup") for th in table.all("th"))
    for th in (
        th for t in root.all("table") if "sortable" in t.attrs.get("class", "") for th in t.all("thead")[0].all("th")
    ):
        assert th.attrs["scope"] == "colgroup" or (th.attrs["aria-sort"] == "none" and len(th.all("button")) == 1)
    assert all(img.attrs["alt"] for img in root.all("img"))
    assert all(svg.attrs["role"] == "img" and svg.attrs["aria-label"] for svg in root.all("svg"))
    assert len(root.all("h1")) == len(root.all("main")) == 1
    assert root.all("body")[0].inside[0].attrs["href"] == "#main"


def test_the_overview_says_what_was_compared_when_by_what_and_what_is_missing(root: Element) -> None:
    """In sentences, since there is one group only."""
    assert not [t for t in root.all("table") if "What was compared" in t.words()]
    overview = next(e for e in root.all("section") if e.attrs.get("id") == "overview")
    assert [li.words() for li in overview.all("li")] == [
        "Compared: MVAE, MLD, own on MNIST_SVHN, budget paper; seeds 0, 1, 2.",
        "Finished: 2026-11-20 to 2026-11-22, by code of commit abc1234.",
        "Missing: own seed 2.",
        "Failed: 1.",
    ]
    words = root.all("main")[0].words()
    assert "it fell over" in words
    assert "x.json is damaged: delete it" in words


def test_the_overview_of_several_groups_is_a_table(found: Found, tmp_path: Path) -> None:
    made = [*found.cells, cell("mvae", dataset="other", budget="smoke")]
    (head, line, other) = grid(captioned(tree(page(Found(made, found.failures), tmp_path)), "What was compared"))
    assert dict(zip(head, line, strict=True)) == {
        "Data": "MNIST_SVHN", "Budget": "paper", "Models": "MVAE, MLD, own", "Seeds": "0, 1, 2", "Cells": "8",
        "Missing": "own seed 2", "Failed": "1", "Stale": "none", "Finished": "2026-11-20 to 2026-11-22",
        "Code": "abc1234",
    }  # fmt: skip
    assert dict(zip(head, other, strict=True))["Missing"] == "none"


def test_only_what_can_be_sorted_has_buttons_for_it(root: Element, tmp_path: Path) -> None:
    """Two bodies at least that are not at the foot: judges too, which are no model's."""

    def sortable(root: Element) -> dict[str, bool]:
        return {t.all("caption")[0].words(): bool(t.all("thead")[0].all("button")) for t in root.all("table")}

    said = sortable(root)
    assert said["MNIST_SVHN: judges"]
    assert said["MNIST_SVHN: cost"]
    judges = captioned(root, "judges")
    assert not [b for b in judges.all("tbody") if b.attrs.get("class") == "reference"], "nothing stays at the foot"
    assert [b.attrs.get("class") for b in captioned(root, "Coherence").all("tbody")][-1] == "reference"
    alone = sortable(tree(page(Found([cell("mvae")]), tmp_path)))
    assert not alone["MNIST_SVHN: cost"]


def test_a_number_that_is_missing_stands_where_numbers_stand(root: Element) -> None:
    cells = [td for t in root.all("table") for td in t.all("td") if td.words() == "–"]
    numbers = [t for t in root.all("table") for td in t.all("td") if td.words() == "–"]
    assert cells
    for table in numbers:
        heads = table.all("thead")[0].all("tr")[-1].all("th")
        for tr in table.all("tbody")[0].all("tr"):
            for head, td in zip(heads[1:], tr.all("td"), strict=True):
                is_number = "number" in head.attrs.get("class", "")
                assert ("number" in td.attrs.get("class", "").split()) is is_number, (head.words(), td.words())


def test_commands_stand_as_code_without_their_backticks(tmp_path: Path) -> None:
    """And other words in backticks, a model's name perhaps, as they are."""
    left_out = {"fid": "no weights: `mmbench fetch fid` fetches <them>"}
    main = tree(page(Found([cell("`own`", left_out=left_out)]), tmp_path)).all("main")[0]
    assert "mmbench fetch fid" in [code.words() for code in main.all("code")]
    assert "`mmbench" not in main.words()
    assert "fetches <them>" in main.words()
    assert "`own`" in main.words()


def test_one_seed_has_no_part_about_seeds(root: Element, tmp_path: Path) -> None:
    def parts(root: Element) -> list[str]:
        return [h.words() for h in root.all("h3")]

    assert "Seeds" in parts(root)
    alone = tree(page(Found([cell("mvae"), cell("mld")]), tmp_path))
    assert "Seeds" not in parts(alone)
    assert "Cost" in parts(alone)
    assert "each seed" not in alone.all("main")[0].words().replace("one for each model and seed", "")


def test_colours_are_lighter_on_the_dark_page(text: str) -> None:
    """Contrast by WCAG 2.2 with the dark ground; on the light page every model keeps its own."""
    rules = text[text.index("@media screen and (prefers-color-scheme: dark) { :root {") :].partition("}")[0]
    found = dict(re.findall(r"--x-([0-9a-f]{6}): #([0-9a-f]{6});", rules))
    assert {"0072b2", "d55e00"} <= set(found)

    def light(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert "--page: #17171a" in text
    assert all((light(colour) + 0.05) / (light("17171a") + 0.05) >= 4.5 for colour in found.values())
    assert (light("0072b2") + 0.05) / (light("17171a") + 0.05) < 4.5, "the reason"
    svg = text[text.index('id="group-0-trade-off-plot-wide-') :].partition("</svg>")[0]
    used = set(re.findall(r'class="(d\d+)"', svg))
    assert any("var(--x-0072b2, #0072b2)" in style for name, style in drawn(text).items() if name in used)
    assert not any(re.search(": #0072b2", style) for style in drawn(text).values()), "the dark page could not change it"


def drawn(text: str) -> dict[str, str]:
    """Class -> style of the parts of drawings."""
    return dict(re.findall(r"^\.(d\d+) \{ ([^}]*) \}", text, re.MULTILINE))


def test_a_style_of_drawings_is_written_once(text: str) -> None:
    """Ten thousand parts share a hundred styles, which were a seventh of a page."""
    drawings = re.findall("<svg .*?</svg>", text, re.DOTALL)
    names = {name for drawing in drawings for name in re.findall(r'class="(d\d+)"', drawing)}
    styles = drawn(text)
    assert names == set(styles)
    assert len(set(styles.values())) == len(styles)
    assert any("stroke-width" in style for style in styles.values())
    assert not any(" style=" in drawing for drawing in drawings)


def test_every_number_stands_in_a_row_of_its_model(root: Element) -> None:
    bodies = {}
    for body in captioned(root, "Coherence").all("tbody"):
        rows = grid(body)
        bodies[rows[0][0]] = rows
    assert bodies["MVAE"][0][2] == "41.00 ± 1.00"  # 40, 41, 42
    assert bodies["own"][0][2] == "40.50 ± 0.71"
    assert bodies["Real test data"][0][2] == "91.50"
    seeds = {rows[0]: rows for rows in grid(captioned(root, "each seed: Coherence"))[2:]}
    assert seeds["MLD, seed 1"][1] == "41.00"
    cost = {rows[0]: rows for rows in grid(captioned(root, "cost"))[2:]}
    assert cost["MLD"][:4] == ["MLD", "3", "–", "1.0 s"]


def test_the_first_numbers_stand_above_their_notes_and_further_ones_below(root: Element) -> None:
    part = next(e for e in root.all("section") if e.attrs.get("id") == "group-0-numbers")
    kinds = [e.all("caption")[0].words() if e.tag == "div" else e.attrs.get("class", e.tag) for e in part.inside]
    assert kinds[0] == "h3"
    assert "Coherence" in kinds[1]
    place = kinds.index("words notes")
    assert place in (2, 3), "after the main table, which may be in two pieces"
    assert all("Label entropy" not in kind for kind in kinds[:place])
    assert any("Label entropy" in kind for kind in kinds[place:])


def test_the_best_is_bold_and_what_chance_reaches_is_marked(tmp_path: Path) -> None:
    """Over three seeds; of one seed nothing is compared."""
    values = {"mvae": 9.0, "mld": 80.0, "own": 70.0}
    chance = row("coherence", "joint", "mnist+svhn", 10.0, source="shuffled")

    def made(seeds: int) -> list[Cell]:
        rows = {
            (m, k): [row("coherence", "joint", "mnist+svhn", v + k / 10), chance]
            for m, v in values.items()
            for k in range(seeds)
        }
        return [cell(model, seed, own) for (model, seed), own in rows.items()]

    table = captioned(tree(page(Found(made(3)), tmp_path)), "Coherence")
    assert [strong.words() for strong in table.all("strong")] == ["80.10 ± 0.10"]
    assert [second.words() for second in table.all("u")] == ["70.10 ± 0.10"]
    assert [td.words() for td in table.all("td") if "‡" in td.words()] == ["9.10 ± 0.10 ‡"]
    assert not captioned(tree(page(Found(made(1)), tmp_path)), "Coherence").all("strong")


def test_the_command_line_writes_the_page_and_figures_of_a_columns_width(tmp_path: Path) -> None:
    store.write(tmp_path / "results", cell("mvae"))
    places = ("--results", str(tmp_path / "results"), "--runs", str(tmp_path / "runs"))
    out, figures = tmp_path / "report.html", tmp_path / "figures"
    more = ("--format", "html", "--out", str(out), "--figures", str(figures), "--width", "column")
    done = CliRunner().invoke(app, ("report", *places, *more))
    assert done.exit_code == 0, done.output
    assert "MVAE" in tree(out.read_text(encoding="utf-8")).words()
    assert b'width="234pt"' in (figures / "mnist_svhn-paper-trade-off.svg").read_bytes()


def test_grids_show_all_models_under_the_same_conditions(root: Element, found: Found, runs: Path) -> None:
    shown = captioned(root, "M → S, seed 0")
    assert [rows[0] for rows in grid(shown)][1:] == ["given: mnist (M)", "MVAE", "MLD", "own"]
    images = shown.all("img")
    content = base64.b64decode(images[1].attrs["src"].partition(",")[2])
    picture = np.asarray(Image.open(io.BytesIO(content)))
    first = read_samples(runs / next(str(c["samples"]) for c in found.cells if c["model"]["name"] == "mvae"))
    expected = np.round(first["mnist->svhn/target/svhn"][2] * 255).transpose(1, 2, 0)
    half = 255 / 31 / 2  # of the step between the levels of a colour; and both are rounded
    assert np.abs(picture[:, 2 * 33 : 2 * 33 + 32, :3].astype(float) - expected).max() <= half + 1
    words = captioned(root, "M → name")
    assert [li.words() for li in words.all("li")][4:8] == ["one", "∅", "a bird with a long red beak", "é"]


def test_parts_of_plots_say_whose_they_are(root: Element, text: str) -> None:
    """So that a page hides them with the model."""
    plots = [svg for svg in root.all("svg") if "Coherence against quality" in svg.attrs["aria-label"]]
    assert len(plots) == 2, "one for wide screens, one for narrow ones"
    for svg in plots:
        assert {e.attrs["data-line"] for e in every(svg) if "data-line" in e.attrs} == {"0", "1", "2"}
        styles = " ".join(drawn(text).get(e.attrs.get("class", ""), "") for e in every(svg))
        assert "var(--ink)" in styles
        assert "#ffffff" not in styles, "the page's own ground, dark or light"


def test_words_stay_words(tmp_path: Path) -> None:
    """The elements are those of a page of plain words, and the words themselves can be read on it."""
    word = " ".join([*WORDS.values(), "{{ 7 * 7 }} {% raw %} \"quoted\" 'too' --> ]]> </style></title></script>"])
    roots = []
    for each in (word, ("plain words " * 99)[: len(word)]):
        made, lost = hostile(each)
        made[0]["samples"] = f"samples/{len(roots)}.npz"
        keep_samples(tmp_path, made[0])
        text = page(Found(made, lost, [BadFile(Path("x"), each)]), tmp_path)
        assert not CONTROL.search(text)
        roots.append(tree(text))
    counted, expected = (Counter(e.tag for e in every(root) if not inside_plot(root, e)) for root in roots)
    assert counted == expected
    assert " ".join(one_line(word).split()) in roots[0].words()


def inside_plot(root: Element, element: Element) -> bool:
    """Plots have an element for each letter of ticks and titles: they may differ."""
    if not hasattr(root, "plots"):
        root.plots = {id(e) for svg in root.all("svg") for e in every(svg)}  # type: ignore[attr-defined]
    return id(element) in root.plots  # type: ignore[attr-defined]


def test_a_plot_shows_a_name_that_looks_like_markup_as_it_is(tmp_path: Path) -> None:
    name = 'id="x" #ffffff url(#a) <b>'
    made: list[Cell] = [cell(name, seed) for seed in range(2)]
    root = tree(page(Found(made), tmp_path))
    svg = next(svg for svg in root.all("svg") if "Coherence against quality" in svg.attrs["aria-label"])
    assert any(name in text.words() for text in svg.all("text"))


def test_several_groups_have_a_section_each_and_no_cells_a_sentence(tmp_path: Path) -> None:
    made = [cell("mvae"), cell("mvae", dataset="other", budget="smoke")]
    root = tree(page(Found(made), tmp_path))
    titles = [h.words() for h in root.all("h2")]
    assert titles == ["Overview", "MNIST_SVHN, budget paper", "OTHER, budget smoke"]
    empty = tree(page(Found(), tmp_path))
    assert "There are no finished cells yet: run" in empty.words()
    assert [c.words() for c in empty.all("code")] == ["mmbench run --model mld --dataset glyphs", "mmbench report"]


def test_missing_samples_and_progress_are_told(tmp_path: Path) -> None:
    class Heard(Progress):
        def __init__(self) -> None:
            self.said: list[str] = []

        def say(self, message: str) -> None:
            self.said.append(message)

    heard = Heard()
    rows = [row("coherence", "joint", "mnist+svhn", 50.0)]
    page(Found([cell("mvae", 0, rows), cell("mld", 0, mnist_svhn_rows())]), tmp_path, heard)
    assert len(heard.said) == 2
    assert all("no samples in" in said for said in heard.said)


def test_a_word_that_reads_like_a_style_is_no_style() -> None:
    """A title may hold quotes, which stand unescaped between tags; in the style sheet it could hide a page."""
    words = 'a name style="} body { display: none"'
    html = f'<style></style><svg viewBox="0"><text style="fill: red">{words}</text></svg>'
    assert (
        styled_once(html)
        == f'<style>\n.d0 {{ fill: red }}</style><svg viewBox="0"><text class="d0">{words}</text></svg>'
    )


def test_grey_samples_are_exact_and_colours_have_fewer_levels() -> None:
    """Coloured noise, which no lossless form makes smaller, was most of a page of five views."""
    values = np.random.default_rng(0).integers(0, 256, (10, 3, 28, 28))
    grey = np.repeat(values[:, :1], 3, axis=1)
    for images, error in ((grey, 0), (values, 4)):
        uri, width, height = _strip(images / np.float32(255))
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))
        assert shown.shape == (height, width, 3)
        strip = np.concatenate([np.pad(image.transpose(1, 2, 0), ((0, 0), (0, 1), (0, 0))) for image in images], axis=1)
        kept = np.arange(width) % 29 < 28
        assert np.abs(strip - shown.astype(int))[:, kept].max() == error
