"""What the benchmarks import of the house is there: nobody runs them in every change."""

import importlib
import inspect
from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_imported(name):
    assert inspect.getmodule(importlib.import_module(name)).__doc__
