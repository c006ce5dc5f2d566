"""Artefacts: what was computed once, each in a folder named by its key.

    <runs>/artefacts/<kind>/<key>/card.json             what it is, what decided it, by which code, when, how long
    <runs>/artefacts/<kind>/<key>/tensors.safetensors   its tensors, with a checksum inside (`mmbench.tensors`)

The key is a hash of the *identity*: everything that decides the numbers (data, settings, seed, code, keys of what it
was made from). Another identity is another folder, so nothing is ever reused for what it was not made for. An artefact
is finished when its card is there; before that its folder may hold the checkpoints of an unfinished training.
This module knows no torch.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..config import canonical, digest
from ..errors import DamagedError, ResultError, StorageError
from . import provenance
from .files import discard, make_way, set_aside, write_text
from .locks import exclusive
from .reading import check_regular, children, reading, unreadable

__all__ = ["CARD", "TENSORS", "Artefact", "Artefacts", "Card", "read_card"]

KEY = 16
"""Hex digits of a key."""
TENSORS, CARD = "tensors.safetensors", "card.json"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a finished artefact."""

    kind: str
    """'stage', 'judge', 'reference autoencoder', 'caption heads', 'statistics', 'samples'."""
    key: str
    title: str
    """In print: 'autoencoder.pen of mld on Glyphs, seed 0'."""
    identity: dict[str, Any]
    """Everything that decided it; `key` is its hash."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What was measured of it: accuracy of a judge, record of a stage, number of samples."""
    commit: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """Versions and device."""
    finished: str = ""
    """When, ISO 8601, UTC."""
    seconds: float = 0.0
    """Wall time that it took."""
    tensors: str = ""
    """The checksum inside its tensor file: no other file, though whole, is taken for it."""
    seal: str = ""
    """SHA-256 over all of the above; '' on a card of an earlier mmbench."""

    def sealed(self) -> Card:
        """The same card with its seal."""
        bare = TypeAdapter(Card).dump_python(replace(self, seal=""), mode="json")
        return replace(self, seal=_hash(bare, 64))


@dataclass(frozen=True)
class Artefacts:
    """The store of one runs folder."""

    root: Path
    """<runs>/artefacts."""

    def of(self, kind: str, identity: Mapping[str, Any]) -> Artefact:
        """The artefact of this identity, finished or not."""
        return Artefact(self.root, kind, dict(identity))

    def folders(self) -> list[Path]:
        """Every artefact's folder, finished or not. Raises UnreadableError."""
        return [path for path in self.places() if os.path.isdir(path) or not os.path.lexists(path)]

    def holds(self, kind: str, known: Mapping[str, Any]) -> bool:
        """Whether an artefact of a kind is finished whose identity says all this; one that is damaged or may not be
        read is none."""
        for folder in self.folders():
            with suppress(ResultError):
                card = read_card(folder / CARD)
                if card and card.kind == kind and all(card.identity.get(k) == v for k, v in known.items()):
                    return True
        return False

    def places(self) -> list[Path]:
        """What lies where artefacts' folders do, those that were set aside left out. Raises UnreadableError."""
        kinds = [path for path in children(self.root) if path.name != "locks"]
        found = [path for kind in kinds for path in children(kind)]
        return [path for path in found if not path.name.startswith(".") and ".damaged-" not in path.name]


@dataclass(frozen=True)
class Artefact:
    """One artefact."""

    root: Path
    kind: str
    identity: dict[str, Any]

    @cached_property
    def key(self) -> str:
        return digest(self.identity, KEY)

    @cached_property
    def folder(self) -> Path:
        return self.root / self.kind.replace(" ", "-") / self.key

    @property
    def name(self) -> str:
        """'stage/0123456789abcdef', as a cell records it."""
        return f"{self.folder.parent.name}/{self.key}"

    @property
    def tensors(self) -> Path:
        return self.folder / TENSORS

    def card(self) -> Card | None:
        """The card; None where the artefact is not finished. Raises DamagedError."""
        return read_card(self.folder / CARD)

    def finish(
        self, title: str, facts: Mapping[str, Any], seconds: float, environment: Mapping[str, str], tensors: str = ""
    ) -> Card:
        """Write the card; the tensors, of this checksum, must be in place."""
        card = Card(
            kind=self.kind,
            key=self.key,
            title=title,
            identity=self.identity,
            facts=dict(facts),
            commit=provenance.commit(),
            environment=dict(environment),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            tensors=tensors,
        ).sealed()
        text = json.dumps(TypeAdapter(Card).dump_python(card, mode="json"), indent=1, allow_nan=False)
        write_text(self.folder / CARD, text + "\n")
        return card

    def discard(self, reason: str, say: Callable[[str], None]) -> None:
        """Set the whole folder aside under another name, if another process has not; a ResultError where the command
        only reads."""
        if reading():
            raise ResultError(f"{reason}: `mmbench run` sets it aside and makes it again, this command changes nothing")
        if os.path.lexists(self.folder):
            say(f"{reason}; it was set aside as {set_aside(self.folder).name}")

    def make_way(self, say: Callable[[str], None]) -> None:
        """Set aside folders and pipes in the places of the tensors and of the card."""
        for name in (TENSORS, CARD):
            make_way(self.folder / name, say)

    def alone(self, say: Callable[[str], None] | None = None) -> AbstractContextManager[None]:
        """Only one process at a time makes it; see `locks.exclusive`."""
        return exclusive(self.root / "locks" / f"{self.folder.parent.name}-{self.key}", say)


def read_card(path: Path) -> Card | None:
    """None where there is none. DamagedError if it is no card or not this folder's, UnreadableError if it may not be
    read."""
    try:
        check_regular(path)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise DamagedError(f"{path.parent} is damaged (it is no folder)") from None
    except UnicodeDecodeError:
        raise DamagedError(f"{path} is damaged (not UTF-8)") from None
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        card = TypeAdapter(Card).validate_python(json.loads(text))
        wrong = _wrong_with(card, path.parent.name)
    except (ValueError, RecursionError, ValidationError):
        raise DamagedError(f"{path} is damaged (no card of an artefact)") from None
    if wrong:
        raise DamagedError(f"{path} is damaged ({wrong})")
    return card


def _wrong_with(card: Card, key: str) -> str:
    if card.key != key or _hash(card.identity, KEY) != key:
        return "its identity has another key"
    return "its checksum does not agree" if card.seal not in ("", card.sealed().seal) else ""


def _hash(data: Any, length: int) -> str:
    """Of what JSON would read again."""
    return digest(json.loads(canonical(data)), length)


def size(folder: Path) -> int:
    """Bytes of all files below a folder; those that may not be looked at do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                status = os.stat(os.path.join(place, name))
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def remove(folder: Path) -> None:
    """Remove an artefact: its card first, so that it is never taken for whole. StorageError if it may not go."""
    discard(folder / CARD)
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{error.filename} cannot be removed ({error.strerror}): check its permissions") from error
