"""Findings from a run's evaluations: pictures past their best, copies, collapse, missed classes.

Rules are functions of rows of `metrics.jsonl` with equal conditions, a row for each moment. A rule
compares whole 95% intervals, not only values. The intervals of many classes are widened so that all hold
simultaneously (Bonferroni).
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from impasto.diagnosis.copying import copying
from impasto.diagnosis.curves import Counts, Floats, since
from impasto.diagnosis.signs import COPIED_BY_CHANCE, COPIED_LOW, Finding
from impasto.evaluation.accuracy import wilson
from impasto.evaluation.record import EvaluationRow, ScoreRow, copied_at_most_by_chance
from impasto.evaluation.score_kinds import base_of, interval_text, title_of, value_text

_COLLAPSED = 0.5
"""Diversity below which pictures are alike."""
_LASTING = 3
"""The number of moments for which pictures must have stayed worse."""


Moments = Sequence[EvaluationRow]
"""Evaluations with equal conditions, one for each moment, the earliest first."""


def score_findings(groups: Sequence[Moments], newest: Sequence[Moments]) -> list[Finding]:
    """The findings from a run's evaluations, at most one of each kind.

    Findings about the past use the first group, in the order of `groups`, that has one. Findings about
    the present use the groups in `newest` likewise.

    Args:
        groups: all groups of evaluations with equal conditions, those with most moments first.
        newest: for each feature network, the group whose newest evaluation has the most evidence.
    """
    found: dict[str, Finding] = {}
    for rule, groups_for in (
        (past_best, groups),
        (copied, newest),
        (collapsed, newest),
        (missed, newest),
    ):
        for moments in groups_for:
            finding = rule(moments)
            if finding is not None:
                found.setdefault(finding.kind, finding)
    return list(found.values())


def _seen(moments: Moments) -> Counts:
    """Images seen at each moment."""
    return np.array([row.subject.images_seen or 0 for row in moments], dtype=np.int64)


def _names(moments: Moments) -> list[str]:
    """The names of overall scores, without those of label fields."""
    names = [s.name for row in moments for s in row.scores if s.cls is None and s.field is None]
    return list(dict.fromkeys(names))


def _column(moments: Moments, name: str, part: str) -> Floats:
    """A part (`value`, `low`, `high`) of an overall score at each moment; NaN if missing."""
    values = [getattr(row.score(name), part, None) for row in moments]
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _widening(tests: int) -> float:
    """The factor by which this many 95% intervals are widened so that all hold simultaneously, by normal
    quantiles."""
    quantile = NormalDist().inv_cdf
    return quantile(1 - 0.025 / max(1, tests)) / quantile(0.975)


def _high(score: ScoreRow, widening: float) -> float:
    """The upper end of a score's widened interval; infinite without an interval."""
    if score.value is None or score.high is None:
        return float("inf")
    if base_of(score.name) == "top1":
        # A Wilson interval that is wider by a factor is that of fewer pictures, by the factor's square.
        return wilson(score.value, max(1, int(score.pictures / widening**2)))[1]
    return score.value + widening * (score.high - score.value)


def _began(moments: Moments, score: ScoreRow, holds: Callable[[ScoreRow], bool]) -> int:
    """Images seen at the moment from which `holds` is true of a score to the end; see `since`."""
    scores = [row.score(score.name, score.field, score.cls) for row in moments]
    return since(_seen(moments), np.array([each is not None and holds(each) for each in scores]))


def _with_interval(score: ScoreRow | None) -> str:
    """A score with its interval, such as `0.031 (0.029 to 0.033)`."""
    if score is None:
        return "unknown"
    interval = interval_text(score)
    return f"{value_text(score)} ({interval})" if interval else value_text(score)


def past_best(moments: Moments) -> Finding | None:
    """The pictures got worse after a best moment, and stayed worse.

    Rule: at the last three moments or more, the interval of KID is above that of the best moment. If KID
    was not computed, the Fréchet distance is used.
    """
    names = [name for name in _names(moments) if not name.endswith("-infinity")]
    for base in ("kid", "fid", "fd"):
        name = next((name for name in names if base_of(name) == base), None)
        if name is None:
            continue
        low, high = (_column(moments, name, end) for end in ("low", "high"))
        measured = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
        if len(measured) <= _LASTING:
            return None
        best = measured[int(np.argmin(_column(moments, name, "value")[measured]))]
        after = measured[measured > best]
        worse = low[after] > high[best]
        lasting = len(worse) - (int(np.flatnonzero(~worse)[-1]) + 1 if not worse.all() else 0)
        if lasting < _LASTING:
            return None
        seen = _seen(moments)
        best_row, now = moments[best], moments[measured[-1]]
        return Finding(
            "past best",
            int(seen[after[len(after) - lasting]]),
            f"{title_of(name)} was best after {int(seen[best]):,} images, at "
            f"{_with_interval(best_row.score(name))}; by now it is "
            f"{_with_interval(now.score(name))}. Lower is better.",
            f"Take the pictures from the checkpoint nearest to {int(seen[best]):,} images; the run's "
            "folder followed by /best stands for the best one that training kept. To go further than "
            "that: more pictures, or networks that memorise them more slowly.",
        )
    return None


def copied(moments: Moments) -> Finding | None:
    """Pictures are copied from the training set: the rule of `copying.py`, at the newest moment.

    One evaluation by `impasto evaluate` is enough. Evaluations during training have few pictures, so
    the last two must agree.
    """
    for name in _names(moments):
        if base_of(name) != "copied":
            continue
        low = _column(moments, name, "low")
        chance = np.array([copied_at_most_by_chance(row) for row in moments])
        measured = np.isfinite(low)
        series = {COPIED_LOW: low[measured].tolist(), COPIED_BY_CHANCE: chance[measured].tolist()}
        sign = copying(series, not moments[-1].during_training) if measured[-1] else None
        if sign is not None:
            began = since(_seen(moments), low > chance)
            return Finding("copying", began, sign.words, sign.advice)
    return None


def collapsed(moments: Moments) -> Finding | None:
    """Pictures are alike, overall or within classes.

    Rule: at the newest moment, the interval of diversity (the distance between generated pictures,
    divided by that between real ones) is below a half. Intervals of classes are widened.
    """
    scores = [score for score in moments[-1].scores if base_of(score.name) == "diversity"]
    widening = _widening(sum(score.cls is not None for score in scores))

    def holds(score: ScoreRow) -> bool:
        return _high(score, 1.0 if score.cls is None else widening) < _COLLAPSED

    alike = [score for score in scores if holds(score)]
    if not alike:
        return None
    # If all pictures are alike, the classes need no finding.
    score = next((score for score in alike if score.cls is None), alike[0])
    whole = score.cls is None
    what = "The generated pictures are alike" if whole else "Within a class, pictures are alike"
    many = (
        _with_interval(score)
        if whole
        else _list(
            [
                f"{score.cls} {_with_interval(score)}"
                for score in alike
                if score.field == alike[0].field
            ]
        )
    )
    return Finding(
        "collapse",
        _began(moments, score, holds),
        f"{what}: the distance between them, divided by that between real ones, is {many}.",
        "Go back to the pictures from before this, and continue from there with lower "
        "learning rates, the discriminator's first, or smoothed labels; a larger batch and another seed "
        "help too.",
    )


def missed(moments: Moments) -> Finding | None:
    """Classes that the judge does not recognise in their generated pictures.

    Rule: at the newest moment, the widened interval of the class's Top-1 accuracy is below chance (1
    divided by the number of classes), and the interval of the judge's accuracy on held-out pictures of
    the class is above chance.
    """
    row = moments[-1]
    for judge in row.judges:
        if len(judge.classes) < 2:
            continue
        chance = 1 / len(judge.classes)
        scores = [
            score
            for score in row.scores
            if base_of(score.name) == "top1"
            and score.field == judge.field
            and score.cls is not None
        ]
        widening = _widening(len(scores))

        def holds(score: ScoreRow, chance: float = chance, widening: float = widening) -> bool:
            return _high(score, widening) < chance

        unseen = [
            score
            for score in scores
            if holds(score)
            and (known := row.score("accuracy-judge", score.field, score.cls)) is not None
            and known.low is not None
            and known.low > chance
        ]
        if not unseen:
            continue
        named = _list([f"{score.cls} {_with_interval(score)}" for score in unseen])
        return Finding(
            "missed",
            min(_began(moments, score, holds) for score in unseen),
            f"The judge of {judge.field} recognises these classes less often than by chance "
            f"({100 * chance:.2g}%) in pictures made as them: {named}.",
            _missed_advice(row, judge.field, [score.cls or "" for score in unseen]),
        )
    return None


def _missed_advice(row: EvaluationRow, field: str, classes: Sequence[str]) -> str:
    """The advice for classes that are not recognised, which depends on whether some are rare."""
    # Scores by class have the number of real pictures of each.
    real = {
        score.cls: score.reference
        for score in row.scores
        if score.field == field and score.cls is not None and score.reference
    }
    even = sum(real.values()) / max(1, len(real))
    rare = [cls for cls in classes if real.get(cls, even) < even / 2]
    if not rare:
        return (
            "Look at the grid of classes: does the class change the pictures? At first it often does "
            "not, so train for longer. If that stays so, give the classes more weight in the objective."
        )
    which = "they are rare" if len(rare) == len(classes) else f"{_list(rare)} are rare"
    if len(rare) == 1:
        which = "it is rare" if len(classes) == 1 else f"{rare[0]} is rare"
    return (
        f"Look at the grid of classes: {which}, and rare classes are learnt badly. Show every class, "
        f"and ask for it, equally often (--set training.balance={field}), and train for longer."
    )


def _list(texts: Sequence[str], most: int = 6) -> str:
    """The first `most` texts and the number of others: `a, b, c and 4 more`."""
    if len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])} and {len(texts) - most} more"
