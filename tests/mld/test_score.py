"""The score network: published sizes, zero at first, and what it must depend on."""

import numpy as np
import pytest
import torch

from mmbench_mld.score import GroupNorm, ScoreNetwork

from ..arithmetic import assert_same, gelu, group_norm, linear, part, randomise, silu


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
    """In float64, where a batch of one and of five cannot differ by rounding alone."""
    network, r, _ = small()
    torch.nn.init.normal_(network.out[-1].weight)
    tau = torch.tensor([[0.3, 0.0]]).double()
    network, r = network.double(), r.double()
    torch.testing.assert_close(network(r, tau), network(r, tau.expand(5, 2)), rtol=1e-9, atol=1e-9)


# --------------------------------------------------------------------------------- the network once more, in NumPy


def res_mlp(w, x, temb, groups):
    """Figure 5: h = Linear(SiLU(GN(x))) + Linear(SiLU(temb)); Linear(SiLU(GN(h))) + x, by a linear map if a != b.

    `temb` is the embedding itself: its SiLU belongs to Figure 5.
    """
    h = linear(part(w, "first.2"), silu(group_norm(part(w, "first.0"), x, groups, 1e-5)))
    h = h + linear(part(w, "time"), silu(temb))
    h = linear(part(w, "second.2"), silu(group_norm(part(w, "second.0"), h, groups, 1e-5)))
    return h + (linear(part(w, "skip"), x) if "skip.weight" in w else x)


def score_network(w, r, tau, blocks, groups):
    """Figure 4: the levels down, two blocks in the middle, and up again; the latest output of a level down is joined
    first, behind the stream's own values; r after its first linear map is joined last."""
    temb = linear(part(w, "embed.2"), gelu(linear(part(w, "embed.0"), tau)))
    x = entry = linear(part(w, "lift"), r)
    down = {}
    for level in range(blocks):
        down[level] = res_mlp(part(w, f"down.{level}"), x, temb, groups)
        x = linear(part(w, f"down_linear.{level}"), down[level])
    for k in range(2):
        x = res_mlp(part(w, f"middle.{k}"), x, temb, groups)
    for k in range(blocks):
        joined = np.concatenate((x, down[blocks - 1 - k]), axis=1)
        x = linear(part(w, f"up_linear.{k}"), res_mlp(part(w, f"up.{k}"), joined, temb, groups))
    x = res_mlp(part(w, "last"), np.concatenate((x, entry), axis=1), temb, groups)
    return linear(part(w, "out.2"), silu(group_norm(part(w, "out.0"), x, groups, 1e-5)))


@pytest.mark.parametrize(("modalities", "blocks", "groups"), [(2, 2, 4), (3, 3, 8), (2, 1, 2)])
def test_the_score_network_is_figures_4_and_5(modalities, blocks, groups):
    """All weights random, the last layer's too, so that nothing is hidden behind its zeros."""
    network = ScoreNetwork(12, modalities, width=16, time=6, blocks=blocks, groups=groups)
    w, rng = randomise(network), np.random.default_rng(1)
    r, tau = rng.normal(size=(5, 12)), rng.uniform(size=(5, modalities))
    tau[0, 0] = 0.0
    expected = score_network(w, r, tau, blocks, groups)
    assert_same(network(torch.from_numpy(r), torch.from_numpy(tau)), expected)
