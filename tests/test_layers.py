"""Who may import whom (design: the harness knows no model, dataset or metric; the parts never know each other)."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "mmbench": ROOT / "mmbench",
    "mmbench_baselines": ROOT / "baselines/mmbench_baselines",
    "mmbench_mld": ROOT / "mld/mmbench_mld",
    "mmbench_evaluation": ROOT / "evaluation/mmbench_evaluation",
}
ALLOWED = {
    "mmbench": set(),
    "mmbench_baselines": {"mmbench"},
    "mmbench_mld": {"mmbench"},
    "mmbench_evaluation": {"mmbench"},
}
STOREYS = (  # rooms of mmbench, from the ground up: each may import from its own storey and those below
    {"described", "errors", "seeding", "untouched"},
    {"interrupt"},
    {"progress", "plugins"},
    {"mistakes", "fields"},
    {"config", "modality"},
    {"settings"},
    {"store", "likelihoods", "networks", "precision"},
    {"tensors"},
    {"data"},
    {"model", "metric", "bench", "declared", "abilities"},
    {"training"},
    {"report", "checks", "cells", "health"},
    {"engine"},
    {"cli", "api"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(STOREYS) for room in rooms}
APART = ({"report", "cells"}, {"report", "checks"}, {"cells", "checks"}, {"report", "engine"}, {"report", "data"})
"""Rooms that know nothing of each other, whatever their storey."""
TORCH_FREE = (
    *(
        "mmbench",
        "mmbench.api",
        "mmbench.store",
        "mmbench.report",
        "mmbench.report.figures",
        "mmbench.cli",
        "mmbench.plugins",
    ),
    *("mmbench.engine.engine", "mmbench.engine.processes", "mmbench.engine.cluster"),  # who hands out cells
)


def modules():
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [p for p in path.relative_to(folder).with_suffix("").parts if p != "__init__"]
            yield package, ".".join(parts), path


def imports(path, package, module):
    """(absolute dotted name, 'at once', 'inside a function' or 'for types') of every import in a file."""
    tree = ast.parse(path.read_text())
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    typed = [f for f in ast.walk(tree) if isinstance(f, ast.If) and ast.unparse(f.test).endswith("TYPE_CHECKING")]
    types = {id(n) for f in typed for n in ast.walk(f)}

    def when(node):
        return "for types" if id(node) in types else "inside a function" if id(node) in inside else "at once"

    here = [package, *module.split(".")] if module else [package]
    if path.name != "__init__.py":
        here = here[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, when(node)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            full = ".".join(part for part in (base, node.module or "") if part)
            if node.module is None:
                yield from ((f"{full}.{alias.name}", when(node)) for alias in node.names)
            else:
                yield full, when(node)


KINDS = (ast.ClassDef, ast.FunctionDef)
CASES = [pytest.param(*case, id=f"{case[0]}.{case[1]}") for case in modules()]


@pytest.mark.parametrize(("package", "module", "path"), CASES)
def test_packages(package, module, path):
    for name, _ in imports(path, package, module):
        other = name.split(".")[0]
        if other in PACKAGES and other != package:
            assert other in ALLOWED[package], f"{package}.{module} imports {name}"


OURS = [case for case in CASES if case.values[0] == "mmbench"]


def test_every_room_has_a_storey():
    assert {module.partition(".")[0] for package, module, _ in modules() if package == "mmbench"} - {""} == set(LEVEL)


@pytest.mark.parametrize(("package", "module", "path"), OURS)
def test_no_import_runs_back_up(package, module, path):
    """Imports inside functions count; those for types alone do not."""
    room = module.partition(".")[0]
    for name, when in imports(path, package, module):
        other = name.removeprefix("mmbench.").partition(".")[0]
        if name.startswith("mmbench.") and when != "for types" and other != room:
            assert LEVEL[other] <= LEVEL[room], f"mmbench.{module} imports {name}"
            assert {room, other} not in APART, f"mmbench.{module} imports {name}"


@pytest.mark.parametrize("module", TORCH_FREE)
def test_what_needs_no_torch_imports_none(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0


def test_help_waits_for_nothing_that_it_does_not_use():
    """numpy took a third of its time, what reads cells another third."""
    heavy = ("torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn", "PIL", "jinja2", "transformers", "pydantic",
             "mmbench.store")  # fmt: skip
    code = f"import sys, mmbench.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, capture_output=True, text=True)
    assert done.stdout.split() == ["[]"], done.stderr


def test_files_classes_and_functions_are_short():
    """The house's measures: 300 lines a file, 150 a class, 7 the median function, of mmbench."""
    sizes = {path: len(path.read_text().splitlines()) for package, _, path in modules() if package == "mmbench"}
    assert [str(path) for path, lines in sizes.items() if lines > 300] == []
    nodes = [node for path in sizes for node in ast.walk(ast.parse(path.read_text()))]
    lengths = {kind: [n.end_lineno - n.lineno + 1 for n in nodes if isinstance(n, kind)] for kind in KINDS}
    assert max(lengths[ast.ClassDef]) <= 150
    assert statistics.median(lengths[ast.FunctionDef]) <= 7


def test_no_import_cycles():
    """Over the imports that run when a module is imported."""
    names = {f"{p}.{m}".rstrip("."): path for p, m, path in modules()}
    edges = {
        name: {n for n, when in imports(path, *_split(name)) if n in names and when == "at once"} - {name}
        for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in edges[name]:
                visit(other, [*trail, name])
            done.add(name)

    for name in names:
        visit(name, [])


def _split(name):
    package, _, module = name.partition(".")
    return package, module
