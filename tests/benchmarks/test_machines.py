"""Cells of two machines are compared by name, and numbers by what they are of."""

import numpy as np
from machines import common, differences

from ..mmbench.cells import cell, row


def test_numbers_of_the_same_cells_stand_side_by_side():
    ours = [
        cell("mvae", 0, [row("fmd", "joint", "mnist", 10.0)]),
        cell("mvae", 1, [row("fmd", "joint", "mnist", 11.0)]),
    ]
    alien = row("fmd", "joint", "mnist", 12.5, identity="ffffffff")
    theirs = [cell("mvae", 1, [alien, row("fmd", "joint", "mnist", 4.0, source="real")]), cell("mld", 0)]
    pairs = list(common(ours, theirs))
    assert [(one["seed"], other["seed"]) for one, other in pairs] == [(1, 1)]
    found = differences(pairs)
    assert list(found) == ["fmd"]
    np.testing.assert_array_equal(found["fmd"], [[11.0, 12.5]])
