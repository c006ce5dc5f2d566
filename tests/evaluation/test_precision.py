"""Judges run in full float32 on a GPU. There is none here: torch's switches are read where a network is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmbench_evaluation import classifiers, clip_score, inception, reference, towers
from mmbench_evaluation.precision import full_precision

BACKENDS: Any = torch.backends
CPU = torch.device("cpu")
GPU: Any = SimpleNamespace(type="cuda")


def switches() -> tuple[str, ...]:
    return (
        torch.get_float32_matmul_precision(),
        BACKENDS.cuda.matmul.fp32_precision,
        BACKENDS.mkldnn.matmul.fp32_precision,
        BACKENDS.cudnn.conv.fp32_precision,
        BACKENDS.cudnn.rnn.fp32_precision,
    )


def full() -> bool:
    """Whether both products and convolutions are in float32, by each of torch's interfaces."""
    old = BACKENDS.cudnn.allow_tf32 or BACKENDS.cuda.matmul.allow_tf32
    return not old and switches() == ("highest", "ieee", "ieee", "ieee", "ieee")


@pytest.fixture(autouse=True)
def fast() -> Iterator[None]:
    """TensorFloat-32 wherever torch can have it; what was before is put back."""
    torch.set_float32_matmul_precision("medium")
    BACKENDS.cudnn.allow_tf32 = True
    yield
    torch.set_float32_matmul_precision("highest")
    BACKENDS.cuda.matmul.fp32_precision = BACKENDS.mkldnn.matmul.fp32_precision = "none"


def test_the_switches_are_set_and_put_back() -> None:
    before = switches()
    assert before == ("medium", "tf32", "bf16", "tf32", "tf32")
    with full_precision(GPU):
        assert full()
    assert switches() == before
    assert BACKENDS.cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), full_precision(GPU):
        _ = 1 / 0
    assert switches() == before


def test_the_other_interface_is_respected() -> None:
    """A model that set the newer switches alone, after which torch refuses to read the older ones."""
    conv = BACKENDS.cudnn.conv
    conv.fp32_precision = "ieee"
    try:
        with pytest.raises(RuntimeError):
            _ = BACKENDS.cudnn.allow_tf32
        with full_precision(GPU):
            assert full()
        assert switches() == ("medium", "tf32", "bf16", "ieee", "tf32")
    finally:
        conv.fp32_precision = "tf32"
        BACKENDS.cudnn.allow_tf32 = True


def test_without_a_gpu_nothing_is_touched() -> None:
    before = switches()
    with full_precision(CPU):
        assert switches() == before


class Watch(nn.Module):
    """Notes the switches at every call, in the place of any network."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        super().__init__()
        self.answer, self.seen = answer, list[bool]()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(full())
        return self.answer(*args, **kwargs)

    extract_features = get_image_features = get_text_features = forward


def blank(kind: type, **fields: Any) -> Any:
    """An object without its constructor, which would load weights."""
    made = object.__new__(kind)
    vars(made).update(fields, device=CPU)
    return made


def use_classifier(dataset: Any) -> Watch:
    network = classifiers.LeNet((1, 16, 16), 3)
    watch = Watch(network.body.forward)
    network.body = watch  # type: ignore[assignment]
    judge = classifiers.Classifier(network)
    judge.predict(torch.rand(2, 1, 16, 16))
    judge.features(torch.rand(2, 1, 16, 16))
    return watch


def use_reference(dataset: Any) -> Watch:
    modality = dataset.spec.modality("grey")
    network = reference.Autoencoder(modality)
    watch = Watch(network.encoder.forward)
    network.encoder = watch
    reference.ReferenceAutoencoder(network, modality, 1.0, "").reconstruct(torch.rand(2, 1, 16, 16))
    return watch


def use_inception(dataset: Any) -> Watch:
    watch = Watch(lambda x: x.flatten(1)[:, :4])
    judge = blank(inception.Inception, body=watch, batch=2, resize="pytorch-fid", rounding=False)
    judge.features(torch.rand(3, 3, 8, 8))
    return watch


def use_image_tower(dataset: Any) -> Watch:
    watch = Watch(lambda x: x[:, :, ::32, ::32])
    blank(towers.ImageTower, network=watch)(torch.rand(2, 3, 64, 64))
    return watch


class Words(dict[str, Tensor]):
    def to(self, device: torch.device) -> Words:
        return self


def tokens(texts: list[str], **_: Any) -> Words:
    ones = torch.ones(len(texts), 3, dtype=torch.int64)
    return Words(input_ids=ones, attention_mask=ones)


def use_sentence_tower(dataset: Any) -> Watch:
    watch = Watch(lambda **_: SimpleNamespace(last_hidden_state=torch.ones(2, 3, 384)))
    blank(towers.SentenceTower, model=watch, tokenizer=tokens)(["ab", "cd"])
    return watch


def use_clip(dataset: Any) -> Watch:
    watch = Watch(lambda **_: torch.ones(2, 4))
    sizes = {"vision_config": SimpleNamespace(image_size=32)}
    watch.config = SimpleNamespace(text_config=SimpleNamespace(max_position_embeddings=8), **sizes)  # type: ignore[assignment]
    judge = blank(clip_score.Clip, model=watch, tokenizer=tokens)
    judge.embed_images(torch.rand(2, 3, 16, 16))
    judge.embed_texts(["ab", "cd"])
    return watch


USES = [
    (classifiers, use_classifier),
    (reference, use_reference),
    (inception, use_inception),
    (towers, use_image_tower),
    (towers, use_sentence_tower),
    (clip_score, use_clip),
]


@pytest.mark.parametrize(("module", "use"), USES, ids=[use.__name__ for _, use in USES])
def test_every_judge_is_called_in_full_precision(module, use, dataset, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    devices: list[torch.device] = []

    def as_on_a_gpu(device: torch.device) -> Any:
        devices.append(device)
        return full_precision(GPU)

    monkeypatch.setattr(module, "full_precision", as_on_a_gpu)
    watch = use(dataset)
    assert watch.seen
    assert all(watch.seen)
    assert set(devices) == {CPU}  # the judge's own
    assert not full()
