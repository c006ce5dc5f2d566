"""The paper's claims, judged on whatever dataset a table shows, from differences seed by seed.

Absolute numbers move with judges, budgets and data; what Tables 1, 4 and 5 say about the *order* of the models should
not. Each claim has a criterion in numbers that the paper's own table meets, made of inequalities between models. One
holds where the 95 % interval of the difference over the seeds that both have lies on the right side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..modality import FEW
from ..progress import pasted
from .comparison import Group
from .digits import DIGITS, OF_ANY, are_digits, ends
from .evidence import Evidence, LackingError, Part, Verdict, decided
from .pairs import CAPTIONS, are_captions
from .paper import MLD, PAPER, PAPER_MODELS, VAES, model_rank, model_title

__all__ = ["Claim", "claims", "claims_title", "unjudged"]

Rule = tuple[str, Sequence[str], Callable[[Evidence], tuple[list[Part], str]]]
"""The claim, the models that it speaks of, how it is judged."""


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
    needs: tuple[str, ...] = ()
    """The models that it lacks."""


def claims(group: Group) -> list[Claim]:
    """The claims of the paper's Tables 1 and 4, or of Table 5, judged on one table; none where it does not hold MLD, a
    VAE of the paper, and data of one of these kinds. A model of several configurations is judged for the recipe's own.
    """
    models = {line.model for line in group.lines}
    if MLD not in models or not models.intersection(VAES):
        return []
    rules: Mapping[str, Rule] = DIGITS if are_digits(group) else CAPTIONS if are_captions(group) else {}
    return list(_judged(Evidence.of(group), rules))


def claims_title(group: Group) -> str:
    """'Do the claims of Bounoua et al., made on MNIST-SVHN, hold here? (simple: P, rich: S)'."""
    if not are_digits(group):
        return f"Do the claims of {PAPER}, made on photographs of birds and captions (CUB), hold here?"
    simple, rich = (group.names.short(name) for name in ends(group))
    said = f" (simple: {simple}, rich: {rich})" if len(group.names.modalities) <= FEW else ""
    return f"Do the claims of {PAPER}, made on MNIST-SVHN, hold here?{said}"


def unjudged(group: Group, found: Iterable[Claim]) -> list[str]:
    """Why claims could not be judged, those of one reason together, and what to run for those that lack models."""
    lacking = [claim for claim in found if claim.lacking]
    reasons: dict[str, list[str]] = {}
    for claim in lacking:
        reasons.setdefault(claim.numbers, []).append(claim.letter)
    if not reasons:
        return []
    said = "; ".join(f"{', '.join(letters)} ({why})" for why, letters in reasons.items())
    models = [m for m in PAPER_MODELS if any(m in claim.needs for claim in lacking)]
    return [f"Not judged: {said}.{_run(group, models)}"]


def _run(group: Group, models: Sequence[str]) -> str:
    if not models:
        return ""
    name = group.dataset["name"].removesuffix("_partial")
    words = [word for model in models for word in ("--model", model)]
    words += ["--dataset", name, "--budget", group.budget]
    words += ["--allow-partial"] if name != group.dataset["name"] else []
    return f" `mmbench run {' '.join(map(pasted, words))}` runs what is lacking."


def _judged(of: Evidence, rules: Mapping[str, Rule]) -> Iterator[Claim]:
    for letter, (text, models, rule) in rules.items():
        there = {line.model for line in of.group.lines}
        absent = tuple(sorted((model for model in models if model not in there), key=model_rank))
        try:
            if reason := _unfit(of, letter, absent):
                raise LackingError(reason)
            parts, numbers = rule(of)
        except LackingError as error:
            yield Claim(letter, text, "cannot tell", str(error), lacking=True, needs=absent)
        else:
            tightest = min(parts, key=lambda part: part.room)
            said = f"{numbers[:1].upper()}{numbers[1:]}. Least sure: {tightest.said}"
            yield Claim(letter, text, decided(parts), said + _several(of, text))


def _unfit(of: Evidence, letter: str, absent: Sequence[str]) -> str:
    """Why a claim cannot be looked at."""
    if letter not in OF_ANY and are_digits(of.group) and len(of.modalities) > FEW:
        return f"about a simple and a rich image; these data have {len(of.modalities)} modalities"
    if not absent:
        return ""
    *first, last = map(model_title, absent)
    names = f"{', '.join(first)} and {last}" if first else last
    return f"{names} {'were' if first else 'was'} not run"


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
