"""The code of the tutorials: what a page shows is a file of examples/, which runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mmbench
from mmbench.checks import CHECKS, METRIC_CHECKS, check_metric, check_model, check_network
from mmbench.data import glyphs
from mmbench.data.named import source_of

from .conftest import ROOT

EXAMPLES = ROOT / "examples"
INCLUDED = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BRIEF = ("schedule.steps=4", "eval.count=20", "eval.quality_count=20", "eval.judge.steps=4")


def blocks(page: Path) -> list[str]:
    """The Python of a page that is written in it."""
    found = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in found if "--8<--" not in block and "parametrize_with_checks" not in block]


WRITTEN = [pytest.param(block, id=f"{page.stem}-{k}") for page in PAGES for k, block in enumerate(blocks(page))]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (EXAMPLES, EXAMPLES / "two_stages"):
        monkeypatch.syspath_prepend(folder)


def test_every_example_stands_in_a_page() -> None:
    shown = {ROOT / path for page in PAGES for path in INCLUDED.findall(page.read_text())}
    assert all(path.is_file() for path in shown)
    assert {path for path in EXAMPLES.rglob("*.py") if path.name != "demo.py"} <= shown


def test_the_network_keeps_its_contract() -> None:
    assert all(result.passed for result in check_network("own_network:SMALL_CONV"))


def test_the_metric_knows_the_distance_of_shifted_points() -> None:
    """Along an axis a, points that are shifted by d lie |d a| apart: of random directions in one dimension, |d|."""
    import torch
    from own_metric import sliced  # pyright: ignore[reportMissingImports]

    real = torch.linspace(0, 1, 50)[:, None]
    assert sliced(real + 3.0, real) == pytest.approx(3.0, rel=1e-6)
    assert sliced(real[torch.randperm(50, generator=torch.Generator().manual_seed(0))], real) == 0.0


def test_the_description_reads_photos_and_sketches(tmp_path: Path) -> None:
    """Of other sizes than it asks for; of ten items in two folders, two test."""
    for kind, (folder, mode) in enumerate((("photos", "RGB"), ("sketches", "L"))):
        for name in ("cat", "dog"):
            for k in range(5):
                path = tmp_path / folder / name / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new(mode, (40, 36), 60 * kind).save(path)
    (tmp_path / "photos.toml").write_bytes((EXAMPLES / "photos.toml").read_bytes())
    data = source_of(str(tmp_path / "photos.toml")).load(tmp_path, tmp_path)
    assert {m.name: m.shape for m in data.spec.modalities} == {"photo": (3, 32, 32), "sketch": (1, 28, 28)}
    assert (len(data.train), len(data.test), data.spec.classes) == (8, 2, 2)


@pytest.mark.slow
def test_the_metric_keeps_its_contract() -> None:
    results = check_metric("own_metric:SlicedDistance")
    assert [result.name for result in results] == list(METRIC_CHECKS)
    assert all(result.passed for result in results), [result.line() for result in results]


def test_the_model_in_stages_keeps_its_contract() -> None:
    results = check_model("mmbench_latent_flow:LatentFlow")
    assert [result.name for result in results] == list(CHECKS)
    assert all(result.passed for result in results), [result.line() for result in results]


@pytest.mark.parametrize("block", WRITTEN)
def test_what_is_written_in_a_page_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On fewer tuples, with fewer steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(glyphs, "COUNTS", (200, 60))
    run = mmbench.run

    def brief(model: str = "mvae", **more: Any) -> Any:
        own = [f"{name}={','.join(map(str, value))}" for name, value in dict(more.pop("set", {})).items()]
        return run(model, **more, set=[*own, *BRIEF])

    monkeypatch.setitem(vars(mmbench), "run", brief)
    exec(compile(block, "page", "exec"), {})
    assert mmbench.load_results("results").value.notna().all()


def test_there_is_something_written() -> None:
    assert len(WRITTEN) >= 2
