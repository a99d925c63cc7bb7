"""Whether the discriminator memorises the training pictures."""

from statistics import median

from impasto.diagnosis.opponents import discriminator_wins, never_negative
from impasto.diagnosis.signs import Series, Sign, recent
from impasto.formatting import percent

GRIDS = 5
"""Number of sample grids in the judged median: an eighth of a run by default."""

_EASIER = (
    "more pictures help most; else let it see them augmented "
    "(--set 'training.augment={kinds: [bgc], target: 0.6}') and mirrored (--set training.mirror=true), "
    "or lower its learning rate"
)


def _remembered(series: Series) -> float | None:
    """The overfitting measure r_v over five grids (Karras et al. 2020, arXiv:2006.06676, equation
    1): 0 if the discriminator scores held-out pictures like training pictures, 1 if like generated
    ones.

    Single grids have few pictures, and with a good generator the denominator is small, so it is a
    ratio of medians, and 0 if the five grids disagree.
    """
    shown_less_heldout, shown_less_sampled = (
        series.get(f"shown less {other}", ())[-GRIDS:] for other in ("heldout", "sampled")
    )
    if min(len(shown_less_heldout), len(shown_less_sampled)) < GRIDS:
        return None
    way = median(shown_less_sampled)
    return median(shown_less_heldout) / way if way > 0 and min(shown_less_heldout) > 0 else 0.0


def knows_by_heart(series: Series, active: bool) -> Sign | None:
    """The discriminator scores held-out pictures like generated ones.

    Rule: r_v, see `_remembered`, is 0.6 or more over five grids; passed below 0.4. Of our healthy runs
    the highest is 0.5, on tiles of 21 paintings.
    """
    value = _remembered(series)
    if value is None or value < (0.4 if active else 0.6):
        return None
    return Sign(
        "The discriminator memorises its pictures: it scores held-out ones "
        f"{percent(min(value, 1))} of the way from training pictures to generated ones.",
        f"{_EASIER[0].upper()}{_EASIER[1:]}.",
    )


def overfitting_sign(series: Series, active: bool) -> Sign | None:
    """The discriminator hardly ever doubts a training picture.

    Rule: r_t = E[sign(D(real))] (Karras et al. 2020, equation 1), which is 2 * `accuracy/real` - 1,
    has a median of 0.9 or more over 20 rows; passed below 0.8. Adaptive augmentation holds it at
    0.6; our healthy runs stay below 0.8. This is weaker evidence than held-out pictures: with an
    r_v below 0.3 there is no finding. Nor is there one for a Wasserstein critic, which should
    separate all pictures, or beside a stronger symptom.
    """
    value = recent(series, "accuracy/real")
    if value is None or 2 * value - 1 < (0.8 if active else 0.9) or not never_negative(series):
        return None
    sign, proof = 2 * value - 1, _remembered(series)
    said = discriminator_wins(series, False) or knows_by_heart(series, False)
    if (proof is not None and proof < 0.3) or (said and not active):
        return None
    return Sign(
        f"The discriminator is too sure of training pictures: it takes {percent(value)} of them for "
        f"real (overfitting sign r_t {sign:.2f}; 0.6 is where augmentation should begin).",
        f"It may memorise them: {_EASIER}.",
    )
