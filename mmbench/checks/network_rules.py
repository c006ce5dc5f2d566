"""Rules of a network: its shapes, its heads, its gradients, and that it touches nothing global."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from ..modality import Modality
from ..networks import Architecture, Networks, load
from ..networks.fitting import REFERENCES, fault
from ..seeding import generator, seeded_init
from .rule import Checks, refuse

__all__ = ["NETWORK_CHECKS", "NetworkSubject"]

NETWORK_CHECKS = Checks()
ROWS, CLOSE = 4, 1e-4


@dataclass
class NetworkSubject:
    """A network at the modalities that it fits.

    Arguments:
        network: its name, 'module:NAME', or itself.
        modalities: those it is made for; the suite's references where none are given.
    """

    network: str | Architecture
    modalities: Sequence[Modality] = REFERENCES

    @cached_property
    def networks(self) -> Networks:
        return Networks({self.name: self.network} if isinstance(self.network, Architecture) else {})

    @property
    def name(self) -> str:
        return "it" if isinstance(self.network, Architecture) else self.network

    @cached_property
    def known(self) -> list[Modality]:
        """The modalities that it fits, as it has them."""
        return [m for m in (replace(m, network=self.name) for m in self.modalities) if not fault(m, self.networks)]

    def parts(self, modality: Modality, heads: int = 2) -> tuple[nn.Module, nn.Module, int]:
        """Encoder, decoder and the size of their latent."""
        latent = self.networks.latent(modality)
        with seeded_init(0):
            return self.networks.encoder(modality, latent, heads), self.networks.decoder(modality, latent), latent


def batch(modality: Modality, rows: int = ROWS) -> Tensor:
    """Items at random (rows, *shape)."""
    rng, shape = generator(0, "check"), (rows, *modality.shape)
    if modality.is_text:
        return torch.randint(len(modality.vocabulary), shape, generator=rng)
    return torch.rand(shape, generator=rng)


@NETWORK_CHECKS.add()
def check_architecture(subject: NetworkSubject) -> None:
    """It is an Architecture, a pair of factories."""
    if isinstance(subject.network, str):
        load(subject.network)


@NETWORK_CHECKS.add("architecture")
def check_shapes(subject: NetworkSubject) -> str:
    """It fits a modality: (B, *shape) -> heads (B, latent) -> (B, *shape), or logits of a text."""
    faults = [
        f"{m.name} {m.shape}: {fault(replace(m, network=subject.name), subject.networks)}" for m in subject.modalities
    ]
    refuse(not subject.known, f"it fits none of the modalities tried; {'; '.join(faults)}")
    return f"It fits {', '.join(f'{m.name} {m.shape}' for m in subject.known)}"


@NETWORK_CHECKS.add("shapes")
def check_heads(subject: NetworkSubject) -> None:
    """It has as many heads as are asked for, and they differ."""
    for modality in subject.known:
        for heads in (1, 2, 3):
            encoder, _, latent = subject.parts(modality, heads)
            with torch.no_grad():
                found = encoder.eval()(batch(modality))
            refuse(len(found) != heads, f"{modality.name}: {heads} heads asked for, {len(found)} given")
            wrong = next((tuple(h.shape) for h in found if tuple(h.shape) != (ROWS, latent)), None)
            refuse(wrong is not None, f"{modality.name}: a head has shape {wrong}, not {(ROWS, latent)}")
            same = heads > 1 and any(torch.equal(a, b) for a, b in zip(found, found[1:], strict=False))
            refuse(same, f"{modality.name}: two heads are one and the same: give each its own layer")


@NETWORK_CHECKS.add("shapes")
def check_gradients(subject: NetworkSubject) -> None:
    """A gradient reaches every parameter, and the latent."""
    for modality in subject.known:
        encoder, decoder, _ = subject.parts(modality)
        heads = encoder(batch(modality))
        torch.stack(heads).square().sum().backward()
        _refuse_without_gradient(modality, "encoder", encoder)
        z = heads[0].detach().requires_grad_()
        decoder(z).square().sum().backward()
        _refuse_without_gradient(modality, "decoder", decoder)
        refuse(z.grad is None or not z.grad.any(), f"{modality.name}: no gradient comes through the decoder")


@NETWORK_CHECKS.add("shapes")
def check_seed(subject: NetworkSubject) -> None:
    """Its seed alone decides its parameters."""
    for modality in subject.known:
        encoder, decoder, _ = subject.parts(modality)
        again, back, _ = subject.parts(modality)
        for part, one, two in (("encoder", encoder, again), ("decoder", decoder, back)):
            pairs = zip(one.state_dict().items(), two.state_dict().values(), strict=True)
            odd = next((name for (name, a), b in pairs if not torch.equal(a, b)), "")
            refuse(bool(odd), f"{modality.name}: two {part}s under one seed differ in {odd!r}: use torch's generator")


@NETWORK_CHECKS.add("shapes")
def check_global_state(subject: NetworkSubject) -> None:
    """Outside of training it draws nothing, changes nothing, and rows do not depend on each other."""
    for modality in subject.known:
        encoder, decoder, latent = subject.parts(modality)
        for part, module, x in (
            ("encoder", encoder, batch(modality)),
            ("decoder", decoder, torch.randn(ROWS, latent, generator=generator(1, "check"))),
        ):
            _refuse_unsteady(f"{modality.name}: the {part}", module.eval(), x)


@torch.no_grad()
def _refuse_unsteady(who: str, module: nn.Module, x: Tensor) -> None:
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in module.state_dict().items()}
    whole, again = _first(module(x)), _first(module(x))
    refuse(not torch.equal(before, torch.get_rng_state()), f"{who} draws from torch's global random state in eval()")
    odd = next((name for name, value in module.state_dict().items() if not torch.equal(value, state[name])), "")
    refuse(bool(odd), f"{who} changes {odd!r} in eval()")
    refuse(not torch.equal(whole, again), f"{who} gives two answers for one batch in eval()")
    alone = torch.cat([_first(module(row)) for row in x.split(1)])
    refuse(not torch.allclose(whole, alone, CLOSE, CLOSE), f"{who} lets rows of a batch depend on each other in eval()")


def _first(answer: Tensor | tuple[Tensor, ...]) -> Tensor:
    return answer if isinstance(answer, Tensor) else torch.stack(answer, 1)


def _refuse_without_gradient(modality: Modality, part: str, module: nn.Module) -> None:
    lost = [
        n for n, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.isfinite().all())
    ]
    refuse(bool(lost), f"{modality.name}: no finite gradient reaches {lost[:3]} of the {part}")
