"""What was computed once: which settings share a trained stage, and what a collapse does."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from mmbench import store
from mmbench.store.inventory import Entry, inventory, removable, remove
from mmbench.tensors import load_tensors

from .conftest import TINY, only, stages

MLD = (
    *("score.steps=4", "width=48", "time_embed=16"),
    *("sampler.kind=path", "path.steps=4", "path.jump=2", "path.resample=2"),
    *(f"autoencoders.{name}.steps=4" for name in ("pen", "sign", "name")),
)


def kinds(home: Path) -> Counter[str]:
    return Counter(card["identity"]["stage"] for card in stages(home))


def test_five_sampler_paths_on_one_trained_model(home: Path, engine) -> None:
    for steps in (4, 5, 6, 7, 8):
        one, notes = engine(models=("mld",), settings=(*MLD, *TINY, f"path.steps={steps}"))
        assert len(one.run().complete) == 1
        assert bool(notes.trained) == (steps == 4)
    assert kinds(home) == {"autoencoder.pen": 1, "autoencoder.sign": 1, "autoencoder.name": 1, "score": 1}
    cells = store.cells(home / "results")
    assert len({cell["hash"] for cell in cells}) == 5
    calls = {cell["config"]["path"]["steps"]: cell["calls"]["joint"]["score"] for cell in cells}
    assert calls == {n: n + 2 * len(range(0, n - 2, 2)) for n in (4, 5, 6, 7, 8)}, "each jump back walks 2 steps again"
    assert len({cell["stages"]["score"]["artefact"] for cell in cells}) == 1
    assert {cell["overrides"]["path.steps"] for cell in cells} == {4, 5, 6, 7, 8}


def test_a_sweep_of_the_score_network_keeps_its_autoencoders(home: Path, engine) -> None:
    for change in ("width=64", "p_joint=0.7", "score.lr=0.01", "sampling_precision=float32"):
        engine(models=("mld",), settings=(*MLD, *TINY, change))[0].run()
    found = kinds(home)
    assert found.pop("score") == 4
    assert set(found.values()) == {1}


def test_another_seed_and_another_schedule_share_nothing(home: Path, engine) -> None:
    engine(models=("mvae",), seeds=(0, 1))[0].run()
    engine(models=("mvae",), settings=("schedule.steps=5", *TINY))[0].run()
    assert kinds(home) == {"elbo": 3}


def test_two_models_of_equal_settings_are_two(home: Path, engine) -> None:
    """MVAE and a stranger's subclass of it agree in stage, settings and first weights, not in class and loss."""
    engine(models=("mvae", "my_net:Net"))[0].run()
    assert kinds(home) == {"elbo": 2}


def test_a_card_says_what_it_is(home: Path, engine) -> None:
    engine(models=("mvae",))[0].run()
    (card,) = stages(home)
    assert card["title"] == "elbo of mvae on Glyphs, seed 0"
    assert card["identity"]["data"] == only(home)["dataset"]["fingerprint"]
    assert card["identity"]["code"] == {
        **only(home)["code"]["model"],
        "training": only(home)["code"]["harness"]["training"],
    }
    assert card["facts"]["steps"] == 4
    assert card["finished"]
    assert only(home)["stages"]["elbo"]["artefact"] == f"stage/{card['key']}"


@pytest.mark.parametrize("on_collapse", ["keep", "refuse"])
@pytest.mark.parametrize("model", ["mvae", "mld"])
def test_a_collapse_is_treated_alike_for_every_model(home: Path, engine, model: str, on_collapse: str) -> None:
    """A few steps at a ruinous rate: nothing is reconstructed."""
    ruin = {"mvae": ("schedule.steps=4", "schedule.lr=1e-9"), "mld": (*MLD, "autoencoders.pen.lr=1e-9")}[model]
    one, notes = engine(models=(model,), settings=(*ruin, *TINY), on_collapse=on_collapse)
    outcome = one.run()
    if on_collapse == "refuse":
        ((_, reason),) = outcome.failed
        assert "has collapsed: skill" in reason
        assert "on validation tuples" in reason
        assert not store.cells(home / "results")
        return
    assert len(outcome.complete) == 1
    collapsed = [reason for record in only(home)["stages"].values() for reason in record["collapsed"]]
    assert collapsed
    assert any("has collapsed" in line and "marked" in line for line in notes.said)


def own(entries: list[Entry]) -> list[Entry]:
    """Those of this test; judges and statistics are lent by others, some of them for data that no cell here has."""
    return [entry for entry in entries if entry.kind in ("stage", "samples")]


def test_the_inventory_names_the_cells_and_clear_takes_what_none_needs(home: Path, engine) -> None:
    engine(models=("mvae",), keep=5)[0].run()
    engine(models=("mvae",), settings=("schedule.steps=5", *TINY), results=home / "elsewhere", keep=5)[0].run()
    results = [home / "results"]
    found = inventory(home / "runs", results)
    entries = found.entries
    assert {"stage", "judge", "samples"} <= {entry.kind for entry in entries}
    assert all(entry.cells for entry in entries if entry.kind in ("stage", "samples"))
    assert not own(removable(found, unfinished=True, everything=False)), "results that were used before count as well"
    for path in (home / "elsewhere").rglob("seed-0.json"):
        path.unlink()
    gone = own(removable(inventory(home / "runs", results), unfinished=False, everything=False))
    assert Counter(entry.kind for entry in gone) == {"stage": 1, "samples": 10}
    assert all(remove(entry) for entry in gone)
    again, notes = engine(models=("mvae",), again=True)
    again.run()
    assert notes.trained == [], "what the other cell needs is still there"


def joint_samples(home: Path) -> list[torch.Tensor]:
    folders = sorted((home / "runs/artefacts/samples").glob("*/"), key=lambda path: path.stat().st_mtime)
    cards = [json.loads((folder / "card.json").read_text()) for folder in folders]
    return [
        load_tensors(folder / "tensors.safetensors")[0]["pen"]
        for folder, card in zip(folders, cards, strict=True)
        if card["identity"]["given"] == []
    ]


def test_samples_of_a_model_that_was_trained_anew_are_not_taken_for_its_own(home: Path, engine) -> None:
    engine(keep=20)[0].run()
    first = only(home)
    source = (home / "my_net.py").read_text()
    (home / "my_net.py").write_text(source.replace("SCALE = 1.0", "SCALE = -1.0"))
    engine(keep=20, stale="rerun")[0].run()
    assert only(home)["hash"] == first["hash"]
    assert only(home)["samples"] != first["samples"], "nor are the figures' samples"
    old, new = joint_samples(home)
    assert not torch.equal(old, new)


def test_more_samples_and_other_files_are_asked_for_later(home: Path, engine) -> None:
    """20 after 10, PNG files after tensors: what is asked for is made; a third time there is nothing to do."""
    engine(keep=10)[0].run()
    for more in ({"keep": 20}, {"keep": 20, "keep_format": "png"}):
        one, notes = engine(**more)
        assert len(one.run().extended) == 1
        assert notes.trained == []
        assert len(engine(**more)[0].run().skipped) == 1
    folder = next((home / "runs/samples").rglob("joint"))
    assert len(list((folder / "pen").glob("*.png"))) == 20
