"""What a cell's file says of its cost, against layers counted by hand."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest
import torch

from mmbench.cells.cost import cost_record
from mmbench.cells.measuring import Measurement
from mmbench.cells.memory import Peak
from mmbench.store.schema import fault
from mmbench.training import StageRecord

from .conftest import TINY, only
from .test_artefacts import MLD
from .test_measuring import Cut


def test_a_cell_says_what_it_took(home: Path, engine) -> None:
    engine(models=("mld",), settings=(*MLD, *TINY))[0].run()
    cell, cost = only(home), only(home)["cost"]
    stages = cell["stages"].values()
    assert cost["parameters"] == sum(stage["parameters"] for stage in stages), "each is of one stage"
    assert cost["gflop"] == pytest.approx(sum(stage["gflop"] for stage in stages))
    assert all(stage["gflop"] > 0 for stage in stages)
    joint = dict(cost["calls"]["joint"])
    assert joint.pop("score") == 4 + 2 * len(range(0, 4 - 2, 2)), "each jump back walks 2 steps again"
    assert set(joint.values()) == {1}, "the decoders"
    assert len(joint) == 3
    own = ("autoencoders.pen.encoder", "standardisers.pen", "autoencoders.pen.decoder")
    assert cost["calls"]["pen->pen"] == dict.fromkeys(own, 1)
    assert cost["memory"] > 50
    assert "process" in cost["memory_of"]


class Inferring(Cut):
    """In torch's inference mode, which some ways of counting do not see into."""

    @torch.inference_mode()
    def generate(self, *arguments, **more):
        return super().generate(*arguments, **more)


class Broken(Cut):
    """Draws no single sample."""

    def generate(self, *arguments, count, **more):
        return 1 / (count - 1)


@pytest.mark.parametrize(("kind", "flops"), [(Cut, 4), (Inferring, 4), (Broken, None)])
def test_operations_of_one_joint_sample(kind, flops) -> None:
    """Two calls of a layer from one number to one: a product and a sum each."""
    stages = {"a": StageRecord(gflop=1.5), "b": StageRecord(gflop=2.0)}
    cost = cost_record(kind(), stages, Measurement(), Peak(torch.device("cpu")))
    assert cost["gflop_per_sample"] == (None if flops is None else flops / 1e9)
    assert (cost["parameters"], cost["gflop"]) == (2, 3.5)
    unknown = {**stages, "c": StageRecord()}
    assert cost_record(kind(), unknown, Measurement(), Peak(torch.device("cpu")))["gflop"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the largest resident set is that of the whole process")
def test_memory_is_counted_from_the_beginning_of_a_cell() -> None:
    size = 300_000_000
    before = Peak(torch.device("cpu"))
    with mmap.mmap(-1, size) as held:
        held.write(b"1" * size)
    most = before.megabytes()
    after = Peak(torch.device("cpu")).megabytes()
    assert most is not None
    assert after is not None
    assert most - after > 0.9 * size / 1e6
    assert before.of == "resident set of the process, since the cell began"


def test_a_file_says_its_cost_or_nothing_of_it(home: Path, engine) -> None:
    engine(models=("mvae",), settings=("schedule.steps=4", *TINY))[0].run()
    cell = only(home)
    assert fault(cell) is None
    for key in ("parameters", "gflop"):
        del cell["stages"]["elbo"][key]
    cost = cell.pop("cost")
    assert fault(cell) is None, "as earlier versions wrote it"
    for wrong in ({"gflop": -1.0}, {"gflop": "much"}, {"memory": 1e200}, {"parameters": 0.5}, {"calls": {"joint": 1}}):
        assert "cost" in str(fault({**cell, "cost": cost | wrong})), wrong
    assert fault({**cell, "cost": cost | {"gflop": None, "gflop_per_sample": None, "memory": None}}) is None
