"""The trained part of the caption match: two linear maps into one space, and how they are trained.

The equations and references stand in `caption_match`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config import Schedule
from mmbench.progress import Progress
from mmbench.seeding import derive, generator, seeded_init
from mmbench.training import Checkpoints, StreamDraws, Trainer

__all__ = ["Heads", "Settings", "first_of_each", "info_nce", "recall", "train_heads"]


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
    views: Tensor,
    texts: Tensor,
    owner: Tensor,
    settings: Settings,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> Heads:
    """Heads for features of V views of N images (V, N, image_dim) and of captions (M, text_dim), caption j of image
    owner[j].

    A batch holds distinct images, a random view of each, with one of its captions. The same settings give the same
    heads; the global random state is untouched. Raises TrainingError if the loss is not finite.
    """
    with seeded_init(derive(settings.seed, "caption match")):
        heads = Heads(views.shape[2], texts.shape[1], settings.dim)
    heads.standardise(views.flatten(0, 1), texts)

    def loss(captions: Tensor, rng: torch.Generator) -> Mapping[str, Tensor]:
        view = torch.randint(len(views), captions.shape, generator=rng)
        u = heads.images(views[view, owner[captions]], settings.dropout, rng)
        return {"loss": info_nce(u, heads.texts(texts[captions], settings.dropout, rng), heads.scale)}

    def adamw(parameters: Mapping[str, nn.Parameter], schedule: Schedule) -> torch.optim.Optimizer:
        maps, rest = [heads.image.weight, heads.text.weight], [heads.image.bias, heads.text.bias, heads.log_scale]
        return torch.optim.AdamW(
            [{"params": maps, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        )

    trainer = Trainer(
        title="train the caption match",
        parameters=dict(heads.named_parameters()),
        schedule=Schedule(steps=settings.steps, batch_size=settings.batch_size, lr=settings.lr, decay="cosine"),
        total=settings.steps,
        draws=_PairDraws(owner, settings),
        loss=loss,
        live=lambda: dict(heads.state_dict(keep_vars=True)),
        optimiser=adamw,
    )
    trainer.run(checkpoints, progress or Progress())
    return heads.eval().requires_grad_(False)


class _PairDraws(StreamDraws):
    """Captions (B,) of distinct images: in each pass every image comes once, with a random one of its captions."""

    def __init__(self, owner: Tensor, settings: Settings) -> None:
        order, images = (settings.seed, "caption match", "batches"), len(torch.unique(owner))
        super().__init__(order, images, settings.batch_size, torch.device("cpu"), torch.get_rng_state())
        self.owner = owner
        self.generator = generator(settings.seed, "caption match", "views")

    def _permutation(self, number: int) -> Tensor:
        draws = generator(*self.order)
        for _ in range(number):
            torch.randperm(len(self.owner), generator=draws)
        return first_of_each(self.owner, torch.randperm(len(self.owner), generator=draws))


def first_of_each(owner: Tensor, order: Tensor, most: int = 1) -> Tensor:
    """Of `order` (N,) the positions that come among the first `most` of their owner, their order kept."""
    owners = owner[order]
    by_owner = torch.argsort(owners, stable=True)
    _, counts = torch.unique_consecutive(owners[by_owner], return_counts=True)
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    rank = torch.empty_like(by_owner)
    rank[by_owner] = torch.arange(len(order)) - starts
    return order[rank < most]
