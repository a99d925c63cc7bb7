"""Rules on whole curves: whether the losses, or a critic's scores, drift apart."""

from collections.abc import Collection

import numpy as np

from impasto.diagnosis.curves import (
    Counts,
    Floats,
    condense,
    finite,
    lasting_rise,
    rolling_median,
)
from impasto.diagnosis.signs import Sign
from impasto.formatting import percent


def harder_labels(terms: Collection[str]) -> str:
    """Advice on how to make the discriminator's task harder, given the names of the objective's
    terms."""
    if "categorical" in terms:
        return "flip some of its labels (--set objective.categorical.flip=0.05)"
    if "bce" in terms:
        return "smooth its labels (--set objective.bce.real_labels=[0.7,1])"
    return "add noise to the real pictures it sees (--set training.real_noise=0.1)"


def _drift(
    images_seen: Counts,
    loss_discriminator: Floats,
    loss_generator: Floats,
    terms: Collection[str],
    won: bool,
) -> Sign | None:
    """The two losses drift apart: the generator's rises, and the discriminator's does not.

    This is for losses in nats, such as cross-entropy, which have an absolute zero. The generator loss of
    a Wasserstein critic has none; see `scores_apart`.

    Rule: the gap, generator minus discriminator, rises after the first tenth of the run and stays
    up to the end, by at least 1.2 nats, by half of the gap it rose from, and by six times the noise
    of the rows. At least half of that comes from the generator, and the discriminator's loss rises
    by no more than a quarter of it. The rule needs 24 rows. If the discriminator has won, its loss is
    near 0, which alone makes the gap larger. Then the generator's loss, in place of the gap, has to rise
    by that much.
    """
    images, both = finite(images_seen, loss_discriminator, loss_generator)
    images, (loss_d, loss_g) = condense(images, *both)
    rise = lasting_rise(loss_g if won else loss_g - loss_d, least=1.2, share=0.5)
    if rise is None:
        return None
    row, level, end = rise
    last = slice(-max(5, len(images) // 20), None)
    first = slice(min(len(images) // 10, row), max(row, min(len(images) // 10, row) + 3))
    d_before, d_now = float(np.median(loss_d[first])), float(np.median(loss_d[last]))
    g_before, g_now = float(np.median(loss_g[first])), float(np.median(loss_g[last]))
    if g_now - g_before < 0.5 * (end - level) or d_now - d_before > 0.25 * (end - level):
        return None
    return Sign(
        f"The losses drift apart: the generator's went from {g_before:.2g} to {g_now:.2g}, the "
        f"discriminator's from {d_before:.2g} to {d_now:.2g}. The discriminator learns faster than "
        "the generator can follow.",
        "Pictures from before this are often the better ones: compare the grids. Then make the "
        f"discriminator weaker: {harder_labels(terms)}, or lower "
        "its learning rate to a half or a quarter of the generator's "
        "(--set discriminator_optimiser.learning_rate=...). More pictures help most; out of few "
        "large ones, impasto pack --fit tiles makes many.",
        began=int(images[row]),
    )


def losses_apart(
    images_seen: Counts,
    loss_discriminator: Floats,
    loss_generator: Floats,
    accuracy_real: Floats | None = None,
    accuracy_fake: Floats | None = None,
    *,
    won: bool = False,
    terms: Collection[str] = ("bce",),
) -> Sign | None:
    """The generator falls behind: its loss rises, and the discriminator's does not.

    Rule: that of `_rise_unmistaken`, or else that of `_drift`.

    Args:
        images_seen: [N].
        loss_discriminator: [N].
        loss_generator: [N].
        accuracy_real: [N], if recorded.
        accuracy_fake: [N], if recorded.
        won: whether it is already reported that the discriminator wins. What follows from that alone is
            not reported a second time.
        terms: names of the objective's terms, for the advice.
    """
    if accuracy_real is not None and accuracy_fake is not None and not won:
        sign = _rise_unmistaken(images_seen, accuracy_real, accuracy_fake, loss_generator, terms)
        if sign is not None:
            return sign
    return _drift(images_seen, loss_discriminator, loss_generator, terms, won)


def scores_apart(images_seen: Counts, score_real: Floats, score_fake: Floats) -> Sign | None:
    """A critic's scores of real and generated pictures drift apart without bound.

    Rule: the margin, mean score of real minus that of generated pictures, rises after the first
    tenth of the run and stays up to the end, to at least three times the margin it rose from, by
    at least 3 and by six times the noise of the rows. The rule needs 24 rows.
    """
    images, both = finite(images_seen, score_real, score_fake)
    images, (real, fake) = condense(images, *both)
    rise = lasting_rise(real - fake, least=3.0, share=2.0)
    if rise is None:
        return None
    row, level, end = rise
    return Sign(
        f"The critic's scores of real and generated pictures drift apart: their margin went from "
        f"{level:.2g} to {end:.2g}. The critic learns faster than the generator can follow.",
        "Pictures from before this are often the better ones: compare the grids. Then make the "
        "critic weaker: fewer of its steps per generator step "
        "(--set training.discriminator_steps=...), a lower learning rate "
        "(--set discriminator_optimiser.learning_rate=...), or, where the objective has it, more "
        "weight on its gradient penalty (--set objective.gradient_penalty.weight=...). More "
        "pictures help most; out of few large ones, impasto pack --fit tiles makes many.",
        began=int(images[row]),
    )


def _rise_unmistaken(
    images_seen: Counts,
    accuracy_real: Floats,
    accuracy_fake: Floats,
    loss_generator: Floats,
    terms: Collection[str],
) -> Sign | None:
    """The discriminator is hardly ever mistaken, and the generator's loss rises.

    This is for discriminators whose scores are probabilities. A Wasserstein critic should separate all
    pictures.

    Rule: both accuracies, smoothed by a median over a tenth of the rows, are at least 0.95 in all
    of the last third of the run. The generator's loss rises after the first tenth and stays up to the
    end, by 0.5, by a fifth of the level it rose from, and by six times its noise. A seventh or more of
    that rise is in the last third. The rule needs 24 rows.
    """
    images, curves = finite(images_seen, accuracy_real, accuracy_fake, loss_generator)
    images, (real, fake, loss) = condense(images, *curves)
    rise = lasting_rise(loss, least=0.5, share=0.2)
    if rise is None:
        return None
    row, level, end = rise
    rows = len(images)
    last, ninth = rows - rows // 3, rows // 9
    window = max(9, rows // 10)
    sure = np.minimum(rolling_median(real, window), rolling_median(fake, window)) >= 0.95
    late = float(np.median(loss[-ninth:]) - np.median(loss[last : last + ninth]))
    if not sure[last:].all() or late < (end - level) / 7:
        return None
    mistaken = np.flatnonzero(~sure)
    surely_from = int(mistaken[-1]) + 1 if len(mistaken) else 0
    return Sign(
        f"The discriminator is hardly ever mistaken: in the last third of the run it takes "
        f"{percent(float(np.median(real[last:])))} of the real and "
        f"{percent(float(np.median(fake[last:])))} of the generated pictures for what they are, and "
        f"the generator's loss rose from {level:.2g} to {end:.2g}. It memorises the training "
        "pictures, or has grown too strong for the generator.",
        "Pictures from before this are often the better ones: compare the grids. Then make the "
        f"discriminator's work harder: {harder_labels(terms)}"
        + (
            ""
            if "real_noise" in harder_labels(terms)
            else ", add noise to the real pictures it sees (--set training.real_noise=0.1)"
        )
        + ", or lower its learning rate (--set discriminator_optimiser.learning_rate=...). More "
        "pictures help most; out of few large ones, impasto pack --fit tiles makes many.",
        began=int(images[max(row, surely_from)]),
    )
