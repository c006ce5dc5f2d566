"""Shared by all tests: where the real data lie, and a switch for the slow ones."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis tries few examples, always the same, and with --slow many, each time others.

    Signals are not ignored, as `nohup` and a shell's background jobs would have them: tests send them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    settings.register_profile("short", max_examples=80, deadline=None, derandomize=True, database=None)
    settings.register_profile("slow", max_examples=5_000, deadline=None, database=None)
    settings.load_profile("slow" if config.getoption("--slow") else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """A folder with real data: MMBENCH_DATA, or ../shared/data beside the checkout."""
    named = os.environ.get("MMBENCH_DATA")
    root = Path(named) if named else SHARED
    if not root.is_dir():
        pytest.skip(f"no real data: {root} does not exist; point MMBENCH_DATA at a data root")
    return root
