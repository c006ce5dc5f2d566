"""Several values of a setting: what is parted at its commas, what stays a list, what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from mmbench.cells.request import split_settings
from mmbench.cells.sweep import pieces, variants
from mmbench.config import Schedule
from mmbench.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Config:
    beta: float = 1.0
    width: int = 8
    kind: Literal["a", "b"] = "a"
    widths: tuple[int, ...] = (8,)
    words: list[str] | None = None
    names: dict[str, str] = field(default_factory=dict)
    schedule: Schedule = Schedule(steps=5, batch_size=4, lr=0.1)


def own(*settings: str, zipped: bool = False) -> list[tuple[str, ...]]:
    return [variant.own for variant in variants(Config, settings, zipped=zipped)]


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("0.1", ["0.1"]),
        ("0.1,0.5,1", ["0.1", "0.5", "1"]),
        ("[1,2]", ["[1,2]"]),
        ("[1,2],[3]", ["[1,2]", "[3]"]),
        ('{"a": 1, "b": 2}', ['{"a": 1, "b": 2}']),
        ('"a,b",c', ['"a,b"', "c"]),
        (r'"a\",b",c', [r'"a\",b"', "c"]),
        (r'"a\\",c', [r'"a\\"', "c"]),
        ("[1,2", ["[1,2"]),
        ("", [""]),
    ],
)
def test_a_value_is_parted_at_its_own_commas(text: str, parted: list[str]) -> None:
    assert pieces(text) == parted


def test_values_make_cells_and_several_settings_their_product() -> None:
    assert own("beta=0.1, 0.5,1") == [("beta=0.1",), ("beta=0.5",), ("beta=1",)]
    assert own("beta=1,2", "kind=a,b", "width=4") == [
        ("beta=1", "kind=a", "width=4"),
        ("beta=1", "kind=b", "width=4"),
        ("beta=2", "kind=a", "width=4"),
        ("beta=2", "kind=b", "width=4"),
    ]
    assert own() == [()]


def test_a_setting_given_twice_has_both_values_once_each() -> None:
    assert own("beta=0.1", "beta=0.5", " beta =0.1") == [("beta=0.1",), ("beta=0.5",)]


def test_a_list_stays_a_list_and_several_lists_are_several_values() -> None:
    assert own("widths=64,128") == [("widths=[64, 128]",)]
    assert own("widths=[64,128]") == [("widths=[64,128]",)]
    assert own("widths=[64],[64,128]") == [("widths=[64]",), ("widths=[64,128]",)]
    assert own("words=a,b") == [('words=["a", "b"]',)]
    assert own("names.pen=a,b") == [("names.pen=a",), ("names.pen=b",)]


def test_zip_pairs_values_and_single_ones_go_with_all() -> None:
    assert own("beta=1,2", "width=3,4", "kind=b", zipped=True) == [
        ("beta=1", "width=3", "kind=b"),
        ("beta=2", "width=4", "kind=b"),
    ]
    with pytest.raises(ConfigError, match="beta has 2, width has 3"):
        own("beta=1,2", "width=3,4,5", zipped=True)


def test_the_protocols_settings_are_swept_with_the_models() -> None:
    made = variants(Config, ["eval.count=10,20", "beta=1,2", "kind=b"], zipped=True)
    assert [(v.own, v.protocol, v.varied) for v in made] == [
        (("beta=1", "kind=b"), ("count=10",), ("eval.count=10", "beta=1")),
        (("beta=2", "kind=b"), ("count=20",), ("eval.count=20", "beta=2")),
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["beta=0.1,"], "lacks a value"),
        (["beta=1,wide"], "beta = 'wide' will not do"),
        (["betta=1,2"], "there is no setting 'betta'"),
        (["eval.countt=1,2"], "there is no setting 'countt'"),
        (["schedule.steps=10", "schedule.epochs=1"], "set one of the two"),
        (["eval.judge.epochs=10", "eval.judge.steps=1"], "set one of the two"),
        (['schedule={"steps":1}', "schedule.lr=1"], "schedule.lr is a part of schedule"),
        (["beta"], "--set takes field=value"),
    ],
)
def test_what_would_hide_another_setting_or_is_none_is_refused(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        variants(Config, settings)


def test_a_setting_of_all_models_and_of_one_is_refused_not_decided_by_order() -> None:
    names: Any = ["mld", "mvae"]
    assert split_settings(["mld.beta=1", "mvae.beta=2"], names) == {"mld": ["beta=1"], "mvae": ["beta=2"]}
    for settings in (["beta=1", "mld.beta=2"], ["mld.beta=2", "beta =1"]):
        with pytest.raises(ConfigError, match="set for all models and for mld alone"):
            split_settings(settings, names)
