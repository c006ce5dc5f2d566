"""The benchmarks are programs beside the packages; their modules are found in their own folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
