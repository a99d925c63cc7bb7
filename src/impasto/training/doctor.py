"""The doctor: reads a run's statistics while it trains, and says in words what it sees.

What is only watched is a `Sign`: told once when it begins and once when it has passed. What would
ruin the run, numbers that are not finite or have exploded, is a `DivergedError`: the loop goes back to
the last good checkpoint and on from there with both learning rates halved, an `Intervention`, but a few
times at most.

The rules are functions of series, the values of a statistic in the rows of `stats.jsonl` so far, so
they say the same in a run that was resumed. They take medians of a stretch, never single rows; and a
sign that was told goes on until its figure is clearly better than the one that it began at, so that
none comes and goes. As a false alarm costs more trust than a late one, their limits lie outside of all
that our healthy runs do (hinge, binary cross-entropy with and without classes, categorical,
relativistic, Wasserstein; 200 to 4,500 steps); each says by how much.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from impasto.config import Config
from impasto.errors import ImpastoError

EVENTS = "doctor"
"""The entry of a row of statistics that holds what was said and done then: a list of objects."""
BEGUN, PASSED, WENT_BACK, GAVE_UP = "begun", "passed", "went back", "gave up"
"""Kinds of events."""
COPIED_LOW, COPIED_BY_CHANCE = "evaluation/copied-low", "evaluation/copied-by-chance"
"""In rows of statistics: the lower end of the 95% interval of the share of pictures that are copied, and
what that share may be by chance."""
REMEDY = "both learning rates halved"

Series = Mapping[str, Sequence[float]]
"""By the name of a statistic, its values that are numbers, the oldest first."""

_LEAST_STEPS = 200
"""Steps of the game before anything but broken numbers is judged."""
_ROWS = 20
"""Rows, a tenth of a run by default, whose median is judged."""
_GRIDS = 5
"""The same for what is noted at sample grids, an eighth of a run by default."""


class Intervention(Config):
    """The doctor took the run back; kept in the state of every later checkpoint."""

    symptom: str
    words: str
    """What was seen."""
    seen_at: int
    """In images seen."""
    back_to: int
    """The checkpoint that the run went on from, in images seen."""
    remedy: str = REMEDY


class DivergedError(ImpastoError):
    """The numbers of a run are of no more use."""

    def __init__(self, symptom: str, words: str) -> None:
        super().__init__(words)
        self.symptom = symptom
        self.words = words


@dataclass(frozen=True)
class Sign:
    """Something to be told of a run: what is seen, and what to try."""

    words: str
    advice: str


def learning_rate_factor(interventions: Sequence[Intervention]) -> float:
    """What is left of both learning rates: a half for every intervention."""
    return float(0.5 ** len(interventions))


# What is told


def _recent(series: Series, name: str, count: int) -> float | None:
    """The median of the last `count` values; None while there are fewer."""
    values = series.get(name, ())
    return median(values[-count:]) if len(values) >= count else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


_EASIER = (
    "more pictures help most; else let it see them augmented "
    "(--set 'training.augment={kinds: [bgc], target: 0.6}') and mirrored (--set training.mirror=true), "
    "or lower its learning rate"
)


def _remembered(series: Series) -> float | None:
    """How far the discriminator takes held-out pictures for generated ones, over five grids: r_v of
    Karras et al. 2020 (arXiv:2006.06676, equation 1), 0 for not at all, 1 for altogether.

    As single grids have few pictures, and a generator that does well leaves little to divide by, it is
    the median of the one difference by the median of the other, and 0 where the five do not agree.
    """
    shown_less_heldout, shown_less_sampled = (
        series.get(f"shown less {other}", ())[-_GRIDS:] for other in ("heldout", "sampled")
    )
    if len(shown_less_heldout) < _GRIDS:
        return None
    way = median(shown_less_sampled)
    return median(shown_less_heldout) / way if way > 0 and min(shown_less_heldout) > 0 else 0.0


def knows_by_heart(series: Series, told: bool) -> Sign | None:
    """The discriminator takes real pictures that it has not been shown for generated ones.

    Rule: r_v, see `_remembered`, is 0.6 or more over five grids; passed below 0.4. Of our healthy runs
    the highest is 0.5, on tiles of 21 paintings.
    """
    value = _remembered(series)
    if value is None or value < (0.4 if told else 0.6):
        return None
    return Sign(
        "The discriminator knows its pictures by heart: in its judgement held-out ones lie "
        f"{_percent(min(value, 1))} of the way from training pictures to generated ones.",
        f"{_EASIER[0].upper()}{_EASIER[1:]}.",
    )


def overfitting_sign(series: Series, told: bool) -> Sign | None:
    """The discriminator hardly ever doubts a training picture.

    Rule: r_t = E[sign(D(real))] (Karras et al. 2020, equation 1), which is twice `accuracy/real` less
    1, has a median of 0.9 or more over 20 rows; passed below 0.8. Adaptive augmentation holds it at
    0.6; our healthy runs stay below 0.8. It is a sign only, and held-out pictures are a proof: where
    they are known and r_v is below 0.3, nothing is said. Nor of a Wasserstein critic, which should
    tell all pictures apart, or where one of the others says more.
    """
    value, proof = _recent(series, "accuracy/real", _ROWS), _remembered(series)
    if value is None or not _may_win(series) or (proof is not None and proof < 0.3):
        return None
    sign = 2 * value - 1
    said = discriminator_wins(series, False) or knows_by_heart(series, False)
    if sign < (0.8 if told else 0.9) or (said and not told):
        return None
    return Sign(
        f"The discriminator is too sure of training pictures: it takes {_percent(value)} of them for "
        f"real (overfitting sign r_t {sign:.2f}; 0.6 is where augmentation should begin).",
        f"It may know them by heart: {_EASIER}.",
    )


def _may_win(series: Series) -> bool:
    """Whether the discriminator's adversarial loss is one that is never negative; a Wasserstein
    critic's is, wherever it tells pictures apart."""
    values = series.get("adversarial/discriminator", ())
    return bool(values) and median(values[-_ROWS:]) >= 0


def discriminator_wins(series: Series, told: bool) -> Sign | None:
    """The discriminator is never in doubt, and the generator has nothing to learn from.

    Rule: both accuracies have medians of 0.98 or more over 20 rows, and the generator's adversarial
    loss is ten times the discriminator's or more (also medians); passed below 0.95, or 5. Healthy
    runs of ours have at most 0.89, and 4.7 times; one that was lost from the start 1, and 19 to 79.
    Smoothed labels keep the losses from parting so far: there `overfitting_sign` speaks. Nothing is
    said of a Wasserstein critic.
    """
    real, fake = (_recent(series, f"accuracy/{kind}", _ROWS) for kind in ("real", "fake"))
    mine, other = (
        _recent(series, f"adversarial/{player}", _ROWS) for player in ("discriminator", "generator")
    )
    if real is None or fake is None or mine is None or other is None or mine < 0:
        return None
    if min(real, fake) < (0.95 if told else 0.98) or other < (5 if told else 10) * mine:
        return None
    times = f"{other / mine:.0f} times" if mine > 0 else "beyond all measure"
    return Sign(
        f"The discriminator wins: it takes {_percent(real)} of the real and {_percent(fake)} of the "
        f"generated pictures for what they are, and the generator's loss is {times} its own.",
        "Hold it back: a lower learning rate for it "
        "(--set discriminator_optimiser.learning_rate=...), augmentation (training.augment), or a "
        "narrower network.",
    )


def generator_wins(series: Series, told: bool) -> Sign | None:
    """The discriminator takes nearly every generated picture for real, and teaches nothing.

    Rule: `accuracy/fake` has a median of 0.1 or less over 20 rows; passed above 0.25. In the first 200
    steps, which are not judged, many runs of ours have such a stretch; later the lowest is 0.49.
    """
    value = _recent(series, "accuracy/fake", _ROWS)
    if value is None or value > (0.25 if told else 0.1):
        return None
    return Sign(
        f"The generator wins: the discriminator takes {_percent(1 - value)} of the generated pictures "
        "for real, so it teaches nothing.",
        "Make the discriminator stronger: more of its steps per generator step "
        "(--set training.discriminator_steps=...), a higher learning rate "
        "(--set discriminator_optimiser.learning_rate=...), a wider network, or less augmentation and "
        "regularisation.",
    )


def collapse(series: Series, told: bool) -> Sign | None:
    """Generated pictures are alike, whatever the latent.

    Rule: the distance between generated pictures by that between real ones (`diversity/...` in the
    rows), as a median over three grids, is below 0.45 times its own best so far (a best above 1 counts
    as 1), passed above 0.6 times; or it never passed 0.2 in ten grids or more, a quarter of a run by
    default. Healthy runs of ours end at 0.54 to 1.15, and never fall below 0.63 of their best.
    """
    shares = series.get("diversity/share", ())
    if len(shares) < 5:
        return None
    medians = [median(shares[at - 3 : at]) for at in range(3, len(shares) + 1)]
    best, now = min(max(medians), 1.0), medians[-1]
    advice = (
        "Take pictures from before this. If it lasts, start again with a lower discriminator learning "
        "rate, a larger batch or another seed; or with another objective (hinge, relativistic with r1 "
        "and r2, wasserstein with gradient_penalty)."
    )
    if best < 0.2:
        if len(shares) < 10:
            return None
        return Sign(
            "The generated pictures have been alike from the start: the distance between them never "
            f"passed {_percent(best)} of that between real ones.",
            advice,
        )
    if now >= (0.6 if told else 0.45) * best:
        return None
    return Sign(
        f"The generated pictures became alike: the distance between them fell from {_percent(best)} to "
        f"{_percent(now)} of that between real ones.",
        advice,
    )


def copying(series: Series, told: bool) -> Sign | None:
    """The generator paints training pictures.

    Rule: in the last two evaluations, the 95% interval of the share of pictures that are nearer to a
    training picture than 99% of real ones lies above what chance may give (see
    `evaluation/memorisation.py`); passed when it does not in the last one. On tiles of 21 paintings,
    where the limit is hard to know, 14% were still no sign: chance may give 16%.
    """
    low, chance = series.get(COPIED_LOW, ()), series.get(COPIED_BY_CHANCE, ())
    least = 1 if told else 2
    last = list(zip(low, chance, strict=False))[-least:]
    if len(last) < least or not all(low > chance for low, chance in last):
        return None
    return Sign(
        f"Pictures are copied from the training set: {_percent(last[-1][0])} or more of the generated "
        f"ones are nearer to a training picture than 99% of real ones are; by chance it would be "
        f"{_percent(last[-1][1])} at most.",
        "Look at the closest pairs (impasto evaluate shows them). Earlier checkpoints copy less. More "
        "pictures help most; augmentation (training.augment), fewer weights and shorter training help "
        "too.",
    )


_RULES: dict[str, Callable[[Series, bool], Sign | None]] = {
    "knows by heart": knows_by_heart,
    "overfitting sign": overfitting_sign,
    "discriminator wins": discriminator_wins,
    "generator wins": generator_wins,
    "collapse": collapse,
    "copying": copying,
}

_GONE = {
    "knows by heart": "The discriminator no longer knows its pictures by heart.",
    "overfitting sign": "The discriminator doubts training pictures again.",
    "discriminator wins": "The discriminator no longer wins.",
    "generator wins": "The generator no longer wins.",
    "collapse": "The generated pictures are no longer alike.",
    "copying": "No more pictures are copied than chance explains.",
}


# What ends a stretch of training

_TIMES, _USUAL_ROWS, _USUAL_LEAST, _HIGHEST = 1000.0, 100, 8, 1e6


def broken(row: Mapping[str, Any], series: Series, *, critic: bool) -> DivergedError | None:
    """Whether the numbers of a row are of no more use.

    Rule: a loss is not finite; or its mean over the interval is more than 1,000 times as large, either
    way, as the median of the up to 100 rows before, and as 1. Until there are eight rows, more than a
    million. So are a critic's mean scores held, for a Wasserstein critic's loss may stay small while
    both its scores run away. Losses of our healthy runs, Wasserstein critics with a gradient penalty
    among them, stay below 125, and below 35 times their median.

    Args:
        row: as it is about to be written.
        series: of the rows before it.
        critic: whether scores are those of a critic, rather than probabilities.
    """
    whose = {
        "loss/discriminator": "The discriminator's loss",
        "loss/generator": "The generator's loss",
    }
    if critic:
        whose |= {
            "score/real": "The critic's score of real pictures",
            "score/fake": "The critic's score of generated pictures",
        }
    told = {what: float(row[name]) for name, what in whose.items() if row.get(name) is not None}
    for what, value in told.items():
        if not math.isfinite(value):
            return DivergedError("not finite", f"{what} is no longer a finite number.")
    for name, what in whose.items():
        if what not in told:
            continue
        value = abs(told[what])
        before = [abs(each) for each in series.get(name, ())[-_USUAL_ROWS:]]
        enough = len(before) >= _USUAL_LEAST
        usual = median(before) if enough else 0.0
        if value > (_TIMES * max(1.0, usual) if enough else _HIGHEST):
            beyond = f", where {usual:.2g} is usual" if enough else ""
            return DivergedError("explosion", f"{what} has exploded to {told[what]:.2g}{beyond}.")
    return None


# The doctor

_WATCHED = (
    "loss/discriminator",
    "loss/generator",
    "score/real",
    "score/fake",
    "adversarial/discriminator",
    "adversarial/generator",
    "accuracy/real",
    "accuracy/fake",
    "shown less heldout",
    "shown less sampled",
    "diversity/share",
    COPIED_LOW,
    COPIED_BY_CHANCE,
)


class Doctor:
    """What has been seen of a run up to now; a function of its rows."""

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        adversarial: str,
        critic: bool,
        pretrain_images: int = 0,
    ) -> None:
        """
        Args:
            rows: of the run's statistics so far.
            adversarial: the name of the objective's adversarial term, as its rows have it.
            critic: whether scores are those of a critic, rather than probabilities.
            pretrain_images: for which the discriminator trains alone, and should win.
        """
        self._adversarial = adversarial
        self._critic = critic
        self._pretrain_images = pretrain_images
        self._series: dict[str, list[float]] = {}
        self._alone = 0
        self._told: set[str] = set()
        for row in rows:
            self._note(row)
            for event in row.get(EVENTS, ()):
                if event["event"] == BEGUN:
                    self._told.add(event["symptom"])
                elif event["event"] == PASSED:
                    self._told.discard(event["symptom"])

    def _note(self, row: Mapping[str, Any]) -> None:
        """Add a row's numbers to the series."""
        if row["images_seen"] <= self._pretrain_images:
            self._alone = row.get("step", 0)
            return
        values = dict(row)
        for player in ("discriminator", "generator"):
            values[f"adversarial/{player}"] = row.get(f"term/{self._adversarial}/{player}")
        fake, real = row.get("diversity/fake"), row.get("diversity/real")
        if fake is not None and real:
            values["diversity/share"] = fake / real
        shown = row.get("score/shown")
        for other in ("heldout", "sampled"):
            score = row.get(f"score/{other}")
            if shown is not None and score is not None:
                values[f"shown less {other}"] = shown - score
        for name in _WATCHED:
            value = values.get(name)
            if value is not None and math.isfinite(value):
                self._series.setdefault(name, []).append(float(value))

    def trouble(self, row: Mapping[str, Any]) -> DivergedError | None:
        """Why the next row's numbers are of no more use, if so."""
        return broken(row, self._series, critic=self._critic)

    def look(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What there is to tell of the next row: events for it."""
        self._note(row)
        events: list[dict[str, Any]] = []
        if row["step"] - self._alone < _LEAST_STEPS:
            return events
        for name, rule in _RULES.items():
            sign = rule(self._series, name in self._told)
            if sign is not None and name not in self._told:
                self._told.add(name)
                told = {"words": sign.words, "advice": sign.advice}
                events.append({"event": BEGUN, "symptom": name, **told})
            elif sign is None and name in self._told:
                self._told.discard(name)
                events.append({"event": PASSED, "symptom": name, "words": _GONE[name]})
        return events

    def in_short(self, interventions: Sequence[Intervention]) -> list[str]:
        """What to tell when the run ends, a line or none."""
        told = []
        if interventions:
            told.append(
                f"went back {_times(len(interventions))}, so both learning rates ended at "
                f"{learning_rate_factor(interventions):.3g} of what was set"
            )
        last = [name for name in _RULES if name in self._told]
        if last:
            told.append(f"not passed by the end: {', '.join(last)}")
        return [f"doctor: {'; '.join(told)}"] if told else []


def went_back(interventions: Sequence[Intervention]) -> list[dict[str, Any]]:
    """The events of these interventions, the first of the run and on."""
    return [
        {
            "event": WENT_BACK,
            **each.model_dump(),
            "learning_rate_factor": learning_rate_factor(interventions[: place + 1]),
        }
        for place, each in enumerate(interventions)
    ]


def gave_up(error: DivergedError, images_seen: int, times: int) -> dict[str, Any]:
    """The event of a run that has diverged after so many interventions, and is given up."""
    tried = f", below {0.5**times:.3g} of these" if times else ""
    return {
        "event": GAVE_UP,
        "symptom": error.symptom,
        "words": error.words,
        "advice": f"Start again with lower learning rates{tried}: "
        "--set generator_optimiser.learning_rate=... --set discriminator_optimiser.learning_rate=...; "
        "in bfloat16 try --set training.precision=float32 first.",
        "seen_at": images_seen,
        "times": times,
    }


def in_passing(event: Mapping[str, Any]) -> str:
    """What to tell of an event when it happens, a line."""
    words = event["words"]
    if event["event"] == BEGUN:
        return f"doctor: {words} {event['advice']}"
    if event["event"] == WENT_BACK:
        return (
            f"doctor: {words} Seen after {event['seen_at']:,} images; went back to "
            f"{event['back_to']:,}, {event['remedy']} ({event['learning_rate_factor']:.3g} of what was "
            "set)."
        )
    if event["event"] == GAVE_UP:
        back = f", also after going back {_times(event['times'])}" if event["times"] else ""
        return (
            f"has diverged by {event['seen_at']:,} images{back}: {_within(words)}. Its checkpoints are "
            f"whole. {event['advice'].rstrip('.')}"
        )
    return f"doctor: {words}"


def _within(sentence: str) -> str:
    """A sentence as a part of another."""
    return sentence[0].lower() + sentence[1:].rstrip(".")


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
