"""The built site: strict, whole, and without a word to anybody outside."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from pydantic import TypeAdapter

from mmbench.store.schema import Cell

from .conftest import ROOT, Page

OUTSIDE = re.compile(r"(?:https?:)?//[\w.-]+\.\w", re.IGNORECASE)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_every_page_is_there(pages: dict[Path, Page], site: Path) -> None:
    written = {p.relative_to(ROOT / "docs").with_suffix(".html") for p in (ROOT / "docs").rglob("*.md")}
    assert {page.relative_to(site) for page in pages} == written | {Path("404.html")}
    assert len(written) > 20


def test_all_links_inside_resolve(pages: dict[Path, Page]) -> None:
    lost = []
    for path, page in pages.items():
        for link in page.links:
            url, anchor = urldefrag(link)
            if urlsplit(url).scheme or path.name == "404.html":  # whose links are those of a server's root
                continue
            target = (path.parent / unquote(url)).resolve() if url else path
            if not target.is_file() or (anchor and target in pages and unquote(anchor) not in pages[target].anchors):
                lost.append(f"{path.name}: {link}")
    assert lost == []


def test_no_page_loads_anything_from_outside(pages: dict[Path, Page], site: Path) -> None:
    loaded = {(path.name, what) for path, page in pages.items() for what in page.loaded if OUTSIDE.match(what)}
    assert loaded == set()
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", sheet.read_text()), sheet.name


def test_what_pages_load_is_there(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for what in page.loaded if path.name != "404.html" else ():
            file = what.partition("#")[0].partition("?")[0]
            assert what.startswith("data:") or (path.parent / file).is_file() or not file, f"{path.name}: {what}"


def test_formulas_are_drawn_by_the_browser(pages: dict[Path, Page], site: Path) -> None:
    models = list((site / "models").glob("*.html"))
    assert all("<math" in path.read_text() for path in models if path.name != "multivae.html")
    for path, page in pages.items():
        text = path.read_text()
        assert "arithmatex" not in text, path.name
        assert "mathvariant" not in text.replace('mathvariant="normal"', ""), f"{path.name}: browsers draw letters"
        assert not re.search(r"\$\\?\w+|\\\(|\{\{ ", "".join(page.prose)), path.name


def test_the_form_of_a_cell_is_the_schemas(pages: dict[Path, Page], site: Path) -> None:
    """Every record and key that pydantic knows stands on the page."""
    known: dict[str, Any] = TypeAdapter(Cell).json_schema()
    page = pages[site / "results.html"]
    cells = {word.strip() for word in page.words}
    for name, record in {**known["$defs"], "Cell": known}.items():
        if "properties" in record:
            assert name.lower() in page.anchors
            assert set(record["properties"]) <= cells, name


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the pages in")
def test_a_browser_asks_nobody(site: Path) -> None:
    """On a desktop and on a phone; nothing is wider than the screen."""
    api = pytest.importorskip("playwright.sync_api")
    asked: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width, scheme in ((1280, "light"), (390, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.on("request", lambda request: asked.append(request.url))
            for name in ("index", "models/mld", "metrics", "results", "tutorials/model", "differences"):
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        browser.close()
    assert len(asked) > 12
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_tutorials_show_the_whole_of_their_files(pages: dict[Path, Page], site: Path) -> None:
    for name, file in (
        ("model", "new_baseline/mmbench_joint_vae/__init__.py"),
        ("stages", "two_stages/mmbench_latent_flow/__init__.py"),
        ("dataset", "weather.py"),
        ("network", "own_network.py"),
        ("metric", "own_metric.py"),
    ):
        shown = "".join(pages[site / "tutorials" / f"{name}.html"].words)
        assert (ROOT / "examples" / file).read_text().strip() in shown, name
