"""The input and output types of rules: series, the run's settings, signs, findings."""

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

LEAST_STEPS = 200
"""Generator steps before which only divergence is judged."""
ROWS = 20
"""Number of rows in the judged medians: a tenth of a run by default."""

COPIED_LOW, COPIED_BY_CHANCE = "evaluation/copied-low", "evaluation/copied-by-chance"
"""Statistics in rows: the lower end of the 95% interval of the copied share, and its upper bound by
chance."""

NOT_FINITE, EXPLOSION = "not finite", "explosion"
"""Symptoms of divergence."""

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
"""The heading of each kind of finding."""

Series = Mapping[str, Sequence[float]]
"""By statistic: its finite values, the oldest first."""


@dataclass(frozen=True)
class Sign:
    """A symptom at a row: what is seen, what to try, and since when.

    `began` is in images seen; None if the rule cannot date it (see `Rule.lag`).
    """

    words: str
    advice: str
    began: int | None = None


@dataclass(frozen=True)
class Finding:
    """Something that went wrong: what, since when (`began_at_images`), and what to try.

    With `good`, something that went well.
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
            the row before; then it lasts until its statistic is clearly better (hysteresis).
        gone: the text when it has passed.
        of: the series whose medians are judged (the first of them that the run has).
        lag: the delay of the median, in values of that series.
        more: adds to the advice, given the names of the objective's terms.
    """

    judge: Callable[[Series, bool], Sign | None]
    gone: str
    of: tuple[str, ...]
    lag: int = ROWS // 2
    more: Callable[[Collection[str]], str] | None = None


@dataclass(frozen=True)
class Setup:
    """The settings of a run that rules use.

    Attributes:
        adversarial: label of the adversarial term, as in rows.
        critic: whether scores are a critic's, not probabilities.
        pretrain_images: images for which the discriminator trains alone.
        terms: names of the objective's terms, for the advice.
        labels: mean label of generated and of real pictures; 0 and 1 if not smoothed.
    """

    adversarial: str = "bce"
    critic: bool = False
    pretrain_images: int = 0
    terms: tuple[str, ...] = ("bce",)
    labels: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "Setup":
        """The settings in `run.json`; missing and damaged ones have defaults."""
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
        # Runs of impasto 0.1 lack it; that version had these adversarial terms.
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
    """The median of the last `count` values; None with fewer."""
    values = series.get(name, ())
    return median(values[-count:]) if len(values) >= count else None
