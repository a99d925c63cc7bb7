"""Kinds of scores: titles, which values are better, and number formats."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from impasto.evaluation.record import Better, EvaluationRow, ScoreRow


@dataclass(frozen=True)
class Kind:
    """A kind of score.

    Attributes:
        title: its name for display.
        better: `higher`, `lower` or `nearest to 1`; `unknown` if a plugin's metric does not declare
            it.
        explanation: a sentence or two.
        share: whether it is a share, shown in per cent.
        unseen: what it cannot see, a sentence or two; empty if that is not known.
    """

    title: str
    better: Better | Literal["unknown"]
    explanation: str
    share: bool = False
    unseen: str = ""

    @property
    def sentence(self) -> str:
        """`Lower is better.`"""
        if self.better == "unknown":
            return "Whether higher or lower is better is not known."
        comparative = "best" if self.better == "nearest to 1" else "better"
        return f"{self.better.capitalize()} is {comparative}."


_FRECHET = (
    "Fréchet distance between the features of generated and of real pictures: 0 if they are spread "
    "alike. It grows as pictures get fewer, so only equal counts compare."
)
_UNSEEN_BY_DISTANCES = (
    "Copies of training pictures, which it takes for good ones; what the feature network does not tell "
    "apart; and whether poor pictures or too few kinds of them are at fault."
)
KINDS = {
    "fid": Kind("FID", "lower", _FRECHET, unseen=_UNSEEN_BY_DISTANCES),
    "fd": Kind("FD", "lower", _FRECHET, unseen=_UNSEEN_BY_DISTANCES),
    "kid": Kind(
        "KID",
        "lower",
        "Kernel distance between generated and real pictures: near 0 if they are alike, and fair to "
        "small samples.",
        unseen=_UNSEEN_BY_DISTANCES,
    ),
    "is": Kind(
        "Inception Score",
        "higher",
        "High where each picture is clearly of one class and all of them are of many; it never looks "
        "at real pictures.",
        unseen="Whether pictures are like the collection's, vary within a class, or are copies. The "
        "classes of ImageNet say little about paintings.",
    ),
    "top1": Kind(
        "Top-1",
        "higher",
        "Share of the generated pictures in which the judge sees the class they were made as.",
        share=True,
        unseen="Whether pictures look real, or vary within a class. It is no surer than the judge is on "
        "held-out pictures.",
    ),
    "precision": Kind(
        "Precision",
        "higher",
        "Share of the generated pictures that lie among real ones.",
        share=True,
        unseen="Variety: one good picture, again and again, has all of it. Copies have the best value.",
    ),
    "recall": Kind(
        "Recall",
        "higher",
        "Share of the real pictures that lie among generated ones.",
        share=True,
        unseen="How many pictures are poor, as long as others are good; and copies. It grows with the "
        "number of pictures, so only equal counts compare.",
    ),
    "density": Kind(
        "Density",
        "higher",
        "How thickly real pictures lie around generated ones.",
        unseen="Variety, and copies: above 1, pictures crowd where real ones are thickest.",
    ),
    "coverage": Kind(
        "Coverage",
        "higher",
        "Share of the real pictures with a generated one nearby.",
        share=True,
        unseen="How many pictures are poor, as long as others are good; and copies. It grows with the "
        "number of pictures, so only equal counts compare.",
    ),
    "diversity": Kind(
        "Diversity",
        "nearest to 1",
        "Mean distance of two generated pictures, by that of two real ones: 1 is as varied, 0 always "
        "the same picture.",
        unseen="Whether pictures are good: noise is varied, too.",
    ),
    "copied": Kind(
        "Copied",
        "lower",
        "Share of the generated pictures that are nearer to a training picture than 99% of real ones "
        "are to those of other sources: about 1% if nothing is copied.",
        share=True,
        unseen="Copies of a part of a picture, and copies that are much changed. Poor pictures are far "
        "from all others, and have a low value.",
    ),
    "accuracy": Kind("Accuracy", "higher", "Share of held-out pictures named right.", share=True),
}
INFINITY = "-infinity"


def base_of(name: str) -> str:
    """The kind of a score: `fd` of `fd-lite0-infinity`."""
    return name.split("-")[0]


def kind_of(name: str, scores: Iterable[ScoreRow | None] = ()) -> Kind:
    """A score's kind by its name; for a plugin's score, as the scores of this name declare it."""
    known = KINDS.get(base_of(name))
    if known is not None:
        return known
    of_name = (score for score in scores if score is not None and score.name == name)
    declared = {score.better for score in of_name} - {None}
    return Kind(name, (declared.pop() if len(declared) == 1 else None) or "unknown", "")


def kind_in(name: str, rows: Iterable[EvaluationRow]) -> Kind:
    """The kind of the score `name` in these evaluations; see `kind_of`."""
    return kind_of(name, (score for row in rows for score in row.scores))


def place_of(name: str) -> tuple[int, bool]:
    """A score's sort key."""
    bases = list(KINDS)
    base = base_of(name)
    return bases.index(base) if base in bases else len(bases), name.endswith(INFINITY)


def _decimals(low: float | None, high: float | None, share: bool) -> int | None:
    """Decimals that show two significant digits of the interval's half-width; None without an
    interval, or with one whose width is a rounding error."""
    if low is None or high is None or not high - low > 1e-6 * abs(high):
        return None
    half = (high - low) / 2 * (100 if share else 1)
    return max(0, min(6, 1 - math.floor(math.log10(1.001 * half))))


def _written(value: float, decimals: int | None, share: bool) -> str:
    scaled = 100 * value if share else value
    text = f"{scaled:.4g}" if decimals is None else f"{scaled:,.{decimals}f}"
    # Rounding may leave a minus sign on zero.
    text = text.lstrip("-") if not any(digit in text for digit in "123456789") else text
    return f"{text.replace('-', '−')}{'%' if share else ''}"


def value_text(score: ScoreRow) -> str:
    """The value, with digits by its interval; a dash if there is none."""
    share = kind_of(score.name).share
    if score.value is None:
        return "–"
    return _written(score.value, _decimals(score.low, score.high, share), share)


def interval_text(score: ScoreRow) -> str:
    """The interval, such as `490 to 512`; '' if there is none."""
    if score.low is None or score.high is None or score.value is None:
        return ""
    share = kind_of(score.name).share
    decimals = _decimals(score.low, score.high, share)
    low, high = (_written(end, decimals, share) for end in (score.low, score.high))
    return f"{low.removesuffix('%')} to {high}"


def title_of(name: str, of: str | None = None, *, by_whom: bool = True) -> str:
    """`FD (lite0)` of `fd-lite0`, `Top-1 of genre (judge)` of `top1-judge` in the field genre; unless
    `by_whom`, only `FD` and `Top-1 of genre`."""
    by = name.removesuffix(INFINITY).split("-")[1:] if by_whom else []
    title = kind_of(name).title
    title += " of infinitely many pictures" if name.endswith(INFINITY) else ""
    title += f" of {of}" if of else ""
    return f"{title} ({' '.join(by)})" if by else title
