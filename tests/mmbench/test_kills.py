"""A training that is killed again and again makes progress, and ends with the weights of an undisturbed one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from mmbench.config import Schedule
from mmbench.progress import Progress
from mmbench.store import Artefacts
from mmbench.tensors import once
from mmbench.training import Checkpoints, fit

STEPS = 30
NURSERY = """
import json, os, random, signal, sys, time
from pathlib import Path
import test_kills
import torch._dynamo  # which the first optimiser imports: once, not in each child
import mmbench.training.loop as loop

loop.CHECKPOINT_SECONDS = -1.0  # after every step
folder, random, kills = Path(sys.argv[1]), random.Random(0), 0

def stamp():
    return [path.stat().st_mtime_ns for path in folder.rglob("training.safetensors")]

while kills < 20:
    child = os.fork()  # torch is loaded, and has not begun any thread
    if not child:
        test_kills.trained(folder, pause=0.01)
        os._exit(0)
    left, last = random.randint(5, 9), stamp()
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and left:
        try:
            now = stamp()
        except FileNotFoundError:
            continue
        left, last = left - (now != last), now
        time.sleep(0.002)
    if ended[0]:
        break
    time.sleep(random.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
print(json.dumps({"status": ended[1], "kills": kills}))
"""


def trained(folder: Path, pause: float = 0.0) -> dict[str, torch.Tensor]:
    """A judge-like network with dropout and running statistics, kept as an artefact as judges are."""
    data = torch.rand(96, 6, generator=torch.Generator().manual_seed(0))

    def build() -> torch.nn.Module:
        layers = torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.5), torch.nn.Linear(5, 6)
        return torch.nn.Sequential(*layers)

    def loss(network: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
        time.sleep(pause)
        return (network(data[rows]) - data[rows]).square().mean()

    def make() -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        network = fit(
            build, loss, count=96, schedule=Schedule(steps=STEPS, batch_size=16, lr=1e-2), seed=0, purpose="judge",
            modality="toy", device=torch.device("cpu"), progress=Progress(), checkpoints=checkpoints,
        )  # fmt: skip
        return dict(network.state_dict()), {}

    artefact = Artefacts(folder).of("judge", {"toy": 0})
    checkpoints = Checkpoints(artefact.folder, lambda _: None)
    return once(artefact, make, "judge of toy", Progress(), checkpoints.clear)[0]


def test_killed_again_and_again(tmp_path):
    """No life is long enough for the whole: 30 steps, each with a checkpoint, and at most some 9 until the end."""
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", NURSERY, str(tmp_path / "killed")],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": here, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == 0, done.stderr
    assert 2 <= told["kills"] < 20
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the killed ones had: sums in another order round otherwise
    try:
        expected, got = trained(tmp_path / "whole"), trained(tmp_path / "killed")
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    (folder,) = (tmp_path / "killed/judge").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "tensors.safetensors"]
