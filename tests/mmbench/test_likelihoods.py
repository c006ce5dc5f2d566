"""What a decoder's output stands for, and what stands for nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmbench.errors import PluginError
from mmbench.likelihoods import decoded, median_item, nll, reconstruction_skill
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


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("likelihood", ["laplace", "gaussian"])
def test_an_images_likelihood_is_scipys_for_each_of_many_outputs(likelihood, lead):
    """The same five images under every leading dimension."""
    draws = np.random.default_rng(0)
    out, x = draws.normal(size=(*lead, 5, 1, 2, 2)), draws.random((5, 1, 2, 2))
    density = {"laplace": scipy.stats.laplace, "gaussian": scipy.stats.norm}[likelihood]
    found = nll(replace(IMAGE, likelihood=likelihood, scale=0.3), torch.tensor(out), torch.tensor(x))
    np.testing.assert_allclose(found, -density.logpdf(x, out, 0.3).sum((-3, -2, -1)), rtol=1e-12)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_a_texts_likelihood_is_scipys_for_each_of_many_outputs(lead):
    draws = np.random.default_rng(0)
    out, x = draws.normal(size=(*lead, 5, 3, 4)), draws.integers(0, 4, (5, 3))
    log_p = scipy.special.log_softmax(out, -1)
    expected = -np.take_along_axis(log_p, np.broadcast_to(x, out.shape[:-1])[..., None], -1)[..., 0].sum(-1)
    np.testing.assert_allclose(nll(TEXT, torch.tensor(out), torch.tensor(x)), expected, rtol=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("modality", OUTPUTS, ids=lambda m: m.name)
def test_what_is_not_finite_stands_for_nothing(modality, value):
    """One value of the last item."""
    bad = torch.tensor(output(modality))
    bad.view(-1)[-1] = value
    with pytest.raises(PluginError, match=f"decoder of '{modality.name}' gives (logits|values) that are not finite"):
        decoded(modality, bad)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 32, 32)], ids=str)
def test_the_median_item_is_the_lower_middle_value_of_each_pixel(count, shape):
    """With many ties, as pixels of 8 bits have; numpy's method for an even count, and torch's median, equally."""
    x = np.random.default_rng(count).integers(0, 5, (count, *shape)).astype(np.float32) / 255
    found = median_item(torch.tensor(x))
    assert np.array_equal(found, np.quantile(x, 0.5, axis=0, method="lower"))
    assert torch.equal(found, torch.tensor(x).median(0).values)


class Called(TorchDispatchMode):
    """The names of torch's operators that run inside."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_a_skill_asks_for_nothing_that_a_gpu_cannot_repeat():
    """torch's median by dimension, and its k-th value, have no deterministic form there."""
    x = torch.tensor(output(IMAGE))
    with Called() as called:
        assert reconstruction_skill(IMAGE, x, x) == 1.0
    assert "sort" in called.names
    assert not {"median", "nanmedian", "kthvalue"} & called.names
