"""A stranger's network: by entry point or module:NAME, whether it fits, and how large it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mmbench.checks import check_network
from mmbench.errors import PluginError
from mmbench.modality import Modality
from mmbench.networks import BUILT_IN, Architecture, Networks, load
from mmbench.networks.fitting import REFERENCES, fault, reference, refuse_misfits

NETS = '''
import torch
from torch import nn
from mmbench.networks import Architecture


class Encoder(nn.Module):
    def __init__(self, modality, latent, heads):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(modality.size, latent) for _ in range(heads))

    def forward(self, x):
        return tuple(head(x.flatten(1)) for head in self.heads)


class Decoder(nn.Module):
    def __init__(self, modality, latent):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(latent, modality.size), nn.Sigmoid(), nn.Unflatten(1, modality.shape))

    def forward(self, z):
        return self.body(z)


class Looking(Encoder):
    """It looks at values, which a trial without values cannot give."""

    def forward(self, x):
        return super().forward(x) if float(x.sum()) >= 0 else ()


class Narrow(Encoder):
    def forward(self, x):
        return super().forward(x)[:1]


LINEAR = Architecture(Encoder, Decoder)
LOOKING = Architecture(Looking, Decoder)
NARROW = Architecture(Narrow, Decoder)
'''
DIGIT = {"name": "digit", "shape": (1, 28, 28), "latent": 20}


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("my_nets", None)


def test_a_network_that_is_not_installed_is_named_by_its_module(nets: None) -> None:
    modality = Modality(**DIGIT, network="my_nets:LINEAR")
    assert Networks().encoder(modality, 20)(torch.zeros(3, 1, 28, 28))[1].shape == (3, 20)
    assert fault(modality) == ""
    assert reference("my_nets:LINEAR").startswith(f"{2 * 785 * 20:,} + {21 * 784:,} parameters at 1x28x28, latent 20")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_nets:Encoder", "must be an Architecture"),
        ("my_nets:LINEER", "did you mean 'LINEAR'|has no 'LINEER'"),
        ("mnist_mpl", "did you mean 'mnist_mlp'"),
    ],
)
def test_what_is_no_network_is_one_sentence(nets: None, name: str, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        load(name)


def test_misfits_are_told_with_networks_that_fit(nets: None) -> None:
    assert fault(Modality(**DIGIT, network="my_nets:LOOKING")) == "", "tried with values where none will not do"
    assert "2 heads" in fault(Modality(**DIGIT, network="my_nets:NARROW"))
    with pytest.raises(PluginError, match=r"'svhn_conv' does not fit .* 'digit' of shape \(1, 28, 28\).*mnist_mlp"):
        refuse_misfits([Modality(**DIGIT, network="svhn_conv")])
    with pytest.raises(PluginError, match="multiples of 8"):
        refuse_misfits([Modality(**DIGIT, network="kl_autoencoder")])


def test_trials_leave_the_random_state_alone_and_know_real_sizes() -> None:
    before = torch.get_rng_state()
    sizes = {name: reference(name) for name in BUILT_IN}
    assert torch.equal(before, torch.get_rng_state())
    for modality in REFERENCES[:2]:
        parts: list[nn.Module] = [Networks().encoder(modality, 20, 2), Networks().decoder(modality, 20)]
        counts = [sum(p.numel() for p in part.parameters()) for part in parts]
        assert sizes[modality.network].startswith(f"{counts[0]:,} + {counts[1]:,} parameters")
    assert all("parameters at" in told for told in sizes.values()), sizes


def failed(network: object) -> dict[str, str]:
    results = check_network(network, REFERENCES[:1])  # type: ignore[arg-type]
    return {result.name: result.message for result in results if result.outcome == "failed"}


class Encoder(nn.Module):
    """Keeps the contract."""

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(modality.size, latent) for _ in range(heads))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(head(x.flatten(1)) for head in self.heads)


class Decoder(nn.Module):
    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(latent, modality.size), nn.Unflatten(1, modality.shape))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z)


class OneHead(Encoder):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.heads[0](x.flatten(1)),) * len(self.heads)


class Drawing(Encoder):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return super().forward(x + torch.rand_like(x))


class Mixing(Encoder):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return super().forward(x - x.mean(0))


class Counting(Encoder):
    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.calls += 1
        return super().forward(x)


class Detached(Decoder):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z.detach())


class Unseeded(Decoder):
    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__(modality, latent)
        with torch.no_grad():
            self.body[0].weight += torch.rand((), generator=torch.Generator().manual_seed(next(SEEDS)))


SEEDS = iter(range(10**6))


@pytest.mark.parametrize(
    ("encoder", "decoder", "check", "said"),
    [
        (OneHead, Decoder, "heads", "two heads are one"),
        (Drawing, Decoder, "global_state", "draws from torch's global random state"),
        (Mixing, Decoder, "global_state", "rows of a batch depend"),
        (Counting, Decoder, "global_state", "changes 'calls'"),
        (Encoder, Detached, "gradients", "no gradient comes through the decoder"),
        (Encoder, Unseeded, "seed", "differ in 'body.0.weight'"),
    ],
)
def test_a_network_that_breaks_a_rule_fails_its_check(encoder: type, decoder: type, check: str, said: str) -> None:
    found = failed(Architecture(encoder, decoder))
    assert said in found.get(check, ""), found


def test_what_keeps_the_rules_passes() -> None:
    assert failed(Architecture(Encoder, Decoder)) == {}
    assert failed("mnist_mlp") == {}
    assert "there is no network 'mnist'" in failed("mnist")["architecture"]
