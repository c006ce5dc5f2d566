"""One measurement after the other: each is tried, noted at once, and left out where the time is over."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

__all__ = ["Run"]


@dataclass
class Run:
    """What a section is given, and where it writes."""

    device: torch.device
    tiny: bool
    out: Path
    end: float
    """time.monotonic() at which no further measurement begins."""
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Of one rate."""
        return 0.02 if self.tiny else 1.0

    def left(self) -> float:
        return self.end - time.monotonic()

    def note(self, section: str, name: str, value: Any) -> None:
        self.found.setdefault(section, {})[name] = value
        self.out.write_text(json.dumps(self.found, indent=1))
        print(f"{section} {name}: {json.dumps(value)}", flush=True)

    def attempt(self, section: str, name: str, work: Callable[[], Any]) -> None:
        """One measurement: noted, or why it failed; left out where the time is over."""
        if self.left() <= 0:
            self.note(section, name, {"left out": "no time"})
            return
        try:
            self.note(section, name, work())
        except Exception as error:
            traceback.print_exc()
            self.note(section, name, {"failed": f"{type(error).__name__}: {str(error)[:300]}"})
