"""CLIP-S: how well an image and its caption fit, by CLIP's two towers.

    CLIP-S = 2.5 cos(image, caption), averaged over samples

As in the paper's code the cosine is not cut at 0 and no words are put before the caption; the image is resized to
224 x 224 (bilinear, not cropped), and neither clamped nor rounded. Real pairs and shuffled pairs stand beside it: their
distance is the scale on which a score is to be read.

The paper's CLIP is ViT-B/32. A judge is called so only if its parts have that network's sizes, and the checksum of its
weights stands in its name until it is among the `KNOWN` ones: scores of different weights never look alike.

References: Bounoua et al., Section 5; Hessel et al., "CLIPScore: a reference-free evaluation metric for image
captioning", 2021; Radford et al., "Learning transferable visual models from natural language supervision", 2021.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as transforms

from mmbench.errors import UnavailableError
from mmbench.metric import Bench
from mmbench.tensors import checksum

from .identity import hex8
from .pairs import PairJudge, PairMetric
from .precision import full_precision
from .towers import quiet, resized
from .weights import given

__all__ = ["HUB", "KNOWN", "Clip", "ClipScore"]

HUB = "openai/clip-vit-base-patch32"
NO_PACKAGE = "CLIP-S needs the package transformers: pip install 'mmbench[clip]'"
ADVICE = (
    f"put a copy of {HUB} into a folder clip-vit-base-patch32 and name the folder above it by --weights-root or "
    "MMBENCH_WEIGHTS"
)
"""Where the weights come from when no folder holds them."""
KNOWN: frozenset[str] = frozenset()
"""`Clip.identity` of the official ViT-B/32. It is empty: nobody has yet compared one with OpenAI's own file. Who has
loaded weights that are the official ones beyond doubt may put their identity here (the first 8 digits are in a row)."""
VIT_B_32: dict[str, dict[str, int]] = {
    "vision_config": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    | {"image_size": 224, "patch_size": 32},
    "text_config": {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8}
    | {"vocab_size": 49408, "max_position_embeddings": 77},
}
PROJECTION = 512
"""Its sizes, and that of its common space."""
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""CLIP's normalisation of red, green and blue."""
BATCH = 64
"""Images or captions that go through CLIP at once."""


class Clip(PairJudge):
    """CLIP of a local folder, or of the hub's cache, or of the hub.

    Arguments:
        source: a folder in transformers' layout (config.json, weights, tokenizer), or the hub's name.
        device: where it runs.
        offline: whether the hub itself is left alone.

    Raises OSError or ValueError where it cannot be loaded.
    """

    def __init__(self, source: Path | str, device: torch.device, offline: bool = True) -> None:
        super().__init__()
        from transformers import AutoTokenizer, CLIPModel

        with quiet():
            self.tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=offline)
            model: Any = CLIPModel.from_pretrained(source, local_files_only=offline)
        self.model = model.float().eval().requires_grad_(False).to(device)
        self.source, self.device = source, device
        self._checksum = checksum(dict(self.model.named_parameters()))

    @property
    def name(self) -> str:
        """'CLIP ViT-B/32', with 'unverified' and 8 digits of its checksum where that is none of the known ones."""
        if not _is_vit_b_32(self.model.config):
            return f"{Path(self.source).name} (another architecture, {hex8(self.identity)})"
        return "CLIP ViT-B/32" + ("" if self.identity in KNOWN else f" (unverified, {hex8(self.identity)})")

    @property
    def identity(self) -> str:
        """SHA-256 over its parameters in float32, in the order of their names."""
        return self._checksum

    @torch.no_grad()
    def embed_images(self, x: Tensor) -> Tensor:
        with full_precision(self.device):
            return torch.cat([self._seen(part.to(self.device)) for part in x.split(BATCH)])

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        parts = [list(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        with full_precision(self.device):
            return torch.cat([_unit(self.model.get_text_features(**self._tokens(part))) for part in parts])

    def _seen(self, x: Tensor) -> Tensor:
        pixels = transforms.normalize(resized(x, self.model.config.vision_config.image_size), MEAN, STD)
        return _unit(self.model.get_image_features(pixel_values=pixels))

    def _tokens(self, texts: list[str]) -> dict[str, Tensor]:
        """Padded to the longest and cut to the model's length (77 tokens)."""
        limit = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        return {key: tokens[key].to(self.device) for key in ("input_ids", "attention_mask")}


class ClipScore(PairMetric):
    """How well an image and its caption fit, by CLIP.

    Rows 'clip_s' (2.5 times the mean cosine) and 'clip_cosine' (the mean cosine itself).
    """

    name: ClassVar[str] = "clip_s"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (-2.5, 2.5)
    cosine: ClassVar[str] = "clip_cosine"

    @classmethod
    def lacks(cls, weights: Path | None, cache: Path) -> str:
        if find_spec("transformers") is None:
            return NO_PACKAGE
        if _folder(weights) or _in_hub_cache():
            return ""
        return f"CLIP's weights are not here: the first measurement downloads them; without a network, {ADVICE}"

    @classmethod
    def judge(cls, bench: Bench) -> Clip:
        return bench.memory.recall(Clip, (), lambda: _load(bench.weights, bench.device))

    def score(self, images: Tensor, texts: Tensor) -> Tensor:
        return 2.5 * (images * texts).sum(dim=1)


def _load(weights: Path | None, device: torch.device) -> Clip:
    if find_spec("transformers") is None:
        raise UnavailableError(NO_PACKAGE)
    folder = _folder(weights)
    try:
        return Clip(folder, device) if folder else _from_hub(device)
    except (OSError, ValueError, RuntimeError) as error:
        where = f"{folder} holds no usable CLIP" if folder else f"{HUB} is neither in the hub's cache nor to be had now"
        raise UnavailableError(f"CLIP-S needs CLIP's weights, but {where}: {ADVICE}") from error


def _is_vit_b_32(config: Any) -> bool:
    towers = ((getattr(config, tower), sizes) for tower, sizes in VIT_B_32.items())
    alike = all(getattr(tower, name) == size for tower, sizes in towers for name, size in sizes.items())
    return alike and config.projection_dim == PROJECTION


def _folder(weights: Path | None) -> Path | None:
    """A CLIP in the folder of weights, or that folder itself."""
    if weights is not None:
        for folder in (weights / Path(HUB).name, weights):
            if _is_clip(folder):
                return folder
    return None


def _is_clip(folder: Path) -> bool:
    path = folder / "config.json"
    try:
        return given(path) and json.loads(path.read_text()).get("model_type") == "clip"
    except (OSError, ValueError, AttributeError):
        return False


def _from_hub(device: torch.device) -> Clip:
    """From the hub's local cache, else from the network, which is asked for one small file first."""
    try:
        return Clip(HUB, device)
    except (OSError, ValueError):
        _reach()
        return Clip(HUB, device, offline=False)


def _in_hub_cache() -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(HUB, "config.json"), str)


def _reach() -> None:
    """One short question to the hub; OSError where it does not answer within five seconds."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise OSError("the hub is switched off by HF_HUB_OFFLINE")
    try:
        get_hf_file_metadata(hf_hub_url(HUB, "config.json"), timeout=5)
    except Exception as error:  # which ones, depends on the hub's HTTP client: requests or httpx
        raise OSError(f"the hub does not answer: {error}") from error


def _unit(features: Any) -> Tensor:
    """Features, or what transformers >= 5 wraps them in, as unit vectors on the CPU, float32."""
    vectors = features if isinstance(features, Tensor) else features.pooler_output
    return F.normalize(vectors.float(), dim=1).cpu()
