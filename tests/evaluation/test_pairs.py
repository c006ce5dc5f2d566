from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from mmbench.cells.measuring import measure
from mmbench.cells.sampling import Sampler
from mmbench.modality import Task
from mmbench_evaluation import pairs
from mmbench_evaluation.pairs import PairJudge, PairMetric, find_pair

JOINT = Task((), ("photo", "words"))
CAPTION = Task(("photo",), ("words",))
IMAGE = Task(("words",), ("photo",))


class Colours(PairJudge):
    """Images by their upper half's mean colour, captions by the number of their letters: any fixed map will do."""

    name, identity = "colours", "any"  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.read: list[str] = []

    def embed_images(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        return torch.nn.functional.normalize(x[:, :, :32].mean(dim=(2, 3)), dim=1)

    def embed_texts(self, texts) -> Tensor:  # type: ignore[no-untyped-def]
        self.read += texts
        return torch.nn.functional.normalize(torch.tensor([[ord(t[0]), len(t), 1.0] for t in texts]), dim=1)


class Doubled(PairMetric):
    name = "doubled"
    higher_is_better = True
    bounds = (-2.0, 2.0)
    cosine = "plain"

    @classmethod
    def judge(cls, bench):  # type: ignore[no-untyped-def]
        return bench.memory.recall(Colours, (), Colours)

    def score(self, images: Tensor, texts: Tensor) -> Tensor:
        return 2 * (images * texts).sum(dim=1)


def cosines(images: Tensor, words: Tensor, vocabulary: tuple[str, ...]) -> np.ndarray:
    """In plain NumPy, one sample at a time."""
    out = []
    for image, tokens in zip(images.double().numpy(), words.tolist(), strict=True):
        text = " ".join(vocabulary[t] for t in tokens if t)
        u, v = image[:, :32].mean(axis=(1, 2)), np.array([ord(text[0]), len(text), 1.0])
        out.append(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    return np.array(out)


def test_the_pair_is_found_by_kind(captioned, dataset) -> None:  # type: ignore[no-untyped-def]
    pair = find_pair(captioned.spec)
    assert (pair.image.name, pair.caption.name) == ("photo", "words")
    assert find_pair(dataset.spec).image.name == "colour"  # one of its two images has a single channel
    photo = captioned.spec.modalities[0]
    two = replace(captioned.spec, modalities=(*captioned.spec.modalities, replace(photo, name="second")))
    assert find_pair(two) is None
    silent = replace(captioned.spec, modalities=(photo, replace(photo, name="second", shape=(1, 8, 8))))
    assert find_pair(silent) is None


def test_how_much_it_wants(make_bench, captioned, dataset) -> None:  # type: ignore[no-untyped-def]
    metric = Doubled(make_bench(captioned, count=50, quality_count=20))
    assert [metric.wants(task) for task in (JOINT, CAPTION, IMAGE)] == [50, 50, 50]
    assert metric.wants(Task(("photo",), ("photo",))) == 0  # a reconstruction says nothing of the caption
    assert Doubled(make_bench(captioned)).wants(JOINT) == len(captioned.test)
    three = Doubled(make_bench(dataset))
    assert three.wants(Task(("grey",), ("colour",))) == three.wants(Task(("grey",), ("word",))) == 0
    assert three.wants(Task(("grey", "colour"), ("word",))) == len(dataset.test)
    modalities = tuple(m for m in dataset.spec.modalities if m.name != "colour")
    items = {name: dataset.test.items[name] for name in ("grey", "word")}
    split = replace(dataset.test, items=items, index=dataset.test.index[:, :2])
    bare = replace(dataset, spec=replace(dataset.spec, modalities=modalities), train=split, test=split)
    bench = make_bench(bare)
    Doubled.prepare(bench)
    assert not bench.memory.knows(Colours, ())
    assert Doubled(bench).wants(Task((), ("grey", "word"))) == 0


@pytest.mark.parametrize("task", [JOINT, CAPTION, IMAGE], ids=lambda task: task.name)
def test_generated_items_meet_the_given_ones(make_bench, captioned, task: Task) -> None:  # type: ignore[no-untyped-def]
    """Made from other test tuples than `rows`; what is given comes from `rows`."""
    metric = Doubled(make_bench(captioned))
    rows, others = torch.arange(0, 40), torch.arange(60, 100)
    made, given = captioned.test.gather(others), captioned.test.gather(rows)
    items = {name: (made if name in task.targets else given)[name] for name in captioned.spec.names}
    for part in (slice(0, 7), slice(7, 40)):
        metric.update(task, {name: made[name][part] for name in task.targets}, rows[part])
    own, plain = metric.compute()
    expected = 2 * cosines(items["photo"], items["words"], captioned.spec.modalities[1].vocabulary)
    assert (own.metric, own.task, own.modality, own.count) == ("doubled", task.name, "+".join(task.targets), 40)
    assert own.value == pytest.approx(expected.mean(), abs=1e-6)
    images = expected if task == JOINT else expected.reshape(20, 2).mean(axis=1)  # two captions of each image
    half = stats.t.ppf(0.975, len(images) - 1) * max(stats.sem(images), stats.sem(expected))
    assert own.interval == pytest.approx((expected.mean() - half, expected.mean() + half), abs=1e-6)
    assert own.identity == plain.identity == hashlib.sha256(b"any").hexdigest()[:8]
    assert (plain.metric, plain.value) == ("plain", pytest.approx(expected.mean() / 2, abs=1e-6))
    assert (own.higher_is_better, plain.higher_is_better, own.judge) == (True, None, "colours")


def test_shuffled_tuples_are_mismatched_in_every_task(make_bench, captioned) -> None:  # type: ignore[no-untyped-def]
    """The harness's own reference points, with a judge that knows which caption belongs to which picture."""
    items = captioned.test.gather(torch.arange(len(captioned.test)))
    belongs = {photo.numpy().tobytes(): tuple(words[:2].tolist()) for photo, words in zip(*items.values(), strict=True)}
    shares: list[dict[Task, float]] = []

    class Belongs(Doubled):
        def __init__(self, bench) -> None:  # type: ignore[no-untyped-def]
            super().__init__(bench)
            self._right: dict[Task, float] = {}

        def update(self, task, samples, rows) -> None:  # type: ignore[no-untyped-def]
            pairs = zip(*(self.bench.dataset.test.gather(rows) | samples).values(), strict=True)
            self._right[task] = np.mean([belongs[p.numpy().tobytes()] == tuple(w[:2].tolist()) for p, w in pairs])

        def compute(self):  # type: ignore[no-untyped-def]
            shares.append(self._right)
            return []

    class Constant(torch.nn.Module):
        device, dataset = torch.device("cpu"), captioned.spec

        def generate(self, given, targets, *, count, generator):  # type: ignore[no-untyped-def]
            return {name: items[name][:1].expand(count, *items[name].shape[1:]) for name in targets}

    bench = make_bench(replace(captioned, train=captioned.test), count=100, quality_count=100)
    measure(Sampler(Constant, seed=0), bench, {"belongs": Belongs})  # type: ignore[arg-type]
    real, shuffled = shares[:2]
    assert real == {JOINT: 1.0, CAPTION: 1.0, IMAGE: 1.0}
    assert set(shuffled) == {JOINT, CAPTION, IMAGE}
    assert max(shuffled.values()) < 0.15  # of 36 kinds of pictures one in 36 agrees by chance


def test_an_item_is_embedded_once(make_bench, captioned, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(pairs, "REMEMBERED", 30)
    judge = Colours()
    images = captioned.test.gather(torch.arange(0, 120, 2))["photo"]
    unlike = torch.unique(images.flatten(1), dim=0).reshape(-1, 3, 64, 64)[:20]
    first = judge.images(unlike[:10])
    again = judge.images(unlike[[3, 3, 12, 9]])
    assert judge.seen == [10, 1]
    torch.testing.assert_close(again[[0, 1, 3]], first[[3, 3, 9]], rtol=0, atol=0)
    torch.testing.assert_close(again, judge.embed_images(unlike[[3, 3, 12, 9]]))
    texts = judge.texts(["ab", "cd", "ab"])
    assert judge.read == ["ab", "cd"]
    assert torch.equal(texts[0], texts[2])
    assert not torch.equal(texts[0], texts[1])
    judge.texts([f"{k}" for k in range(40)])
    judge.texts(["ab"])  # the oldest were forgotten
    assert judge.read.count("ab") == 2
