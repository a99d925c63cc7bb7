"""The types that rules take and give: series, the run's settings, signs, findings."""

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

LEAST_STEPS = 200
"""Before this many generator steps only divergence is judged."""
ROWS = 20
"""The number of rows in the medians that rules judge: by default a tenth of a run."""

COPIED_LOW, COPIED_BY_CHANCE = "evaluation/copied-low", "evaluation/copied-by-chance"
"""Statistics in rows: the lower end of the 95% interval of the share of copied pictures, and the largest
share that chance explains."""

NOT_FINITE, EXPLOSION = "not finite", "explosion"
"""The symptoms of a run that has diverged."""

TITLES = {
    NOT_FINITE: "Not a number",
    EXPLOSION: "Explosion",
    "knows by heart": "Training pictures memorised",
    "overfitting sign": "A sign of overfitting",
    "discriminator wins": "The discriminator wins",
    "generator wins": "The generator wins",
    "divergence": "Divergence",
    "spikes": "Spikes",
    "collapse": "Collapse",
    "copying": "Pictures copied",
    "past best": "Past its best",
    "missed": "Classes not recognised",
    "ignored": "Classes ignored",
    "learnt": "Classes learnt",
}
"""The heading of each kind of finding. The kinds stand in files of runs."""

Series = Mapping[str, Sequence[float]]
"""By statistic: its finite values, the oldest first."""


@dataclass(frozen=True)
class Sign:
    """A rule's result at a row where it finds its symptom.

    Attributes:
        words: what is seen.
        advice: what to try.
        began: since when, in images seen; None if the rule does not say (see `Rule.lag`).
    """

    words: str
    advice: str
    began: int | None = None


@dataclass(frozen=True)
class Finding:
    """Something that went wrong in a run, or, with `good`, went well.

    Attributes:
        kind: a key of `TITLES`.
        began_at_images: since when, in images seen.
        sentence: what is seen.
        advice: what to try.
        good: whether it went well.
    """

    kind: str
    began_at_images: int
    sentence: str
    advice: str
    good: bool = False


@dataclass(frozen=True)
class Rule:
    """A symptom that is judged at every row.

    Attributes:
        judge: gives the sign, or None. Its second argument says whether the symptom was present at
            the row before. If it was, it lasts until its statistic is clearly better (hysteresis).
        passed: the text for when the symptom has passed.
        series: names of series. The medians of the first one that the run has are judged.
        lag: the delay of the median, in values of that series.
        more_advice: text to add to the advice, as a function of the names of the objective's terms.
    """

    judge: Callable[[Series, bool], Sign | None]
    passed: str
    series: tuple[str, ...]
    lag: int = ROWS // 2
    more_advice: Callable[[Collection[str]], str] | None = None


@dataclass(frozen=True)
class Setup:
    """The settings of a run that rules use.

    Attributes:
        adversarial: label of the adversarial term, as in rows.
        critic: whether scores are a critic's, not probabilities.
        pretrain_images: number of images for which the discriminator trains alone.
        terms: names of the objective's terms, for the advice.
        labels: mean label of generated and of real pictures; 0 and 1 if labels are not smoothed.
    """

    adversarial: str = "bce"
    critic: bool = False
    pretrain_images: int = 0
    terms: tuple[str, ...] = ("bce",)
    labels: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "Setup":
        """The settings in the content of `run.json`; missing and invalid ones get defaults."""
        config = run.get("config")
        config = config if isinstance(config, dict) else {}
        objective = config.get("objective")
        terms = [
            term
            for term in (objective if isinstance(objective, list) else [])
            if isinstance(term, dict) and isinstance(term.get("term"), str)
        ]
        names = tuple(term["term"] for term in terms)
        training = config.get("training")
        alone = training.get("pretrain_images") if isinstance(training, dict) else None
        label = run.get("adversarial")
        # Runs of impasto 0.1 lack the label. That version had the terms `_ADVERSARIAL`.
        known = next((name for name in names if name in _ADVERSARIAL), "bce")
        return cls(
            adversarial=label if isinstance(label, str) else known,
            critic=(run.get("score") or "probability") != "probability",
            pretrain_images=alone if isinstance(alone, int) else 0,
            terms=names,
            labels=_label_means(terms),
        )


_ADVERSARIAL = ("bce", "categorical", "hinge", "relativistic", "wasserstein")


def _label_means(terms: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Mean label of generated and of real pictures in the term `bce`; 0 and 1 if not smoothed."""
    for term in terms:
        if term["term"] == "bce":
            try:
                fake = statistics.fmean(term.get("fake_labels") or (0.0,))
                real = statistics.fmean(term.get("real_labels") or (1.0,))
            except TypeError:
                break
            return fake, real
    return 0.0, 1.0


def recent(series: Series, name: str, count: int = ROWS) -> float | None:
    """The median of a series' last `count` values; None if it has fewer."""
    values = series.get(name, ())
    return median(values[-count:]) if len(values) >= count else None
