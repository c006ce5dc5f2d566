"""Means and medians of a class are NumPy's."""

import numpy as np
import torch
from class_means import DRAWS, middles

from mmbench.data.dataset import Split


def test_the_middles_of_whole_classes_are_numpys_whatever_the_tuples_repeat():
    items = torch.randint(256, (11, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    classes = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    rows = [*range(11), 3, 3]  # an item of two more tuples counts once
    split = Split({"image": items}, torch.tensor(rows)[:, None], torch.tensor([classes[row] for row in rows]))
    means, medians, labels = middles(split, "image", None, torch.Generator())
    assert labels.tolist() == [0, 1]
    own = [items.numpy()[np.equal(classes, label)] / 255 for label in (0, 1)]
    np.testing.assert_allclose(means.numpy(), [each.mean(0) for each in own], atol=1e-6)
    np.testing.assert_allclose(medians[1].numpy(), np.median(own[1], axis=0), atol=1e-6)  # five of them, so one is it
    some, _, labels = middles(split, "image", 1, torch.Generator().manual_seed(1))
    assert labels.tolist() == [0] * DRAWS + [1] * DRAWS
    assert all(
        any(np.allclose(one, real) for real in own[label]) for one, label in zip(some.numpy(), labels, strict=True)
    )
