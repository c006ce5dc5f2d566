"""Code identity: what counts as a change, and whose code it is."""

import ast
import textwrap
from pathlib import Path

import pytest

from mmbench.store import provenance
from mmbench.store.provenance import UNKNOWN, changed, code_of_class, code_of_module, harness, syntax

SOURCE = '''
"""A module."""
import math

RATE = 0.5  # a comment


def area(r: float) -> float:
    """Of a circle."""
    return math.pi * r**2 * RATE
'''


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("# a comment", "# another"),
        SOURCE.replace('"""Of a circle."""', '"""Of a disc."""'),
        SOURCE.replace('    """Of a circle."""\n', ""),
        SOURCE.replace('"""A module."""\n', ""),
        SOURCE.replace("math.pi * r**2 * RATE", "(\n        math.pi * r ** 2\n        * RATE)"),
        SOURCE.replace("\n\n\ndef", "\ndef"),
        SOURCE.replace("RATE = 0.5", 'RATE = 0.5\n"""What is lost."""'),
        SOURCE.replace("0.5", "5e-1"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(other):
    assert other != SOURCE
    assert syntax(other) == syntax(SOURCE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.5", "0.25"),
        ("r**2", "r**3"),
        ("r**2 *", "r**2 +"),
        ("math.pi", "math.tau"),
        ("return math", "math"),
        ("RATE = 0.5", "RATE = '0.5'"),
        ("RATE = 0.5", "RATE: float = 0.5"),
        ("(r: float)", "(r: float = 1.0)"),
        ("import math", "import cmath as math"),
        ("def area", "@staticmethod\ndef area"),
    ],
)
def test_everything_else_counts(before, after):
    assert syntax(SOURCE.replace(before, after)) != syntax(SOURCE)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with sources."""
    monkeypatch.chdir(tmp_path)

    def write(**files):
        """`net__core` is net/core.py, `net__` is net/__init__.py."""
        for name, text in files.items():
            path = tmp_path / (f"{name[:-2]}/__init__.py" if name.endswith("__") else f"{name.replace('__', '/')}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def identity(name):
        provenance.code_of_module.cache_clear()  # as in a new process
        provenance._imported.cache_clear()
        return code_of_module(name)

    return write, identity


def test_a_package_is_all_of_its_files(here):
    write, identity = here
    write(net__="", net__core="A = 1", net__deep__er="B = 1")
    first = identity("net")
    write(net__core="A = 1  # one")
    assert identity("net") == first
    write(net__deep__er="B = 2")
    assert identity("net") != first
    write(net__deep__er="B = 1", net__more="C = 1")
    assert identity("net") != first


def test_a_module_brings_the_neighbours_that_it_imports(here):
    write, identity = here
    write(net="import parts\nfrom pack import x\n", parts="import deeper", deeper="A = 1", pack__="x = 1")
    write(stranger="B = 1")
    first = identity("net")
    write(stranger="B = 2")
    assert identity("net") == first, "nobody imports it"
    write(deeper="A = 2")
    assert identity("net") != first
    write(deeper="A = 1", pack__="x = 2")
    assert identity("net") != first


def test_an_import_inside_a_function_counts_and_a_file_that_is_no_python_is_read_as_it_is(here):
    write, identity = here
    write(net="def f():\n    import parts\n", parts="A = (")
    first = identity("net")
    write(parts="A = ((")
    assert identity("net") != first


def test_code_that_cannot_be_found_is_unknown_and_never_called_changed():
    assert code_of_module("no_such_module_anywhere") == UNKNOWN
    assert changed({"a": "1", "b": "2", "c": UNKNOWN, "d": "4"}, {"a": "1", "b": "3", "c": "5", "d": UNKNOWN}) == [
        "b 2 -> 3"
    ]


def test_a_class_has_the_code_of_its_bases_and_not_the_harness():
    from mmbench_mld.model import MLD

    class Mine(MLD):
        pass

    assert set(code_of_class(MLD)) == {"mmbench_mld"}
    assert "mmbench_mld" in code_of_class(Mine)
    assert not {"mmbench", "torch", "abc", "builtins"} & set(code_of_class(Mine))
    assert len(code_of_class(Mine)) == 2


def test_the_harness_has_two_identities_of_files_that_exist():
    assert set(harness()) == {"training", "measuring"}
    for path in (*provenance.TRAINING, *provenance.MEASURING):
        assert (provenance.ROOT / path).exists(), path
    assert len(set(harness().values())) == 2


NAMED = {
    "errors.py",
    "interrupt.py",
    "progress.py",
    "tensors.py",
    "data/validation.py",
    "data/soundness.py",
    "plugins.py",
}
NAMED |= {"described.py", "mistakes.py", "untouched.py", "fields.py", "abilities.py"}
"""What a training imports and what decides no weights: names, signals, files, refusals of settings and data, how
a plugin is found (its code counts itself), what a model may say that it can; and which tuples a skill is taken on."""


def test_what_decides_weights_is_in_the_training_path():
    """Every module that training imports, directly or not, counts, but those that only name and store."""
    found, waiting = set(), ["training/stages.py", "training/frozen.py", "networks/__init__.py", "likelihoods.py"]
    while waiting:
        path = waiting.pop()
        if path not in found and not path.startswith("store/") and path != "__init__.py":  # names alone, imported late
            found.add(path)
            waiting += _relative_imports(path)
    counted = provenance._python_files(provenance.ROOT / path for path in provenance.TRAINING)
    assert found - NAMED <= {path.relative_to(provenance.ROOT).as_posix() for path in counted}


def _relative_imports(path):
    """The files of the package that a file imports, those for types alone included."""
    place = provenance.ROOT / path
    for node in ast.walk(ast.parse(place.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = place.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            tries = [base.with_suffix(".py"), base / "__init__.py", *(base / f"{a.name}.py" for a in node.names)]
            yield from (file.relative_to(provenance.ROOT).as_posix() for file in tries if file.is_file())


def test_the_commit_is_that_of_the_process_not_of_a_later_checkout(monkeypatch):
    first = provenance.commit()
    monkeypatch.setattr(provenance.subprocess, "run", None)  # asking again would be a TypeError
    assert provenance.commit() == first


def test_a_changed_constant_of_mlds_loss_is_another_code_and_a_comment_is_not(tmp_path, monkeypatch):
    """On a copy of the package itself."""
    import shutil

    import mmbench_mld

    copy = tmp_path / "copied_mld"
    shutil.copytree(Path(mmbench_mld.__file__).parent, copy)
    monkeypatch.chdir(tmp_path)

    def identity():
        provenance.code_of_module.cache_clear()
        return code_of_module("copied_mld")

    first, loss = identity(), copy / "diffusion.py"
    source = loss.read_text()
    assert "T_MIN = 1e-6" in source
    loss.write_text(source.replace("T_MIN = 1e-6", "T_MIN = 1e-6  # the smallest"))
    assert identity() == first
    loss.write_text(source.replace("T_MIN = 1e-6", "T_MIN = 1e-5"))
    assert identity() != first


def test_an_editors_lock_and_a_closed_file_are_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "edited_just_now"
    package.mkdir()
    (package / "__init__.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    provenance.code_of_module.cache_clear()
    before = provenance.code_of_module("edited_just_now")
    (package / ".#core.py").symlink_to("somebody@somewhere.1234:5678")
    provenance.code_of_module.cache_clear()
    assert provenance.code_of_module("edited_just_now") == before != provenance.UNKNOWN
    provenance.code_of_module.cache_clear()

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert provenance.code_of_module("edited_just_now") == provenance.UNKNOWN
    provenance.code_of_module.cache_clear()
