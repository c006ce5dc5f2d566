"""`help` of a public class shows what stands below its fields in the source, which griffe reads as an outsider."""

from __future__ import annotations

import dataclasses
import importlib
import pydoc
import sys
from functools import cache
from typing import Any

import pytest

import mmbench
from mmbench import plugins
from mmbench.described import described

griffe = pytest.importorskip("griffe", reason="griffe comes with the tools of the documentation")
MODULES = (
    *("mmbench.model", "mmbench.metric", "mmbench.modality", "mmbench.config", "mmbench.bench", "mmbench.networks"),
    *("mmbench.data.dataset", "mmbench.checks", "mmbench_mld.moves", "mmbench_mld.schedule", "mmbench_mld.config"),
    *("mmbench_baselines.config",),
)
BY_ARGUMENTS = {"Split", "Dataset"}
"""Classes whose own docstring lists their fields."""


def classes() -> dict[str, type]:
    """Every public class with fields: of `import mmbench`, of the modules for authors, and the models' settings."""
    found = [getattr(mmbench, name) for name in mmbench.__all__]
    for module in map(importlib.import_module, MODULES):
        found += [getattr(module, name) for name in module.__all__]
    found += [plugins.load(plugins.MODELS, name).Config for name in plugins.available(plugins.MODELS)]
    return {f"{c.__module__}.{c.__qualname__}": c for c in found if isinstance(c, type) and told(c)}


@cache
def package(name: str) -> Any:
    return griffe.load(name, allow_inspection=False)


def told(cls: type) -> dict[str, str]:
    """Public field -> the first line of what stands below it in the source of the class and of its bases."""
    found = {}
    for base in cls.__mro__:
        if base.__module__.startswith("mmbench"):
            source = package(base.__module__.partition(".")[0])[
                f"{base.__module__}.{base.__qualname__}".partition(".")[2]
            ]
            for name, field in source.attributes.items():
                if name[0] != "_" and field.docstring and field.annotation and "property" not in field.labels:
                    found.setdefault(name, field.docstring.value.splitlines()[0])
    return found if dataclasses.is_dataclass(cls) or cls.__name__ in ("Model", "Metric", "DatasetSource") else {}


CASES = classes()


def test_there_are_many() -> None:
    assert {"mmbench.model.Stage", "mmbench.modality.Modality", "mmbench.config.Schedule"} <= set(CASES)
    assert {"mmbench.model.Model", "mmbench.metric.Metric", "mmbench_mld.moves.Sampler"} <= set(CASES)
    assert len(CASES) > 30


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].__name__ not in BY_ARGUMENTS])
def test_help_shows_the_fields(name: str) -> None:
    shown = " ".join(pydoc.plain(pydoc.render_doc(CASES[name])).replace(" |  ", " ").split())
    for field, line in told(CASES[name]).items():
        assert f"{field}: " in shown
        assert " ".join(line.split()) in shown, field


def test_a_class_without_source_keeps_its_own_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nowhere", type(sys)("nowhere"))
    made = dataclasses.make_dataclass(
        "Made", [("x", int)], namespace={"__doc__": "Made here.", "__module__": "nowhere"}
    )
    assert described(made).__doc__ == "Made here."
