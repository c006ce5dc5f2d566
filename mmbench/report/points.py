"""How wide text is in LaTeX, in points at 8 pt of Computer Modern, rather a little too wide."""

from __future__ import annotations

__all__ = ["COLUMN", "PAGE", "SIZE", "points"]

SIZE = 8.0
"""Points of the text in tables."""
COLUMN, PAGE = 3.25 * 72.27, 6.75 * 72.27
"""Widths of a column and of a page of papers (ICML's), as those of the figures."""
BOLD = 1.15
"""Times that bold letters are wider."""
WIDTHS = {
    **dict.fromkeys("0123456789", 4.25),
    **dict.fromkeys(".,:;!'|iljI", 2.4),
    **dict.fromkeys("()[]rts/f", 3.35),
    **dict.fromkeys(" -", 2.9),
    **dict.fromkeys("mw%@&", 7.1),
    **dict.fromkeys("MW", 8.6),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ+−±×=<>", 6.6),
    **dict.fromkeys("→·", 8.6),
}
OTHER = 4.8


def points(text: str, *, bold: bool = False) -> float:
    """Of plain text, before it is escaped."""
    return (BOLD if bold else 1.0) * sum(WIDTHS.get(letter, OTHER) for letter in text)
