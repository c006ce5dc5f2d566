"""`make bench` compares with the stored run of the same kind of machine: hand-made numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import speed
from speed_clock import Stopwatch
from speed_compare import PACE, compare, pace, slower, table, verdict_on_machine
from speed_runs import RUNS, Machine, Run, load, place, save

from mmbench.errors import ResultError

HERE = Machine(cpu="Acme 9000 (R)", cores=2, threads=1, bfloat16="")
OTHERS = [
    replace(HERE, cpu="Acme 9001 (R)"),
    replace(HERE, cores=4),
    replace(HERE, threads=2),
    replace(HERE, bfloat16="avx512_bf16"),
]
STORED = {PACE: 4.0, "step": 100.0, "call": 10.0, "load": 50.0}


def run(**numbers: float) -> Run:
    return Run(machine=HERE, torch="2.14.1", commit="abc123", numbers={**STORED, **numbers})


def marks(now: dict[str, float]) -> dict[str, str]:
    return {line.name: line.mark for line in compare(STORED, now)}


@pytest.mark.parametrize(
    ("step", "mark"), [(100, ""), (109, ""), (111, "slower"), (300, "slower"), (92, ""), (90, "faster"), (10, "faster")]
)
def test_what_differs_by_more_than_a_tenth_is_marked(step, mark):
    assert marks({**STORED, "step": step}) == {"step": mark, "call": "", "load": ""}


def test_a_number_that_one_run_lacks_is_neither_slower_nor_faster():
    now = {PACE: 4.0, "step": 100.0, "other": 7.0, "load": 60.0}
    assert marks(now) == {"step": "", "other": "new", "load": "slower", "call": "missing"}
    assert slower(compare(STORED, now)) == ["load"]


def test_a_busy_machine_slows_everything_and_nothing_is_marked():
    now = {name: 1.3 * value for name, value in STORED.items()}
    lines = compare(STORED, now)
    assert slower(lines) == []
    assert [line.ratio for line in lines] == pytest.approx([1.3] * 3)
    assert [line.own for line in lines] == pytest.approx([1.0] * 3)
    assert "machine itself is 30 % slower in this run" in verdict_on_machine(pace(STORED, now))


def test_a_faster_machine_hides_nothing():
    """The same time, where the machine's own products took four fifths of theirs: 1.25 times as slow."""
    now = {**STORED, PACE: 3.2, "call": 8.0, "load": 40.0}
    assert slower(compare(STORED, now)) == ["step"]
    assert "machine itself is 20 % faster in this run" in verdict_on_machine(pace(STORED, now))
    assert "as fast as" in verdict_on_machine(pace(STORED, {**STORED, PACE: 4.1}))


def test_the_table_shows_both_times_both_ratios_and_the_mark():
    rows = table(compare(STORED, {PACE: 5.0, "step": 150.0, "call": 12.5, "more": 1.0})).splitlines()
    assert [row.split() for row in rows] == [
        ["ms", "stored", "now", "ratio", "own"],
        ["step", "100.00", "150.00", "1.50", "1.20", "slower"],
        ["call", "10.00", "12.50", "1.25", "1.00"],
        ["more", "-", "1.00", "-", "-", "new"],
        ["load", "50.00", "-", "-", "-", "missing"],
    ]


def test_a_run_is_kept_for_its_kind_of_machine(tmp_path):
    made = run(step=123.456789)
    path = save(made, tmp_path / "runs")
    assert path.name == "acme-9000-r-2-cores-1-thread-no-native-bf16.json"
    assert load(HERE, tmp_path / "runs") == replace(made, numbers={**made.numbers, "step": 123.5})
    assert json.loads(path.read_text())["machine"] == {"cpu": "Acme 9000 (R)", "cores": 2, "threads": 1, "bfloat16": ""}


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_another_machine_has_no_run_and_is_told_how_to_make_one(other, tmp_path):
    save(run(), tmp_path)
    assert load(other, tmp_path) is None
    text, found = speed.compared(replace(run(), machine=other), None, tmp_path)
    assert found == []
    assert f"no stored run of this kind ({other}): --save makes one, {place(other, tmp_path)}" in text


def test_a_run_under_another_machines_name_is_refused(tmp_path):
    save(run(), tmp_path).rename(place(OTHERS[0], tmp_path))
    with pytest.raises(ResultError, match=r"is a run of another machine \(Acme 9000.*--save"):
        load(OTHERS[0], tmp_path)


GOOD = {"machine": {"cpu": "Acme 9000 (R)", "cores": 2, "threads": 1, "bfloat16": ""}, "torch": "2", "commit": None}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        b"\xff\xfe",
        json.dumps(GOOD),
        json.dumps({**GOOD, "numbers": {"step": 1.0}}),
        json.dumps({**GOOD, "numbers": {PACE: 0.0}}),
        json.dumps({**GOOD, "numbers": {PACE: -1.0}}),
        json.dumps({**GOOD, "numbers": {PACE: float("nan")}}),
        json.dumps({**GOOD, "numbers": {PACE: float("inf")}}),
        json.dumps({**GOOD, "numbers": {PACE: "fast"}}),
        json.dumps({**GOOD, "numbers": {PACE: 1.0}, "more": 1}),
        json.dumps({**GOOD, "machine": {"cpu": "Acme"}, "numbers": {PACE: 1.0}}),
    ],
)
def test_a_file_that_is_no_run_is_one_sentence(content, tmp_path):
    place(HERE, tmp_path).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ResultError, match=r"acme-9000.*\.json .*make it anew with --save$") as caught:
        load(HERE, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_that_may_not_be_read_is_one_sentence(tmp_path):
    place(HERE, tmp_path).mkdir()
    with pytest.raises(ResultError, match="cannot be read"):
        load(HERE, tmp_path)


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.json")), ids=lambda p: p.name)
def test_the_stored_runs_are_runs(path):
    """Those that are committed."""
    made = Machine(**json.loads(path.read_text())["machine"])
    assert place(made) == path
    assert load(made) is not None


def test_a_number_is_the_median_of_its_repetitions(capsys):
    """Durations of 1, 9 and 2 s of four units each, after one call that does not count."""
    watch, calls = Stopwatch(threads=1), []
    ticks = iter([*[0.0, 0.004] * 5, 0.0, 1.0, 1.0, 10.0, 10.0, 12.0])
    watch.clock = lambda: next(ticks)
    assert watch.add("work", lambda: calls.append(1), 3, per=4) == 500.0
    assert len(calls) == 4
    assert watch.numbers() == {PACE: pytest.approx(4.0), "work": 500.0}


@pytest.mark.parametrize(("seconds", "calls"), [(0.25, 3), (0.048, 10), (0.001, 100)])
def test_short_work_is_repeated_more_often(seconds, calls, capsys):
    """For half a second, and 100 times at most; no call to warm up."""
    watch, done = Stopwatch(threads=1), []
    now = iter(range(10_000))
    watch.clock = lambda: (lambda tick: (tick // 2 + tick % 2) * seconds * 1.001)(next(now))
    watch.add("work", lambda: done.append(1), 3, warm=False)
    assert len(done) == calls


@pytest.mark.parametrize(("arguments", "step", "code"), [
    ([], 200.0, 0), (["--strict"], 200.0, 1), (["--strict"], 100.0, 0), (["--strict"], 50.0, 0),
])  # fmt: skip
def test_only_strict_fails_and_only_for_what_is_slower(arguments, step, code, monkeypatch, tmp_path, capsys):
    prepared(monkeypatch, tmp_path, arguments, {**STORED, "step": step})
    save(run(), tmp_path)
    assert speed.main() == code
    assert ("Slower than 10 %: step." in capsys.readouterr().out) == (step == 200.0)


def test_the_first_run_of_a_kind_is_no_failure_and_save_keeps_it(monkeypatch, tmp_path, capsys):
    prepared(monkeypatch, tmp_path, ["--strict"], STORED)
    assert speed.main() == 0
    assert "There is no stored run of this kind" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    prepared(monkeypatch, tmp_path, ["--save"], STORED)
    assert speed.main() == 0
    kept = load(HERE, tmp_path)
    assert kept is not None
    assert kept.numbers == STORED


def test_save_makes_a_damaged_run_anew(monkeypatch, tmp_path):
    place(HERE, tmp_path).write_text("{")
    prepared(monkeypatch, tmp_path, ["--save"], STORED)
    assert speed.main() == 0
    assert load(HERE, tmp_path) is not None


@pytest.mark.parametrize("threads", ["0", "-1", "two", "100000"])
def test_threads_that_this_machine_has_not_are_refused(threads, monkeypatch, tmp_path, capsys):
    prepared(monkeypatch, tmp_path, ["--threads", threads], STORED)
    with pytest.raises(SystemExit, match="2"):
        speed.main()
    assert f"{threads!r} will not do: name 1 to " in capsys.readouterr().err


def prepared(monkeypatch, folder, arguments: list[str], numbers: dict[str, float]) -> None:
    """`speed.main` on a machine that has these numbers, with its runs in a folder."""
    monkeypatch.setattr("sys.argv", ["speed.py", *arguments])
    monkeypatch.setattr(speed, "tune", lambda device: None)
    monkeypatch.setattr(speed.torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(speed, "kind", lambda n: HERE)
    monkeypatch.setattr(speed, "measured", lambda n: numbers)
    monkeypatch.setattr(speed, "RUNS", folder)
