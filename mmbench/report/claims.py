"""The paper's claims, judged on whatever dataset a table shows, from differences seed by seed.

Absolute numbers move with judges, budgets and data; what Tables 1, 4 and 5 say about the *order* of the models should
not. Each claim has a criterion in numbers that the paper's own table meets, made of inequalities between models. One
holds where the 95 % interval of the difference over the seeds that both have lies on the right side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .comparison import Group
from .digits import DIGITS, are_digits
from .evidence import Evidence, LackingError, Part, Verdict, decided
from .pairs import CAPTIONS, are_captions
from .paper import MLD, VAES, model_title

__all__ = ["Claim", "claims"]

Rule = Callable[[Evidence], tuple[list[Part], str]]


@dataclass(frozen=True)
class Claim:
    """One claim with its verdict."""

    letter: str
    text: str
    """The claim and, in brackets, when it counts as holding."""
    verdict: Verdict
    numbers: str
    """What the verdict rests on, or what it lacks."""
    lacking: bool = False
    """Whether it cannot be told since a number is lacking."""


def claims(group: Group) -> list[Claim]:
    """The claims of the paper's Tables 1 and 4, or of Table 5, judged on one table; none where it does not hold MLD, a
    VAE of the paper, and data of one of these kinds. A model of several configurations is judged for the recipe's own.
    """
    models = {line.model for line in group.lines}
    if MLD not in models or not models.intersection(VAES):
        return []
    rules = DIGITS if are_digits(group) else CAPTIONS if are_captions(group) else {}
    return list(_judged(Evidence.of(group), rules))


def _judged(of: Evidence, rules: Mapping[str, tuple[str, Rule]]) -> Iterator[Claim]:
    for letter, (text, rule) in rules.items():
        try:
            parts, numbers = rule(of)
        except LackingError as error:
            yield Claim(letter, text, "cannot tell", str(error), lacking=True)
        else:
            tightest = min(parts, key=lambda part: part.room)
            said = f"{numbers}. Least sure: {tightest.said}"
            yield Claim(letter, text, decided(parts), said + _several(of, text))


def _several(of: Evidence, text: str) -> str:
    """'; MLD under its recipe's own configuration, of 2', where a model that the claim names has several."""
    counts: dict[str, int] = {}
    for line in of.group.lines:
        counts[line.model] = counts.get(line.model, 0) + 1
    named = (m for m in _named(text) if counts.get(m, 0) > 1)
    return "".join(f"; {model_title(m)} under its recipe's own configuration, of {counts[m]}" for m in named)


def _named(text: str) -> Iterable[str]:
    """The models that a claim speaks of."""
    every = "every VAE" in text
    return [m for m in (MLD, *VAES) if model_title(m) in text or (every and m in VAES)]
