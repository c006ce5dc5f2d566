"""Samples that are kept as files for other tools: what is asked for is there, whole, and of these weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mmbench.cells.export import LABEL, export, exported
from mmbench.errors import ConfigError, StorageError
from mmbench.modality import Modality

from .conftest import asked

PEN = Modality(name="pen", shape=(1, 4, 4), network="own", latent=2)
SIGN = Modality(name="sign", shape=(3, 4, 4), network="own", latent=2)
NAME = Modality(name="name", shape=(2,), network="own", latent=2, likelihood="categorical", vocabulary=("a", "b"))


def samples(count: int) -> dict[Modality, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    pen, sign = (torch.rand(count, channels, 4, 4, generator=rng) for channels in (1, 3))
    return {PEN: pen, SIGN: sign, NAME: torch.randint(2, (count, 2), generator=rng)}


def lying(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "pen").iterdir())


def test_what_is_written_is_what_was_drawn(tmp_path: Path) -> None:
    made = samples(3)
    export(tmp_path, made, "key")
    assert exported(tmp_path, list(made), "key") == 3
    assert exported(tmp_path, list(made), "other") == 0
    picture = np.asarray(Image.open(tmp_path / "sign" / "00002.png"))
    assert picture.shape == (4, 4, 3)
    assert np.abs(picture / 255 - made[SIGN][2].permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6
    assert len((tmp_path / "name.txt").read_text().splitlines()) == 3


@pytest.mark.parametrize("place", ["pen/00001.png", "sign/00000.png", "name.txt", LABEL])
@pytest.mark.parametrize("fault", ["missing", "cut", "flipped", "empty"])
def test_one_missing_or_damaged_file_is_seen(tmp_path: Path, place: str, fault: str) -> None:
    made = samples(3)
    export(tmp_path, made, "key")
    path, content = tmp_path / place, (tmp_path / place).read_bytes()
    if fault == "missing":
        path.unlink()
    else:
        flipped = bytes([content[0] ^ 1]) + content[1:]
        path.write_bytes({"cut": content[:-5], "flipped": flipped, "empty": b""}[fault])
    assert exported(tmp_path, list(made), "key") == 0
    export(tmp_path, made, "key")
    assert exported(tmp_path, list(made), "key") == 3
    assert path.read_bytes() == content


def test_an_interrupted_export_is_not_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same samples, or of others over old ones."""
    export(tmp_path, samples(3), "old")
    with monkeypatch.context() as patch:
        patch.setattr("mmbench.cells.export._png", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            export(tmp_path, samples(5), "new")
    assert exported(tmp_path, list(samples(1)), "new") == 0
    assert exported(tmp_path, list(samples(1)), "old") == 0
    export(tmp_path, samples(5), "new")
    assert exported(tmp_path, list(samples(1)), "new") == 5


def test_images_of_other_samples_do_not_stay_among_the_new_ones(tmp_path: Path) -> None:
    export(tmp_path, samples(5), "old")
    (tmp_path / "pen" / "mine.png").write_bytes(b"mine")
    export(tmp_path, samples(2), "new")
    assert lying(tmp_path) == ["00000.png", "00001.png", "mine.png"]


def test_a_label_of_the_first_edition_is_written_anew(tmp_path: Path) -> None:
    export(tmp_path, samples(2), "key")
    (tmp_path / LABEL).write_text("key 2\n")
    assert exported(tmp_path, list(samples(1)), "key") == 0


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pen").write_text("mine")
    with pytest.raises(StorageError, match="a file is in the way"):
        export(tmp_path, samples(2), "key")
    assert (tmp_path / "pen").read_text() == "mine"


def test_each_call_makes_what_it_asks_for(home: Path, engine) -> None:
    """10, then 20, then files, fewer, more, one gone, one damaged, the tensors gone: and each a second time nothing."""

    def evaluate(**more: object) -> str:
        outcome = engine(models=("mvae",), **more)[0].evaluate()
        assert not outcome.failed
        return "made" if outcome.extended else "nothing"

    def kept() -> Path:
        (folder,) = (
            path.parent
            for path in (home / "runs/artefacts/samples").glob("*/card.json")
            if json.loads(path.read_text())["identity"]["given"] == [] and "damaged" not in path.parent.name
        )
        return folder / "tensors.safetensors"

    def pictures() -> int:
        return len(list((home / "runs/samples").rglob("joint/pen/*.png")))

    engine(models=("mvae",), keep=10)[0].run()
    assert (len(load_file(kept())["pen"]), pictures()) == (10, 0)
    ten = load_file(kept())["pen"]
    png: dict[str, object] = {"keep_format": "png"}
    assert [evaluate(keep=20), evaluate(keep=10)] == ["made", "nothing"]
    assert torch.allclose(load_file(kept())["pen"][:10], ten, atol=1e-6), "the first ones stay as they were"
    assert [evaluate(keep=12, **png), pictures()] == ["made", 12]
    assert [evaluate(keep=20, **png), pictures(), evaluate(keep=5, **png), pictures()] == ["made", 20, "nothing", 20]
    first = next((home / "runs/samples").rglob("joint/pen/00003.png"))
    content = first.read_bytes()
    first.unlink()
    assert [evaluate(keep=5, **png), pictures(), first.read_bytes() == content] == ["made", 20, True]
    first.write_bytes(content[:-1])
    assert [evaluate(keep=20, **png), first.read_bytes() == content] == ["made", True]
    kept().unlink()
    assert [evaluate(keep=20), evaluate(keep=20, **png)] == ["made", "nothing"]
    assert len(load_file(kept())["pen"]) == 20


def test_a_format_without_a_number_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match="--save-samples N"):
        asked(home, keep_format="png")
