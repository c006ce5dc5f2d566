"""Damaged tensor files: what is used is what was written, or it is made again; else there is one sentence. Never a
traceback, never another number, and nothing is lost: what is not believed is set aside."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

import mmbench.training.loop as loop
from mmbench import store
from mmbench.config import Schedule
from mmbench.data import glyphs
from mmbench.engine.engine import Engine
from mmbench.errors import MmbenchError, ResultError
from mmbench.progress import Progress
from mmbench.seeding import seeded_init
from mmbench.store.artefacts import TENSORS, Artefact, Artefacts, read_card
from mmbench.tensors import load_tensors, once
from mmbench.training import Checkpoints, fit
from mmbench_evaluation.caption_heads import Heads

from ..store.mutate_tensors import mutate
from .conftest import Notes, asked
from .test_artefacts import MLD

SETTINGS = {
    "mvae": ("schedule.steps=4", "eval.count=8", "eval.quality_count=8", "eval.batch_size=8", "eval.judge.steps=3"),
    "mld": (*MLD, "eval.count=8", "eval.quality_count=8", "eval.batch_size=8", "eval.judge.steps=3"),
}
KEEP = 8
SECONDS = 20
"""After which a test of one mutant counts as hanging."""


def request(home: Path, model: str, **changes: Any) -> Any:
    settings = SETTINGS[model]
    return asked(
        home, **({"models": (model,), "settings": settings, "metrics": ("coherence", "fmd"), "keep": KEEP} | changes)
    )


@dataclass(frozen=True)
class Ground:
    """What mutants are made of: a folder in which everything was computed once, undisturbed."""

    home: Path
    rows: dict[str, Any]
    """Model -> the rows of its cell."""
    drawn: dict[str, Any]
    """Model -> what `sample` gives."""
    trained: dict[str, Tensor]
    """The weights that the unfinished training ends with."""

    def below(self, pattern: str) -> list[Path]:
        return sorted(self.home.glob(pattern))


class Stopping(Progress):
    """Interrupts a training at a step."""

    @contextmanager
    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Iterator[Any]:
        left = 7

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal left
            left -= steps
            if not left:
                signal.raise_signal(signal.SIGINT)

        yield advance


def train_toy(folder: Path, seed: int, progress: Progress) -> dict[str, Tensor]:
    """A small network with dropout and running statistics, from the checkpoints in a folder where there are any."""
    data = torch.rand(32, 6, generator=torch.Generator().manual_seed(seed))

    def build() -> torch.nn.Module:
        layers = torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.5), torch.nn.Linear(5, 6)
        return torch.nn.Sequential(*layers)

    def loss(network: torch.nn.Module, rows: Tensor) -> Tensor:
        return (network(data[rows]) - data[rows]).square().mean()

    checkpoints = Checkpoints(folder, progress.say)
    network = fit(
        build, loss, count=32, schedule=Schedule(steps=12, batch_size=8, lr=1e-2), seed=seed, purpose="judge",
        modality="toy", device=torch.device("cpu"), progress=progress, checkpoints=checkpoints,
    )  # fmt: skip
    checkpoints.clear()
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def rows_of(home: Path, model: str) -> list[dict[str, Any]]:
    (path,) = home.glob(f"results/glyphs/{model}/*/seed-0.json")
    return sorted(json.loads(path.read_text())["rows"], key=json.dumps)


def sampled(home: Path, model: str) -> dict[str, np.ndarray]:
    engine = Engine(request(home, model, metrics=(), keep=0, settings=(), seeds=()), Notes())
    return engine.sample((), (), 2, 0).made


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Few tuples, and a process-wide setting that stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glyphs, "COUNTS", (80, 40))
        patch.setattr(torch, "set_flush_denormal", lambda _: True)
        yield


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, _small: None) -> Ground:
    home = tmp_path_factory.mktemp("g")
    for model in SETTINGS:
        assert len(Engine(request(home, model), Progress()).run().complete) == 1
    with seeded_init(0):
        heads = {name: tensor.clone() for name, tensor in Heads(12, 8, 4).state_dict().items()}
    artefacts = Artefacts(home / "runs/artefacts")
    once(artefacts.of("caption heads", {"toy": 0}), lambda: (heads, {"recall": 0.5}), "caption heads", Progress())
    trained = train_toy(home / "whole/judge/0", 0, Progress())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
        for seed in (0, 1):
            with pytest.raises(KeyboardInterrupt):
                train_toy(home / f"unfinished/judge/{seed}", seed, Stopping())
    rows, drawn = ({model: f(home, model) for model in SETTINGS} for f in (rows_of, sampled))
    kinds = {path.parent.parent.name for path in home.glob("runs/artefacts/*/*/*.safetensors")}
    assert kinds == {"stage", "judge", "reference-autoencoder", "caption-heads", "statistics", "samples"}
    return Ground(home, rows, drawn, trained)


def linked(ground: Ground, to: Path, *parts: str) -> Path:
    """A copy of parts of the ground, whose files are the same until they are replaced."""
    for part in parts:
        shutil.copytree(ground.home / part, to / part, copy_function=os.link, symlinks=True, dirs_exist_ok=True)
    return to


@contextmanager
def in_time() -> Iterator[None]:
    """A pipe that is opened waits for ever."""

    def strike(*_: Any) -> None:
        raise AssertionError(f"hangs: not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, strike)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check_words(said: list[str]) -> None:
    for line in said:
        assert len(line) < 700, line
        assert line.isprintable(), line
        assert "Traceback" not in line


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return sorted(one) == sorted(other) and all(
        one[n].dtype == other[n].dtype and torch.equal(one[n], other[n]) for n in one
    )


def lies(root: Path, mutant: bytes | None) -> bool:
    """Whether the bytes of a mutant lie somewhere below a folder (None: it was none, so nothing can be lost)."""
    if mutant is None:
        return True
    return any(p.is_file() and not p.is_symlink() and p.read_bytes() == mutant for p in root.rglob("*"))


def alike(mutant: bytes | None, whole: Path) -> bool:
    """Whether a mutant says what the whole file says: zeros in the place of zeros, another date in a zip."""
    one, other = (load_bytes(data) for data in (mutant or b"", whole.read_bytes()))
    return sorted(one) == sorted(other) and all(
        one[n].dtype == other[n].dtype and np.array_equal(one[n], other[n]) for n in other
    )


def load_bytes(data: bytes) -> dict[str, Any]:
    try:
        if data.startswith(b"PK"):
            with np.load(io.BytesIO(data)) as file:
                return {name: file[name] for name in file.files}
        return safetensors.torch.load(data)
    except Exception:  # whatever it is, it says something else
        return {}


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


# What is done with a mutant, each kind of file: (ground, an empty folder, draw) -> what was done to which file


def read_artefact(ground: Ground, home: Path, draw: Random) -> str:
    """An artefact is asked for; it can be made again."""
    paths = ground.below("runs/artefacts/*/*/tensors.safetensors")
    path = draw.choice(paths)
    place = path.relative_to(ground.home).parent
    linked(ground, home, str(place))
    card = read_card(path.with_name("card.json"))
    assert card is not None
    whole, notes = (load_tensors(path)[0], card.facts), Notes()
    of_card = draw.random() < 0.15
    target = home / place / ("card.json" if of_card else TENSORS)
    other = draw.choice([p for p in paths if p != path])
    others = [other.with_name("card.json")] if of_card else [other]
    deed = mutate(target, others, draw, values=True)
    mutant, artefact = content(target), Artefact(home / "runs/artefacts", card.kind, card.identity)
    made: list[int] = []

    def make() -> Any:
        made.append(1)
        return whole

    found, facts = once(artefact, make, card.title, notes)
    assert same(found, whole[0])
    assert facts == whole[1]
    check_words(notes.said)
    assert lies(home, mutant)
    assert bool(notes.said) == bool(made) or not mutant, "what was not believed is told of"
    assert same(once(artefact, lambda: pytest.fail("made twice"), card.title, notes)[0], whole[0])
    return f"{card.kind}: {deed}"


def resume(ground: Ground, home: Path, draw: Random) -> str:
    """A training goes on from its checkpoints, or from its beginning."""
    folder = linked(ground, home, "unfinished/judge/0") / "unfinished/judge/0"
    others = ground.below("unfinished/judge/1/*.safetensors") + ground.below(
        "runs/artefacts/judge/*/tensors.safetensors"
    )
    names = draw.choice((["training"], ["training"], ["training.before"], ["training", "training.before"]))
    deeds, mutants, notes = [], [], Notes()
    for name in names:
        path = folder / f"{name}.safetensors"
        deeds.append(f"{name} {mutate(path, others, draw, values=False)}")
        mutants.append(content(path))
    saved = loop.CHECKPOINT_SECONDS
    loop.CHECKPOINT_SECONDS = draw.choice((saved, -1.0))
    try:
        assert same(train_toy(folder, 0, notes), ground.trained)
    finally:
        loop.CHECKPOINT_SECONDS = saved
    check_words(notes.said)
    if "training" in names:  # the newest, which was read
        whole = ground.home / "unfinished/judge/0/training.safetensors"
        assert lies(home, mutants[0]) or alike(mutants[0], whole), "not believed, so it is set aside"
    return f"checkpoint: {deeds}"


def load_cache(ground: Ground, home: Path, draw: Random) -> str:
    """A dataset is read from its cache, or drawn anew."""
    (path,) = ground.below("runs/cache/glyphs-*.safetensors")
    linked(ground, home, "runs/cache")
    target, said = home / "runs/cache" / path.name, []
    deed = mutate(target, ground.below("runs/artefacts/*/*/tensors.safetensors"), draw, values=False)
    mutant, source = content(target), glyphs.Glyphs()
    source.say = said.append
    whole = glyphs.draw(*glyphs.COUNTS)
    assert source.load(home, home / "runs/cache").fingerprint == whole.fingerprint
    assert lies(home, mutant)
    check_words(said)
    return f"cache: {deed}"


def read_shown(ground: Ground, home: Path, draw: Random) -> str:
    """A sample file is what was written, or a sentence."""
    paths = ground.below("runs/samples/**/*.npz")
    path = draw.choice(paths)
    linked(ground, home, str(path.relative_to(ground.home).parent))
    target, whole = home / path.relative_to(ground.home), store.read_samples(path)
    others = [other for other in paths if other != path]
    deed = mutate(target, [*others, *ground.below("runs/cache/*.safetensors")], draw, values=False)
    try:
        found = store.read_samples(target)
    except ResultError as error:
        check_words([str(error)])
    else:
        assert list(found) == list(whole)
        assert all(np.array_equal(found[n], whole[n]) and found[n].dtype == whole[n].dtype for n in whole)
    return f"sample file: {deed}"


def whole_engine(ground: Ground, home: Path, draw: Random) -> str:
    """One to three files of a finished cell are mutants; it is computed or measured again, or its model is used."""
    linked(ground, home, "runs", "results")
    model = draw.choice(list(SETTINGS))
    paths = [
        path
        for path in ground.below("runs/**/*")
        if path.suffix in (".safetensors", ".npz") and "heads" not in str(path)
    ]
    deeds, mutants, notes = [], [], Notes()
    wholes = []
    for path in draw.sample(paths, draw.choice((1, 1, 2, 3))):
        target = home / path.relative_to(ground.home)
        others = [other for other in paths if other != path and other.suffix == path.suffix]
        deed = mutate(target, others, draw, values="cache" not in path.parts)
        deeds.append(f"{path.relative_to(ground.home / 'runs')}: {deed}")
        mutants.append(content(target))
        wholes.append(path)
    verb = draw.choice(("run", "run again", "evaluate again", "evaluate again", "sample"))
    fate = do(ground, home, model, verb, notes)
    check_words(notes.said)
    lost = [d for d, m, w in zip(deeds, mutants, wholes, strict=True) if not lies(home, m) and not alike(m, w)]
    assert not lost, (verb, lost)
    return f"engine: {verb} {model}: {fate}; {deeds}"


def do(ground: Ground, home: Path, model: str, verb: str, notes: Notes) -> str:
    """Do it and look at what came of it: equal rows, or a failure in a sentence with the cell as it was."""
    if verb == "sample":
        try:
            made = sampled(home, model)
        except MmbenchError as error:
            reason = str(error)
        else:
            reason = ""
        assert "failed with" not in reason
        check_words([reason] * bool(reason))
        if reason:
            return "refused"
        assert all(np.array_equal(made[n], ground.drawn[model][n]) for n in ground.drawn[model])
        return "sampled"
    if verb == "run":
        for path in home.glob(f"results/glyphs/{model}/*/*.json"):
            path.unlink()
    engine = Engine(request(home, model, again="again" in verb), notes)
    outcome = engine.evaluate() if verb.startswith("evaluate") else engine.run()
    reasons = [reason for _, reason in outcome.failed] + outcome.broken
    check_words(reasons)
    assert not any("failed with" in reason for reason in reasons), reasons
    assert verb.startswith("evaluate") or not reasons, reasons
    assert rows_of(home, model) == ground.rows[model], "not one wrong number is written"
    return "refused" if reasons else "equal"


READERS = (read_artefact,) * 8 + (resume,) * 5 + (load_cache,) * 2 + (read_shown,) * 2


def hunt(ground: Ground, folder: Path, seed: int, readings: int, engines: int) -> Counter[str]:
    """How many mutants of which kinds were met; fails with the first that is not dealt with."""
    met = Counter[str]()
    deeds: list[Callable[[Ground, Path, Random], str]] = [READERS[k % len(READERS)] for k in range(readings)]
    for number, deed in enumerate([*deeds, *[whole_engine] * engines]):
        home = folder / f"m{number}"
        home.mkdir()
        try:
            with in_time():
                told = deed(ground, home, Random(f"{seed}.{number}"))
        except BaseException as error:
            found = [str(p.relative_to(home)) for p in sorted(home.rglob("*")) if "damaged" in p.name]
            raise AssertionError(
                f"mutant {number} of seed {seed} ({deed.__name__}) in {home}, aside {found}: {error!r}"
            ) from error
        met[told.partition(":")[0]] += 1
        shutil.rmtree(home)
    return met


def test_60_mutants_are_dealt_with(ground: Ground, tmp_path: Path) -> None:
    met = hunt(ground, tmp_path, 0, 54, 6)
    assert len(met) >= 8, "every kind of file was met"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_2_000_mutants_are_dealt_with(ground: Ground, tmp_path: Path) -> None:
    assert sum(hunt(ground, tmp_path, 1, 1700, 300).values()) == 2000
