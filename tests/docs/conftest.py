"""The documentation, built once for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
CODE = ("pre", "code", "script", "style")
QUIET = {"NO_COLOR": "1", "NO_MKDOCS_2_WARNING": "1"}
"""The theme's notice of its successor is none of ours."""
TOOLS = ("mkdocs", "material", "mkdocstrings", "latex2mathml")


class Page(HTMLParser):
    """What one page refers to, and what can be referred to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.anchors, self.links, self.loaded = path, set[str](), list[str](), list[str]()
        self.words, self.prose, self.within = list[str](), list[str](), 0
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within += tag in CODE
        known = {name: value or "" for name, value in attrs}
        self.anchors |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.links.append(known["href"])
        elif tag != "link" or known.get("rel") not in ("canonical", "prev", "next"):
            self.loaded += [known[name] for name in ("src", "href", "data", "poster") if known.get(name)]
            self.loaded += [part.split()[0] for part in known.get("srcset", "").split(",") if part.strip()]

    def handle_endtag(self, tag: str) -> None:
        self.within -= tag in CODE

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if not self.within:
            self.prose.append(data)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the strict build, in which a warning is an error; skipped where its tools are not installed. The
    processes of one run share it."""
    for tool in TOOLS:
        pytest.importorskip(tool, reason=f"{tool} is not installed: pip install -e '.[dev]'")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(shared / "site.lock"):
        if not (shared / "site.built").exists():
            build(shared / "site")
            (shared / "site.built").touch()
    return shared / "site"


def build(folder: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | QUIET)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}
