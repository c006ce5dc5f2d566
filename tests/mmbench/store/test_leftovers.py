"""Half-written files that killed processes left: those of living ones are not touched."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mmbench.store.files import leftovers, sweep, whole

DAY = 24 * 60 * 60


def left(path: Path, age: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_only_what_is_old_and_has_our_names_is_left_over(tmp_path: Path) -> None:
    expected = [
        left(tmp_path / "artefacts/stage/0123/.training.safetensors.0a1b2c3d.tmp", 2 * DAY),
        left(tmp_path / "cache/.glyphs-01.safetensors.00000000.tmp", 1.1 * DAY),
        left(tmp_path / "cache/tmpk3_xy0ab", 30 * DAY),
    ]
    left(tmp_path / "cache/.glyphs-01.safetensors.11111111.tmp", 0.9 * DAY)
    left(tmp_path / "cache/tmpk3_xy0ac", 0)
    left(tmp_path / "cache/glyphs-01.safetensors", 30 * DAY)
    left(tmp_path / "tmpk3_xy0ab", 30 * DAY)
    left(tmp_path / "notes.tmp", 30 * DAY)
    left(tmp_path / ".seed-0.json.swp.tmp", 30 * DAY)
    (tmp_path / "cache/tmpabcdefgh").mkdir()
    assert leftovers(tmp_path) == sorted(expected)


def test_the_name_of_a_file_that_is_being_written_is_known(tmp_path: Path) -> None:
    path = tmp_path / "seed-0.json"
    with pytest.raises(KeyboardInterrupt), whole(path) as temporary:  # noqa: PT012
        left(temporary, 2 * DAY)
        assert leftovers(tmp_path) == [temporary]
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir()), "one that is interrupted, not killed, leaves nothing"


def test_a_folder_is_swept_of_half_written_files_alone(tmp_path: Path) -> None:
    left(tmp_path / ".card.json.0a1b2c3d.tmp", 0)
    kept = left(tmp_path / "card.json", 0)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [kept]
    sweep(tmp_path / "nowhere")
