"""Eight hex digits that tell one judge from another, whatever their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

__all__ = ["hex8", "joined"]


def hex8(identity: str) -> str:
    """The first 8 digits of a SHA-256; of any other text, those of its SHA-256. '' stays ''."""
    if not identity:
        return ""
    whole = identity if re.fullmatch("[0-9a-f]{64}", identity) else hashlib.sha256(identity.encode()).hexdigest()
    return whole[:8]


def joined(digits: Sequence[str]) -> str:
    """The digits of several judges in the order of their names, '' for one that only reads: 'a1b2c3d4+' or '' for none.

    A place is kept for each, so that 'a1b2c3d4+' and '+a1b2c3d4' are not the same pair of judges.
    """
    return "+".join(digits) if any(digits) else ""
