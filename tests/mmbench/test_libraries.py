"""Models of another library by way of somebody's adapter: 'library:Name'."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmbench.cells.request import expanded
from mmbench.errors import PluginError
from mmbench.model import Model
from mmbench.plugins import MODELS, available, find, load

POINTS = """[mmbench.models.otherlib]
Fine = adapter_of_otherlib:Fine
Strange = adapter_of_otherlib:Strange
[mmbench.models.json]
Parsed = adapter_of_otherlib:Fine
"""
ADAPTER = """
from mmbench.model import Model
class Fine(Model):
    def build(*_): ...
    def stages(self): ...
    def generate(self, *_): ...
class Strange: ...
"""


@pytest.fixture
def adapted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution 'adapters' with models of `otherlib`, which is not installed yet, and of `json`, which is."""
    info = tmp_path / "adapters-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: adapters\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "adapter_of_otherlib.py").write_text(ADAPTER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for module in ("adapter_of_otherlib", "otherlib"):
        sys.modules.pop(module, None)


def test_they_are_listed_where_the_library_is_installed(adapted: Path) -> None:
    names = set(available(MODELS))
    assert "json:Parsed" in names
    assert not {name for name in names if name.startswith("otherlib")}
    (adapted / "otherlib.py").write_text("raise RuntimeError('listing imports nothing')")
    listed = available(MODELS)
    assert {"otherlib:Fine", "otherlib:Strange"} <= set(listed)
    assert listed["otherlib:Fine"].source == "adapters 1.2"


def test_where_it_is_not_the_sentence_says_how_to_get_it(adapted: Path) -> None:
    with pytest.raises(PluginError, match=r"otherlib:Fine needs .* otherlib, .* pip install 'adapters\[otherlib\]'"):
        load(MODELS, "otherlib:Fine", Model)


def test_they_are_loaded_by_name_and_near_names_are_told(adapted: Path) -> None:
    (adapted / "otherlib.py").write_text("")
    assert load(MODELS, "otherlib:Fine", Model).__name__ == "Fine"
    with pytest.raises(PluginError, match="there is no model 'Fin' of otherlib; did you mean 'Fine'"):
        find(MODELS, "otherlib:Fin")
    with pytest.raises(PluginError, match=r"'otherlib:Strange' of adapters 1\.2 must be a class that derives from"):
        load(MODELS, "otherlib:Strange", Model)


def test_a_strangers_own_module_is_named_as_ever(adapted: Path) -> None:
    """Nobody adapts it: the class is looked for in it."""
    assert find(MODELS, "adapter_of_otherlib:Fine").distribution == "adapter_of_otherlib"
    assert load(MODELS, "adapter_of_otherlib:Fine", Model).__name__ == "Fine"


def test_all_stands_for_none_of_them(adapted: Path) -> None:
    assert not [name for name in expanded(["all"]) if ":" in name]
    assert expanded(["json:Parsed"]) == ["json:Parsed"]
