"""Which tasks are measured: of two and three modalities all; of more those that the protocol's seed draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mmbench.cells.tasks import measured_tasks
from mmbench.cells.workshop import deciding
from mmbench.config import Protocol, digest
from mmbench.data.dataset import Dataset, DatasetSource, Split
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec, Modality, Task
from mmbench.store import protocol_hash

from .conftest import only


def spec(count: int) -> DatasetSpec:
    names = [f"m{k}" for k in range(count)]
    modalities = tuple(Modality(name=n, shape=(1, 16, 16), network="mnist_mlp", latent=4) for n in names)
    name = "views" if count == 5 else f"views_{count}"
    return DatasetSpec(name=name, title="Views", modalities=modalities, classes=2, metrics=("coherence",))


def drawn(count: int, most: int | None, seed: int = 0) -> tuple[Task, ...]:
    return measured_tasks(spec(count), Protocol(subsets_per_size=most, seed=seed))


@pytest.mark.parametrize("count", [2, 3])
def test_of_two_and_three_modalities_all(count: int) -> None:
    for most in (None, 1):
        assert drawn(count, most) == spec(count).tasks()


def test_all_subsets_of_five() -> None:
    assert drawn(5, None) == drawn(5, 10) == spec(5).tasks()


@pytest.mark.parametrize("most", [1, 2, 7])
def test_so_many_of_each_size(most: int) -> None:
    tasks = drawn(5, most)
    assert tasks[0] == Task((), spec(5).names)
    sizes = Counter(len(task.given) for task in tasks[1:])
    assert sizes == {k: min(most, c) for k, c in ((1, 5), (2, 10), (3, 10), (4, 5))}
    assert set(tasks) <= set(spec(5).tasks())
    assert len(set(tasks)) == len(tasks)


def test_the_protocols_seed_draws_them() -> None:
    assert drawn(5, 2, seed=1) == drawn(5, 2, seed=1)
    assert len({drawn(5, 2, seed=seed) for seed in range(8)}) > 4


def test_every_subset_is_as_likely() -> None:
    counts = Counter(task.given for seed in range(600) for task in drawn(5, 1, seed) if len(task.given) == 2)
    assert len(counts) == 10
    assert sum((n - 60) ** 2 / 60 for n in counts.values()) < 21.7  # chi-squared of 9 degrees of freedom, p = 0.01


def test_the_work_grows_with_what_is_drawn_not_with_two_to_the_m() -> None:
    """Of 40 modalities there are a million million subsets: who went over them would not come to an end."""
    assert len(drawn(40, 2)) == 1 + 2 * 39


@pytest.mark.parametrize(
    ("budget", "before"), [("smoke", "5b6cc22ff9"), ("laptop", "09106cd7da"), ("paper", "5682e8ed32")]
)
def test_protocols_of_few_modalities_are_what_they_were(budget: str, before: str) -> None:
    """Hashes of the version before subsets were drawn: cells keep their names, and their tables."""
    assert digest(deciding(Protocol.recipe(budget))) == before  # type: ignore[arg-type]


def test_cells_written_before_share_a_table_with_those_written_now() -> None:
    def cell(protocol: dict[str, object]) -> str:
        return protocol_hash({"protocol": protocol})  # type: ignore[typeddict-item]

    assert (
        cell({"count": 5}) == cell({"count": 5, "subsets_per_size": None}) != cell({"count": 5, "subsets_per_size": 2})
    )


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"eval\.subsets_per_size must be at least 1, got 0"):
        Protocol(subsets_per_size=0)


def test_on_few_modalities_it_would_do_nothing(engine: Callable) -> None:
    made, _ = engine(settings=("eval.subsets_per_size=2",))
    with pytest.raises(ConfigError, match=r"eval\.subsets_per_size does nothing on Glyphs: of 3 modalities"):
        made.plan()


class Views(DatasetSource):
    """Five views of 16 x 16 in memory; a part may be asked for."""

    title = summary = "Views"
    view_counts = range(2, 6)

    def load(self, root: Path, cache: Path) -> Dataset:
        own = spec(self.views or 5)
        draws = torch.Generator().manual_seed(0)

        def split(count: int) -> Split:
            labels = torch.arange(count) % 2
            items = {n: (torch.rand(count, 1, 16, 16, generator=draws) * 255).byte() for n in own.names}
            return Split(items, torch.arange(count)[:, None].expand(-1, len(items)).int().contiguous(), labels)

        return Dataset(own, split(64), split(32))


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmbench import plugins

    load, find = plugins.load, plugins.find
    monkeypatch.setattr(plugins, "load", lambda g, n, base=None: Views if n == "views" else load(g, n, base))
    monkeypatch.setattr(plugins, "find", lambda g, n: None if n == "views" else find(g, n))


def test_a_cell_of_five_views_draws_each_condition_once(engine: Callable, home: Path, views: None) -> None:
    """At 'smoke' one subset of each size: joint, four conditions, five reconstructions; a row for each target."""
    made, _ = engine(dataset="views")
    assert len(made.run().complete) == 1
    cell = only(home)
    phases = [phase.removeprefix("generate ") for phase in cell["time"] if phase.startswith("generate ")]
    tasks = drawn(5, 1)
    assert phases == [*(task.name for task in tasks), *(f"m{k}->m{k}" for k in range(5))]
    rows = {(r["task"], r["modality"]) for r in cell["rows"] if r["source"] == "model" and r["metric"] == "coherence"}
    conditional = {(task.name, name) for task in tasks[1:] for name in task.targets}
    assert conditional < rows
    assert len(conditional) == 4 + 3 + 2 + 1
    assert {r["task"] for r in cell["rows"] if r["source"] == "real"} == {task.name for task in tasks}
    assert cell["protocol"]["subsets_per_size"] == 1
    assert not any(name.startswith("eval.subsets") for name in cell["overrides"])


@pytest.mark.parametrize("count", [1, 6, 0])
def test_numbers_of_views_that_there_are_not(engine: Callable, views: None, count: int) -> None:
    with pytest.raises(ConfigError, match=rf"--views {count}: views has 2 to 5 views"):
        engine(dataset="views", views=count)[0].plan()


def test_a_dataset_without_views_says_so(engine: Callable) -> None:
    with pytest.raises(ConfigError, match="--views 2: glyphs always has the same modalities"):
        engine(views=2)[0].plan()


def test_views_reach_the_source(engine: Callable, views: None) -> None:
    (cell,) = engine(dataset="views", views=4)[0].plan()
    assert cell.key.dataset == "views_4"
