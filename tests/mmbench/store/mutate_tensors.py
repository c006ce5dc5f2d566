"""Tensor files as a broken disk, a wrong copy or a stranger might leave them, also under a checksum that is right.

Nothing of ours writes here but the resealing, which takes our checksum for granted as a stranger could.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from mmbench.tensors import save_tensors

__all__ = ["in_its_place", "mutate"]

DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn,
          torch.complex64)  # fmt: skip
NAMES = ("", "weight", "live/x", "adam/step/", "a\nb", "\ud800".encode("utf-8", "replace").decode(), "é" * 100)


def mutate(path: Path, others: Sequence[Path], draw: Random, *, values: bool) -> str:
    """Put a mutant in the place of a tensor file, a sample file or a card; returns what was done.

    Arguments:
        others: whole files of the same kind, of other artefacts.
        values: whether finite numbers, too, are changed under a checksum that is right.
    """
    kinds = [_bytewise] * 5 + [_placed] * 2 + [_swapped]
    kinds += {".npz": [_rewritten_array] * 3, ".json": []}.get(path.suffix, [_edited_header] * 2 + [_resealed] * 6)
    kind = draw.choice(kinds)
    if kind is _swapped:
        return _swapped(path, draw.choice(others))
    return _resealed(path, draw, values=values) if kind is _resealed else kind(path, draw)


def in_its_place(path: Path, content: bytes) -> None:
    """Write a file anew: hard links to the old one stay as they are."""
    _gone(path)
    path.write_bytes(content)


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _bytewise(path: Path, draw: Random) -> str:
    data = bytearray(path.read_bytes())
    start, length = draw.randrange(len(data)), draw.choice((1, 8, 64, 4096))
    kind = draw.choice(("flip", "flip", "flip head", "truncate", "zero", "double", "overwrite", "append", "empty"))
    if kind.startswith("flip"):
        reach = min(len(data), 3000 if kind == "flip head" else len(data))
        for _ in range(draw.choice((1, 1, 2, 8, 64))):
            data[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    elif kind == "truncate":
        data = data[:start]
    elif kind == "zero":
        data[start : start + length] = bytes(len(data[start : start + length]))
    elif kind == "double":
        data[start:start] = data[max(0, start - length) : start]
    elif kind == "overwrite":
        other = draw.randrange(len(data))
        data[start : start + length] = data[other : other + len(data[start : start + length])]
    elif kind == "append":
        data += draw.randbytes(length)
    else:
        data = bytearray()
    in_its_place(path, bytes(data))
    return kind


def _placed(path: Path, draw: Random) -> str:
    """Something that is no file, or nothing."""
    kind = draw.choice(("folder", "full folder", "pipe", "pipe", "deleted", "broken link", "loop", "device"))
    _gone(path)
    if kind.endswith("folder"):
        path.mkdir()
        if kind == "full folder":
            (path / "notes.txt").write_text("mine")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "deleted":
        target = {"broken link": path.parent / "nowhere", "loop": path, "device": Path("/dev/zero")}[kind]
        path.symlink_to(target)
    return kind


def _swapped(path: Path, other: Path) -> str:
    in_its_place(path, other.read_bytes())
    return f"swapped with {other.parent.name}/{other.name}"


def _edited_header(path: Path, draw: Random) -> str:
    """Other words in the header, which is as long as it says."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    said, one = header["__metadata__"], header[draw.choice(names)]
    kind = draw.choice(
        ("dtype", "shape", "offsets", "no checksum", "checksum", "no metadata", "said", "name", "length")
    )
    if kind == "dtype":
        one["dtype"] = draw.choice(("F16", "I32", "U8", "F8_E4M3", "F8_E8M0", "F4", "BOOL", "C64", "X", 5))
    elif kind == "shape":
        one["shape"] = draw.choice(
            ([], [0], [-1], [2**62, 0], [2**40, 2**40], one["shape"][::-1], [*one["shape"], 1], "x")
        )
    elif kind == "offsets":
        one["data_offsets"] = draw.choice(([0, 0], [0, 4], [4, 0], [2**63, 2**64], one["data_offsets"][::-1], [0]))
    elif kind == "name":
        header[draw.choice(NAMES)] = header.pop(draw.choice(names))
    elif kind == "no metadata":
        del header["__metadata__"]
    elif kind == "no checksum":
        del said["sha256"]
    elif kind == "checksum":
        said["sha256"] = draw.choice(("", "0" * 64, said["sha256"].upper(), said["sha256"][:-1]))
    elif kind == "said":
        said[draw.choice([*said, "new"])] = draw.choice(("", "{}", "null", "[" * 5000, '{"state": 1}'))
    text = json.dumps(header).encode()
    size = len(text) if kind != "length" else draw.choice((0, 1, 2**31, 2**63, len(text) + 8))
    in_its_place(path, size.to_bytes(8, "little") + text + data[8 + length :])
    return f"header: {kind}"


def _resealed(path: Path, draw: Random, values: bool) -> str:
    """Other tensors under a checksum that is right; what stands beside it in the metadata stays, or one word of it
    changes."""
    with safe_open(path, "pt") as file:
        said = {name: word for name, word in (file.metadata() or {}).items() if name != "sha256"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    changes = {**CHANGES, **(VALUES if values else {})}
    kind = draw.choice([*changes, "said"] if said else [*changes])
    if kind == "said":
        name = draw.choice(list(said))
        said[name] = draw.choice(
            ("", "{}", "null", "[1]", said[name][:-1], '{"course": 5}', said[name].replace("1", "2"))
        )
    else:
        changes[kind](tensors, draw)
    _gone(path)
    save_tensors(path, tensors, said)
    return f"resealed: {kind}"


Change = Callable[[dict[str, Tensor], Random], None]


def _put(number: float) -> Change:
    def change(tensors: dict[str, Tensor], draw: Random) -> None:
        floats = [name for name, t in tensors.items() if t.is_floating_point() and t.numel()]
        if floats:
            flat = tensors[draw.choice(floats)].view(-1)
            flat[draw.randrange(len(flat))] = number
        else:
            _missing(tensors, draw)

    return change


def _missing(tensors: dict[str, Tensor], draw: Random) -> None:
    for name in draw.sample(sorted(tensors), min(len(tensors), draw.choice((1, 1, 3)))):
        del tensors[name]


def _extra(tensors: dict[str, Tensor], draw: Random) -> None:
    tensors[draw.choice(("extra", "live/extra", "adam/step/extra", "window/extra", "draws/extra"))] = torch.ones(3)


def _dtype(tensors: dict[str, Tensor], draw: Random) -> None:
    name = draw.choice(sorted(tensors))
    tensors[name] = tensors[name].to(draw.choice([d for d in DTYPES if d != tensors[name].dtype]))


def _shape(tensors: dict[str, Tensor], draw: Random) -> None:
    name = draw.choice(sorted(tensors))
    t = tensors[name]
    tensors[name] = draw.choice(
        (t[None], t.reshape(-1, 1), torch.cat([t.reshape(-1), t.reshape(-1)]), t.reshape(-1)[:0])
    )


def _renamed(tensors: dict[str, Tensor], draw: Random) -> None:
    tensors[draw.choice(NAMES)] = tensors.pop(draw.choice(sorted(tensors)))


def _all_gone(tensors: dict[str, Tensor], draw: Random) -> None:
    tensors.clear()


def _other_number(tensors: dict[str, Tensor], draw: Random) -> None:
    flat = tensors[draw.choice([name for name, t in tensors.items() if t.numel()])].view(-1)
    place = draw.randrange(len(flat))
    flat[place] = 0 if flat[place] else 1


def _exchanged(tensors: dict[str, Tensor], draw: Random) -> None:
    """Two tensors under each other's names, or one in another order."""
    one, other = draw.choice(sorted(tensors)), draw.choice(sorted(tensors))
    if one != other:
        tensors[one], tensors[other] = tensors[other], tensors[one]
    else:
        tensors[one] = tensors[one].flip(0) if tensors[one].ndim else tensors[one] + 1


CHANGES: dict[str, Change] = {
    "nan": _put(float("nan")),
    "inf": _put(float("inf")),
    "-inf": _put(float("-inf")),
    "missing": _missing,
    "extra": _extra,
    "dtype": _dtype,
    "shape": _shape,
    "name": _renamed,
    "nothing": _all_gone,
}
VALUES: dict[str, Change] = {"other number": _other_number, "exchanged": _exchanged}


def _rewritten_array(path: Path, draw: Random) -> str:
    """A sample file with other arrays in a zip that is whole; the checksum among them is kept, or gone."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name = draw.choice(sorted(arrays))
    kind = draw.choice(("missing", "shape", "value", "dtype", "extra", "pickle"))
    if kind == "missing":
        del arrays[name]
    elif kind == "shape":
        arrays[name] = arrays[name][None]
    elif kind == "value":
        arrays[name] = np.zeros_like(arrays[name])
    elif kind == "dtype":
        arrays[name] = arrays[name].astype("U") if arrays[name].dtype.kind != "U" else np.ones(arrays[name].shape)
    elif kind == "extra":
        arrays["joint/target/more"] = np.full((2, 1, 4, 4), np.nan, dtype=np.float32)
    else:
        arrays[name] = np.array([None, {}], dtype=object)
    box = io.BytesIO()
    np.savez(box, allow_pickle=True, **arrays)
    in_its_place(path, box.getvalue())
    return f"rewritten: {kind}"
