"""A sweep end to end: its cells, and which of them are measured or sampled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmbench.cells.request import Request
from mmbench.engine.engine import Engine
from mmbench.errors import ConfigError, MmbenchError, PluginError, ResultError

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


def test_another_network_and_latent_of_all_models_is_in_the_cell_and_its_own_tables(engine: Make, home: Path) -> None:
    plain = engine(settings=SWEPT)[0]
    own = plain.plan()[0].key
    equipped = engine(settings=SWEPT, networks=("pen=svhn_conv",), latents=("sign=5",))
    with pytest.raises(PluginError, match=r"'svhn_conv' does not fit the modality 'pen'.*mnist_mlp"):
        equipped[0].plan()
    assert not list((home / "runs").rglob("stage")), "before anything was trained"
    changes = {"settings": SWEPT, "networks": ("pen=polymnist_conv",), "latents": ("sign=5",)}
    assert len(engine(**changes)[0].run().complete) == 1
    (cell,) = found(home)
    given = {m["name"]: (m["network"], m["latent"]) for m in cell["dataset"]["modalities"]}
    assert given["pen"][0] == "polymnist_conv"
    assert given["sign"][1] == 5
    assert cell["hash"] != own.hash
    assert engine(settings=SWEPT)[0].plan()[0].key == own, "a cell without these options keeps its identity"
    engine(models=(), settings=(), again=True)[0].evaluate()
    assert found(home)[0]["dataset"] == cell["dataset"], "measured again with the networks it was trained with"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"networks": ("pne=mnist_mlp",)}, "has no modality 'pne'"),
        ({"networks": ("pen=mnist_mpl",)}, "there is no network 'mnist_mpl'"),
        ({"networks": ("pen",)}, "--network takes MODALITY=VALUE"),
        ({"networks": ("pen=mnist_mlp", "pen=svhn_conv")}, "--network pen is given twice"),
        ({"latents": ("pen=big",)}, "write a whole number"),
        ({"latents": ("pen=0",)}, "write a whole number"),
    ],
)
def test_networks_and_latents_that_are_none_are_refused(engine: Make, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MmbenchError, match=said):
        engine(settings=SWEPT, **changes)[0].plan()
