"""The wheel, installed somewhere else, is a working mmbench."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """A fresh environment that sees this one's libraries, but another mmbench: the wheel's."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home / "env", with_pip=False)
    site = next((home / "env").rglob("site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    libraries = {p for p in sys.path if p.endswith(("site-packages", "dist-packages"))}
    (site / "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n")
    return home


def call(home, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [str(home / "env/bin/python"), "-m", "mmbench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=home, env=environment, timeout=300)


def test_wheel_holds_the_four_packages_and_the_papers_numbers(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for package in ("mmbench", "mmbench_baselines", "mmbench_mld", "mmbench_evaluation"):
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    assert "mmbench/paper/mnist_svhn.csv" in names
    assert {"mmbench/published/polymnist.csv", "mmbench/published/sources.csv"} <= set(names)
    assert "mmbench/report/figures/looks.csv" in names
    assert {f"mmbench/report/html/page.{kind}" for kind in ("html", "css", "js")} <= set(names)
    tops = {name.split("/")[0].split("-")[0] for name in names}
    assert tops == {"mmbench", "mmbench_baselines", "mmbench_mld", "mmbench_evaluation"}


def test_list_works_elsewhere(elsewhere):
    done = call(elsewhere, "list")
    assert done.returncode == 0, done.stderr
    for word in ("mld", "mvae", "glyphs", "mnist_svhn", "coherence", "fmd"):
        assert word in done.stdout


def test_it_is_the_wheels_mmbench_and_it_knows_the_paper(elsewhere):
    code = "import mmbench, mmbench.report.paper as p; print(mmbench.__file__); "
    code += "print(sum(map(len, p.paper_voices('mnist_svhn').values())))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [str(elsewhere / "env/bin/python"), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=elsewhere, env=environment, check=True)
    place, rows = done.stdout.split()
    assert str(elsewhere) in place
    assert int(rows) > 80


def test_list_does_not_import_torch(elsewhere):
    code = (
        "import sys; sys.argv = ['mmbench', 'list']\n"
        "from mmbench.cli import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [str(elsewhere / "env/bin/python"), "-c", code], capture_output=True, text=True, cwd=elsewhere
    )
    assert done.returncode == 0, done.stderr or done.stdout
