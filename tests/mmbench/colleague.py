"""Another user of the same machine, who may not read everything: code that is run in a process of theirs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody may write to (pytest's own are the user's alone)."""
    folder = Path(tempfile.mkdtemp(prefix="mmbench-test-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def become() -> None:
    """From here on this process is another user's, who may not even read this Python: what it needs must be imported
    by then. Where tests do not run as root it stays this user's, from whom modes protect just as well."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def as_colleague(work: Callable[[], Any]) -> Any:
    """What a function returns (JSON data) when another user runs it, in a copy of this process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become()
            said = json.dumps({"returned": work()})
        except BaseException:
            said = json.dumps({"raised": traceback.format_exc()})
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = json.load(pipe)
    os.waitpid(child, 0)
    assert "raised" not in found, found["raised"]
    return found["returned"]


def in_a_process(code: str, *arguments: str, cwd: Path, home: Path) -> Any:
    """What code prints, as JSON, in a process of its own, which may call `become()`."""
    env = os.environ | {"HOME": str(home), "MPLCONFIGDIR": str(home), "OMP_NUM_THREADS": "1"}
    parts = (".", "baselines", "mld", "evaluation", "tests/mmbench")
    env.pop("MMBENCH_DATA", None)  # whoever it becomes may not read them, nor start this Python to look
    env["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in parts)
    command = [sys.executable, "-B", "-c", f"from colleague import become\n{code}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def contents(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Hash, time of change and mode of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        sha = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[path.relative_to(folder).as_posix()] = (sha, status.st_mtime_ns, status.st_mode)
    return found
