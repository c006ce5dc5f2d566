"""CLIP-S with a tiny random CLIP, against NumPy and the library's own towers called one sample at a time."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmbench.errors import UnavailableError
from mmbench.metric import Memory
from mmbench.modality import Task
from mmbench_evaluation import clip_score
from mmbench_evaluation.clip_score import ClipScore

transformers = pytest.importorskip("transformers")

JOINT = Task((), ("photo", "words"))
CAPTION = Task(("photo",), ("words",))
IMAGE = Task(("words",), ("photo",))
LIMIT = 8
MEAN = np.array([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = np.array([0.26862954, 0.26130258, 0.27577711])[:, None, None]


@pytest.fixture(scope="module")
def vocabulary(captioned) -> dict[str, int]:  # type: ignore[no-untyped-def]
    """Of a tiny byte-pair tokenizer that knows the letters and the captions' words."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = captioned.spec.modalities[1].vocabulary[1:]
    tokens = [*letters, *(f"{c}</w>" for c in letters), *(f"{word}</w>" for word in words)]
    return {token: k for k, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


@pytest.fixture(scope="module")
def folder(captioned, vocabulary, tmp_path_factory) -> Path:  # type: ignore[no-untyped-def]
    """A CLIP for images of 128 x 128 and texts of at most eight tokens, in transformers' layout."""
    root = tmp_path_factory.mktemp("weights") / "clip-vit-base-patch32"
    small = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    start, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
    ends = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    config = transformers.CLIPConfig(
        text_config={**small, **ends, "vocab_size": len(vocabulary), "max_position_embeddings": LIMIT},
        vision_config={**small, "image_size": 128, "patch_size": 32},
        projection_dim=6,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = transformers.CLIPModel(config)
        for parameter in model.parameters():  # larger than usual, so that captions and images matter
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.7)
    model.save_pretrained(root)
    words = captioned.spec.modalities[1].vocabulary[1:]
    (root / "vocab.json").write_text(json.dumps(vocabulary))
    (root / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}</w>\n" for a, b in words))
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    settings = {"tokenizer_class": "CLIPTokenizer", **special, "pad_token": "<|endoftext|>"}
    (root / "tokenizer_config.json").write_text(json.dumps(settings))
    transformers.CLIPImageProcessor(size={"shortest_edge": 128}).save_pretrained(root)
    return root


@pytest.fixture
def bench(make_bench, captioned, folder):  # type: ignore[no-untyped-def]
    return replace(make_bench(captioned, quality_count=60), weights=folder.parent)


def doubled(image: np.ndarray) -> np.ndarray:
    """Bilinear, twice as many pixels along both axes: each new pixel lies a quarter of a pixel from its neighbour."""
    for axis in (1, 2):
        n = image.shape[axis]
        before, after = (np.take(image, np.clip(np.arange(n) + s, 0, n - 1), axis=axis) for s in (-1, 1))
        halves = np.stack((0.75 * image + 0.25 * before, 0.75 * image + 0.25 * after), axis=axis + 1)
        image = halves.reshape(*image.shape[:axis], 2 * n, *image.shape[axis + 1 :])
    return image


def cosines(folder: Path, vocabulary: dict[str, int], images: Tensor, captions: list[str]) -> np.ndarray:
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    out = []
    for image, caption in zip(images.double().numpy(), captions, strict=True):
        pixels = torch.from_numpy((doubled(image) - MEAN) / STD).float()[None]
        words = [vocabulary[f"{word}</w>"] for word in caption.split()][: LIMIT - 2]
        tokens = torch.tensor([[vocabulary["<|startoftext|>"], *words, vocabulary["<|endoftext|>"]]])
        with torch.no_grad():
            seen = model.vision_model(pixel_values=pixels).pooler_output[0].numpy()
            read = model.text_model(input_ids=tokens).pooler_output[0].numpy()
        u = model.visual_projection.weight.detach().numpy() @ seen
        v = model.text_projection.weight.detach().numpy() @ read
        out.append(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    return np.array(out)


def weights(folder: Path) -> str:
    """SHA-256 of the weights in the order of their names."""
    sha = hashlib.sha256()
    for _, tensor in sorted(transformers.CLIPModel.from_pretrained(folder).named_parameters()):
        sha.update(tensor.detach().numpy().tobytes())
    return sha.hexdigest()


def printed(bench, words: Tensor) -> list[str]:  # type: ignore[no-untyped-def]
    vocabulary = bench.dataset.spec.modalities[1].vocabulary
    return [" ".join(vocabulary[t] for t in tokens if t) for tokens in words.tolist()]


@pytest.mark.parametrize("task", [JOINT, CAPTION, IMAGE], ids=lambda task: task.name)
def test_it_is_the_formula(bench, folder, vocabulary, task: Task) -> None:  # type: ignore[no-untyped-def]
    ClipScore.prepare(bench)
    rows, others = bench.order[:15], bench.order[20:35]
    made, given = bench.dataset.test.gather(others), bench.dataset.test.gather(rows)
    made["words"][:4] = torch.arange(12) % 6 + 1  # 12 words: longer than the model's limit
    made["photo"] = made["photo"] * 1.5 - 0.25  # beyond [0, 1], which is not clamped
    items = {name: (made if name in task.targets else given)[name] for name in ("photo", "words")}
    metric = ClipScore(bench)
    metric.update(task, {name: made[name] for name in task.targets}, rows)
    score, cosine = metric.compute()
    expected = cosines(folder, vocabulary, items["photo"], printed(bench, items["words"]))
    assert expected.std() > 0.05
    assert (score.metric, score.task, score.modality) == ("clip_s", task.name, "+".join(task.targets))
    assert (score.count, score.judge, score.unit) == (
        15,
        f"clip-vit-base-patch32 (another architecture, {weights(folder)[:8]})",
        "",
    )
    assert score.identity == cosine.identity == weights(folder)[:8]
    assert score.value == pytest.approx(2.5 * expected.mean(), abs=1e-5)
    assert (cosine.metric, cosine.higher_is_better) == ("clip_cosine", None)
    assert cosine.value == pytest.approx(expected.mean(), abs=1e-5)


def test_other_captions_give_another_score(bench) -> None:  # type: ignore[no-untyped-def]
    values = []
    for shift in (0, 1):
        metric = ClipScore(bench)
        real = bench.dataset.test.gather(bench.order[:20])
        metric.update(JOINT, {"photo": real["photo"], "words": real["words"].roll(shift, dims=0)}, bench.order[:20])
        values.append(metric.compute()[0].value)
    assert abs(values[0] - values[1]) > 1e-3


def test_negative_cosines_count(bench) -> None:  # type: ignore[no-untyped-def]
    u = torch.eye(3)[:2]
    torch.testing.assert_close(ClipScore(bench).score(u, torch.stack((u[0], -u[1]))), torch.tensor([2.5, -2.5]))


def test_the_folder_itself_may_be_named(bench, folder) -> None:  # type: ignore[no-untyped-def]
    itself = replace(bench, weights=folder, memory=Memory())
    ClipScore.prepare(itself)
    assert ClipScore.judge(itself).source == folder


def test_other_weights_never_look_alike(bench, folder, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The same name, the same architecture, one weight moved by a thousandth."""
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    model = transformers.CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        model.visual_projection.weight[0, 0] += 1e-3
    model.save_pretrained(copy)
    rows = []
    for root in (folder.parent, tmp_path):
        metric = ClipScore(replace(bench, weights=root, memory=Memory()))
        metric.update(JOINT, bench.dataset.test.gather(bench.order[:3]), bench.order[:3])
        rows.append(metric.compute()[0])
    assert rows[0].identity != rows[1].identity
    assert rows[0].judge != rows[1].judge


def test_what_may_be_called_vit_b_32(bench, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """transformers' default sizes are those of ViT-B/32. Its name is clean only for known weights."""
    judge = ClipScore.judge(replace(bench, memory=Memory()))
    judge.model.config = transformers.CLIPConfig()
    assert judge.name == f"CLIP ViT-B/32 (unverified, {judge.identity[:8]})"
    monkeypatch.setattr(clip_score, "KNOWN", frozenset({judge.identity}))
    assert judge.name == "CLIP ViT-B/32"
    for change in (
        {"vision_config": {"patch_size": 16}},
        {"vision_config": {"num_hidden_layers": 24}},
        {"text_config": {"max_position_embeddings": 76}},
        {"projection_dim": 768},
    ):
        judge.model.config = transformers.CLIPConfig(**change)
        assert judge.name == f"clip-vit-base-patch32 (another architecture, {judge.identity[:8]})"


def test_nothing_is_printed(bench, capfd) -> None:  # type: ignore[no-untyped-def]
    ClipScore.prepare(bench)
    assert capfd.readouterr() == ("", "")


def test_without_weights(bench, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Neither folder nor cache nor network: one sentence, at once."""

    def unreachable() -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(clip_score, "HUB", str(tmp_path / "clip-vit-base-patch32"))  # a name that no cache knows
    monkeypatch.setattr(clip_score, "_reach", unreachable)
    for weights in (None, tmp_path):
        with pytest.raises(UnavailableError, match="--weights-root or MMBENCH_WEIGHTS") as caught:
            ClipScore.prepare(replace(bench, weights=weights, memory=Memory()))
        assert "\n" not in str(caught.value)


def test_a_damaged_folder(bench, tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "clip-vit-base-patch32"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(UnavailableError, match="holds no usable CLIP"):
        ClipScore.prepare(replace(bench, weights=tmp_path, memory=Memory()))


def test_without_transformers(bench, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(clip_score, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"pip install 'mmbench\[clip\]'"):
        ClipScore.prepare(replace(bench, memory=Memory()))


def test_other_datasets_need_no_weights(make_bench, dataset) -> None:  # type: ignore[no-untyped-def]
    """Without a colour image and a text there is nothing to judge, and nothing is loaded."""
    spec = replace(dataset.spec, modalities=dataset.spec.modalities[:2])
    items = {m.name: dataset.test.items[m.name] for m in spec.modalities}
    split = replace(dataset.test, items=items, index=dataset.test.index[:, :2])
    bench = make_bench(replace(dataset, spec=spec, train=split, test=split))
    ClipScore.prepare(bench)
    assert ClipScore(bench).wants(Task((), ("grey", "colour"))) == 0
