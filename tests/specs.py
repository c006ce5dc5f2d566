"""Datasets as the tests of several folders declare them: the paper's birds, without any file."""

from mmbench.modality import DatasetSpec, Modality

IMAGE = Modality(name="image", shape=(3, 64, 64), network="cub_resnet", latent=64, weight=32 / 64**2)
CAPTION = Modality(
    name="caption",
    shape=(32,),
    network="caption_conv",
    latent=32,
    likelihood="categorical",
    weight=5.0,
    vocabulary=tuple(f"word{k}" for k in range(1590)),
    unprinted=(1,),
)
CUB = DatasetSpec(name="cub", title="CUB", family="captions", modalities=(IMAGE, CAPTION))
