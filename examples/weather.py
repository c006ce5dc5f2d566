"""Weather: a map of pressure, a photograph of the sky, and the word for both."""

import torch

from mmbench import Dataset, DatasetSource, DatasetSpec, Modality, Split

WORDS = ("sun", "rain", "snow", "fog")
LETTERS = ("_", *sorted(set("".join(WORDS))))  # the padding first

SPEC = DatasetSpec(
    name="weather",
    title="Weather",
    modalities=(
        Modality(name="chart", shape=(1, 28, 28), network="mnist_mlp", latent=16),
        Modality(name="sky", shape=(3, 32, 32), network="svhn_conv", latent=32),
        Modality(
            name="word",
            shape=(4,),
            network="word_mlp",
            latent=8,
            likelihood="categorical",
            vocabulary=LETTERS,
            classes=WORDS,
            separator="",
            unprinted=(0,),
        ),
    ),
    classes=len(WORDS),
    metrics=("coherence", "fmd"),
)


class Weather(DatasetSource):
    title = SPEC.title
    summary = "charts, skies and words of four kinds of weather, drawn here"

    def load(self, root, cache):
        return Dataset(SPEC, drawn(2000, seed=0), drawn(500, seed=1))


def drawn(count, seed):
    """`count` tuples; every random number comes from this generator."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(WORDS)
    chart = 60 * torch.rand(count, 1, 28, 28, generator=rng)
    sky = 120 * torch.rand(count, 3, 32, 32, generator=rng)
    for k in range(len(WORDS)):
        chart[labels == k, :, 7 * k : 7 * k + 7] += 150
        sky[labels == k, k % 3] += 40 + 30 * k
    words = torch.zeros(len(WORDS), 4, dtype=torch.int64)
    for k, word in enumerate(WORDS):
        words[k, : len(word)] = torch.tensor([LETTERS.index(letter) for letter in word])
    items = {"chart": chart.byte(), "sky": sky.clamp(max=255).byte(), "word": words}
    own = torch.arange(count)
    return Split(items, torch.stack([own, own, labels], dim=1), labels)
