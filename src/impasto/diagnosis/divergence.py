"""Whether a run has diverged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from impasto.diagnosis.notes import LOSSES
from impasto.diagnosis.signs import EXPLOSION, NOT_FINITE, Series

_TIMES, _USUAL_ROWS, _USUAL_LEAST, _HIGHEST = 1000.0, 100, 8, 1e6

ADVICE = (
    "Go on from a checkpoint saved before this, or start again, with lower learning rates "
    "(a half is a good first try). If it ran in bfloat16, try "
    "--set training.precision=float32. If a penalty on gradients has a large weight, lower it."
)


@dataclass(frozen=True)
class Divergence:
    """A sign that a run has diverged."""

    symptom: str
    """`NOT_FINITE` or `EXPLOSION`."""
    words: str
    """What was seen."""


def divergence_of(row: Mapping[str, Any], series: Series, *, critic: bool) -> Divergence | None:
    """The divergence that a row shows; None if it shows none.

    Rule: a loss is not finite. Or the absolute value of its mean over the interval is more than 1,000
    times the median of the 100 rows before at most, and more than 1,000. With fewer than eight rows
    before, it is more than a million. A critic's mean scores are judged in the same way, because a
    Wasserstein critic's loss may stay small while both scores diverge. Losses of our healthy runs,
    those of Wasserstein critics with a gradient penalty among them, stay below 125, and below 35 times
    their median.

    Args:
        row: in memory or as written; in a written row null stands for a number that was not finite.
        series: of the rows before it.
        critic: whether scores are a critic's, not probabilities.
    """
    judged = dict(LOSSES)
    if critic:
        judged |= {
            "score/real": "The critic's score of real pictures",
            "score/fake": "The critic's score of generated pictures",
        }
    values = {what: _number(row[name]) for name, what in judged.items() if name in row}
    for what, value in values.items():
        if not math.isfinite(value):
            return Divergence(NOT_FINITE, f"{what} is no longer a finite number.")
    for name, what in judged.items():
        if what not in values:
            continue
        value = abs(values[what])
        if value <= _TIMES:  # below every limit
            continue
        before = [abs(each) for each in series.get(name, ())[-_USUAL_ROWS:]]
        enough = len(before) >= _USUAL_LEAST
        usual = median(before) if enough else 0.0
        if value > (_TIMES * max(1.0, usual) if enough else _HIGHEST):
            beyond = f", where {usual:.2g} is usual" if enough else ""
            return Divergence(EXPLOSION, f"{what} has exploded to {values[what]:.2g}{beyond}.")
    return None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
