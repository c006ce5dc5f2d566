"""Samples of a trained model for the test tuples: drawn, or read back where enough of them were kept on disk.

The samples for given modalities S depend on the cell's seed and on S alone, and noise belongs to the sample: drawing
more of them leaves the first ones as they were. So kept samples and fresh ones are the same, and a metric can be added
to a finished cell from either.

    <folder>/joint.safetensors, mnist-to-svhn.safetensors      images float32 (n, C, H, W), texts int64 (n, length)
    <folder>/joint/mnist/00000.png, joint/caption.txt          the same for other tools (--save-format png)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .errors import StorageError
from .metric import Bench
from .modality import Modality
from .model import Batch, Model, draw
from .seeding import generator
from .store import write_text
from .training import load_tensors, save_tensors

__all__ = ["Drawn", "Sampler", "as_array", "batches", "title"]


class Drawn(NamedTuple):
    """A batch of samples."""

    start: int
    """Place of the first sample in the evaluation order."""
    rows: Tensor
    """Test tuples (B,) that the samples were made for."""
    conditions: Batch
    """The given modalities of these tuples."""
    samples: Batch
    """The targets (B, *shape)."""


@dataclass
class Sampler:
    """Where the samples of one cell come from."""

    model: Callable[[], Model]
    """Gives the trained model; not called where every sample that is asked for was kept."""
    seed: int
    """The cell's."""
    folder: Path | None = None
    """Where samples are kept; None to keep and look up none."""
    keep: int = 0
    """How many samples of each condition are kept in the folder."""
    format: Literal["safetensors", "png"] = "safetensors"
    """'png' writes files for other tools beside the exact ones."""
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """What was drawn -> forward calls of each of the model's modules for its first batch."""

    def batches(self, bench: Bench, given: Sequence[str], targets: Sequence[str], count: int) -> Iterator[Drawn]:
        """Samples for the first `count` tuples of the evaluation order, in batches of the protocol's size.

        They are kept when the last batch has been taken.
        """
        count = min(len(bench.order), max(count, self.keep))
        kept = self._kept(title(given, targets), count)
        drawn = self._draw(bench, given, targets, count) if kept is None else None
        gathered: list[Batch] = []
        for start, rows in batches(bench.order[:count], bench.protocol.batch_size):
            conditions = bench.dataset.test.gather(rows, given) if given else {}
            if drawn is not None:
                samples = drawn(start, conditions, len(rows))
                if start < self.keep:
                    gathered.append({name: values[: self.keep - start] for name, values in samples.items()})
            else:
                assert kept is not None
                samples = {name: values[start : start + len(rows)] for name, values in kept.items()}
            yield Drawn(start, rows, conditions, samples)
        if self.folder and gathered:
            whole = {name: torch.cat([part[name] for part in gathered]) for name in targets}
            self._write(bench, title(given, targets), whole)

    def _draw(
        self, bench: Bench, given: Sequence[str], targets: Sequence[str], count: int
    ) -> Callable[[int, Batch, int], Batch]:
        draws = generator(self.seed, "sample", "given", *given)

        def drawn(start: int, conditions: Batch, size: int) -> Batch:
            model = self.model()
            with _count_calls(model) if start == 0 else nullcontext() as calls:
                samples = draw(model, conditions, targets, count=size, generator=draws)
            if calls is not None:
                self.calls[title(given, targets)] = dict(calls)
            return samples

        return drawn

    def _kept(self, name: str, count: int) -> dict[str, Tensor] | None:
        """`count` samples or more from the folder; None where there are fewer."""
        path = self._path(name)
        if path is None or not path.exists():
            return None
        tensors, _ = load_tensors(path)
        return tensors if all(len(values) >= count for values in tensors.values()) else None

    def _write(self, bench: Bench, name: str, samples: Batch) -> None:
        path = self._path(name)
        assert path is not None
        save_tensors(path, samples, {"format": "mmbench samples", "seed": str(self.seed)})
        if self.format == "png":
            for modality in bench.dataset.spec.modalities:
                if modality.name in samples:
                    write_files(path.with_suffix(""), modality, samples[modality.name])

    def _path(self, name: str) -> Path | None:
        return self.folder / f"{name.replace('->', '-to-')}.safetensors" if self.folder else None


def write_files(folder: Path, modality: Modality, values: Tensor) -> None:
    """Images as <folder>/<modality>/00000.png ..., texts as the lines of <folder>/<modality>.txt."""
    from PIL import Image

    array = as_array(modality, values)
    if modality.is_text:
        write_text(folder / f"{modality.name}.txt", "".join(f"{line}\n" for line in array))
        return
    place = folder / modality.name
    try:
        place.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(array.transpose(0, 2, 3, 1)):
            Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(place / f"{number:05}.png")
    except OSError as error:
        raise StorageError(f"cannot write samples to {place}: {error.strerror or error}; free some space") from error


def title(given: Sequence[str], targets: Sequence[str]) -> str:
    """'joint', 'mnist->svhn', 'pen->sign+name'."""
    return f"{'+'.join(given)}->{'+'.join(targets)}" if given else "joint"


def as_array(modality: Modality, values: Tensor) -> np.ndarray:
    """Items (n, *shape) for a sample file: images uint8 (n, C, H, W), texts unicode (n,)."""
    if modality.is_text:
        return np.array([modality.text(tokens) for tokens in values.tolist()], dtype=np.str_)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def batches(rows: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    """(start, part) of consecutive parts of at most `size` rows."""
    start = 0
    for part in rows.split(size):
        yield start, part
        start += len(part)


@contextmanager
def _count_calls(model: Model) -> Iterator[Counter[str]]:
    """Forward calls of the model's modules by qualified name, those that another module makes left out."""
    calls: Counter[str] = Counter()
    depth = 0

    def enter(*_: Any) -> None:
        nonlocal depth
        depth += 1

    def leave(name: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            calls[name] += 1

    hooks = []
    for name, module in model.named_modules():
        if module is not model:
            hooks.append(module.register_forward_pre_hook(enter))
            hooks.append(module.register_forward_hook(lambda *_, name=name: leave(name)))
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
