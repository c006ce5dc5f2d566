"""Cells once more: the choice, the command, and the comparison."""

import copy

import again

from ..mmbench.cells import cell


def test_the_choice_is_a_draws():
    cells = [cell(model, seed) for model in ("mld", "mvae") for seed in range(5)]
    assert again.picked(cells, 2, 7) == again.picked(cells[::-1], 2, 7)
    assert len({again.name(c) for draw in range(40) for c in again.picked(cells, 2, draw)}) == 10
    assert len(again.picked(cells, 20, 0)) == 10


def test_the_command_has_the_cells_settings_and_threads(tmp_path):
    one = cell("mvae", 3, overrides={"beta": 2.5}, environment={"device": "cpu: x86_64, 1 threads"})
    words = again.words(one, {"results": tmp_path})
    assert words[0] == "run"
    pairs = dict(zip(words[1::2], words[2::2], strict=False))
    assert pairs["--seed"] == "3"
    assert pairs["--set"] == "beta=2.5"
    assert pairs["--threads"] == "1"
    assert words[-2:] == ["--results", str(tmp_path)]


def test_one_bit_is_seen_and_a_row_that_lacks():
    first = cell("mvae", 0)
    second = copy.deepcopy(first)
    assert again.different(first, second) == []
    second["rows"][0]["value"] += 1e-12
    (line,) = again.different(first, second)
    assert repr(first["rows"][0]["value"]) in line
    lacking = copy.deepcopy(first)
    lacking["rows"] = lacking["rows"][1:]
    assert [line.endswith("only in one of the two") for line in again.different(first, lacking)] == [True]
