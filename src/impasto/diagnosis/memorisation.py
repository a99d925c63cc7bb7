"""Whether the discriminator memorises the training pictures."""

from statistics import median

from impasto.diagnosis.opponents import discriminator_wins, never_negative
from impasto.diagnosis.signs import Series, Sign, recent
from impasto.formatting import percent

GRIDS = 5
"""The number of sample grids in the judged median: by default an eighth of a run."""

_EASIER = (
    "more pictures help most; else let it see them augmented "
    "(--set 'training.augment={kinds: [bgc], target: 0.6}') and mirrored (--set training.mirror=true), "
    "or lower its learning rate"
)


def _overfitting(series: Series) -> float | None:
    """The overfitting measure r_v over five grids (Karras et al. 2020, arXiv:2006.06676, equation
    1): 0 if the discriminator scores held-out pictures like training pictures, 1 if like generated
    ones. None with fewer grids.

    Single grids have few pictures, and with a good generator the denominator is small. So it is a
    ratio of medians, and 0 unless training pictures score higher than held-out ones in all five grids.
    """
    shown_less_heldout, shown_less_sampled = (
        series.get(f"shown less {other}", ())[-GRIDS:] for other in ("heldout", "sampled")
    )
    if min(len(shown_less_heldout), len(shown_less_sampled)) < GRIDS:
        return None
    distance = median(shown_less_sampled)
    if distance <= 0 or min(shown_less_heldout) <= 0:
        return 0.0
    return median(shown_less_heldout) / distance


def memorises(series: Series, active: bool) -> Sign | None:
    """The discriminator scores held-out pictures like generated ones.

    Rule: r_v, see `_overfitting`, is 0.6 or more. It has passed below 0.4. The highest of our healthy
    runs is 0.5, on tiles of 21 paintings.
    """
    value = _overfitting(series)
    if value is None or value < (0.4 if active else 0.6):
        return None
    return Sign(
        "The discriminator memorises its pictures: it scores held-out ones "
        f"{percent(min(value, 1))} of the way from training pictures to generated ones.",
        f"{_EASIER[0].upper()}{_EASIER[1:]}.",
    )


def overfitting_sign(series: Series, active: bool) -> Sign | None:
    """The discriminator takes nearly every training picture for real.

    Rule: r_t = E[sign(D(real))] (Karras et al. 2020, equation 1), which is 2 * `accuracy/real` - 1,
    has a median of 0.9 or more over 20 rows. It has passed below 0.8. Adaptive augmentation holds it at
    0.6, and our healthy runs stay below 0.8.

    This is weaker evidence than held-out pictures, so there is no finding if r_v is below 0.3. There is
    none for a Wasserstein critic, which should separate all pictures. And none begins while the
    discriminator wins or memorises, which are stronger symptoms.
    """
    value = recent(series, "accuracy/real")
    if value is None or 2 * value - 1 < (0.8 if active else 0.9) or not never_negative(series):
        return None
    sign, by_heldout = 2 * value - 1, _overfitting(series)
    stronger = discriminator_wins(series, False) or memorises(series, False)
    if (by_heldout is not None and by_heldout < 0.3) or (stronger and not active):
        return None
    return Sign(
        f"The discriminator is too sure of training pictures: it takes {percent(value)} of them for "
        f"real (overfitting sign r_t {sign:.2f}; 0.6 is where augmentation should begin).",
        f"It may memorise them: {_EASIER}.",
    )
