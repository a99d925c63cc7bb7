"""Whether one network wins against the other."""

from statistics import median

from impasto.diagnosis.signs import ROWS, Series, Sign, recent
from impasto.formatting import percent

SURE_REAL, SURE_FAKE = "sureness/real", "sureness/fake"
"""Series, for scores that are probabilities: the mean score of real and of generated pictures,
scaled from the label of the other kind (0) to that of its own (1)."""
MARGIN, LOWEST = "score/margin", "loss/discriminator, lowest"
"""Series: a critic's mean score of real minus that of generated pictures; the discriminator's
lowest loss so far."""


def never_negative(series: Series) -> bool:
    """Whether the discriminator's adversarial loss was never negative; a Wasserstein critic's is
    negative if it separates pictures."""
    values = series.get("adversarial/discriminator", ())
    return bool(values) and median(values[-ROWS:]) >= 0


def discriminator_wins(series: Series, active: bool) -> Sign | None:
    """The discriminator is always certain, and the generator has no useful gradient.

    Rule: one of three, with medians over 20 rows.

    - Both accuracies are 0.98 or more, and the generator's adversarial loss is ten times the
      discriminator's or more; passed below 0.95, or 5. Healthy runs of ours have at most 0.89, and 4.7
      times; one that failed from the start had 1, and 19 to 79 times. With smoothed labels the
      losses differ less.
    - If scores are probabilities: D(x) and D(G(z)) are within a twentieth of the distance between
      the two labels from their own (0.95 and 0.05 without smoothing); passed beyond a tenth.
    - For a loss that was never negative: it is below 0.05, and a critic's scores differ by at least
      1; passed above 0.1, or below 0.5.

    A Wasserstein critic is not judged: its loss is negative if it separates pictures.

    All three are needed: hinge losses have no probabilities, and old runs have scores only.
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
    """A text on accuracies and losses, if by these it wins."""
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
    """A text on its scores and its loss, if by these it wins."""
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

    Rule: `accuracy/fake` has a median of 0.1 or less over 20 rows; passed above 0.25. Many of our
    runs have such a phase in the first 200 steps, which are not judged; later the lowest is 0.49.
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
