"""The training loop against optimisers and averages written out here, and its promises on resumption."""

import json
import math
import os
import signal
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from mmbench.config import Schedule, to_json
from mmbench.data.dataset import Split
from mmbench.errors import ResultError, TrainingError
from mmbench.interrupt import Interrupted
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Model, Stage
from mmbench.networks import Networks
from mmbench.progress import Progress
from mmbench.seeding import seeded_init
from mmbench.store import Artefacts
from mmbench.tensors import load_tensors, save_tensors
from mmbench.training import Checkpoints, Keeper, learning_rate, train

from .forged import forge

SPEC = DatasetSpec(
    name="toy",
    title="Toy",
    modalities=tuple(Modality(name=n, shape=(1, 2, 2), network="mnist_mlp", latent=2) for n in "ab"),
)
SCHEDULE = Schedule(steps=60, batch_size=8, lr=1e-2, warmup=5, decay="cosine", ema=0.9)


def split(n=40):
    g = torch.Generator().manual_seed(0)
    items = {name: torch.randint(256, (n, 1, 2, 2), generator=g, dtype=torch.uint8) for name in "ab"}
    return Split(items, torch.arange(n, dtype=torch.int32)[:, None].expand(n, 2).contiguous())


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    schedule: Schedule = SCHEDULE


class Line(Model):
    """Two stages of linear regression of b on a, the second with noise from the generator."""

    Config = Config

    def __init__(self, config):
        super().__init__()
        self.dataset, self.config = SPEC, config
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.seen = []
        self.poison = math.inf

    @classmethod
    def build(cls, dataset, config, networks: Networks):
        return cls(config)

    def stages(self):
        def loss(module):
            def f(batch, generator):
                x, y = batch["a"].flatten(1), batch["b"].flatten(1)
                x = x + 0.1 * torch.randn(x.shape, generator=generator)
                self.seen.append(batch)
                value = (module(x) - y).square().mean()
                if len(self.seen) > self.poison:
                    value = value * math.nan
                return {"loss": value, "twice": 2 * value}

            return f

        return [
            Stage(name=n, module=m, schedule=self.config.schedule, loss=loss(m))
            for n, m in (("first", self.first), ("second", self.second))
        ]

    def generate(self, given, targets, *, count, generator):
        return {}


def model(**changes):
    with seeded_init(0):
        return Line(Config(schedule=replace(SCHEDULE, **changes)))


def keeper(folder, **more):
    return Keeper(
        artefacts=Artefacts(folder),
        identity={"data": "toy"},
        config={"schedule": to_json(SCHEDULE)},
        owner="toy",
        **more,
    )


def weights(m):
    return {n: p.detach().clone() for n, p in m.named_parameters()}


def same(a, b):
    return all(torch.equal(a[n], b[n]) for n in a)


def test_adam_ema_warmup_and_decay_against_numpy():
    """Replay the first stage in float64: Adam's update (Kingma and Ba, Algorithm 1), the schedule, the average."""
    m = model()
    W, b = (p.detach().double().numpy().copy() for p in (m.first.weight, m.first.bias))
    gradients = []

    def record(*_):
        gradients.append([p.grad.double().numpy().copy() for p in (m.first.weight, m.first.bias)])

    handle = register_optimizer_step_pre_hook(record)
    train(m, split(), split(), seed=0)
    handle.remove()
    values, average = [W, b], [W.copy(), b.copy()]
    moments = [(np.zeros_like(v), np.zeros_like(v)) for v in values]
    for step in range(60):
        rate = 1e-2 * ((step + 1) / 5 if step < 5 else 0.5 * (1 + math.cos(math.pi * (step - 5) / 55)))
        for k, g in enumerate(gradients[step]):
            first, second = 0.9 * moments[k][0] + 0.1 * g, 0.999 * moments[k][1] + 0.001 * g * g
            moments[k] = (first, second)
            hat = (first / (1 - 0.9 ** (step + 1))) / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
            values[k] = values[k] - rate * hat
            average[k] = 0.9 * average[k] + 0.1 * values[k]
    assert np.allclose(m.first.weight.detach().numpy(), average[0], atol=1e-6)
    assert np.allclose(m.first.bias.detach().numpy(), average[1], atol=1e-6)
    assert not np.allclose(average[0], values[0], atol=1e-4), "the average must differ from the last iterate"


def test_without_ema_the_last_iterate_stays():
    plain, averaged = model(ema=None), model(ema=0.9)
    train(plain, split(), split(), seed=0)
    train(averaged, split(), split(), seed=0)
    assert not same(weights(plain), weights(averaged))


def test_learning_rate_shape():
    constant = replace(SCHEDULE, decay="none")
    assert [learning_rate(constant, s, 60) for s in (0, 4, 5, 59)] == pytest.approx([0.002, 0.01, 0.01, 0.01])
    assert learning_rate(SCHEDULE, 32, 60) == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi * 27 / 55)))


def test_each_pass_sees_every_tuple_once():
    m = model(steps=None, epochs=3, batch_size=10)
    records = train(m, split(), split(), seed=0)
    assert records["first"].steps == 12
    batches = [b["a"].flatten(1) for b in m.seen[:12]]
    for k in range(3):
        one_pass = torch.cat(batches[4 * k : 4 * k + 4])
        assert len(torch.unique(one_pass, dim=0)) == len(torch.unique(split().items["a"].flatten(1), dim=0))
    assert not torch.equal(torch.cat(batches[:4]), torch.cat(batches[4:8])), "each pass has its own order"


def test_same_seed_same_result_other_seed_other_result():
    runs = []
    for seed in (0, 0, 1):
        m = model()
        train(m, split(), split(), seed=seed)
        runs.append(weights(m))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


class Interrupting(Progress):
    """Sends Ctrl-C, or another signal, when `after` history points have passed."""

    def __init__(self, after, number=signal.SIGINT):
        self.left, self.number = after, number

    def phase(self, title, total, unit="step", done=0):
        return _Phase(self)


class _Phase:
    def __init__(self, owner):
        self.owner = owner

    def __enter__(self):
        return self.advance

    def __exit__(self, *_):
        return None

    def advance(self, steps=1, note=""):
        self.owner.left -= 1
        if self.owner.left == 0:
            signal.raise_signal(self.owner.number)


class Telling(Progress):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


@pytest.mark.parametrize("after", [2, 30, 62, 63, 90])
def test_interrupted_and_resumed_is_the_same_as_uninterrupted(tmp_path, after):
    whole = model()
    expected = train(whole, split(), split(), seed=3, keeper=keeper(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(model(), split(), split(), seed=3, keeper=keeper(tmp_path / "cut"), progress=Interrupting(after))
    resumed = model()
    got = train(resumed, split(), split(), seed=3, keeper=keeper(tmp_path / "cut"))
    assert same(weights(whole), weights(resumed))
    assert {n: r.history for n, r in got.items()} == {n: r.history for n, r in expected.items()}
    assert len(resumed.seen) < len(whole.seen), "the finished steps were not repeated"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_cluster_that_takes_the_machine_back_loses_nothing(tmp_path, number):
    whole, resumed = model(), model()
    train(whole, split(), split(), seed=3)
    before = signal.signal(number, signal.default_int_handler)  # the default would end pytest
    try:
        with pytest.raises(Interrupted) as caught:
            train(model(), split(), split(), seed=3, keeper=keeper(tmp_path), progress=Interrupting(40, number))
    finally:
        signal.signal(number, before)
    assert caught.value.signal == number
    train(resumed, split(), split(), seed=3, keeper=keeper(tmp_path))
    assert same(weights(whole), weights(resumed))
    assert len(resumed.seen) == 80, "the finished steps were not repeated"


def rewrite(folder, name, value):
    """Another number in a kept stage, with which all checksums agree."""

    def change(tensors):
        tensors[name].flatten()[0] = value
        return tensors

    forge(folder, change)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_kept_weight_that_is_not_finite_is_not_believed(tmp_path, value):
    first, second, told = model(), model(), Telling()
    train(first, split(), split(), seed=0, keeper=keeper(tmp_path))
    folder = next(path for path in folders(tmp_path) if '"stage": "first"' in (path / "card.json").read_text())
    rewrite(folder, "first.weight", value)
    train(second, split(), split(), seed=0, keeper=keeper(tmp_path), progress=told)
    assert same(weights(first), weights(second)), "it was trained again"
    assert "not finite (first.weight)" in told.said[0]
    assert "set aside" in told.said[0]


@pytest.mark.parametrize(("value", "kept"), [(math.nan, False), (math.inf, True)])
def test_a_buffer_may_hold_an_infinity_but_no_nan(tmp_path, value, kept):
    """A mask of minus infinity is a common buffer."""

    def masked():
        m = model()
        m.first.register_buffer("mask", torch.tensor([-value]))
        return m

    if kept:
        train(masked(), split(), split(), seed=0, keeper=keeper(tmp_path))
        again = masked()
        train(again, split(), split(), seed=0, keeper=keeper(tmp_path))
        assert again.seen == []
    else:
        with pytest.raises(TrainingError, match=r"first of toy: first\.mask is not finite and is not kept"):
            train(masked(), split(), split(), seed=0, keeper=keeper(tmp_path))


def test_a_trained_weight_that_is_not_finite_is_not_kept(tmp_path):
    """The last step's loss is finite, its gradient is not: the root of 0."""
    m = model()

    def loss(batch, generator):
        m.seen.append(batch)
        value = m.first.weight.square().mean()
        return {"loss": value + (m.first.weight * 0).square().sum().sqrt() if len(m.seen) == 60 else value}

    m.stages = lambda: [Stage(name="first", module=m.first, schedule=SCHEDULE, loss=loss)]
    with pytest.raises(TrainingError, match=r"first of toy: first\.weight is not finite and is not kept"):
        train(m, split(), split(), seed=0, keeper=keeper(tmp_path))
    assert not folders(tmp_path)


def test_a_finished_model_is_loaded_not_trained(tmp_path):
    first = model()
    train(first, split(), split(), seed=0, keeper=keeper(tmp_path))
    second = model()
    records = train(second, split(), split(), seed=0, keeper=keeper(tmp_path))
    assert second.seen == []
    assert same(weights(first), weights(second))
    assert records["second"].steps == 60
    assert not list(tmp_path.glob("stage/*/training*"))


def test_nan_names_stage_step_and_rate():
    m = model()
    m.poison = 70
    with pytest.raises(TrainingError, match=r"stage 'second': loss, twice is not finite at step 11 of 60"):
        train(m, split(), split(), seed=0)


def folders(tmp_path):
    return sorted(p.parent for p in tmp_path.glob("stage/*/card.json"))


@pytest.mark.parametrize("name", ["tensors.safetensors", "card.json"])
@pytest.mark.parametrize("damage", [b"not safetensors", b"", b"{}", None])
def test_a_damaged_stage_is_set_aside_and_trained_again(tmp_path, name, damage):
    """Whole files of rubbish, and (None) one flipped bit in the middle."""
    first, second, told = model(), model(), Telling()
    train(first, split(), split(), seed=0, keeper=keeper(tmp_path))
    path = folders(tmp_path)[0] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(bytes(content) if damage is None else damage)
    train(second, split(), split(), seed=0, keeper=keeper(tmp_path), progress=told)
    assert same(weights(first), weights(second))
    assert len(second.seen) == 60, "one of the two stages was trained again"
    assert len(told.said) == 1
    assert "set aside" in told.said[0]
    assert len(list(tmp_path.glob("stage/*.damaged-1"))) == 1, "and nothing was lost"


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr("mmbench.training.loop.CHECKPOINT_SECONDS", -1.0)  # after every step
    whole, resumed, told = model(), model(), Telling()
    train(whole, split(), split(), seed=3)
    with pytest.raises(KeyboardInterrupt):
        train(model(), split(), split(), seed=3, keeper=keeper(tmp_path), progress=Interrupting(30))
    newest = next(tmp_path.glob("stage/*/training.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1] + b"!")
    train(resumed, split(), split(), seed=3, keeper=keeper(tmp_path), progress=told)
    assert same(weights(whole), weights(resumed))
    assert len(resumed.seen) == 91, "29 of 60 steps of the first stage were kept"
    assert "damaged" in told.said[0]


def cut(folder, seed=3):
    """The checkpoints of a training that was interrupted at step 30."""
    with pytest.raises(KeyboardInterrupt):
        train(model(), split(), split(), seed=seed, keeper=keeper(folder), progress=Interrupting(30))
    return next(folder.glob("stage/*/training.safetensors"))


def goes_on(folder, said):
    """Whether the weights are those of an undisturbed training; how many steps were made for that."""
    whole, resumed, told = model(), model(), Telling()
    train(whole, split(), split(), seed=3)
    train(resumed, split(), split(), seed=3, keeper=keeper(folder), progress=told)
    assert same(weights(whole), weights(resumed))
    assert said in " ".join(told.said)
    assert len(list(folder.glob("stage/*/training*.damaged-1"))) == bool(said)
    return len(resumed.seen)


def test_a_checkpoint_of_another_training_is_not_believed(tmp_path):
    newest = cut(tmp_path / "own")
    newest.write_bytes(cut(tmp_path / "other", seed=4).read_bytes())
    assert goes_on(tmp_path / "own", "of another training") == 120


def poisoned(prefix, value):
    def change(tensors, state):
        name = next(name for name in tensors if name.startswith(prefix))
        tensors[name].flatten()[0] = value

    return change


def without(prefix):
    def change(tensors, state):
        del tensors[next(name for name in tensors if name.startswith(prefix))]

    return change


def halved(tensors, state):
    name = next(name for name in tensors if name.startswith("live/"))
    tensors[name] = tensors[name].half()


def widened(tensors, state):
    name = next(name for name in tensors if name.startswith("adam/exp_avg/"))
    tensors[name] = tensors[name][None]


def enlarged(tensors, state):
    tensors["live/third.weight"] = torch.ones(2)


def course(**changes):
    return lambda tensors, state: state["course"].update(changes)


CHANGES = {
    "nan": (poisoned("live/", math.nan), "not finite"),
    "inf in the moments": (poisoned("adam/exp_avg_sq", math.inf), "not finite"),
    "nan in the average": (poisoned("ema/", math.nan), "not finite"),
    "no moments": (without("adam/exp_avg/"), "it lacks adam/exp_avg/"),
    "no average": (without("ema/"), "it lacks ema/"),
    "no weights": (without("live/"), "it lacks live/"),
    "no generator": (without("draws/"), "it lacks draws/"),
    "other type": (halved, "torch.float16"),
    "other shape": (widened, "is torch.float32 (1, "),
    "more": (enlarged, "nothing of this training"),
    "past the end": (course(steps=61), "which of 60 steps"),
    "before the beginning": (course(steps=0), "which of 60 steps"),
    "half a history": (course(history={"step": [1, 2], "loss": [1.0]}), "history"),
    "no history": (course(history=5), "how far it has come"),
}


@pytest.mark.parametrize("resealed", [True, False])
@pytest.mark.parametrize("kind", CHANGES)
def test_a_checkpoint_that_does_not_fit_is_not_believed(tmp_path, kind, resealed):
    """Its checksum is right; its own form is as it was before, or (resealed) as if it had been written so."""
    path, (change, said) = cut(tmp_path), CHANGES[kind]
    tensors, words = load_tensors(path)
    state = json.loads(words["state"])
    change(tensors, state)
    if resealed:
        path.unlink()
        Checkpoints(path.parent, print).save(tensors, state)
    else:
        save_tensors(path, tensors, words | {"state": json.dumps(state)})
    finite = kind in ("nan", "inf in the moments", "nan in the average")
    assert goes_on(tmp_path, said if resealed or finite else "of another training") == 120


@pytest.mark.parametrize("name", ["training.safetensors", "training.before.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_no_file_in_a_checkpoints_place_stops_a_training(tmp_path, monkeypatch, name, kind):
    monkeypatch.setattr("mmbench.training.loop.CHECKPOINT_SECONDS", -1.0)  # after every step
    path = cut(tmp_path).with_name(name)
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else (path / "deep").mkdir(parents=True)
    assert goes_on(tmp_path, "set aside") == (91 if "before" not in name else 90)


def test_a_buffer_elsewhere_that_a_stage_changes_is_restored(tmp_path):
    """A running mean that the loss moves lies outside of the trained module."""

    def counting():
        m = model()
        m.register_buffer("mean", torch.zeros(4))
        first = Line.stages(m)[0]

        def loss(batch, generator):
            m.mean.mul_(0.9).add_(batch["a"].flatten(1).mean(0))
            return first.loss(batch, generator)

        m.stages = lambda: [replace(first, loss=loss)]
        return m

    whole, cut_off, resumed = counting(), counting(), counting()
    train(whole, split(), split(), seed=3)
    with pytest.raises(KeyboardInterrupt):
        train(cut_off, split(), split(), seed=3, keeper=keeper(tmp_path), progress=Interrupting(30))
    train(resumed, split(), split(), seed=3, keeper=keeper(tmp_path))
    assert torch.equal(whole.mean, resumed.mean)


def test_a_kept_stage_that_lacks_a_tensor_is_of_another_model(tmp_path):
    train(model(), split(), split(), seed=0, keeper=keeper(tmp_path))
    forge(folders(tmp_path)[0], lambda tensors: dict(list(tensors.items())[1:]))
    with pytest.raises(ResultError, match="is of another model"):
        train(model(), split(), split(), seed=0, keeper=keeper(tmp_path))


def test_what_may_not_be_trained_is_refused(tmp_path):
    with pytest.raises(ResultError, match="no trained first of toy"):
        train(model(), split(), split(), seed=0, keeper=keeper(tmp_path, may_train=False))


def test_history_holds_each_term():
    records = train(model(), split(), split(), seed=0)
    history = records["first"].history
    assert history["step"] == list(range(1, 61))
    assert np.allclose(history["twice"], 2 * np.array(history["loss"]), rtol=1e-6)
