"""mmbench as if it were installed: its sources and entry points on the path of imports of a child process."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

__all__ = ["ROOT", "declare", "environment"]

ROOT = Path(__file__).resolve().parents[1]


def environment(work: Path) -> dict[str, str]:
    """Sources and entry points on the path of imports; caches in the temporary folder."""
    sources = [work / "site", ROOT, *(ROOT / part for part in ("baselines", "mld", "evaluation"))]
    path = os.pathsep.join([*map(str, sources), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    caches = {
        name: str(work / name.lower()) for name in ("MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    }
    return {**os.environ, **caches, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def declare(work: Path) -> None:
    """What an installation would say of the distribution: its name, version and entry points."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    place = work / "site" / f"{project['name']}-{project['version']}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{n} = {v}" for n, v in names.items()), "")]
    (place / "entry_points.txt").write_text("\n".join(lines))
