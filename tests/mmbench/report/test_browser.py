"""The page in a browser: no error, no request, no finding of axe; sorting, filters and copying by keyboard and mouse.

Needs playwright (`pip install -e .[dev]`), Chromium on the PATH (`apt-get install chromium`), and for the findings
axe-core (`npm install axe-core` at the repository's root, or MMBENCH_AXE=path/to/axe.min.js).
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbench.report.html import page as render
from mmbench.store import BadFile, Found, sample_key, write_samples

from ..cells import cell, keep_samples, mnist_svhn_rows, row
from .test_escape import WORDS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(os.environ.get("MMBENCH_AXE") or ROOT / "node_modules/axe-core/axe.min.js")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of three models, of names that try to be more than names, of a failure and a bad file."""
    folder = tmp_path_factory.mktemp("page")
    odd = " ".join(WORDS.values())[:300]
    made = [cell(model, seed) for model in ("mvae", "mld", "own") for seed in range(2)]
    for one in made:
        keep_samples(folder, one)
    made += [cell(odd, 0, dataset=f"z{odd}", modalities=["mnist", "svhn"], titles={"mnist": odd, "svhn": odd})]
    lost = [cell("own", 3, status="failed", reason=odd, rows=[])]
    path = folder / "report.html"
    path.write_text(render(Found(made, lost, [BadFile(Path("x"), odd)]), folder), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page that was opened, and what went wrong on it."""

    def __init__(self, browser: Any, address: str, **settings: Any) -> None:
        self.wrong: list[str] = []
        self.context = browser.new_context(**{"viewport": DESK, **settings})
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self._heard(request.url, address))
        self.page.goto(address)

    def _heard(self, url: str, address: str) -> None:
        if not url.startswith(("data:", address)):
            self.wrong.append(f"request: {url}")

    def first_column(self) -> list[str]:
        bodies = self.page.locator("#group-0-table-0 tbody:not(.reference):not([hidden])")
        return [bodies.nth(k).locator("th").first.inner_text().strip() for k in range(bodies.count())]


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    opened = Visit(browser, address)
    yield opened
    opened.context.close()
    assert opened.wrong == []


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)], ids=["light desk", "dark phone"])
@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core here: MMBENCH_AXE or node_modules/axe-core/axe.min.js")
def test_axe_finds_nothing_serious(browser: Any, address: str, scheme: str, size: dict[str, int]) -> None:
    visit = Visit(browser, address, color_scheme=scheme, viewport=size)
    visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    visit.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = visit.page.evaluate("axe.run()")
    visit.context.close()
    assert len(found["passes"]) > 20
    assert [
        (v["id"], v["nodes"][0]["html"]) for v in found["violations"] if v["impact"] in ("serious", "critical")
    ] == []
    assert visit.wrong == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_but_tables_is_wider_than_the_screen(browser: Any, address: str, size: dict[str, int]) -> None:
    visit = Visit(browser, address, viewport=size)
    width = visit.page.evaluate("document.documentElement.scrollWidth")
    sizes = visit.page.evaluate(
        "[...document.querySelectorAll('svg text')].filter((t) => t.getBoundingClientRect().height)"
        ".map((t) => parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.getScreenCTM().a)"
    )
    visit.context.close()
    assert width <= size["width"]
    assert sizes
    assert min(sizes) >= 8, "letters of plots can be read"
    assert visit.wrong == []


def test_a_click_sorts_and_says_so(visit: Visit) -> None:
    assert visit.first_column() == ["MVAE", "MLD", "own"]
    table = visit.page.locator("#group-0-table-0")
    head = table.locator("th[data-column='0']")
    head.locator("button").click()
    assert (visit.first_column(), head.get_attribute("aria-sort")) == (["MLD", "MVAE", "own"], "ascending")
    head.locator("button").focus()
    visit.page.keyboard.press("Enter")
    assert (visit.first_column(), head.get_attribute("aria-sort")) == (["own", "MVAE", "MLD"], "descending")
    assert "sorted by Model" in visit.page.locator("#status").inner_text()
    assert table.locator("tbody").last.get_attribute("class") == "reference", "real data stay at the foot"


def test_numbers_are_sorted_as_numbers_the_better_first(browser: Any, tmp_path: Path) -> None:
    values = {"mvae": 9.0, "mld": 100.0, "own": 25.5}
    made = [
        cell(model, 0, [row("coherence", "joint", "mnist+svhn", v), row("fmd", "joint", "mnist", v)])
        for model, v in values.items()
    ]
    path = tmp_path / "page.html"
    path.write_text(render(Found(made), tmp_path), encoding="utf-8")
    visit = Visit(browser, path.as_uri())
    orders = {}
    for label in (r"^Joint$", r"^Joint\(M\)( FMD)?$"):
        button = visit.page.get_by_role("button", name=re.compile(label))
        table = visit.page.locator("#group-0-numbers table.sortable", has=button).first
        table.get_by_role("button", name=re.compile(label)).click()
        bodies = table.locator("tbody:not(.reference)")
        orders[label[:10]] = [bodies.nth(k).locator("th").first.inner_text().strip() for k in range(bodies.count())]
    visit.context.close()
    assert list(orders.values()) == [["MLD", "own", "MVAE"], ["MVAE", "own", "MLD"]]
    assert visit.wrong == []


def test_a_model_that_is_not_shown_is_in_no_table_plot_or_grid(visit: Visit) -> None:
    box = visit.page.locator("#group-0 .filter input").nth(1)
    shown = visit.page.locator("#group-0 [data-line='1']:visible")
    before = shown.count()
    kinds = set(shown.evaluate_all("(parts) => parts.map((one) => one.tagName.toLowerCase())"))
    assert {"tbody", "tr", "g", "details"} <= kinds
    box.uncheck()
    assert shown.count() == 0
    assert visit.first_column() == ["MVAE", "own"]
    assert visit.page.locator("#status").inner_text() == "2 of 3 models shown"
    box.check()
    assert shown.count() == before
    assert visit.page.locator("#group-1 [data-line='0']:visible").count(), "other data keep theirs"


@pytest.mark.parametrize("form", ["CSV", "Markdown", "LaTeX"])
def test_what_is_copied_is_what_is_shown(visit: Visit, form: str) -> None:
    visit.page.locator("#group-0 .filter input").nth(0).uncheck()
    visit.page.locator("#group-0-table-0 th[data-column='0'] button").click()
    button = visit.page.locator(f"button[data-table='group-0-table-0'][data-copy='{form}']")
    button.click()
    sync_api.expect(visit.page.locator("#status")).to_have_text(re.compile("^Copied"))
    text = str(button.get_attribute("data-copied"))
    lines = [line for line in text.split("\n") if line.startswith(("MLD", "own", "| MLD", "| own", "MVAE"))]
    assert [line.lstrip("| ").split(" ")[0].split(",")[0] for line in lines] == ["MLD", "own"]
    if form == "CSV":
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(line) for line in rows}) == 1
        assert rows[0][2:4] == ["Coherence (% ↑) Joint", "Coherence (% ↑) Joint std"]
        assert rows[1][2:4] == ["40.50", "0.71"]
    elif form == "Markdown":
        assert len({line.count("|") for line in text.strip().split("\n") if line.startswith("|")}) == 1
        assert "40.50 ± 0.71" in lines[0]
    else:
        assert r"\textbf{40.50 $\pm$ 0.71} &" in lines[0]
        assert r"\cmidrule(lr){3-" in text
        assert text.startswith("% MNIST\\_SVHN: ")
        assert all(line.startswith("%") for line in text.partition(r"\begin{tabular}")[0].strip().split("\n"))
        assert text.count(r"\midrule") == 2
        models, _, data = text.rpartition(r"\midrule")
        assert "own" in models
        assert "91.50" in data, "the real data's, below a rule"
        assert text.count(r"\begin{tabular}{") == text.count(r"\end{tabular}") == 1


def copied(visit: Visit, table: str, form: str) -> str:
    button = visit.page.locator(f"button[data-table='{table}'][data-copy='{form}']")
    button.click()
    sync_api.expect(visit.page.locator("#status")).to_have_text(re.compile("^Copied"))
    return str(button.get_attribute("data-copied"))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page of one seed, whose coherence has an interval; many columns."""
    folder = tmp_path_factory.mktemp("single")
    made = []
    for model, value in (("mvae", 13.0), ("mld", 78.5)):
        rows = mnist_svhn_rows()
        rows[0] |= {"value": value, "interval": [value - 2.95, value + 3.65]}
        made.append(cell(model, 0, rows, budget="smoke"))
        keep_samples(folder, made[-1])
    path = folder / "report.html"
    path.write_text(render(Found(made), folder), encoding="utf-8")
    return path.as_uri()


def test_a_copy_has_the_ends_of_intervals_as_numbers_and_says_how_to_read_it(browser: Any, single: str) -> None:
    visit = Visit(browser, single)
    caption = visit.page.locator("#group-0-table-0 caption").inner_text()
    notes = visit.page.locator("#group-0-numbers > .words > li").all_inner_texts()
    rows = list(csv.reader(io.StringIO(copied(visit, "group-0-table-0", "CSV"))))
    said = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    joint = next(name for name in rows[0] if name.endswith(" Joint"))
    parts = ("", " low", " high", " mark")  # 10.05 is not above the 10.25 of shuffled tuples
    assert [said[0][joint + part] for part in parts] == ["13.00", "10.05", "16.65", "‡"]
    assert "[" not in "".join(rows[1])
    for form in ("Markdown", "LaTeX"):
        text = copied(visit, "group-0-table-0", form)
        assert caption.split(":")[0].replace("_", r"\_" if form == "LaTeX" else "_") in text
        assert notes[0][:20] in text
    visit.context.close()
    assert visit.wrong == []


def test_a_phone_shows_whose_numbers_they_are_and_that_there_are_more(browser: Any, single: str) -> None:
    visit = Visit(browser, single, viewport=PHONE)
    page = visit.page
    region = page.locator(".scroll:has(#group-0-costs-table)")
    before = region.locator("tbody th").first.bounding_box()["x"]
    hint = region.locator("xpath=following-sibling::p[@class='hint']")
    assert "scroll" in hint.inner_text()
    assert "more" in region.locator("xpath=..").get_attribute("class").split()
    region.evaluate("(one) => { one.scrollLeft = one.scrollWidth; }")
    sync_api.expect(page.locator(".table:has(#group-0-costs-table)")).not_to_have_class(re.compile(r"\bmore\b"))
    assert region.locator("tbody th").first.bounding_box()["x"] == before
    assert not page.locator("#group-0-costs-table tbody td").first.is_visible(), "the number of seeds"
    assert page.locator("#group-0-costs-table tbody td").nth(1).is_visible()
    visit.context.close()
    assert visit.wrong == []


def test_a_phone_shows_all_samples_of_a_row_and_words_whole(browser: Any, tmp_path: Path) -> None:
    """Ten in a row, each row's title above it."""
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    made = cell("mld", 0, [row("coherence", "mnist->svhn", "svhn", 50.0)])
    pictures = np.zeros((10, 1, 28, 28), dtype=np.uint8) + np.arange(10, dtype=np.uint8)[:, None, None, None]
    arrays = {sample_key("mnist->name", "given", "mnist"): pictures}
    arrays[sample_key("mnist->name", "target", "name")] = np.array(names)
    write_samples(tmp_path / str(made["samples"]), arrays)
    path = tmp_path / "page.html"
    path.write_text(render(Found([made]), tmp_path), encoding="utf-8")
    visit = Visit(browser, path.as_uri(), viewport=PHONE)
    grid = visit.page.locator("table.samples").first
    assert grid.locator(".over").all_inner_texts() == ["given: mnist (M)", "MLD"]
    for part in (grid.locator("img").first, *grid.locator("li").all()):
        box = part.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    heights = {round(li.bounding_box()["height"]) for li in grid.locator("li").all()}
    assert len(heights) == 1, "no word is broken"
    visit.context.close()
    assert visit.wrong == []


@pytest.mark.parametrize(("size", "folded"), [(PHONE, True), (DESK, False)], ids=["phone", "desk"])
def test_a_phone_shows_the_first_warning_and_folds_the_others(
    browser: Any, single: str, size: dict[str, int], folded: bool
) -> None:
    visit = Visit(browser, single, viewport=size)
    seen = visit.page.locator(".warnings li:visible").count()
    every = visit.page.locator(".warnings li").count()
    visit.context.close()
    assert every > 1
    assert seen == (1 if folded else every)


def test_the_costs_fit_a_desk(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    over = visit.page.locator(".scroll:has(#group-0-costs-table)").evaluate(
        "(one) => one.scrollWidth - one.clientWidth"
    )
    visit.context.close()
    assert over <= 0


@pytest.mark.parametrize("form", ["CSV", "Markdown", "LaTeX"])
def test_odd_names_are_copied_as_names(visit: Visit, form: str) -> None:
    button = visit.page.locator(f"button[data-table='group-1-table-0'][data-copy='{form}']")
    button.click()
    sync_api.expect(visit.page.locator("#status")).to_have_text(re.compile("^Copied"))
    text = str(button.get_attribute("data-copied"))
    if form == "CSV":
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(line) for line in rows}) == 1
        assert "<script>alert(1)</script>" in rows[1][0]
    elif form == "Markdown":
        assert len({line.count("|") for line in text.strip().split("\n") if line.startswith("|")}) == 1
        assert "<" not in text
    else:
        assert r"\textbackslash{}input\{/etc/passwd\}" in text
        bare = text.replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}")


def test_the_keyboard_comes_to_the_results_first_and_print_unfolds(visit: Visit) -> None:
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.className") == "skip"
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.activeElement.id") == "main"
    visit.page.emulate_media(media="print")
    assert not visit.page.locator(".tools:visible, .filter:visible, nav:visible").count()
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not visit.page.locator("details:not([open])").count()
    visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not visit.page.locator("details[open]").count()
    assert len(visit.page.pdf()) > 20_000
