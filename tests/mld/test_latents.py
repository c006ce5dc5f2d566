"""Layout and standardisation."""

import numpy as np
import pytest
import torch

from mmbench_mld.latents import Layout, Standardiser

LAYOUT = Layout({"mnist": 2, "svhn": 3})


def test_concat_and_split_are_inverse_and_ordered():
    parts = {"svhn": torch.arange(3.0)[None], "mnist": torch.tensor([[7.0, 8.0]])}
    z = LAYOUT.concat(parts)
    assert z.tolist() == [[7.0, 8.0, 0.0, 1.0, 2.0]]
    assert {n: v.tolist() for n, v in LAYOUT.split(z).items()} == {n: v.tolist() for n, v in parts.items()}


def test_mask_and_indicator():
    assert LAYOUT.mask(["svhn"]).tolist() == [0, 0, 1, 1, 1]
    assert LAYOUT.indicator(["svhn"]).tolist() == [0, 1]
    assert LAYOUT.mask(LAYOUT.names).tolist() == [1] * 5


def test_standardised_latents_have_unit_moments_and_come_back():
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.normal(3.0, [1.0, 5.0, 0.2], size=(1000, 3)).astype("float32"))
    standardiser = Standardiser(3, floor=0.01)
    standardiser.fit(z)
    out = standardiser(z).numpy()
    assert np.allclose(out.mean(0), 0, atol=1e-5)
    assert np.allclose(out.std(0, ddof=1), 1, atol=1e-4)
    assert torch.allclose(standardiser.inverse(standardiser(z)), z, atol=1e-4)


def test_a_dead_latent_is_not_blown_up():
    z = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([10.0, 1e-9])
    standardiser = Standardiser(2, floor=0.01)
    standardiser.fit(z)
    assert standardiser.std[1].item() == pytest.approx(0.01 * standardiser.std[0].item())
    assert standardiser(z)[:, 1].abs().max() < 1e-6
    assert set(standardiser.state_dict()) == {"mean", "std"}, "the statistics travel with the checkpoint"
