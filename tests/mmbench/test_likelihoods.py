"""What a decoder's output stands for, and what stands for nothing."""

import math

import numpy as np
import pytest
import torch

from mmbench.errors import PluginError
from mmbench.likelihoods import decoded
from mmbench.modality import Modality

IMAGE = Modality(name="pen", shape=(1, 2, 2), network="mnist_mlp", latent=2)
TEXT = Modality(
    name="name", shape=(3,), network="word_mlp", latent=2, likelihood="categorical", vocabulary=tuple("abcd")
)
OUTPUTS = {IMAGE: (5, 1, 2, 2), TEXT: (5, 3, 4)}


def output(modality):
    return 2 * np.random.default_rng(0).normal(size=OUTPUTS[modality]).astype(np.float32)


def test_an_image_is_clamped_and_a_text_is_its_likeliest_tokens():
    assert np.array_equal(decoded(IMAGE, torch.tensor(output(IMAGE))), output(IMAGE).clip(0, 1))
    assert np.array_equal(decoded(TEXT, torch.tensor(output(TEXT))), output(TEXT).argmax(-1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("modality", OUTPUTS, ids=lambda m: m.name)
def test_what_is_not_finite_stands_for_nothing(modality, value):
    """One value of the last item."""
    bad = torch.tensor(output(modality))
    bad.view(-1)[-1] = value
    with pytest.raises(PluginError, match=f"decoder of '{modality.name}' gives (logits|values) that are not finite"):
        decoded(modality, bad)
