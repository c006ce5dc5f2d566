"""The example of a plugin: short, sound, and at home in an environment where it is installed like a stranger's."""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "new_baseline"
SOURCE = EXAMPLE / "mmbench_joint_vae" / "__init__.py"


def run(python: str | Path, *arguments: str, cwd: Path) -> str:
    """What a command prints, stdout and stderr; the test fails with it where the command does."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "MMBENCH_", "VIRTUAL_ENV"))}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(python), *arguments],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}"
    return done.stdout


def test_it_takes_under_sixty_lines() -> None:
    lines = [line for line in SOURCE.read_text().splitlines() if line.strip()]
    assert len(lines) < 60


def test_it_keeps_the_contract_without_being_installed() -> None:
    lines = run(sys.executable, "-m", "mmbench", "check", "mmbench_joint_vae:JointVAE", cwd=EXAMPLE).splitlines()
    assert lines
    assert all(line.startswith("ok ") for line in lines), lines


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment into which the example is built and installed, without a network.

    It sees the packages of the running environment (torch is large), through a .pth file that also honours the .pth
    files there (an editable mmbench is one).
    """
    folder = tmp_path_factory.mktemp("stranger")
    builder = venv.EnvBuilder(with_pip=True)
    builder.create(folder / "venv")
    context = builder.ensure_directories(folder / "venv")
    interpreter = Path(context.env_exe)
    (own,) = run(interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).split()
    lines = (f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages())
    (Path(own) / "running_environment.pth").write_text("".join(lines))
    source = shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__", "dist"))
    run(interpreter, "-m", "pip", "install", "--no-build-isolation", "--no-deps", str(source), cwd=folder)
    return interpreter


@pytest.mark.slow
def test_it_installs_and_runs_like_a_strangers(python: Path, tmp_path: Path) -> None:
    where = run(python, "-c", "import mmbench_joint_vae; print(mmbench_joint_vae.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parents[1])

    listed = run(python, "-m", "mmbench", "list", cwd=tmp_path)
    assert re.search(r"joint_vae  +\S.*\n +mmbench_joint_vae:JointVAE, mmbench-joint-vae 0\.1\.0", listed)
    assert re.search(r"mld  +\S.*\n +mmbench_mld.model:MLD, mmbench", listed)

    checked = run(python, "-m", "mmbench", "check", "joint_vae", cwd=tmp_path)
    assert "conditions_used" in checked
    assert "FAILED" not in checked

    cell = ("run", "--model", "joint_vae", "--budget", "smoke", "--out", "results", "--runs", "runs")
    brief = ("--set", "schedule.steps=30", "--set", "eval.judge.steps=30")
    run(python, "-m", "mmbench", *cell, *brief, cwd=tmp_path)
    (path,) = (tmp_path / "results").rglob("seed-0.json")
    assert "mmbench-joint-vae" in json.dumps(json.loads(path.read_text())), "a cell says who brought its model"

    report = run(python, "-m", "mmbench", "report", "--results", "results", cwd=tmp_path)
    assert "joint_vae" in report
    assert "glyphs" in report.lower()


def test_the_tutorial_shows_the_example_itself() -> None:
    """The page "Your model" includes the example, in under 60 lines of code."""
    page = (EXAMPLE.parents[1] / "docs" / "tutorials" / "model.md").read_text()
    assert f'--8<-- "{SOURCE.relative_to(EXAMPLE.parents[1])}"' in page
    assert sum(bool(line.strip()) for line in SOURCE.read_text().splitlines()) < 60


def test_the_readme_is_short() -> None:
    readme = (EXAMPLE.parents[1] / "README.md").read_text()
    assert len(readme.splitlines()) <= 120
