"""The study: what it asks for exists, what README says of it is what the report says, and the committed report is that
of the committed cells."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import study
from PIL import Image
from study_headline import BEGIN, END, draw_headline, fill_tables, headline, headline_cells, write_headline

from mmbench import plugins, store
from mmbench.config import override
from mmbench.data.mnist_svhn import SPEC
from mmbench.errors import ResultError
from mmbench.model import Model
from mmbench.report.code import stale
from mmbench.report.comparison import groups
from mmbench.report.figures import trade_off
from mmbench.store import write

from ..mmbench.cells import cell

ROOT = Path(__file__).resolve().parents[2]
WHEN = {"finished": "2026-11-27T10:00:00", "commit": "0123456789ab"}


@pytest.fixture
def results(tmp_path):
    cells = [cell(model, seed, environment=WHEN) for model in ("mld", "mvae") for seed in (0, 1)]
    for one in cells:
        write(tmp_path / "results", one)
    return tmp_path / "results"


@pytest.mark.parametrize("part", study.STUDY, ids=lambda part: f"{part.models} on {part.dataset}")
def test_what_a_part_asks_for_is_installed(part):
    names = [name for name in part.models.split(",") if not name.startswith("multivae:")]
    assert set(names) <= set(plugins.available(plugins.MODELS))
    assert part.dataset in plugins.available(plugins.DATASETS)
    for name in names:
        recipe = plugins.load(plugins.MODELS, name, Model).recipe(SPEC, part.budget)
        override(recipe, [setting for setting in part.settings if not setting.startswith("eval.")])  # known to each


@pytest.mark.parametrize(
    ("planned", "steps", "says"),
    [("same", 8000, 100.0), ("other", 8000, 100.0), ("other", 32000, 400.0), ("longer", 32000, 500.0)],
    ids=["of the cell", "of another setting", "of four times the steps", "of a cell that has them"],
)
def test_what_a_missing_cell_will_take_counts_its_steps(planned, steps, says):
    def taken(name, steps, seconds):
        made = cell("mopoe", 0, time={"train": seconds}, config={"schedule": {"steps": steps}})
        return made | {"hash": name}

    cells = [taken("same", 8000, 100.0)] + [taken("longer", 32000, 500.0)] * (planned == "longer")
    first = cells[0]
    key = SimpleNamespace(model="mopoe", dataset=first["dataset"]["name"], budget=first["budget"], hash=planned)
    config = SimpleNamespace(schedule=SimpleNamespace(steps=steps))
    assert study.seconds(SimpleNamespace(key=key, config=config), cells) == says


def test_the_headline_stands_between_readmes_marks_and_nothing_else_changes(results, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nof last year\n{END}\nafter\n", encoding="utf-8")
    write_headline(results, "mnist_svhn", "paper", ["mld", "mvae"], readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "of last year" not in text
    assert "40.50" in text  # the mean of 40 and 41
    assert "seeds 0, 1, 2026-11-27, commit 0123456789ab" in text
    write_headline(results, "mnist_svhn", "paper", ["mld", "mvae"], readme)
    assert readme.read_text(encoding="utf-8") == text


def test_the_headlines_picture_is_of_the_models_of_its_table(results):
    write(results, cell("own", 0, environment=WHEN))
    cells = headline_cells(results, "mnist_svhn", "paper", ["mld", "mvae"])
    drawn = draw_headline(cells, results / "figures")
    (line,) = (line for line in headline(results, cells).splitlines() if line.startswith("!["))
    assert line == f"![Coherence against quality]({results.name}/figures/{drawn.name})"
    (group,) = groups(cells)
    shown = [text.get_text() for text in trade_off(group).legends[0].get_texts()]
    assert [text for text in shown if "n = " in text] == ["MVAE, n = 2", "MLD, n = 2"]
    with Image.open(drawn) as picture:
        assert picture.width > 1500
    assert draw_headline([], results / "figures") is None


def test_the_report_draws_the_headlines_picture_and_keeps_it(results, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "HEADLINE", ("mnist_svhn", "paper"))
    for _ in range(2):
        study.draw(study.Places(tmp_path / "data", results, tmp_path / "runs", 1))
        assert (results / "figures/headline.png").is_file()


def test_a_readme_without_marks_is_refused(results, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{END}{BEGIN}", encoding="utf-8")
    with pytest.raises(ResultError, match=r"README\.md needs a line"):
        write_headline(results, "mnist_svhn", "paper", ["mld", "mvae"], readme)
    assert readme.read_text(encoding="utf-8") == f"{END}{BEGIN}"


def test_the_headline_is_of_the_recipes_of_its_models_alone(results):
    write(results, cell("mvae", 0, environment=WHEN, overrides={"beta": 2.5}, hash="ffffffffff"))
    write(results, cell("own", 0, environment=WHEN))
    cells = headline_cells(results, "mnist_svhn", "paper", ["mld", "mvae", "nexus"])
    assert {(one["model"]["name"], one["hash"]) for one in cells} == {("mld", "ab12cd34ef"), ("mvae", "ab12cd34ef")}
    text = headline(results, cells)
    assert "beta" not in text
    assert "own" not in text
    assert headline_cells(results, "mnist_svhn", "smoke", ["mld"]) == []
    assert headline_cells(results, "mnist_svhn", "paper", ["nexus"]) == []


COMMAND = "mmbench report --main --model mld"


def test_a_table_of_the_findings_stands_below_the_command_that_makes_it(results, tmp_path):
    page = tmp_path / "FINDINGS.md"
    page.write_text(
        f"first\n<!-- {COMMAND} -->\nold\n<!-- /mmbench -->\nbetween\n<!-- {COMMAND} -->\n<!-- /mmbench -->\nlast\n"
    )
    fill_tables(page, results)
    text = page.read_text()
    assert text.startswith(f"first\n<!-- {COMMAND} -->\n`{COMMAND}`\n")
    assert "old" not in text
    assert text.count("| MLD ") == text.count("40.50") == 2  # the mean of 40 and 41
    assert "MVAE" not in text
    assert "\n<!-- /mmbench -->\nbetween\n" in text
    assert text.endswith("<!-- /mmbench -->\nlast\n")
    fill_tables(page, results)
    assert page.read_text() == text


def test_lines_that_a_command_picks_stand_there_alone(results, tmp_path):
    page, command = tmp_path / "FINDINGS.md", r"mmbench report --model mld | grep -E '^- (Training seeds|Judges)'"
    page.write_text(f"<!-- {command} -->\n<!-- /mmbench -->\n")
    fill_tables(page, results)
    text = page.read_text()
    assert text.startswith(f"<!-- {command} -->\n`{command}`\n")
    assert text.count("\n- ") == 2
    assert "- Training seeds: 2 (0, 1)." in text
    assert "- Judges" in text


def test_a_command_may_name_results_of_its_own(results, tmp_path):
    """As of the same study on another machine; paths are seen from the folder that holds the study's."""
    write(results / "other", cell("nexus", 3, environment=WHEN))
    page, command = tmp_path / "FINDINGS.md", "mmbench report --main --results results/other"
    page.write_text(f"<!-- {command} -->\n<!-- /mmbench -->\n<!-- {COMMAND} -->\n<!-- /mmbench -->\n")
    fill_tables(page, results)
    first, second = page.read_text().split(f"<!-- {COMMAND}")
    assert "| NEXUS " in first
    assert "MLD" not in first
    assert "| MLD " in second


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"<!-- {COMMAND} -->\nno end\n", "a table stands between"),
        ("<!-- /mmbench -->\n", "a table stands between"),
        (f"<!-- {COMMAND} -->\n<!-- {COMMAND} -->\n<!-- /mmbench -->\n", "a table stands between"),
        ("<!-- mmbench report --model mdl -->\n<!-- /mmbench -->\n", "did you mean 'mld'"),
    ],
)
def test_findings_whose_tables_cannot_be_made_stay_as_they_are(results, tmp_path, text, says):
    page = tmp_path / "FINDINGS.md"
    page.write_text(text)
    with pytest.raises(ResultError, match=says):
        fill_tables(page, results)
    assert page.read_text() == text


def test_the_figures_are_small_and_no_old_one_stays(results, tmp_path):
    """PNG alone, of at most 256 colours, none of models that are no longer there, none that report.html alone shows."""
    (results / "figures").mkdir()
    page = [f"mnist_svhn-paper-samples-{task}.png" for task in ("mnist-to-mnist", "m0+m1-to-m0+m1", "m0+m1-to-m2+m3")]
    kept = [f"mnist_svhn-paper-samples-{task}.png" for task in ("mnist-to-svhn", "m0-to-m1+m2", "m0+m1-to-m2")]
    for name in ("old.png", *page, *kept):
        (results / "figures" / name).write_bytes(b"")
    study.draw(study.Places(tmp_path / "data", results, tmp_path / "runs", 1))
    names = {path.name for path in (results / "figures").iterdir()}
    assert {"mnist_svhn-paper-trade-off.png", *kept} <= names
    assert {Path(name).suffix for name in names} == {".png"}
    assert not names & {"old.png", *page}
    assert not any("-training-" in name for name in names)
    for name in names - set(kept):
        with Image.open(results / "figures" / name) as picture:
            assert picture.mode == "P"


def test_pictures_of_samples_stay_where_the_samples_are_not(results, tmp_path):
    """A fresh clone has no samples: its report does not take away what only another machine can draw."""
    (results / "figures").mkdir()
    for name in ("mnist_svhn-paper-samples-joint.png", "glyphs-laptop-samples-joint.png"):
        (results / "figures" / name).write_bytes(b"drawn where the samples were")
    study.draw(study.Places(tmp_path / "data", results, tmp_path / "runs", 1))
    left = {path.name for path in (results / "figures").glob("*-samples-*")}
    assert left == {"mnist_svhn-paper-samples-joint.png"}  # the other's table is gone


@pytest.fixture
def committed():
    """The committed results. A report says of stale cells that they are, so it is another one until they are computed
    anew."""
    if any(map(stale, store.cells(ROOT / "results"))):
        pytest.skip("other code made the study's cells; make study computes them anew with: mmbench run --stale rerun")
    return ROOT / "results"


def test_the_committed_report_is_that_of_the_committed_cells(committed):
    call = [sys.executable, "-m", "mmbench", "report", "--results", "results"]
    for words, name in (([], "report.md"), (["--recipes"], "recipes.md")):
        printed = subprocess.run([*call, *words], cwd=ROOT, capture_output=True, check=True).stdout
        assert printed == (committed / name).read_bytes()


def test_the_tables_of_the_findings_are_those_of_the_committed_cells(committed, tmp_path):
    page = tmp_path / "FINDINGS.md"
    page.write_bytes((committed / "FINDINGS.md").read_bytes())
    fill_tables(page, committed)
    assert page.read_bytes() == (committed / "FINDINGS.md").read_bytes()


def test_readmes_headline_is_that_of_the_committed_cells(committed, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_bytes((ROOT / "README.md").read_bytes())
    write_headline(committed, *study.HEADLINE, study.SEVEN.split(","), readme)
    assert readme.read_bytes() == (ROOT / "README.md").read_bytes()
