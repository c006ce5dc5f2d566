"""Who may import whom (design: the harness knows no model, dataset or metric; the parts never know each other)."""

import ast
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
INSIDE = {  # module of mmbench -> the modules of mmbench that it may import; anything else needs a reason here
    "errors": set(),
    "modality": {"errors"},
    "config": {"errors"},
    "seeding": set(),
    "progress": set(),
    "tensors": {"errors"},
    "plugins": {"errors"},
    "likelihoods": {"modality"},
    "data.validation": {"errors", "seeding"},
    "data.dataset": {"errors", "modality", "seeding", "data.validation"},  # random rows
    "data.cache": {"errors", "tensors"},
    "data.captions": {"errors", "modality"},
    "data.given": {"errors", "modality", "data.captions"},
    "data.pairing": {"errors", "seeding"},
    "data.sources": {"errors"},
    "data.records": {"data.captions"},
    "data.captioned": {
        "config",
        "errors",
        "modality",
        "data.cache",
        "data.captions",
        "data.dataset",
        "data.records",
        "data.sources",
        "data.validation",
    },
    "data.cub": {"errors", "data.captioned", "data.records", "data.sources"},
    "data.flowers": {"errors", "data.captioned", "data.records", "data.sources"},
    "data.glyph_bank": {"errors"},
    "data.glyph_pictures": {"data.glyph_bank"},
    "data.glyphs": {
        "config",
        "modality",
        "seeding",
        "data.cache",
        "data.dataset",
        "data.glyph_bank",
        "data.glyph_pictures",
    },
    "data.mnist_fashion": {"modality", "data.dataset", "data.pairing", "data.sources"},
    "data.mnist_svhn": {"errors", "modality", "data.dataset", "data.pairing", "data.sources"},
    "networks": {
        "errors",
        "modality",
        "networks.captions",
        "networks.images",
        "networks.kl_autoencoder",
        "networks.resnet",
        "networks.text",
    },
    "networks.captions": {"errors", "modality"},
    "networks.images": {"modality"},
    "networks.kl_autoencoder": {"errors", "modality"},
    "networks.resnet": {"errors", "modality", "networks.images"},
    "networks.text": {"modality"},
    "model": {"config", "errors", "modality", "data.dataset", "networks"},
    "metric": {"config", "data.dataset", "modality", "progress"},
    "training": {"config", "data.dataset", "errors", "model", "progress", "seeding", "tensors"},
    "store": {"config", "errors", "modality"},
    "sampling": {"errors", "metric", "modality", "model", "seeding", "store", "training"},
    "report": {"report.csv", "report.render"},
    "report.render": {
        *("errors", "store"),
        *("report.comparison", "report.csv", "report.latex", "report.markdown", "report.words"),
    },
    "report.csv": {"report.comparison"},
    "report.markdown": {"store", "report.comparison", "report.tables", "report.warnings", "report.words"},
    "report.latex": {"store", "report.comparison", "report.tables", "report.warnings", "report.words"},
    "report.warnings": {"store", "report.columns", "report.comparison", "report.paper", "report.words"},
    "report.words": {"store", "report.claims", "report.comparison", "report.paper", "report.tables"},
    "report.tables": {"report.columns", "report.comparison", "report.paper"},
    "report.claims": {"report.comparison", "report.paper"},
    "report.comparison": {"config", "store", "report.columns", "report.paper"},
    "report.columns": {"store", "report.paper"},
    "report.paper": set(),
    "report.figures": {f"report.figures.{name}" for name in ("captions", "curves", "grids", "spread", "style")}
    | {"report.figures.trade_off", "report.figures.write"},
    "report.figures.write": {"progress", "store", "report.comparison"}
    | {f"report.figures.{name}" for name in ("captions", "curves", "grids", "spread", "style", "trade_off")},
    "report.figures.captions": {"report.comparison", "report.figures.grids", "report.figures.style"},
    "report.figures.curves": {"store", "report.comparison", "report.figures.style"},
    "report.figures.grids": {"store", "report.comparison", "report.figures.style"},
    "report.figures.spread": {"report.columns", "report.comparison", "report.figures.style"},
    "report.figures.trade_off": {"report.columns", "report.comparison", "report.paper", "report.figures.style"},
    "report.figures.style": {"errors", "report.comparison", "report.paper"},
}
TORCH_FREE = ("errors", "modality", "config", "progress", "plugins", "cli", "store", "report")
"""Modules, and packages with all that is in them."""


def modules():
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [p for p in path.relative_to(folder).with_suffix("").parts if p != "__init__"]
            yield package, ".".join(parts), path


def imports(path, package, module):
    """(absolute dotted name, only for types or inside a function) of every import in a file."""
    tree = ast.parse(path.read_text())
    lazy = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    lazy |= {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, ast.If) and ast.unparse(f.test).endswith("TYPE_CHECKING")
        for n in ast.walk(f)
    }
    here = [package, *module.split(".")] if module else [package]
    if path.name != "__init__.py":
        here = here[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            full = ".".join(part for part in (base, node.module or "") if part)
            if node.module is None:
                yield from ((f"{full}.{alias.name}", id(node) in lazy) for alias in node.names)
            else:
                yield full, id(node) in lazy


CASES = [pytest.param(*case, id=f"{case[0]}.{case[1]}") for case in modules()]


@pytest.mark.parametrize(("package", "module", "path"), CASES)
def test_packages(package, module, path):
    for name, _ in imports(path, package, module):
        other = name.split(".")[0]
        if other in PACKAGES and other != package:
            assert other in ALLOWED[package], f"{package}.{module} imports {name}"


@pytest.mark.parametrize(("package", "module", "path"), [c for c in CASES if c.values[0] == "mmbench"])
def test_order_inside_mmbench(package, module, path):
    if module not in INSIDE:
        return
    for name, lazy in imports(path, package, module):
        inner = name.removeprefix("mmbench.")
        if name.startswith("mmbench.") and not lazy:
            assert inner in INSIDE[module], f"mmbench.{module} imports {name}"


@pytest.mark.parametrize("module", TORCH_FREE)
def test_torch_free_modules_name_no_torch(module):
    found = [(m, path) for p, m, path in modules() if p == "mmbench" and f"{m}.".startswith(f"{module}.")]
    assert found
    for name, path in found:
        top = [n.split(".")[0] for n, lazy in imports(path, "mmbench", name) if not lazy]
        assert "torch" not in top, f"mmbench.{name}"


def test_no_import_cycles():
    """Over the imports that run when a module is imported."""
    names = {f"{p}.{m}".rstrip("."): path for p, m, path in modules()}
    edges = {
        name: {n for n, lazy in imports(path, *_split(name)) if n in names and not lazy} - {name}
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
