"""Whether one network wins against the other."""

from statistics import median

from impasto.diagnosis.signs import ROWS, Series, Sign, recent
from impasto.formatting import percent

SURE_REAL, SURE_FAKE = "sureness/real", "sureness/fake"
"""Series of scores that are probabilities: the mean score of real and of generated pictures, scaled so
that 1 is the label of their own kind and 0 that of the other."""
MARGIN, LOWEST = "score/margin", "loss/discriminator, lowest"
"""Series: a critic's mean score of real minus that of generated pictures, and the discriminator's
lowest loss so far."""


def never_negative(series: Series) -> bool:
    """Whether the median of the discriminator's adversarial loss is not negative over the last rows.

    A Wasserstein critic's is negative if it separates pictures. False without such losses.
    """
    values = series.get("adversarial/discriminator", ())
    return bool(values) and median(values[-ROWS:]) >= 0


def discriminator_wins(series: Series, active: bool) -> Sign | None:
    """The discriminator is always certain, and the generator has no useful gradient.

    Rule: one of three holds, with medians over 20 rows.

    - Both accuracies are 0.98 or more, and the generator's adversarial loss is ten times the
      discriminator's or more. It has passed below 0.95, or below 5 times. Healthy runs of ours have at
      most 0.89 and 4.7 times. One that failed from the start had 1 and 19 to 79 times. With smoothed
      labels the losses differ less.
    - Scores are probabilities, and D(x) and D(G(z)) differ from the labels of their kind by less than a
      twentieth of the distance between the two labels (0.95 and 0.05 without smoothing). It has passed
      beyond a tenth.
    - The discriminator's loss was never negative and is below 0.05, and a critic's scores differ by at
      least 1. It has passed above 0.1, or below 0.5.

    A Wasserstein critic is not judged, because its loss is negative if it separates pictures. There are
    three because hinge losses have no probabilities, and old runs have scores only.
    """
    words = _by_accuracy(series, active) or _by_score(series, active)
    if words is None:
        return None
    return Sign(
        f"The discriminator wins: {words}.",
        "Make it weaker: a lower learning rate for it "
        "(--set discriminator_optimiser.learning_rate=...), augmentation (training.augment), or a "
        "narrower network.",
    )


def _by_accuracy(series: Series, active: bool) -> str | None:
    """The text of the first rule, on accuracies and losses, if it holds."""
    real, fake = (recent(series, f"accuracy/{kind}") for kind in ("real", "fake"))
    loss_d, loss_g = (
        recent(series, f"adversarial/{network}") for network in ("discriminator", "generator")
    )
    if real is None or fake is None or loss_d is None or loss_g is None or loss_d < 0:
        return None
    if min(real, fake) < (0.95 if active else 0.98) or loss_g < (5 if active else 10) * loss_d:
        return None
    losses = (
        f"the generator's loss is {loss_g / loss_d:.0f} times its own"
        if loss_d > 0
        else f"its loss is 0, the generator's {loss_g:.2g}"
    )
    return (
        f"it takes {percent(real)} of the real and {percent(fake)} of the generated pictures for what "
        f"they are, and {losses}"
    )


def _by_score(series: Series, active: bool) -> str | None:
    """The text of the second rule, on scores, or of the third, on the loss, if one holds."""
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
    """The discriminator takes nearly every generated picture for real, and gives no useful
    gradient.

    Rule: `accuracy/fake` has a median of 0.1 or less over 20 rows. It has passed above 0.25. Many of our
    runs have such a phase in the first 200 steps, which are not judged. Later the lowest is 0.49.
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
