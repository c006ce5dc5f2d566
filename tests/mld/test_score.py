"""The score network: published sizes, zero at first, and what it must depend on."""

import pytest
import torch

from mmbench_mld.score import GroupNorm, ScoreNetwork


@pytest.mark.parametrize(
    ("dim", "width", "time", "groups", "parameters"),
    [(80, 512, 256, 8, 8_177_232), (80, 256, 256, 8, 2_352_464), (96, 1024, 512, 32, 32_509_024)],
)
def test_parameter_counts(dim, width, time, groups, parameters):
    with torch.device("meta"):
        network = ScoreNetwork(dim, 2, width=width, time=time, blocks=2, groups=groups)
    assert sum(p.numel() for p in network.parameters()) == parameters


def small(modalities=2):
    torch.manual_seed(0)
    network = ScoreNetwork(12, modalities, width=16, time=8, blocks=2, groups=4)
    return network, torch.randn(5, 12), torch.rand(5, modalities)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_group_norm_is_torchs(dtype):
    x = torch.randn(7, 24, dtype=dtype, generator=torch.Generator().manual_seed(0))
    ours, theirs = GroupNorm(4, 24).to(dtype), torch.nn.GroupNorm(4, 24).to(dtype)
    torch.nn.init.normal_(ours.weight)
    torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_output_starts_at_exactly_zero():
    network, r, tau = small()
    assert torch.equal(network(r, tau), torch.zeros(5, 12))


@pytest.mark.parametrize("modalities", [2, 3])
def test_every_input_and_parameter_matters(modalities):
    network, r, tau = small(modalities)
    torch.nn.init.normal_(network.out[-1].weight)
    r.requires_grad_()
    tau.requires_grad_()
    network(r, tau).square().sum().backward()
    assert (r.grad != 0).all()
    assert (tau.grad != 0).any(dim=0).all()
    assert all(p.grad is not None and (p.grad != 0).any() for p in network.parameters())


def test_one_row_of_times_serves_the_batch():
    network, r, _ = small()
    torch.nn.init.normal_(network.out[-1].weight)
    tau = torch.tensor([[0.3, 0.0]])
    assert torch.allclose(network(r, tau), network(r, tau.expand(5, 2)), atol=1e-6)
