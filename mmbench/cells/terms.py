"""What all models of a run are given alike: the network and the latent of each modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .. import networks, plugins
from ..data.dataset import Dataset
from ..errors import ConfigError
from ..modality import DatasetSpec, Modality
from ..store.provenance import code_of_module

__all__ = ["equipped", "network_code", "with_modalities"]

KEPT = ("fingerprint", "validation")
"""What a dataset has computed of itself that its networks do not change."""


def equipped(spec: DatasetSpec, nets: Sequence[str], latents: Sequence[str]) -> tuple[Modality, ...]:
    """The modalities with the networks and latents asked for.

    Arguments:
        nets: 'modality=network'.
        latents: 'modality=size'.

    Raises ConfigError for a modality or size that is none, PluginError for a network that is none.
    """
    found = {m.name: m for m in spec.modalities}
    for name, network in _pairs(spec, "--network", nets).items():
        networks.load(network)
        found[name] = replace(found[name], network=network)
    for name, size in _pairs(spec, "--latent", latents).items():
        if not size.isdecimal() or not int(size):
            raise ConfigError(f"--latent {name}={size}: write a whole number >= 1, --latent {name}=32")
        found[name] = replace(found[name], latent=int(size))
        if (fixed := networks.Networks().latent(found[name])) != int(size):
            raise ConfigError(f"--latent {name}={size}: the network {found[name].network!r} has {fixed} latents here")
    return tuple(found.values())


def with_modalities(dataset: Dataset, modalities: tuple[Modality, ...]) -> Dataset:
    """The same data, to be modelled with other networks."""
    if modalities == dataset.spec.modalities:
        return dataset
    twin = replace(dataset, spec=replace(dataset.spec, modalities=modalities))
    vars(twin).update({name: value for name, value in vars(dataset).items() if name in KEPT})
    return twin


def network_code(spec: DatasetSpec) -> dict[str, str]:
    """Package -> identity of its code, of the networks that are not the suite's."""
    names = [m.network for m in spec.modalities if m.network not in networks.BUILT_IN]
    tops = {plugins.find(plugins.NETWORKS, name).value.partition(":")[0].partition(".")[0] for name in names}
    return {top: code_of_module(top) for top in sorted(tops - {"mmbench"})}


def _pairs(spec: DatasetSpec, option: str, values: Sequence[str]) -> dict[str, str]:
    """Modality -> what is asked for it; ConfigError for another form, and for one that is asked for twice."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, wanted = (part.strip() for part in value.partition("="))
        if not equals or not wanted:
            raise ConfigError(f"{option} takes MODALITY=VALUE, got {value!r}")
        if found.setdefault(spec.modality(name).name, wanted) != wanted:
            raise ConfigError(f"{option} {name} is given twice, as {found[name]} and {wanted}: give it once")
    return found
