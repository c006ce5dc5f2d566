"""The study's judges go with its cells to another machine, whole, and never stand in for others."""

import pytest
import torch
from study_judges import keep, lend

from mmbench import tensors
from mmbench.errors import DamagedError, ResultError
from mmbench.store import write
from mmbench.store.artefacts import CARD, TENSORS, Artefacts
from mmbench_evaluation.identity import hex8

from ..mmbench.cells import cell


def made(runs, kind, modality, value):
    """An artefact of one weight, and the identity that a row gives it."""
    weights = {"weight": torch.full((2, 3), value)}
    artefact = Artefacts(runs / "artefacts").of(kind, {"modality": modality})
    tensors.keep(artefact, weights, f"{kind} of {modality}", {"accuracy": 0.9}, 1.0)
    return artefact, hex8(tensors.checksum(weights))


@pytest.fixture
def study(tmp_path):
    """Results whose cell names a judge and a reference autoencoder, and the runs where they were trained."""
    runs, results = tmp_path / "runs", tmp_path / "results"
    judge, digits = made(runs, "judge", "mnist", 0.5)
    reference, own = made(runs, "reference autoencoder", "mnist", 0.25)
    made(runs, "judge", "svhn", 0.75)  # judged nothing
    made(runs, "stage", "mnist", 0.5)  # a model's
    one = cell("mld", 0)
    one["rows"][0] |= {"identity": f"{digits}+ffffffff", "reference": own}
    write(results, one)
    return runs, results, [judge, reference], one


def test_the_judges_of_the_cells_lie_beside_them_and_no_others(study):
    runs, results, trained, one = study
    added = keep([one], results, runs)
    assert sorted(added) == sorted(results / "judges" / each.name for each in trained)
    kept = {path.relative_to(results / "judges") for path in (results / "judges").rglob("*.*")}
    assert {str(path.parent) for path in kept} == {each.name for each in trained}
    assert keep([one], results, runs) == []


def test_another_machine_takes_them(study, tmp_path):
    runs, results, trained, one = study
    keep([one], results, runs)
    lend(results, tmp_path / "other")
    for each in trained:
        there = Artefacts(tmp_path / "other/artefacts").of(each.kind, each.identity)
        found, facts = tensors.finished(there)
        assert torch.equal(found["weight"], tensors.finished(each)[0]["weight"])
        assert facts == {"accuracy": 0.9}
    lend(results, tmp_path / "other")  # once more changes nothing
    lend(results, runs)  # nor does it where they were trained


def test_a_runs_folder_with_judges_of_its_own_is_refused(study, tmp_path):
    runs, results, (judge, _), one = study
    keep([one], results, runs)
    other, _ = made(tmp_path / "other", "judge", "mnist", 0.125)
    assert other.key == judge.key
    with pytest.raises(ResultError, match="another judge than the study's"):
        lend(results, tmp_path / "other")
    assert tensors.finished(other)[0]["weight"][0, 0] == 0.125


def test_a_damaged_judge_is_not_handed_on(study, tmp_path):
    runs, results, (judge, _), one = study
    keep([one], results, runs)
    with (results / "judges" / judge.name / TENSORS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x00")
    with pytest.raises(DamagedError, match="is damaged"):
        lend(results, tmp_path / "other")
    assert not (tmp_path / "other/artefacts" / judge.name / CARD).exists()
