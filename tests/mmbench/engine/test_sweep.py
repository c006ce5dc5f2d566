"""A sweep end to end: its cells, and which of them are measured or sampled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmbench.cells.request import Request
from mmbench.engine.engine import Engine
from mmbench.errors import ConfigError, ResultError

from .conftest import TINY, Notes, asked

SWEPT = ("schedule.steps=4", *TINY)
Make = Callable[..., tuple[Engine, Notes]]


def found(home: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((home / "results").rglob("seed-?.json"))]


def test_values_make_cells_whose_identity_is_that_of_single_ones(engine: Make, home: Path) -> None:
    swept, notes = engine(settings=(*SWEPT, "latent=4,6"))
    cells = swept.plan()
    assert [cell.varied for cell in cells] == [("latent=4",), ("latent=6",)]
    assert cells[0].who.endswith("latent=4 seed 0")
    alone = [engine(settings=(*SWEPT, f"latent={n}"))[0].plan()[0].key for n in (4, 6)]
    assert [cell.key for cell in cells] == alone, "a sweep finds the cells of single runs"
    same = engine(settings=(*SWEPT, "latent=4", "latent=4,4.0"))[0].plan()
    assert [cell.key for cell in same] == alone[:1], "one value in two spellings is one cell"
    assert not notes.said


def test_evaluate_and_sample_choose_by_setting(engine: Make, home: Path) -> None:
    assert len(engine(settings=(*SWEPT, "latent=4,6,7"))[0].run().complete) == 3
    assert sorted(cell["config"]["latent"] for cell in found(home)) == [4, 6, 7]
    measured = engine(settings=("latent=4,7",), again=True)[0].evaluate()
    assert len(measured.extended) == 2
    plan = engine(settings=("latent=6",))[0].sample((), (), 2, 0)
    config = next(cell["config"] for cell in found(home) if cell["hash"] == plan.key.hash)
    assert config["latent"] == 6
    assert (
        engine(models=(), settings=("my_net:Net.latent=6",), again=True)[0].evaluate().extended[0].hash == plan.key.hash
    )
    with pytest.raises(ResultError, match="none has latent=5; latent is 4, 6, 7 there"):
        engine(settings=("latent=5",))[0].evaluate()
    with pytest.raises(ResultError, match="there is no setting 'latnt'"):
        engine(models=(), settings=("latnt=5",))[0].evaluate()


def test_zip_with_nothing_to_pair_is_refused(home: Path, engine: Make) -> None:
    request: Request = asked(home, settings=(*SWEPT, "latent=4,6"), zip=True)
    with pytest.raises(ConfigError, match="--zip pairs the values of two settings"):
        Engine(request, Notes())
