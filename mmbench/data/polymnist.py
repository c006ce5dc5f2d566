"""PolyMNIST: five views of a digit, each on random patches of a photograph of its own.

Source: Sutter, Daunhawer and Vogt, "Generalized multimodal ELBO", ICLR 2021; the files are Zenodo's record 4899160.
`polymnist` reads the published files; `polymnist_drawn` (in its own module) draws others by the same construction, and
its numbers are never those of the published data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ..config import digest
from ..errors import DataError
from ..modality import DatasetSpec, Modality
from ..progress import pasted
from .cache import Made, once
from .dataset import Dataset, DatasetSource, Split
from .downloads import Check, Fetch, downloading
from .polymnist_files import SHAPE, SPLITS, FolderFiles, PublishedFiles, ZipFiles, listed, read_views
from .sources import is_there, locate, md5_of, read, some
from .zenodo import Archive, archive_of

__all__ = ["VIEWS", "Polymnist", "specification", "split_of"]

VIEWS = 5
RECORD = 4899160
"""Of Zenodo."""
VERSION = 1
"""Raised when reading changes, so that no old cache is taken for the new data."""


class Polymnist(DatasetSource):
    """The published files: ROOT/MMNIST/train/m0/<k>.<digit>.png to test/m4, or the archive as it is, ROOT/MMNIST.zip.

    They are read once and kept in the cache as one file. The MD5 of an archive is noted beside it when it is fetched,
    and whoever reads it again checks it.
    """

    name: ClassVar[str] = "polymnist"
    title: ClassVar[str] = "PolyMNIST"
    summary: ClassVar[str] = "five views of a digit, each on a photograph of its own: the published files, from Zenodo"
    view_counts: ClassVar[Sequence[int]] = range(2, VIEWS + 1)
    tuples: ClassVar[Mapping[str, int]] = {"train": 60_000, "test": 10_000}
    zips: ClassVar[tuple[str, ...]] = ("MMNIST.zip", "PolyMNIST.zip")
    folders: ClassVar[tuple[str, ...]] = ("MMNIST", "PolyMNIST/MMNIST", "PolyMNIST")

    def load(self, root: Path, cache: Path) -> Dataset:
        with self._files(root) as files:
            key = digest({"version": VERSION, "files": files.mark()})
            path = cache / f"{self.name}-{key}.safetensors"
            tensors, _ = once(path, lambda: self._read(root, files), self.say)
        self._check_counts(root, {split: len(tensors[f"{split}.labels"]) for split in SPLITS})
        views = self.views or VIEWS
        train, test = (
            split_of([tensors[f"{split}.m{k}"] for k in range(views)], tensors[f"{split}.labels"]) for split in SPLITS
        )
        part = any(len(split) < count for split, count in zip((train, test), self.tuples.values(), strict=True))
        name, title = (f"{self.name}_partial", f"{self.title} (partial)") if part else (self.name, self.title)
        return Dataset(specification(name, title, views), train, test)

    def fetch(self, root: Path) -> str:
        with suppress(DataError):
            return self.verify(root)
        with downloading(self.name, root) as fetch:
            archive = archive_of(RECORD)
            self._bring(root / self.zips[0], archive, fetch)
        stated = "Zenodo's" if archive.md5 else "Zenodo states none"
        said = f" The archive is {archive.name}, its MD5 ({stated}) is noted beside it."
        return self.verify(root) + said + fetch.said()

    def verify(self, root: Path) -> str:
        with self._files(root) as files:
            made, _ = self._read(root, files)
            counts = {split: len(made[f"{split}.labels"]) for split in SPLITS}
            self._check_counts(root, counts)
            sizes = " and ".join(f"{count:,} {split}" for split, count in counts.items())
            return f"{self.title}: {sizes} tuples of {VIEWS} views in {files.place} can be read."

    @contextmanager
    def _files(self, root: Path) -> Iterator[PublishedFiles]:
        """The archive where there is one, else the folder."""
        folder = next((root / name for name in self.folders if (root / name / SPLITS[0]).is_dir()), None)
        if folder and not any(is_there(root / name) for name in self.zips):
            yield FolderFiles(folder)
            return
        with ZipFiles(locate(root, *self.zips, dataset=self.name)).opened(self._advice(root)) as files:
            yield files

    def _read(self, root: Path, files: PublishedFiles) -> Made:
        """'train.m0' to 'train.m4' uint8 (N, 3, 28, 28), 'train.labels' int64 (N,), and the same of 'test'. Raises
        DataError that names every file that will not do."""
        if isinstance(files, ZipFiles):
            self._check_noted(root, files.place)
        tensors, faults, views = dict[str, Tensor](), list[str](), [f"m{k}" for k in range(VIEWS)]
        for split in SPLITS:
            found = listed(files, split, views)
            images, wrong = read_views(files, split, views, found.names)
            faults += [*found.faults, *wrong]
            tensors |= {f"{split}.{view}": own for view, own in zip(views, images, strict=True)}
            tensors[f"{split}.labels"] = found.labels
        self._refuse(root, files, faults)
        return tensors, {}

    def _refuse(self, root: Path, files: PublishedFiles, faults: Sequence[str]) -> None:
        if faults:
            raise DataError(
                f"{self.title}: {len(faults):,} file{'s' * (len(faults) > 1)} in {files.place} cannot be used: "
                f"{some(faults)}; {self._advice(root)}."
            )

    def _check_counts(self, root: Path, counts: Mapping[str, int]) -> None:
        """Raises DataError where tuples are missing, and a part is not allowed, or is too small."""
        short = {split: count for split, count in counts.items() if count != self.tuples[split]}
        if short and not (self.allow_partial and all(counts.values())):
            found = " and ".join(
                f"{count:,} of {self.tuples[split]:,} {split} tuples" for split, count in short.items()
            )
            raise DataError(
                f"{self.title}: {found} are there; {self._advice(root)}, or add --allow-partial to use what is there "
                f"under the name {self.name}_partial."
            )

    def _bring(self, path: Path, archive: Archive, fetch: Fetch) -> None:
        """The archive to its place, and its MD5 beside it, in md5sum's form."""
        fetch.bring([archive.url], path, self._check(archive, _noted(path)))
        _note_of(path).write_text(f"{md5_of(path)}  {path.name}\n", encoding="utf-8")

    def _check(self, archive: Archive, noted: str) -> Check:
        """That a download has the MD5 that Zenodo states, the one noted by an earlier fetch, and all tuples."""

        def check(path: Path) -> None:
            found = md5_of(path)
            for whose, md5 in (("Zenodo states", archive.md5), ("an earlier fetch noted", noted)):
                if md5 and found != md5:
                    raise DataError(f"{archive.name} came damaged, or is another file: MD5 {found}, {whose} {md5}")
            with ZipFiles(path).opened("") as files:
                names = {split: listed(files, split, [f"m{k}" for k in range(VIEWS)]) for split in SPLITS}
            wrong = [fault for split in names.values() for fault in split.faults]
            counts = {split: len(each.names) for split, each in names.items()}
            if wrong or counts != dict(self.tuples):
                raise DataError(f"{archive.name} does not hold PolyMNIST: {counts} tuples{some(wrong, '; ')}")

        return check

    def _check_noted(self, root: Path, path: Path) -> None:
        """Raises DataError where an archive has another MD5 than was noted when it was fetched."""
        noted = _noted(path)
        if noted and (found := md5_of(path)) != noted:
            raise DataError(
                f"{path} is damaged or another file (MD5 {found}, and {noted} was noted when it was fetched); "
                f"{self._advice(root)}, which sets it aside and brings the right one."
            )

    def _advice(self, root: Path) -> str:
        return f"run `mmbench data fetch {self.name} --data-root {pasted(root)}`"


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.md5")


def _noted(path: Path) -> str:
    """The MD5 that was noted beside a file; '' for none."""
    note = _note_of(path)
    words = read(note).decode(errors="replace").split() if is_there(note) else []
    return words[0].lower() if words else ""


def specification(name: str, title: str, views: int) -> DatasetSpec:
    """What models may know of so many views; fewer than five are a dataset of another name: their numbers share no
    table."""
    names = [f"m{k}" for k in range(views)]
    given = tuple(("coherence", f"{k} given", "mean") for k in range(1, views))
    return DatasetSpec(
        name=name if views == VIEWS else f"{name}_{views}",
        title=title if views == VIEWS else f"{title}, {views} views",
        family="polymnist",
        modalities=tuple(Modality(name=each, shape=SHAPE, network="polymnist_conv", latent=160) for each in names),
        classes=10,
        metrics=("coherence", "fmd"),
        judge="strided",
        judge_share=1 / 3,
        primary=(("coherence", "joint", "+".join(names)), *given, ("fmd", "joint", "mean")),
        quality_count=10_000,
        laptop_count=1_000,
    )


def split_of(views: Sequence[Tensor], labels: Tensor) -> Split:
    """Tuple k is the k-th image of every view, uint8 (N, 3, 28, 28) each; labels int64 (N,)."""
    items: Mapping[str, Tensor] = {f"m{k}": images for k, images in enumerate(views)}
    own = torch.arange(len(labels), dtype=torch.int32)
    return Split(items, own[:, None].expand(-1, len(items)).contiguous(), labels)
