"""multivae's models keep the contract: each one through every check, known failures as strict expected ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmbench.checks import parametrize_with_checks
from mmbench_baselines.peers import hierarchy, joint, models

pytest.importorskip("multivae", reason="multivae is not installed: pip install 'mmbench[multivae]'")

PEERS = [
    *(models.CMVAE, models.CRMVAE, models.DMVAE, models.JMVAE, models.MMVAE, models.MVAE, models.MVTCAE),
    *(models.MoPoE, models.Nexus, joint.JNF, joint.TELBO, hierarchy.MHVAE),
]


@parametrize_with_checks([models.MMVAEPlus])
def test_one_model(model: type, check: Callable[[type], None]) -> None:
    check(model)


@pytest.mark.slow
@parametrize_with_checks(PEERS)
def test_model(model: type, check: Callable[[type], None]) -> None:
    check(model)
