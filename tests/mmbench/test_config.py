"""Configurations: overrides, refusals that help, JSON, hashes, schedules and protocols."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Literal

import pytest

from mmbench.config import BUDGETS, Protocol, Schedule, canonical, digest, from_json, override, to_json
from mmbench.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    size: int = 3
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=150, batch_size=128, lr=1e-3))
    parts: Mapping[str, Part] = field(default_factory=lambda: {"a": Part(), "b": Part(size=4)})
    width: int = 512
    beta: float = 2.5
    prior: Literal["normal", "laplace"] = "normal"
    sizes: tuple[int, ...] = (1, 2)
    limit: float | None = None
    flag: bool = False

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ConfigError(f"width must be >= 1, got {self.width}")


# ---------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("width=64", Config(width=64)),
        ("beta=3", Config(beta=3.0)),
        ("beta=1e-3", Config(beta=1e-3)),
        (" width = 64", Config(width=64)),
        ("prior=laplace", Config(prior="laplace")),
        ('prior="laplace"', Config(prior="laplace")),
        ("sizes=[4,5,6]", Config(sizes=(4, 5, 6))),
        ("limit=0.5", Config(limit=0.5)),
        ("flag=true", Config(flag=True)),
        ("schedule.lr=0.01", Config(schedule=Schedule(epochs=150, batch_size=128, lr=0.01))),
        ("parts.b.size=7", Config(parts={"a": Part(), "b": Part(size=7)})),
        ('parts.a={"size": 9}', Config(parts={"a": Part(size=9), "b": Part(size=4)})),
    ],
)
def test_an_override_changes_one_field(setting: str, expected: Config) -> None:
    assert override(Config(), [setting]) == expected


@pytest.mark.parametrize("word", ["null", "none", "None"])
def test_none_is_written_as_null_or_none(word: str) -> None:
    assert override(Config(limit=1.0), [f"limit={word}"]).limit is None


def test_the_last_override_wins_and_the_original_stays() -> None:
    config = Config()
    assert override(config, ["width=1", "width=2"]).width == 2
    assert config == Config()


def test_no_override_is_the_same_configuration() -> None:
    assert override(Config(), []) == Config()


def test_steps_replace_epochs_and_the_reverse() -> None:
    steps = override(Config(), ["schedule.steps=20"])
    assert (steps.schedule.steps, steps.schedule.epochs) == (20, None)
    epochs = override(steps, ["schedule.epochs=1.5"])
    assert (epochs.schedule.steps, epochs.schedule.epochs) == (None, 1.5)


def test_steps_may_be_taken_away_only_for_epochs() -> None:
    with pytest.raises(ConfigError, match="either epochs or steps"):
        override(Config(), ["schedule.epochs=none"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("wdith=3", "there is no setting 'wdith'; did you mean 'width'"),
        ("schedule.learning=3", "there is no setting 'schedule.learning'; .*known: batch_size"),
        ("schedul.lr=3", "there is no setting 'schedul.lr'; did you mean 'schedule'"),
        ("parts.c.size=3", "there is no setting 'parts.c.size'; known: a, b"),
        ("parts.c=3", "there is no setting 'parts.c'; known: a, b"),
        ("width.x=3", "'width' in 'width.x' has no fields of its own"),
        ("width", "--set takes field=value, got 'width'"),
        ("=3", "there is no setting ''"),
        ("width=wide", "width = 'wide' will not do: it must be a whole number"),
        ("width=1.5", "width = 1.5 will not do"),
        ("width=none", "width = none will not do"),
        ("width=", "width = '' will not do"),
        ("prior=uniform", "prior = 'uniform' will not do: it must be 'normal' or 'laplace'"),
        ("sizes=3", "sizes = 3 will not do"),
        ("sizes=[1,two]", "sizes = "),
        ("schedule=3", "schedule = 3 will not do"),
        ("parts.a.size=big", "parts.a.size = 'big' will not do"),
        ("width=0", "width must be >= 1, got 0"),
        ("schedule.lr=-1", "lr > 0"),
    ],
)
def test_a_bad_override_is_one_helpful_sentence(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        override(Config(), [setting])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "setting", ["beta=NaN", "beta=nan", "limit=1e999", "schedule.lr=NaN", "schedule.epochs=Infinity"]
)
def test_numbers_must_be_finite(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{setting.partition('=')[0]} must be a finite number"):
        override(Config(), [setting])


def test_an_unknown_field_inside_a_value_is_refused_too() -> None:
    with pytest.raises(ConfigError, match=r"there is no setting 'parts\.a\.sise'; did you mean 'size'"):
        override(Config(), ['parts.a={"sise": 9}'])
    with pytest.raises(ConfigError, match=r"there is no setting 'schedule\.learning_rate'"):
        override(Config(), ['schedule={"steps": 1, "batch_size": 2, "lr": 0.1, "learning_rate": 3}'])


# ---------------------------------------------------------------- JSON and hashes


@pytest.mark.parametrize(
    "config",
    [Config(), Config(sizes=(), limit=0.25, flag=True, prior="laplace"), Schedule(steps=3, batch_size=1, lr=1)],
)
def test_json_gives_the_same_configuration_and_hash(config: object) -> None:
    data = to_json(config)
    again = from_json(type(config), data)
    assert again == config
    assert canonical(to_json(again)) == canonical(data)


def test_json_is_plain_data() -> None:
    data = to_json(Config())
    assert data["sizes"] == [1, 2]
    assert data["schedule"] == {**data["schedule"], "epochs": 150.0, "steps": None, "precision": "float32"}


@pytest.mark.parametrize("key", ["widht", "schedule.lrr", "parts.a.sise"])
def test_a_field_of_another_version_is_refused(key: str) -> None:
    data = to_json(Config())
    *parents, leaf = key.split(".")
    node = data
    for parent in parents:
        node = node[parent]
    node[leaf] = 1
    with pytest.raises(ConfigError, match=f"there is no setting '{key}'"):
        from_json(Config, data)


def test_a_missing_field_is_named() -> None:
    data = to_json(Config())
    del data["schedule"]["lr"]
    with pytest.raises(ConfigError, match=r"schedule\.lr"):
        from_json(Config, data)


def test_the_hash_depends_on_values_and_not_on_their_order_or_their_writing() -> None:
    assert digest({"a": 1, "b": [1.5]}) == digest({"b": [1.5], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest(to_json(Config(beta=3))) == digest(to_json(Config(beta=3.0)))
    assert digest(to_json(Config())) == digest(to_json(override(Config(), ["width=64", "width=512"])))


def test_the_hash_is_pinned() -> None:
    """SHA-256 of '{"a":[1,null],"b":"x"}': results on disk are found by it, so it may never change."""
    data = {"b": "x", "a": [1, None]}
    assert canonical(data) == '{"a":[1,null],"b":"x"}'
    assert digest(data, 64) == "3dece6dc8d22d61692b03c7d51836aaec96fd08a614e224565e177ad6ff9dbe2"


def test_the_hash_is_the_same_in_another_process() -> None:
    code = "from mmbench.config import *; print(digest(to_json(Schedule(epochs=2, batch_size=3, lr=0.1))))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert found == digest(to_json(Schedule(epochs=2, batch_size=3, lr=0.1)))


# ---------------------------------------------------------------- schedules and protocols


def test_a_schedule_has_either_epochs_or_steps() -> None:
    for epochs, steps in ((None, None), (1.0, 1)):
        with pytest.raises(ConfigError, match="either epochs or steps"):
            Schedule(batch_size=1, lr=0.1, epochs=epochs, steps=steps)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"epochs": 0.0},
        {"batch_size": 0},
        {"lr": 0.0},
        {"ema": 1.0},
        {"warmup": -1},
        {"weight_decay": -0.1},
        {"ema": -0.1},
        {"steps": -3},
    ],
)
def test_impossible_schedules_are_refused(wrong: dict[str, float]) -> None:
    count = {} if {"steps", "epochs"} & set(wrong) else {"steps": 1}
    with pytest.raises(ConfigError):
        Schedule(**{"batch_size": 1, "lr": 0.1, **count, **wrong})  # type: ignore[arg-type]


def test_a_schedule_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Schedule(steps=1, batch_size=1, lr=0.1).lr = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("epochs", "batch_size", "count", "steps"),
    [
        (1, 10, 100, 10),
        (1, 10, 109, 10),
        (1.5, 10, 100, 15),
        (150, 256, 60000, 35100),
        (2, 64, 10, 2),
        (0.001, 5, 10, 1),
    ],
)
def test_steps_of_a_pass_drop_the_incomplete_batch(epochs: float, batch_size: int, count: int, steps: int) -> None:
    assert Schedule(epochs=epochs, batch_size=batch_size, lr=0.1).total_steps(count) == steps
    assert replace(Schedule(epochs=epochs, batch_size=batch_size, lr=0.1), epochs=None, steps=7).total_steps(count) == 7


def test_the_papers_protocol_measures_everything() -> None:
    paper = Protocol.recipe("paper", quality_count=10000)
    assert (paper.count, paper.quality_count, paper.judge.epochs) == (None, 10000, 50)
    for budget in BUDGETS:
        recipe = Protocol.recipe(budget)
        assert from_json(Protocol, to_json(recipe)) == recipe


@pytest.mark.parametrize(("laptop_count", "count"), [(1_000, 1_000), (5_000, 5_000), (20_000, 5_000)])
def test_a_laptop_makes_no_more_samples_than_it_can(laptop_count: int, count: int) -> None:
    laptop = Protocol.recipe("laptop", quality_count=10_000, laptop_count=laptop_count)
    assert (laptop.count, laptop.quality_count) == (count, laptop_count)
    assert Protocol.recipe("smoke", laptop_count=laptop_count).count == 400


@pytest.mark.parametrize("setting", ["count=1", "quality_count=1", "batch_size=0", "judge.lr=0"])
def test_impossible_protocols_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        override(Protocol(), [setting])
