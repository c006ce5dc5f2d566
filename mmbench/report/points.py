"""How wide text is in LaTeX, in points at 8 pt of Computer Modern (by its font metrics, rounded up)."""

from __future__ import annotations

__all__ = ["COLUMN", "PAGE", "SIZE", "points"]

SIZE = 8.0
"""Points of the text in tables."""
COLUMN, PAGE = 3.25 * 72.27, 6.75 * 72.27
"""Widths of a column and of a page of papers (ICML's), as those of the figures."""
BOLD = 1.16
"""Times that bold letters are wider."""
CLASSES = {
    2.4: "!',.:;[]_`il",
    2.9: " -fj",
    3.4: "I()rts",
    4.1: "cez>?",
    4.3: '·"$*/0123456789^ago{}~',
    4.8: "JkqvxySbdhnpu†‡§",
    5.8: "ZLFEP",
    6.5: "BCTwRAHNUVXYD",
    6.7: "&+=@OQKG−×<>",
    7.1: "#%m",
    8.8: "MW→|",
    9.6: "±",
}
"""Points -> the letters that are so wide at most; '±' with its thin spaces."""
WIDTHS = {letter: width for width, letters in CLASSES.items() for letter in letters}
OTHER = 8.0


def points(text: str, *, bold: bool = False) -> float:
    """Of plain text, before it is escaped."""
    return (BOLD if bold else 1.0) * sum(WIDTHS.get(letter, OTHER) for letter in text)
