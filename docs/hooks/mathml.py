"""Formulas as MathML: browsers draw it themselves, so no page asks anybody for a script or a font."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from unicodedata import lookup

from latex2mathml.converter import convert

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)
STYLED = re.compile(r'<(m[in]) mathvariant="(script|double-struck|bold)">(\w)</\1>')
DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
NAMED = r"<mi>(?:log|ln|exp)</mi>"
SPACE = '<mspace width="0.167em"/>'


def on_page_content(html: str, **_: Any) -> str:
    html = INLINE.sub(lambda found: _mathml(found[1], "inline"), html)
    return BLOCK.sub(lambda found: f'<div class="formula">{_mathml(found[1], "block")}</div>', html)


def _mathml(tex: str, display: str) -> str:
    """With what browsers draw of it: they know letters of every style, but no `mathvariant`, and put no space about a
    function's name."""
    made = STYLED.sub(lambda found: f"<{found[1]}>{_letter(found[2], found[3])}</{found[1]}>", _converted(tex, display))
    made = re.sub(rf"(?<=</mi>|</mn>)({NAMED})", SPACE + r"\1", made)
    return re.sub(rf"({NAMED})(?!<mo|<msu[bp]><mo)", r"\1" + SPACE, made)


def _converted(tex: str, display: str) -> str:
    return convert(unescape(tex).strip(), display=display)


def _letter(style: str, character: str) -> str:
    what = f"DIGIT {DIGITS[int(character)]}" if character.isdigit() else f"CAPITAL {character}"
    for name in (f"{style.upper()} {what}", f"MATHEMATICAL {style.upper()} {what}"):
        try:
            return lookup(name)
        except KeyError:
            continue
    raise ValueError(f"there is no {style} {character!r}")
