"""Whether one of the two players is beyond the other's reach."""

from statistics import median

from impasto.diagnosis.signs import ROWS, Series, Sign, recent
from impasto.formatting import percent

SURE_REAL, SURE_FAKE = "sureness/real", "sureness/fake"
"""Series: where scores are probabilities, the share of the way that the mean score of real and of
generated pictures has gone from the label of the other kind to that of its own."""
MARGIN, LOWEST = "score/margin", "loss/discriminator, lowest"
"""Series: a critic's mean score of real less that of generated pictures; the discriminator's lowest loss
so far."""


def never_negative(series: Series) -> bool:
    """Whether the discriminator's adversarial loss is one that is never negative; a Wasserstein
    critic's is, wherever it tells pictures apart."""
    values = series.get("adversarial/discriminator", ())
    return bool(values) and median(values[-ROWS:]) >= 0


def discriminator_wins(series: Series, active: bool) -> Sign | None:
    """The discriminator is never in doubt, and the generator has nothing to learn from.

    Rule: one of three, all figures medians over 20 rows.

    - Both accuracies are 0.98 or more, and the generator's adversarial loss is ten times the
      discriminator's or more; passed below 0.95, or 5. Healthy runs of ours have at most 0.89, and 4.7
      times; one that was lost from the start 1, and 19 to 79. Smoothed labels keep the losses from
      parting so far.
    - Where scores are probabilities, D(x) and D(G(z)) have come to within a twentieth of the way
      between the two labels (0.95 and 0.05, where these are not smoothed); passed beyond a tenth.
    - The discriminator's loss is below 0.05, where it has never been negative, and a critic's scores
      are at least 1 apart; passed above 0.1, or 0.5 apart.

    Nothing is said of a Wasserstein critic, whose loss is negative where it tells pictures apart.

    The doctor used to know only the first and the report only the other two, so each was silent about
    runs that the other one named. Each is right where it speaks; a hinge loss of both players says
    nothing of probabilities, and runs of before adversarial terms were noted have scores only.
    """
    words = _by_accuracy(series, active) or _by_score(series, active)
    if words is None:
        return None
    return Sign(
        f"The discriminator wins: {words}.",
        "Hold it back: a lower learning rate for it "
        "(--set discriminator_optimiser.learning_rate=...), augmentation (training.augment), or a "
        "narrower network.",
    )


def _by_accuracy(series: Series, active: bool) -> str | None:
    """What accuracies and losses show, if they show that it wins."""
    real, fake = (recent(series, f"accuracy/{kind}") for kind in ("real", "fake"))
    mine, other = (
        recent(series, f"adversarial/{player}") for player in ("discriminator", "generator")
    )
    if real is None or fake is None or mine is None or other is None or mine < 0:
        return None
    if min(real, fake) < (0.95 if active else 0.98) or other < (5 if active else 10) * mine:
        return None
    times = f"{other / mine:.0f} times" if mine > 0 else "beyond all measure"
    return (
        f"it takes {percent(real)} of the real and {percent(fake)} of the generated pictures for what "
        f"they are, and the generator's loss is {times} its own"
    )


def _by_score(series: Series, active: bool) -> str | None:
    """What its scores and its own loss show, if they show that it wins."""
    real, fake = recent(series, SURE_REAL), recent(series, SURE_FAKE)
    if real is not None and fake is not None and min(real, fake) > (0.9 if active else 0.95):
        return (
            f"D(x) is near {recent(series, 'score/real'):.2g}, "
            f"D(G(z)) near {recent(series, 'score/fake'):.2g}"
        )
    loss, lowest = recent(series, "loss/discriminator"), series.get(LOWEST, ())
    if loss is None or not lowest or lowest[-1] < 0 or loss >= (0.1 if active else 0.05):
        return None
    margin = recent(series, MARGIN)
    if margin is not None and margin < (0.5 if active else 1.0):
        return None
    return "its loss is near 0"


def generator_wins(series: Series, active: bool) -> Sign | None:
    """The discriminator takes nearly every generated picture for real, and teaches nothing.

    Rule: `accuracy/fake` has a median of 0.1 or less over 20 rows; passed above 0.25. In the first 200
    steps, which are not judged, many runs of ours have such a stretch; later the lowest is 0.49.
    """
    value = recent(series, "accuracy/fake")
    if value is None or value > (0.25 if active else 0.1):
        return None
    return Sign(
        f"The generator wins: the discriminator takes {percent(1 - value)} of the generated pictures "
        "for real, so it teaches nothing.",
        "Make the discriminator stronger: more of its steps per generator step "
        "(--set training.discriminator_steps=...), a higher learning rate "
        "(--set discriminator_optimiser.learning_rate=...), a wider network, or less augmentation and "
        "regularisation.",
    )
