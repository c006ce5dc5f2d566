"""Datasets are looked at in a process of its own, which is given up when it takes too long."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmbench import plugins
from mmbench.data.dataset import DatasetSource
from mmbench.errors import DataError
from mmbench.health.data import Looked, look, look_at_all
from mmbench.health.metrics import lacking


def test_an_empty_root_has_glyphs_alone(tmp_path: Path) -> None:
    found = {one.name: one for one in look_at_all(tmp_path)}
    assert list(found) == list(plugins.available(plugins.DATASETS))
    assert {name for name, one in found.items() if one.state == "whole"} == {"glyphs", "glyphs_street"}
    assert all(one.state == "unusable" for name, one in found.items() if not name.startswith("glyphs"))
    assert "is missing under" in found["mnist_svhn"].said


def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    found = list(look_at_all(tmp_path, limit=0.01))
    assert [one.name for one in found] == list(plugins.available(plugins.DATASETS))
    assert {one.state for one in found} == {"unknown"}
    assert found[0].said == (
        f"not read through within 0 s; `mmbench data verify {found[0].name} --data-root {tmp_path}` looks at all of it"
    )


class Partial(DatasetSource):
    title = summary = "half"

    def load(self, root, cache):
        raise NotImplementedError

    def verify(self, root: Path) -> str:
        if not self.allow_partial:
            raise DataError("3 of 8 images; add --allow-partial to use what is there.")
        return "3 images can be read."


class Broken(Partial):
    def verify(self, root: Path) -> str:
        raise KeyError("x")


@pytest.mark.parametrize(
    ("kind", "state", "said"), [(Partial, "partial", "3 images can be read."), (Broken, "unusable", "KeyError: 'x'")]
)
def test_a_part_and_a_strangers_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, state: str, said: str
) -> None:
    monkeypatch.setattr(plugins, "load", lambda *_: kind)
    assert look("half", tmp_path) == Looked("half", state, said)


def test_metrics_say_what_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmbench_evaluation import clip_score, inception

    monkeypatch.setattr(inception, "_packaged", lambda: None)
    monkeypatch.setattr(clip_score, "_in_hub_cache", lambda: False)
    found = lacking(None, tmp_path)
    assert found["coherence"] == found["fmd"] == ""
    assert "fid-weights" in found["fid"]
    assert "clip-vit-base-patch32" in found["clip_s"] or "mmbench[clip]" in found["clip_s"]
    (tmp_path / "clip-vit-base-patch32").mkdir()
    (tmp_path / "clip-vit-base-patch32/config.json").write_text('{"model_type": "clip"}')
    (tmp_path / inception.FILES[0]).write_bytes(b"no weights")
    found = lacking(tmp_path, tmp_path)
    assert "is damaged or holds another network" in found["fid"]
    assert "weights" not in found["clip_s"]
    monkeypatch.setattr(inception, "_here", lambda *_: {})
    assert lacking(tmp_path, tmp_path)["fid"] == ""
