"""Result files: whole or not at all, refused when stale, found again by their key."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbench import store
from mmbench.errors import DamagedError, ResultError
from mmbench.store import CellKey
from mmbench.store.provenance import harness

from ..cells import cell, mnist_svhn_rows, modality, row


def test_a_cell_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = cell("mld", 3)
    path = store.write(tmp_path, written)
    assert path == tmp_path / "mnist_svhn" / "mld" / "paper-ab12cd34ef" / "seed-3.json"
    assert store.read(path) == written
    assert store.existing(tmp_path, CellKey("mnist_svhn", "mld", "paper", "ab12cd34ef", 3)) == written
    assert store.existing(tmp_path, CellKey("mnist_svhn", "mld", "paper", "ab12cd34ef", 4)) is None
    assert store.existing(tmp_path, CellKey("mnist_svhn", "mld", "paper", "other", 3)) is None


def test_numpy_scalars_are_written_as_numbers(tmp_path: Path) -> None:
    path = store.write(tmp_path, cell(rows=[row("fmd", "joint", "mnist", np.float32(1.5), count=np.int64(7))]))
    assert store.read(path)["rows"][0]["value"] == 1.5
    assert store.read(path)["rows"][0]["count"] == 7


def test_a_model_given_as_module_and_class_has_a_safe_folder(tmp_path: Path) -> None:
    path = store.write(tmp_path, cell("../my pkg:Model"))
    assert path.parent.parent.parent == tmp_path / "mnist_svhn"
    assert store.cells(tmp_path)[0]["model"]["name"] == "../my pkg:Model"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float32("nan")])
def test_a_number_that_is_not_finite_is_refused_by_name(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(ResultError, match=r"rows\[1\]\.value = (nan|inf)"):
        store.write(tmp_path, cell(rows=[row("fid", "joint", "svhn", 1.0), row("fmd", "joint", "mnist", bad)]))
    assert not list(tmp_path.rglob("seed-*"))


def test_a_crash_before_the_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.write(tmp_path, cell())
    before = path.read_bytes()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.write(tmp_path, cell(rows=[]))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["seed-0.json"]


def test_a_temporary_file_left_behind_is_not_a_cell(tmp_path: Path) -> None:
    path = store.write(tmp_path, cell())
    path.with_name(".seed-1.json.ab12.tmp").write_text("{")
    assert len(store.cells(tmp_path)) == 1


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "disk of .* is full: free some space"),
        (errno.EROFS, "cannot be written to .*name another folder"),
    ],
)
def test_a_disk_that_refuses_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ResultError, match=says) as caught:
        store.write(tmp_path, cell())
    assert "\n" not in str(caught.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_check_writable_makes_the_folder_and_leaves_nothing(tmp_path: Path) -> None:
    store.check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_check_writable_names_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    for folder in (tmp_path / "results", tmp_path / "results" / "deeper"):
        with pytest.raises(ResultError, match="a file is in the way"):
            store.check_writable(folder)


def test_check_writable_in_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # permission bits do not bite where tests run as root
    with pytest.raises(ResultError, match=r"cannot be written to \(Permission denied\)"):
        store.check_writable(tmp_path)


def test_a_failure_stands_until_the_cell_is_complete(tmp_path: Path) -> None:
    failed = cell(status="failed", reason="the loss is NaN", rows=[])
    path = store.write(tmp_path, failed)
    assert path.name == "seed-0.failed.json"
    assert store.cells(tmp_path) == []
    assert store.failures(tmp_path) == [failed]
    assert store.existing(tmp_path, CellKey.of(failed)) is None
    store.write(tmp_path, cell())
    assert store.failures(tmp_path) == []
    assert store.existing(tmp_path, CellKey.of(failed))


def test_histories_may_be_left_out_of_what_is_read(tmp_path: Path) -> None:
    store.write(tmp_path, cell())
    (whole,), (light,) = (store.gather(tmp_path, histories=kept).cells for kept in (True, False))
    assert whole["stages"]["elbo"]["history"]["loss"] == [5.0, 4.0]
    assert light["stages"]["elbo"]["history"] == {}
    assert light["rows"] == whole["rows"]


@pytest.mark.parametrize(
    "primary", [[["fid", "joint"]], [["fid", "joint", ""]], [["fid", "joint", "svhn", "x"]], "fid"]
)
def test_the_columns_of_a_main_table_are_three_words_each(tmp_path: Path, primary: Any) -> None:
    made = cell()
    made["dataset"]["primary"] = primary
    with pytest.raises(ResultError, match="primary"):
        store.write(tmp_path, made)


def test_cells_are_sorted_and_chosen_by_dataset(tmp_path: Path) -> None:
    for seed in (10, 2, 1):
        store.write(tmp_path, cell("mld", seed))
    store.write(tmp_path, cell("mld", 0, dataset="mnist_svhn_subset"))
    store.write(tmp_path, cell("a_model", 0))
    found = [(c["dataset"]["name"], c["model"]["name"], c["seed"]) for c in store.cells(tmp_path)]
    assert found == [
        ("mnist_svhn", "a_model", 0),
        ("mnist_svhn", "mld", 1),
        ("mnist_svhn", "mld", 2),
        ("mnist_svhn", "mld", 10),
        ("mnist_svhn_subset", "mld", 0),
    ]
    assert len(store.cells(tmp_path, "mnist_svhn")) == 4
    assert store.cells(tmp_path / "nowhere") == []


def _break(path: Path, change: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "has schema 2, this mmbench reads schema 3"),
        ({"hash": "somethingelse"}, r"holds the cell .*paper-somethingelse.*seed-0\.json: move it there"),
        ({"seed": 7}, r"holds the cell .*seed-7\.json"),
        ({"status": "failed"}, r"holds the cell .*seed-0\.failed\.json"),
        ({"rows": [{"metric": "fid"}]}, r"is damaged \(rows\.0\.plugin: field required"),
        ({"dataset": {"name": "mnist_svhn"}}, r"is damaged \(dataset\.title: field required"),
        ({"model": None}, r"is damaged \(model: input should be a valid dictionary"),
    ],
)
def test_a_stale_or_misplaced_file_is_one_sentence(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = store.write(tmp_path, cell())
    _break(path, change)
    with pytest.raises(ResultError, match=says) as caught:
        store.read(path)
    assert str(path) in str(caught.value)
    assert "delete it and run the cell again" in str(caught.value)
    with pytest.raises(ResultError):
        store.existing(tmp_path, CellKey("mnist_svhn", "mvae", "paper", "ab12cd34ef", 0))


def _history(**history: Any) -> dict[str, Any]:
    record = cell()["stages"]["elbo"]
    return {"stages": {"elbo": {**record, "history": history}}}


def _dataset(**change: Any) -> dict[str, Any]:
    return {"dataset": {**cell()["dataset"], **change}}


LONG = {"name": "x" * 2000}
INCONSISTENT = [
    (_history(step=[1, 2], loss=[1.0]), r"stages\.elbo\.history: its lists, .* should be equally long"),
    (_history(loss=[1.0]), r"stages\.elbo\.history: its lists, 'step' among them"),
    (_history(step=[0] * 10_001), "at most 10000 items"),
    (_dataset(modalities=[]), r"dataset\.modalities: list should have at least 1 item"),
    (_dataset(modalities=cell()["dataset"]["modalities"][:1] * 2), r"dataset\.modalities: two have one name"),
    (_dataset(title="a\0b"), r"dataset\.title: has a NUL character"),
    (_dataset(title="a\ud800b"), r"dataset\.title: has half a character"),
    ({"rows": [row("fmd", "joint", "mnist", 1.0)] * 2}, r"rows\.1: the same number as rows\.0"),
    ({"rows": [row(" ", "joint", "mnist", 1.0)]}, r"rows\.0\.metric: string should match"),
    ({"rows": [row("fmd", "joint", "mnist", 1e200)]}, r"rows\.0\.value: input should be less than"),
    ({"rows": [row("fmd", "joint", "mnist", "1.5")]}, r"rows\.0\.value: input should be a valid number"),
    ({"rows": 5}, "rows: input should be a valid list"),
    ({"seed": -1}, r"seed: input should be greater than or equal to 0"),
    ({"config": {"width": 2**64}}, r"config\.width: an integer of more than 64 bits"),
    ({"config": json.loads("[" * 30 + "]" * 30)}, "nested deeper than 20 levels"),
    ({"config": {"note": "x" * 100_001}}, r"config\.note: has more than 100,000 characters"),
    ({"config": {"list": [0] * 100_001}}, r"config\.list: has more than 100,000 items"),
    ({"samples": "../../secret.npz"}, "samples: not the name of this cell's sample file"),
    ({"code": {**cell()["code"], "harness": {}}}, r"code\.harness\.training: field required"),
    ({"code": {**cell()["code"], "model": {"../..": "1"}}}, r"code\.model\."),
]  # fmt: skip


@pytest.mark.parametrize(("change", "says"), INCONSISTENT)
def test_what_reports_take_for_granted_is_refused_by_name_on_reading_and_writing(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = store.write(tmp_path, cell())
    before = path.read_bytes()
    wrong: Any = {**cell(), **change}
    with pytest.raises(ResultError, match=f"was not written because of .*{says}"):
        store.write(tmp_path, wrong)
    assert path.read_bytes() == before
    _break(path, change)
    with pytest.raises(ResultError, match=rf"seed-0\.json is damaged \(.*{says}") as caught:
        store.read(path)
    assert len(str(caught.value)) < 500


def test_times_may_be_absurd_but_not_infinite(tmp_path: Path) -> None:
    path = store.write(tmp_path, cell(time={"train": 1e308}))
    assert store.read(path)["time"] == {"train": 1e308}
    path.write_text(path.read_text().replace("1e+308", "1e999"))
    with pytest.raises(ResultError, match=r"time\.train: should be a finite number"):
        store.read(path)


def test_what_is_no_file_or_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.write(tmp_path, cell())
    with path.open("r+b") as file:
        file.truncate(65 << 20)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    with pytest.raises(ResultError, match="larger than 64 MB"):
        store.read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ResultError, match="is no file: move it out"):
        store.read(path)


def test_a_bad_file_hides_none_of_the_others(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        store.write(tmp_path, cell("mld", seed))
    store.write(tmp_path, cell("mvae", 0, [], status="failed", reason="the loss is NaN"))
    store.write(tmp_path, cell("mvae", 1, [], status="failed", reason="the loss is NaN"))
    bad = [
        next(tmp_path.glob("*/mld/*/seed-1.json")),
        next(tmp_path.glob("*/mvae/*/seed-1.failed.json")),
    ]
    for path in bad:
        path.write_text("{")
    found = store.gather(tmp_path)
    assert [(c["model"]["name"], c["seed"]) for c in found.cells] == [("mld", 0), ("mld", 2)]
    assert [(c["model"]["name"], c["seed"]) for c in found.failures] == [("mvae", 0)]
    assert [file.path for file in found.bad] == bad
    assert all(str(file.path) in file.reason for file in found.bad)
    assert store.gather(tmp_path, "glyphs") == store.Found()


@pytest.mark.parametrize("text", [b"", b'{"schema": 1, ', b"\xff\xfe\x00", b'{"schema": 1, "seed": NaN}'])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: bytes) -> None:
    path = store.write(tmp_path, cell())
    path.write_bytes(text)
    with pytest.raises(ResultError, match=r"seed-0\.json is damaged \(not valid JSON\): delete it and run"):
        store.read(path)


def test_a_foreign_or_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "seed-0.json"
    path.write_text("[1, 2]")
    with pytest.raises(ResultError, match="is not a result file"):
        store.read(path)
    with pytest.raises(ResultError, match="cannot be read"):
        store.read(tmp_path / "none.json")


def test_frame_has_a_line_for_each_row_of_each_cell(tmp_path: Path) -> None:
    made = [cell("mvae", 0), cell("mvae", 1), cell("mld", 0, rows=mnist_svhn_rows()[:3])]
    frame = store.frame(made)
    assert tuple(frame.columns) == store.COLUMNS
    assert len(frame) == 2 * len(mnist_svhn_rows()) + 3
    one = frame[(frame.model == "mvae") & (frame.seed == 1) & (frame.metric == "fid") & (frame.task == "joint")]
    assert one["value"].tolist() == [71.0]
    assert tuple(store.frame([]).columns) == store.COLUMNS


def test_the_protocol_hash_ignores_what_changes_no_number() -> None:
    protocol = cell()["protocol"]
    assert store.protocol_hash(cell()) == store.protocol_hash(cell(protocol=protocol | {"batch_size": 7}))
    assert store.protocol_hash(cell()) != store.protocol_hash(cell(protocol=protocol | {"quality_count": 7}))


def test_samples_come_back(tmp_path: Path) -> None:
    path = CellKey("glyphs", "mld", "smoke", "ab", 0).samples("0badcafe", tmp_path)
    assert path == tmp_path / "samples" / "glyphs" / "mld" / "smoke-ab" / "seed-0.0badcafe.npz"
    arrays = {
        store.sample_key("joint", "target", "pen"): np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2),
        store.sample_key("pen+name->sign", "given", "name"): np.array(["one", "größer"]),
    }
    store.write_samples(path, arrays)
    found = store.read_samples(path)
    assert list(found) == ["joint/target/pen", "pen+name->sign/given/name"]
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype
        assert np.array_equal(found[name], values)


def test_samples_that_are_missing_damaged_or_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="run the cell again to draw them"):
        store.read_samples(tmp_path / "none.npz")
    path = tmp_path / "a.npz"
    store.write_samples(path, {"joint/target/pen": np.zeros((50, 3, 32, 32), np.float32)})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ResultError, match="are damaged"):
        store.read_samples(path)
    with pytest.raises(ResultError, match="dtype object"):
        store.write_samples(path, {"x": np.array([None, "a"], dtype=object)})


def test_a_sample_file_that_was_not_written_here_is_damaged(tmp_path: Path) -> None:
    """Another cell's file, other numbers in a zip that is whole, one without a checksum; a pipe."""
    arrays = {"joint/target/pen": np.ones((2, 1, 4, 4), np.float32)}
    path, other = (CellKey("glyphs", "mld", "smoke", "ab", seed).samples("0badcafe", tmp_path) for seed in (0, 1))
    for place in (path, other):
        store.write_samples(place, arrays)
    path.write_bytes(other.read_bytes())
    with pytest.raises(DamagedError, match="its checksum does not agree"):
        store.read_samples(path)
    with np.load(other) as file:
        kept = {name: file[name] for name in file.files}
    np.savez(other, **(kept | {"joint/target/pen": np.full((2, 1, 4, 4), np.nan, np.float32)}))
    with pytest.raises(DamagedError, match="its checksum does not agree"):
        store.read_samples(other)
    np.savez(other, **arrays)
    with pytest.raises(DamagedError, match="it has no checksum"):
        store.read_samples(other)
    other.unlink()
    os.mkfifo(other)
    with pytest.raises(DamagedError, match="a pipe is in its place"):
        store.read_samples(other)


def test_no_torch_and_no_pandas_behind_the_store() -> None:
    code = "import sys, mmbench.store; print(sorted({'torch', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def attempt(status: str, hour: int, **more: Any) -> Any:
    """A cell of the same request, complete or failed, finished at an hour."""
    made = cell(status=status, **more)
    made["reason"] = "it broke" if status == "failed" else None
    made["environment"] = {"finished": f"2026-11-27T{hour:02}:00:00+00:00"}
    return made


OTHER_LATENT = {"modalities": [modality("mnist", latent=32), modality("svhn")]}
EDITED = {"code": {"model": {}, "dataset": {"own_data": "2222222222"}, "harness": harness()}}


@pytest.mark.parametrize(
    ("later", "lasts"),
    [
        ({"hash": "ffffffffff"}, False),  # the recipe was mended: another hash, the same request
        ({"hour": 7}, True),  # it came about first, and failed since
        ({"seed": 1}, True),
        ({"overrides": {"latent": 8}}, True),
        ({"budget": "laptop"}, True),
        ({"model": "mopoe"}, True),
        (OTHER_LATENT, True),  # --latent asks for something else
        ({**OTHER_LATENT, **EDITED}, False),  # the dataset itself was mended
    ],
)
def test_a_failure_is_told_until_the_same_request_succeeds(tmp_path: Path, later: Any, lasts: bool) -> None:
    store.write(tmp_path, attempt("failed", 8))
    store.write(tmp_path, attempt("complete", **{"hour": 9, "hash": "eeeeeeeeee", **later}))
    found = store.gather(tmp_path)
    assert len(found.cells) == 1
    assert [lost["reason"] for lost in found.failures] == ["it broke"] * lasts
