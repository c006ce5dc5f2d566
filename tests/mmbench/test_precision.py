"""The arithmetic of a training: 'auto' follows the machine, and what was taken is known afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mmbench import precision
from mmbench.cells.plan import _in_precision
from mmbench.config import Precision, Schedule, flat, override, to_json
from mmbench.data.glyphs import SPEC, draw
from mmbench.model import Model
from mmbench.networks import Networks
from mmbench.precision import arithmetic
from mmbench.store import Artefacts
from mmbench.training import Keeper, train
from mmbench_baselines.mvae import MVAE
from mmbench_mld.model import MLD

CPU = torch.device("cpu")
NATIVE = pytest.mark.parametrize(("flag", "taken"), [("avx512_bf16", torch.bfloat16), ("avx512f", torch.float32)])


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A processor of these flags."""

    def of(*flags: str) -> None:
        (tmp_path / "cpuinfo").write_text(f"flags : fpu {' '.join(flags)} sse\n")
        monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")

    return of


@NATIVE
def test_auto_is_bfloat16_where_it_is_native(processor, flag: str, taken: torch.dtype) -> None:
    processor(flag)
    assert arithmetic("auto", CPU) == taken
    assert (arithmetic("float32", CPU), arithmetic("bfloat16", CPU)) == (torch.float32, torch.bfloat16)


@pytest.mark.parametrize(("capability", "taken"), [((7, 5), torch.float32), ((9, 0), torch.bfloat16)])
def test_auto_on_a_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], taken: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert arithmetic("auto", torch.device("cuda")) == taken


def mvae(of: Precision) -> Model:
    schedule = Schedule(steps=2, batch_size=8, lr=1e-3, precision=of)
    torch.manual_seed(0)
    return MVAE.build(SPEC, replace(MVAE.recipe(SPEC, "smoke"), schedule=schedule), Networks())


@NATIVE
def test_what_was_computed_in_decides_and_is_recorded(processor, tmp_path: Path, flag: str, taken: torch.dtype) -> None:
    """A network trained by 'auto' is that of the precision by name: same key, same weights, and the record says so."""
    processor(flag)
    data, word = draw(32, 16), str(taken).removeprefix("torch.")
    seen: set[torch.dtype] = set()
    for of in ("auto", word):
        model = mvae(of)  # type: ignore[arg-type]
        heads = [m for m in model.modules() if isinstance(m, nn.Linear)]
        heads[0].register_forward_hook(lambda m, _, output: seen.add(output.dtype) if m.training else None)
        keeper = Keeper(artefacts=Artefacts(tmp_path / "kept"), identity={}, config={}, owner="mvae")
        record = train(model, data.train, data.validation, seed=0, keeper=keeper)["elbo"]
        assert record.precision == word
    assert seen == {taken}
    assert len(list((tmp_path / "kept/stage").glob("*/card.json"))) == 1


@pytest.mark.parametrize("of", ["float32", "bfloat16", "auto"])
def test_one_word_for_all_networks_of_a_model(of: Precision) -> None:
    for cls in (MLD, MVAE):
        recipe = cls.recipe(SPEC, "smoke")
        config = override(recipe, _in_precision(recipe, of))
        said = {name: value for name, value in flat(to_json(config)).items() if name.endswith("precision")}
        assert set(said.values()) == {of}
        assert len(said) == (5 if cls is MLD else 1)
        assert override(config, [f"{name}={flat(to_json(recipe))[name]}" for name in said]) == recipe
    assert _in_precision(recipe, None) == []
