"""The networks that judge the study, in results/judges/.

Two kinds of machine train two judges from the same seed, and numbers of different judges never share a table. So the
judges and reference autoencoders that a cell's rows name lie beside the cells, and whoever goes on with the study in a
copy of the folder takes them: his cells stand in the same table. They are weights, so git ignores them.

    results/judges/<kind>/<key>/card.json, tensors.safetensors    as in <runs>/artefacts, see `mmbench.store.artefacts`
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mmbench.errors import ResultError
from mmbench.store import Cell
from mmbench.store.artefacts import CARD, TENSORS, Artefacts, read_card
from mmbench.store.files import whole
from mmbench.tensors import checksum, load_tensors
from mmbench_evaluation.identity import hex8

__all__ = ["FOLDER", "keep", "lend"]

FOLDER = "judges"
KINDS = ("judge", "reference autoencoder")


def lend(results: Path, runs: Path) -> None:
    """Lay the study's judges where `mmbench run` looks for them.

    Raises ResultError: where `runs` holds others of the same keys, for another machine trained them, or a file is
    damaged; StorageError.
    """
    for folder in _of_kinds(results / FOLDER):
        there = runs / "artefacts" / folder.parent.name / folder.name
        card, other = read_card(folder / CARD), read_card(there / CARD)
        if card and other and card.tensors != other.tensors:
            raise ResultError(
                f"{there} holds another {card.kind} than the study's, trained on another machine: its numbers would "
                "stand in tables of their own. Give the study a runs folder of its own: --runs runs/study"
            )
        if card and not other:
            load_tensors(folder / TENSORS, card.tensors)  # damaged ones are not handed on
            _copy(folder, there)


def keep(cells: Sequence[Cell], results: Path, runs: Path) -> list[Path]:
    """Put beside the cells what judged them, of what lies in `runs`: the folders that are new."""
    named = set(_named(cells))
    new = [folder for folder in _of_kinds(runs / "artefacts") if _digits(folder) in named]
    targets = {folder: results / FOLDER / folder.parent.name / folder.name for folder in new}
    added = {folder: target for folder, target in targets.items() if not (target / CARD).exists()}
    for folder, target in added.items():
        _copy(folder, target)
    return list(added.values())


def _named(cells: Iterable[Cell]) -> Iterator[str]:
    """The identities that the rows of cells name."""
    for cell in cells:
        for row in cell["rows"]:
            yield from (row["identity"] or "").split("+")
            yield row["reference"] or ""


def _of_kinds(root: Path) -> list[Path]:
    """The folders of judges and reference autoencoders."""
    wanted = {kind.replace(" ", "-") for kind in KINDS}
    return [folder for folder in Artefacts(root).folders() if folder.parent.name in wanted]


def _digits(folder: Path) -> str:
    """The identity that a row gives the network; '' where it is not finished."""
    card = read_card(folder / CARD)
    return hex8(checksum(load_tensors(folder / TENSORS, card.tensors)[0])) if card else ""


def _copy(folder: Path, to: Path) -> None:
    """The tensors, then the card: a folder without a card is not taken for whole."""
    to.mkdir(parents=True, exist_ok=True)
    for name in (TENSORS, CARD):
        with whole(to / name) as place:
            shutil.copyfile(folder / name, place)
