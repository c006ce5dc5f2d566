"""A dataset of files that a TOML file describes: images and captions that share a name, classes by folder or table.

Files belong together whose paths agree from the first wildcard of their pattern on, endings apart: 'photos/*/*.png' and
'captions/*/*.txt' pair photos/cat/7.png with captions/cat/7.txt, the item 'cat/7'. A text of several lines gives as
many tuples. The split is drawn over items by the description's seed, in each class alike, so that no file trains and
tests.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from ..modality import DatasetSpec, Modality
from ..seeding import generator
from . import captions as texts
from .dataset import Dataset, DatasetSource, Split
from .description import FOLDER, Description, FileModality, describe
from .images import read_image
from .sources import some
from .texts import read_text

__all__ = ["Folders"]

OWN: Mapping[tuple[int, ...], str] = {
    (1, 28, 28): "mnist_mlp",
    (3, 28, 28): "polymnist_conv",
    (3, 32, 32): "svhn_conv",
    (3, 64, 64): "cub_resnet",
}
"""Sizes that the suite has a network for; others are given 'mnist_mlp', which takes all."""
Files = Mapping[str, Mapping[str, Path]]
"""Modality -> item -> its file."""


class Folders(DatasetSource):
    """Reads what the file describes, each time anew: its folder is looked at, not the data root."""

    title = "Folders"
    summary = "images and captions in folders, described by a TOML file"

    def __init__(self, path: Path) -> None:
        self.path, self.said = path, describe(path)

    def load(self, root: Path, cache: Path) -> Dataset:
        files, said = self._files(), self.said
        names = sorted(next(iter(files.values())))
        labels, classes = self._labels(names)
        rows = _split(names, labels, said)
        read = {name: _read(said.modalities[name], [own[item] for item in names]) for name, own in files.items()}
        words = {n: _vocabulary(m, read[n], rows["train"]) for n, m in said.modalities.items() if m.is_text}
        train, test = (_tuples(read, words, labels, own) for own in rows.values())
        return Dataset(_spec(said, words, len(classes)), train, test)

    def verify(self, root: Path) -> str:
        data = self.load(root, root)
        return f"{self.said.name}: {len(data.train):,} training and {len(data.test):,} test tuples can be read."

    def lacks(self, root: Path) -> str:
        try:
            self._files()
        except DataError as error:
            return str(error)
        return ""

    def _files(self) -> Files:
        """The files of each modality. Raises DataError where there are none, or some have no partner."""
        found = {name: self._found(name, m.files) for name, m in self.said.modalities.items()}
        every = {item: None for own in found.values() for item in own}
        for name, own in found.items():
            lacking = [item for item in every if item not in own]
            if lacking:
                raise DataError(
                    f"{self.path}: {len(lacking):,} of {len(every):,} items have no {name}: {some(lacking)}; add their "
                    "files, or take the others away (files are paired whose paths agree from the first wildcard on)"
                )
        return found

    def _found(self, name: str, pattern: str) -> dict[str, Path]:
        folder = self.path.parent
        found: dict[str, Path] = {}
        for path in sorted(p for p in folder.glob(pattern) if p.is_file() and p.name[0] != "."):
            item = _item(path.relative_to(folder), pattern)
            if item in found:
                raise DataError(f"{self.path}: {found[item].name} and {path.name} are both the item {item!r} of {name}")
            found[item] = path
        if not found:
            raise DataError(f"{self.path}: no file of {name} is at {folder / pattern}: correct files, or add them")
        return found

    def _labels(self, items: Sequence[str]) -> tuple[Tensor | None, list[str]]:
        """The class of each item, int64, and the names of the classes; None and none where there are no labels."""
        if not self.said.labels:
            return None, []
        if self.said.labels == FOLDER:
            named = {item: PurePath(item).parent.name for item in items}
            if bare := [item for item, name in named.items() if not name]:
                raise DataError(
                    f"{self.path}: labels = 'folder', and {some(bare)} lie in none: write files = 'a/*/*.png'"
                )
        else:
            named = _table(self.path.parent / self.said.labels)
        if lacking := [item for item in items if item not in named]:
            raise DataError(f"{self.path}: {self.said.labels} has no label of {some(lacking)}: add a line for each")
        classes = sorted({named[item] for item in items})
        return torch.tensor([classes.index(named[item]) for item in items]), classes


def _item(path: PurePath, pattern: str) -> str:
    """'cat/7' for photos/cat/7.png of photos/*/*.png."""
    fixed = next((k for k, part in enumerate(PurePath(pattern).parts) if any(c in part for c in "*?[")), -1)
    return PurePath(*path.with_suffix("").parts[fixed:]).as_posix()


def _table(path: Path) -> dict[str, str]:
    """A CSV file with the columns item and label. Raises DataError that names the line."""
    try:
        lines = list(csv.DictReader(read_text(path).splitlines(), strict=True))
    except (DataError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}): labels is 'folder' or a CSV file") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 2):
        item, label = line.get("item"), line.get("label")
        if not item or not label:
            raise DataError(f"{path}, line {number}: it needs the columns item and label, as its first line names them")
        if found.setdefault(item, label) != label:
            raise DataError(f"{path}, line {number}: {item} has the labels {found[item]} and {label}: keep one")
    return found


def _split(items: Sequence[str], labels: Tensor | None, said: Description) -> dict[str, Tensor]:
    """Rows of the items that train and that test, ascending: of each class the share that was asked for, at random."""
    draws, test = generator(said.seed, "folders"), torch.zeros(len(items), dtype=torch.bool)
    owner = torch.zeros(len(items), dtype=torch.int64) if labels is None else labels
    for k in torch.unique(owner):
        own = (owner == k).nonzero().flatten()
        test[own[torch.randperm(len(own), generator=draws)[: round(said.test * len(own))]]] = True
    return {"train": (~test).nonzero().flatten(), "test": test.nonzero().flatten()}


def _read(modality: FileModality, paths: Sequence[Path]) -> Any:
    """Images uint8 (n, C, H, W), or the captions of each file. Raises DataError that names the damaged ones."""
    faults: list[str] = []

    def read(path: Path) -> Any:
        try:
            found = texts.read_captions(path) if modality.is_text else read_image(path, modality.size)
            if modality.is_text and not found:
                raise DataError("it holds no text")
            return found
        except DataError as error:
            faults.append(f"{path} ({error})")
            return None

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(read, paths))
    if faults:
        raise DataError(
            f"{len(faults):,} files cannot be used: {some(sorted(faults))}; replace them, or take them away"
        )
    return found if modality.is_text else torch.stack(found)


def _vocabulary(modality: FileModality, lines: Sequence[list[str]], train: Tensor) -> tuple[str, ...]:
    """The words of the training texts, after those for unknown words, padding and the end."""
    counts = Counter(word for k in train.tolist() for line in lines[k] for word in texts.words(line))
    return (*texts.SPECIAL, *(word for word, count in counts.items() if count >= modality.least))


def _tuples(read: Mapping[str, Any], words: Mapping[str, Sequence[str]], labels: Tensor | None, rows: Tensor) -> Split:
    """The tuples of some items: of an item with several captions one for each of them."""
    own = rows.tolist()
    most = [max((len(read[name][k]) for name in words), default=1) for k in own]
    index = [[k, j] for k, count in enumerate(most) for j in range(count)]
    items, columns = {}, []
    for name, values in read.items():
        if name not in words:
            items[name], column = values[rows], [k for k, _ in index]
        else:
            start = torch.tensor([0, *(len(values[k]) for k in own)]).cumsum(0).tolist()
            items[name] = texts.tokens([line for k in own for line in values[k]], words[name])
            column = [start[k] + j % len(values[own[k]]) for k, j in index]
        columns.append(torch.tensor(column, dtype=torch.int32))
    of_item = torch.tensor([k for k, _ in index], dtype=torch.int64)
    return Split(items, torch.stack(columns, 1), None if labels is None else labels[rows][of_item])


def _spec(said: Description, words: Mapping[str, Sequence[str]], classes: int) -> DatasetSpec:
    modalities = tuple(_modality(name, m, words.get(name, ())) for name, m in said.modalities.items())
    fitting = ("fmd",) if classes else ("reconstruction_error",)
    fitting = ("caption_match", *fitting) if words else ("coherence", *fitting) if classes else fitting
    return DatasetSpec(
        name=said.name,
        title=said.title or said.name,
        family="captions" if words else "digits",
        modalities=modalities,
        classes=classes,
        metrics=said.metrics or fitting,
    )


def _modality(name: str, said: FileModality, words: Sequence[str]) -> Modality:
    own: dict[str, Any] = {"name": name, "title": said.title, "latent": said.latent, "weight": said.weight}
    if not said.is_text:
        network = said.network or OWN.get(said.size, "mnist_mlp")
        return Modality(**own, shape=said.size, network=network, judge=said.judge)
    return Modality(
        **own,
        shape=(texts.LENGTH,),
        network=said.network or "caption_conv",
        likelihood="categorical",
        vocabulary=tuple(words),
        end=texts.END,
        unprinted=(texts.UNKNOWN, texts.PADDING),
    )
