"""The training step and the samplers never wait for the device, and copy nothing to it.

On a CPU such waits cost nothing and show nowhere. So the loops run under modes that refuse what a GPU waits for, and
on torch's 'meta' device, which has shapes but no numbers, so that none could be looked at.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from mmbench.checks import toys
from mmbench.data.missing import incomplete
from mmbench.modality import DatasetSpec, Modality
from mmbench.networks import Networks
from mmbench.plugins import MODELS, load
from mmbench.seeding import Noise, on_host, seeded_init
from mmbench.training.incomplete import loss_of, prepared
from mmbench_mld.diffusion import choose_given
from mmbench_mld.inpaint import MLDInpaint
from mmbench_mld.model import MLD
from mmbench_mld.moves import Langevin, Restart, Sampler
from mmbench_mld.schedule import TimePath
from mmbench_mld.uni import MLDUni

SPEC = DatasetSpec(
    name="toy",
    title="Toy",
    modalities=tuple(
        Modality(name=name, shape=(1, 2, 2), network="mnist_mlp", latent=size) for name, size in (("a", 2), ("b", 3))
    ),
)
WAITING = {
    torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.numpy, torch.Tensor.cpu, torch.Tensor.__bool__,
    torch.Tensor.__float__, torch.Tensor.__int__, torch.Tensor.__index__, torch.Tensor.nonzero, torch.equal,
    torch.Tensor.equal, torch.allclose,
}  # fmt: skip
SIZED_BY_NUMBERS = ("aten::nonzero", "aten::repeat_interleave.Tensor", "aten::masked_select", "aten::_unique2")


class RefusedError(AssertionError):
    pass


class NoPythonWaits(TorchFunctionMode):
    """Refuses the words that look at a number, and literals made into tensors of `device`; a draw of the host's own
    generator may be looked at, if it says that it is."""

    def __init__(self, device, host=()):
        super().__init__()
        self.device, self.host = torch.device(device), host

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in WAITING and not any(args[0] is draw for draw in self.host):
            raise RefusedError(f"{func} waits for the device")
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == self.device:
            raise RefusedError("a literal is copied to the device")
        return func(*args, **kwargs)


class NoWaits(TorchDispatchMode):
    """Refuses numbers that are read, sizes that depend on numbers, and copies from one kind of device to another."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.name(), kwargs or {}
        masked = name == "aten::index.Tensor" and any(x is not None and x.dtype == torch.bool for x in args[1])
        if masked or name.startswith(("aten::_local_scalar_dense", *SIZED_BY_NUMBERS)):
            raise RefusedError(f"{name} waits for the device")
        made = func(*args, **kwargs)
        if name.startswith(("aten::_to_copy", "aten::copy_")):
            source = args[1] if name.startswith("aten::copy_") else args[0]
            if source.device.type != made.device.type:
                raise RefusedError(f"{name} copies from {source.device} to {made.device}")
        return made


@contextmanager
def no_waits(device="cpu", host=()):
    with NoPythonWaits(device, host), NoWaits():
        yield


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.tolist(),
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: bool(x.sum() > 0),
        lambda x: x[x > 0],
        lambda x: torch.ones(2).repeat_interleave(torch.tensor([1, 2], device="cpu")),
        lambda x: x.to("meta"),
        lambda x: torch.zeros(3, device="meta").copy_(x),
        lambda x: torch.tensor([1.0], device="cpu"),
    ],
)
def test_the_modes_refuse_what_a_gpu_waits_for(wait):
    with pytest.raises(RefusedError), no_waits():
        wait(torch.ones(3))


SMALL = {"width": 16, "time_embed": 8, "groups": 4, "blocks": 1}


def build(**settings):
    small = {**SMALL, **settings}
    with seeded_init(0):
        return MLD.build(SPEC, replace(MLD.recipe(SPEC, "smoke"), **small), Networks())


class Host:
    """A generator as a GPU's is: the host knows its seed and offset, its numbers must be waited for."""

    device = torch.device("cuda")

    def __init__(self, seed=1, offset=0):
        self.seed, self.offset = seed, offset

    def initial_seed(self):
        return self.seed

    def get_offset(self):
        return self.offset


def test_a_gpus_choice_is_drawn_on_the_host():
    """From the generator's seed and offset alone: no number of the GPU's is asked for. Each step has its own draw, and
    a step that is taken up again has the same one."""
    names, p = ("a", "b", "c"), 0.4
    drawn = [choose_given(names, p, Host(1, 4 * k)) for k in range(4000)]
    assert drawn[:50] == [choose_given(names, p, Host(1, 4 * k)) for k in range(50)]
    assert drawn[:50] != [choose_given(names, p, Host(2, 4 * k)) for k in range(50)]
    shares = {given: drawn.count(given) / 4000 for given in set(drawn)}
    assert len(shares) == 7
    assert shares.pop(()) == pytest.approx(0.4, abs=4.5 * (0.24 / 4000) ** 0.5)
    assert list(shares.values()) == pytest.approx([0.1] * 6, abs=4.5 * (0.09 / 4000) ** 0.5)
    assert all(on_host(Host()).device.type == "cpu" for _ in range(2))
    cpu = torch.Generator()
    assert on_host(cpu) is cpu, "the CPU's own numbers are as they were"


@pytest.mark.parametrize("p_joint", [0.0, 1.0], ids=["conditional", "joint"])
def test_a_training_step_does_not_wait(p_joint, monkeypatch):
    """Loss and gradients of a step, after a first one that tabulates the masks; only the choice of A2 is looked at,
    which the host drew."""
    model, generator = build(p_joint=p_joint), torch.Generator().manual_seed(0)
    (*_, stage) = model.stages()
    batch = {"a": torch.randn(8, 2), "b": torch.randn(8, 3)}
    for _ in range(12):
        stage.loss(batch, generator)
    monkeypatch.setattr("mmbench_mld.diffusion.on_host", lambda generator: torch.Generator().manual_seed(3))
    host: list[torch.Tensor] = []
    rand = torch.rand

    def watched(*shape, **more):
        made = rand(*shape, **more)
        if more["generator"] is not generator:
            host.append(made)
        return made

    monkeypatch.setattr(torch, "rand", watched)
    with no_waits(host=host):
        for _ in range(12):
            stage.loss(batch, generator)["loss"].backward()
    assert len(host) == 12
    assert model.score.lift.weight.grad is not None


@pytest.mark.parametrize("cls", [MLD, MLDUni, MLDInpaint])
def test_a_step_on_incomplete_tuples_does_not_wait(cls, monkeypatch):
    """From the rows of the step on: the mask is gathered as the latents are, shapes stay."""
    data = toys()[1]
    with seeded_init(0):
        model = cls.build(data.spec, replace(cls.recipe(data.spec, "smoke"), **SMALL), Networks())
    (*_, stage), generator = model.stages(), torch.Generator().manual_seed(0)
    tuples = prepared(stage, incomplete(data.train, 0.4, seed=0))
    loss, rows = loss_of(model, stage, tuples), torch.arange(16)
    monkeypatch.setattr("mmbench_mld.diffusion.on_host", lambda generator: torch.Generator().manual_seed(3))
    host: list[torch.Tensor] = []
    rand = torch.rand

    def watched(*shape, **more):
        made = rand(*shape, **more)
        if more["generator"] is not generator:
            host.append(made)
        return made

    for _ in range(30):  # tabulates the masks
        loss(rows, generator)
    monkeypatch.setattr(torch, "rand", watched)
    with no_waits(host=host):
        for _ in range(12):
            loss(rows, generator)["loss"].backward()
    assert model.score.lift.weight.grad is not None


VAES = ("mmvae", "mmvae_dreg", "mopoe", "mvae", "mvtcae")


@pytest.mark.parametrize("share", [0.0, 0.4], ids=["whole", "incomplete"])
@pytest.mark.parametrize("name", VAES)
def test_a_step_of_a_vae_does_not_wait(name, share, monkeypatch):
    """MVAE's choice of subsets alone is looked at, which the host drew."""
    data, cls = toys()[1], load(MODELS, name)
    config = cls.recipe(data.spec, "smoke")
    with seeded_init(0):
        model = cls.build(data.spec, replace(config, samples=2) if name == "mmvae_dreg" else config, Networks()).train()
    (stage,), generator = model.stages(), torch.Generator().manual_seed(0)
    loss, rows = loss_of(model, stage, prepared(stage, incomplete(data.train, share, seed=0))), torch.arange(16)
    monkeypatch.setattr("mmbench_baselines.mvae.on_host", lambda generator: torch.Generator().manual_seed(3))
    host: list[torch.Tensor] = []
    permuted = torch.randperm

    def watched(*shape, **more):
        order = permuted(*shape, **more)
        host.append(order[: model.config.random_subsets])
        return Order(host[-1])

    loss(rows, generator)["loss"].backward()
    monkeypatch.setattr(torch, "randperm", watched)
    with no_waits(host=host):
        loss(rows, generator)["loss"].backward()
    assert len(host) == (name == "mvae")
    assert all(p.grad is not None for p in model.parameters())


class Order:
    """A permutation of the host's whose beginning is looked at."""

    def __init__(self, beginning):
        self.beginning = beginning

    def __getitem__(self, places):
        return self.beginning


UP = (Restart(low=0.05, high=0.2, steps=1, times=1),)
SAMPLERS = {
    "path": {"sampler": Sampler(), "path": TimePath(steps=3, jump=1, resample=2)},
    "first order": {"sampler": Sampler(kind="sde", steps=3)},
    "multistep": {"sampler": Sampler(kind="dpm2m", steps=3, restarts=UP), "sampling_precision": "float32"},
    "multistep, SDE": {"sampler": Sampler(kind="sde2m", steps=3, restarts=UP)},
    "heun": {"sampler": Sampler(kind="heun", steps=3, churn=0.2)},
    "Langevin": {"sampler": Sampler(kind="ddim", steps=4, langevin=(Langevin(low=0.01, high=0.5, steps=1, size=0.1),))},
}


@pytest.mark.parametrize("settings", SAMPLERS.values(), ids=SAMPLERS)
def test_sampling_does_not_wait(settings):
    """On the meta device, after a first batch that tabulates the masks, from the noise's keys on: they are drawn on
    the host and go over once for a batch."""
    model = build(**settings).to("meta")
    complete = partial(model._complete, {"b": torch.zeros(6, 3, device="meta")}, 6)
    complete(Noise(torch.Generator(), 6, "meta"))
    noise = Noise(torch.Generator(), 6, "meta")
    with torch.no_grad(), no_waits("meta"):
        made = complete(noise)
    assert {name: (tuple(z.shape), z.device.type) for name, z in made.items()} == {
        "a": ((6, 2), "meta"), "b": ((6, 3), "meta")
    }  # fmt: skip


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("settings", SAMPLERS.values(), ids=SAMPLERS)
def test_a_gpu_waits_for_nothing(settings):
    """torch's own watch over synchronising calls, over training steps and sampling."""
    model = build(p_joint=0.5, **settings).to("cuda")
    (*_, stage) = model.stages()
    generator = torch.Generator("cuda").manual_seed(0)
    batch = {"a": torch.randn(8, 2, device="cuda"), "b": torch.randn(8, 3, device="cuda")}
    for _ in range(20):
        stage.loss(batch, generator)["loss"].backward()
    model._complete({"b": batch["b"]}, 8, Noise(torch.Generator(), 8, "cuda"))
    noise = Noise(torch.Generator(), 8, "cuda")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            stage.loss(batch, generator)["loss"].backward()
        with torch.no_grad():
            model._complete({"b": batch["b"]}, 8, noise)
    finally:
        torch.cuda.set_sync_debug_mode("default")
