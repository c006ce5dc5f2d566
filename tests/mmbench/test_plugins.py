"""Plugins are listed without being imported, loaded when asked for, and every failure is a sentence."""

from __future__ import annotations

import errno
import io
import locale
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mmbench.data.dataset import DatasetSource
from mmbench.errors import PluginError
from mmbench.metric import Metric
from mmbench.model import Model
from mmbench.plugins import DATASETS, METRICS, MODELS, NETWORKS, Plugin, available, find, label, load

GROUP = "mmbench.models"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages, searched first; modules imported from it are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def install(site: Path, distribution: str, group: str = GROUP, module: str = "", **entries: str) -> None:
    """What pip leaves behind: metadata with entry points, and one module."""
    info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    if module:
        (site / f"{distribution.replace('-', '_')}.py").write_text(module)


def test_the_suites_own_are_plugins_like_any_other() -> None:
    assert available(MODELS)["mld"] == Plugin(
        "mld", "mmbench_mld.model:MLD", "mmbench", available(MODELS)["mld"].version
    )
    for group, base in ((MODELS, Model), (DATASETS, DatasetSource), (METRICS, Metric)):
        for name in available(group):
            assert issubclass(load(group, name, base), base)


def test_names_are_sorted() -> None:
    assert list(available(DATASETS)) == sorted(available(DATASETS))


def test_listing_imports_nothing(site: Path) -> None:
    install(site, "bad-plugin", module="raise RuntimeError('imported')", bad="bad_plugin:Bad")
    assert available(MODELS)["bad"] == Plugin("bad", "bad_plugin:Bad", "bad-plugin", "1.2")
    assert available(MODELS)["bad"].source == "bad-plugin 1.2"


def test_listing_does_not_import_torch() -> None:
    code = "import sys, mmbench.plugins as p; assert p.available(p.MODELS); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_plugin_is_loaded_without_the_others(site: Path) -> None:
    install(site, "bad-plugin", module="raise RuntimeError('imported')", bad="bad_plugin:Bad")
    install(site, "good-plugin", module="class Good:\n    class Inner: pass\n", good="good_plugin:Good.Inner")
    assert load(MODELS, "good").__qualname__ == "Good.Inner"


def test_a_name_from_two_distributions_is_refused_and_both_are_named(site: Path) -> None:
    install(site, "one-plugin", twice="one:A")
    install(site, "two-plugin", twice="two:A")
    with pytest.raises(PluginError, match=r"one-plugin 1\.2 and two-plugin 1\.2 bring 'twice'.*uninstall"):
        available(MODELS)


def test_an_unknown_name_gets_the_near_match() -> None:
    with pytest.raises(PluginError, match=r"there is no model 'mdl'; did you mean 'mld'\?.*module:Class"):
        load(MODELS, "mdl", Model)
    with pytest.raises(PluginError, match="there is no dataset 'glyfs'; did you mean 'glyphs'"):
        find(DATASETS, "glyfs")


def test_a_colon_means_a_class_in_every_group() -> None:
    for group in (MODELS, DATASETS, METRICS, NETWORKS):
        assert find(group, "a:B").value == "a:B"


def test_a_failing_import_names_distribution_and_cause(site: Path) -> None:
    install(site, "bad-plugin", module="import torrch", bad="bad_plugin:Bad")
    with pytest.raises(PluginError, match=r"'bad' of bad-plugin 1\.2 .*No module named 'torrch'.*reinstall bad-plugin"):
        load(MODELS, "bad")


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("import sys\nsys.exit()", r"asked to end the whole program, SystemExit: None; nothing may run at import"),
        ("import os\nos._exit(3)", r"asked to end the whole program, SystemExit: 3; nothing may run at import"),
        ("from os import _exit\nprint('gone')\n_exit(0)", r"SystemExit: 0, saying 'gone'; nothing"),
        ("import sys\nprint('no licence')\nsys.exit(3)", r"SystemExit: 3, saying 'no licence'; nothing"),
        (
            "import argparse\np = argparse.ArgumentParser()\np.add_argument('--data', required=True)\np.parse_args()",
            r"SystemExit: 2, saying 'usage: .*the following arguments are required: --data'; nothing",
        ),
        ("class Stop(BaseException): pass\nraise Stop('enough\\nof this')", r"\(Stop: enough\); repair"),
        ("import sys\nsys.exit('\\n  no licence\\n  ask us')", r"SystemExit: no licence; nothing may run at import"),
        (
            "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
            r"\(Mute: \(it cannot be printed",
        ),
        (
            "class Mute:\n    def __str__(self): return 3\nraise SystemExit(Mute())",
            r"SystemExit: \(it cannot be printed",
        ),
        ("raise ValueError('x' * 10_000)", r"\(ValueError: x{300}\.\.\.\); repair"),
        ("input()", r"\(EOFError: EOF when reading a line\); repair"),
        ("def __getattr__(name): raise SystemExit(4)", r"gives no 'Bad' \(it asked to end .* SystemExit: 4; nothing"),
    ],
)
def test_a_module_that_ends_the_program_is_one_sentence(
    site: Path, capsys: pytest.CaptureFixture[str], module: str, message: str
) -> None:
    install(site, "bad-plugin", module=module, bad="bad_plugin:Bad")
    with pytest.raises(PluginError, match=message) as caught:
        load(MODELS, "bad")
    assert "'bad' of bad-plugin 1.2" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", ""), "what it said is in the sentence"


def test_ctrl_c_at_import_passes_through(site: Path) -> None:
    install(site, "slow-plugin", module="raise KeyboardInterrupt", slow="slow_plugin:Slow")
    with pytest.raises(KeyboardInterrupt):
        load(MODELS, "slow")


def test_our_command_line_is_not_a_modules_and_its_words_come_out(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmbench", "run", "--model", "loud"])
    module = "import sys\nargv = list(sys.argv)\nprint('hello')\nout = sys.stdout\nclass Loud: pass"
    install(site, "loud-plugin", module=module, loud="loud_plugin:Loud")
    load(MODELS, "loud")
    assert sys.argv == ["mmbench", "run", "--model", "loud"]
    loud = sys.modules["loud_plugin"]
    assert loud.argv == ["mmbench"]
    print("later", file=loud.out)  # as a logger would that took the stream for its own
    assert capsys.readouterr().out == "hello\nlater\n"


@pytest.mark.parametrize("words", ["pass", "print('hello')"])
def test_a_full_stream_is_no_fault_of_a_module(site: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    install(site, "calm-plugin", module=f"{words}\nclass Calm: pass", calm="calm_plugin:Calm")
    assert load(MODELS, "calm").__name__ == "Calm"


def test_a_module_that_closes_our_streams_closes_nothing(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = "import sys\nsys.stdout.close()\nsys.stderr.close()\nsys.stdin.close()\nclass Shuts: pass"
    install(site, "shuts-plugin", module=module, shuts="shuts_plugin:Shuts")
    load(MODELS, "shuts")
    assert not any(stream.closed for stream in (sys.stdin, sys.stdout, sys.stderr))
    print("still here")
    assert capsys.readouterr().out == "still here\n"


def test_a_module_that_goes_elsewhere_takes_nobody_along(site: Path, tmp_path: Path) -> None:
    before = os.getcwd()
    for name, end in (("gone", ""), ("fails", "raise ValueError")):
        install(
            site,
            f"{name}-plugin",
            module=f"import os\nos.chdir('/')\nclass A: pass\n{end}",
            **{name: f"{name}_plugin:A"},
        )
        if end:
            with pytest.raises(PluginError):
                load(MODELS, name)
        else:
            load(MODELS, name)
        assert os.getcwd() == before


def test_broken_metadata_and_extras_are_no_reason_to_fail(site: Path) -> None:
    """Two distributions without a name bring one name; a third asks for extras."""
    for folder, name in (("a", "odd"), ("b", "other")):
        info = site / f"{folder}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = good_plugin:Good\n")
    install(site, "good-plugin", module="class Good: pass", good="good_plugin:Good [extra]")
    found = available(MODELS)
    assert {found[name].distribution for name in ("odd", "other")} <= {"an unknown distribution", "a", "b"}
    assert load(MODELS, "good") is load(MODELS, "odd")


def test_a_missing_module_is_said_to_be_missing(site: Path) -> None:
    install(site, "gone-plugin", gone="gone_plugin.deep:Gone")
    with pytest.raises(PluginError, match=r"there is no module 'gone_plugin.deep' in gone-plugin"):
        load(MODELS, "gone")


def test_a_missing_class_gets_the_near_match(site: Path) -> None:
    install(site, "slip-plugin", module="class MyModel: pass", slip="slip_plugin:MyModle")
    with pytest.raises(PluginError, match=r"slip_plugin has no 'MyModle'; did you mean 'MyModel'\?"):
        load(MODELS, "slip")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("A = 3", r"derives from mmbench.model.Model, and odd_plugin:A is a int"),
        ("class A(dict): pass", r"derives from mmbench.model.Model, and A derives from dict"),
        ("import mmbench.model\nclass A(mmbench.model.Model): pass", "give A also build, generate, stages"),
    ],
)
def test_a_wrong_class_is_told_what_was_expected(site: Path, source: str, message: str) -> None:
    install(site, "odd-plugin", module=source, odd="odd_plugin:A")
    with pytest.raises(PluginError, match=message):
        load(MODELS, "odd", Model)


def test_a_class_in_the_current_directory_needs_no_installation(tmp_path: Path) -> None:
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("from .inside import Mine")
    (package / "inside.py").write_text("class Mine: pass")
    code = (
        "import sys; from mmbench.plugins import *\n"
        "sys.path = [p for p in sys.path if p]\n"
        "assert load(MODELS, 'my_package:Mine') is load(MODELS, 'my_package.inside:Mine')\n"
        "assert find(MODELS, 'my_package:Mine').distribution == 'my_package'"
    )
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(str(root / folder) for folder in (".", "baselines", "mld", "evaluation"))
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})


def test_a_class_that_is_nowhere() -> None:
    with pytest.raises(PluginError, match=r"^'nowhere:Mine' cannot be imported \(there is no module 'nowhere' in /"):
        load(MODELS, "nowhere:Mine", Model)


def test_names_of_installed_plugins_do_not_touch_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = list(sys.path)
    load(DATASETS, "glyphs")
    assert sys.path == before


def test_label_is_the_name_in_results() -> None:
    assert (label("mld"), label("my_package:MyModel")) == ("mld", "my_package.MyModel")


GREEDY = """
import locale, os, signal, sys, torch
os.umask(0o077)
sys.setrecursionlimit(5000)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
locale.setlocale(locale.LC_ALL, 'C')
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
torch.set_default_device('meta')
torch.use_deterministic_algorithms(True)
class Greedy: pass
"""


STREAMS = """
import os, warnings
assert os.read(0, 9) == b'', 'what a user typed'
os.close(0), os.close(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
warnings.simplefilter('error')
class Greedy: pass
"""


def test_streams_lead_where_they_did_and_warnings_stay_warnings(tmp_path: Path) -> None:
    """A pipe's reader, which is not this program, sees what is said after; the next module finds its streams."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text(STREAMS)
    code = (
        "import os, sys, warnings; from mmbench.plugins import MODELS, load; load(MODELS, 'first:Greedy'); "
        "load(MODELS, 'second:Greedy'); os.write(1, b'out'); os.write(2, b'err'); warnings.warn('w'); "
        "print(os.read(0, 9))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, input=b"typed", capture_output=True)
    assert done.stdout == b"outb'typed'\n", done.stderr
    assert done.stderr.startswith(b"err")
    assert b"UserWarning: w" in done.stderr


def test_what_belongs_to_the_whole_process_stays(site: Path) -> None:
    """Another cell follows in the same process: its numbers, files and interruptions are its own."""

    def state() -> tuple[object, ...]:
        mask = os.umask(0o022)
        os.umask(mask)
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        of_torch = torch.get_default_dtype(), torch.is_grad_enabled(), torch.empty(1).device
        strict = torch.are_deterministic_algorithms_enabled()
        return mask, sys.getrecursionlimit(), locale.setlocale(locale.LC_ALL), handlers, of_torch, strict

    install(site, "greedy", module=GREEDY, greedy="greedy:Greedy")
    before = state()
    assert load(MODELS, "greedy").__name__ == "Greedy"
    assert state() == before
    (site / "fails.py").write_text(GREEDY + "raise RuntimeError")
    with pytest.raises(PluginError):
        load(MODELS, "fails:Greedy")
    assert state() == before


FORKING = """
import os
leave = os._exit
child = os.fork()
if not child:
    os._exit(7)
CODE = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
class Kept: pass
"""


def test_a_fork_at_import_ends_as_it_wants_and_what_was_kept_of_it_ends_python_later(site: Path) -> None:
    install(site, "forking-plugin", module=FORKING, kept="forking_plugin:Kept")
    code = (
        "import os, mmbench.plugins as p; real = os._exit; m = p.load(p.MODELS, 'kept').__module__; import sys; "
        "assert sys.modules[m].CODE == 7; assert os._exit is real; sys.modules[m].leave(5)"
    )
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 5, done.stderr


def test_check_says_that_a_module_ends_python(site: Path, tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text("import os\nos._exit(0)\n")
    command = [sys.executable, "-m", "mmbench", "check", "leaves:Model"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "asked to end the whole program, SystemExit: 0" in done.stdout + done.stderr


LEAVING = """
import os
from mmbench_baselines.mvae import MVAE
class Leaves(MVAE):
    @classmethod
    def build(cls, dataset, config, networks):
        os._exit(4)
"""


def test_check_names_the_check_that_would_have_ended_python(tmp_path: Path) -> None:
    (tmp_path / "leaving.py").write_text(LEAVING)
    command = [sys.executable, "-m", "mmbench", "check", "leaving:Leaves"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "SystemExit: 4" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" failed")
    assert "untouched.py" not in done.stdout
