"""What rules are given and what they give: series, the run's settings, signs, findings."""

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

LEAST_STEPS = 200
"""Generator steps before which nothing but broken numbers is judged."""
ROWS = 20
"""Rows whose median is judged: a tenth of a run by default."""

COPIED_LOW, COPIED_BY_CHANCE = "evaluation/copied-low", "evaluation/copied-by-chance"
"""In rows of statistics: the lower end of the 95% interval of the share of pictures that are copied, and
what that share may be by chance."""

NOT_FINITE, EXPLOSION = "not finite", "explosion"
"""Symptoms after which a run's numbers are of no more use."""

TITLES = {
    NOT_FINITE: "Not a number",
    EXPLOSION: "Explosion",
    "knows by heart": "Training pictures known by heart",
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
"""By the name of a statistic, its values that are finite numbers, the oldest first."""


@dataclass(frozen=True)
class Sign:
    """A symptom as it is seen now: what is seen, what to try, and since when.

    `began` is in images seen; None where the rule cannot date it (see `Rule.lag`).
    """

    words: str
    advice: str
    began: int | None = None


@dataclass(frozen=True)
class Finding:
    """Something that went wrong: what, from when on (`began_at_images`), and what to try.

    Or, if it is `good`, something that went well.
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
        judge: gives the sign, or None where there is none. Its second argument says whether the symptom
            was there at the row before: then it lasts until its figure is clearly better again, so that
            no symptom comes and goes.
        gone: what to say when it has passed.
        of: the series whose medians are judged (the first of them that the run has).
        lag: values of it by which a median is late.
        more: what to add to the advice, by the names of the objective's terms.
    """

    judge: Callable[[Series, bool], Sign | None]
    gone: str
    of: tuple[str, ...]
    lag: int = ROWS // 2
    more: Callable[[Collection[str]], str] | None = None


@dataclass(frozen=True)
class Setup:
    """What the rules have to know of a run besides its rows.

    Attributes:
        adversarial: label of the term that tells real from generated, as rows have it.
        critic: whether scores are those of a critic, rather than probabilities.
        pretrain_images: for which the discriminator trains alone, and should win.
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
        """Of what `run.json` says; what it lacks or has damaged is as by default."""
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
        told = run.get("adversarial")
        # Runs of impasto 0.1 do not say; it had these adversarial terms.
        known = next((name for name in names if name in _ADVERSARIAL), "bce")
        return cls(
            adversarial=told if isinstance(told, str) else known,
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
    """The median of the last `count` values; None while there are fewer."""
    values = series.get(name, ())
    return median(values[-count:]) if len(values) >= count else None
