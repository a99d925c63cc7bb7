"""Whether the generator copies training pictures."""

from impasto.diagnosis.signs import COPIED_BY_CHANCE, COPIED_LOW, Series, Sign
from impasto.formatting import percent


def copying(series: Series, active: bool) -> Sign | None:
    """The generator copies training pictures.

    Rule: in the last two evaluations, the 95% interval of the share of pictures that are nearer to a
    training picture than 99% of real ones is above the largest share that chance explains (see
    `evaluation/memorisation.py`). It has passed when this is not so in the last one. On tiles of 21
    paintings, where the limit is uncertain, chance may give 16%.

    One evaluation by `impasto evaluate` is enough (`evaluated.py`), because it has more pictures.
    """
    low, chance = series.get(COPIED_LOW, ()), series.get(COPIED_BY_CHANCE, ())
    least = 1 if active else 2
    last = list(zip(low[-least:], chance[-least:], strict=False))
    if len(last) < least or not all(low > chance for low, chance in last):
        return None
    return Sign(
        f"Pictures are copied from the training set: {percent(last[-1][0])} or more of the generated "
        f"ones are nearer to a training picture than 99% of real ones are; by chance it would be "
        f"{percent(last[-1][1])} at most.",
        "Look at the closest pairs (impasto evaluate shows them). Earlier checkpoints copy less. More "
        "pictures help most; augmentation (training.augment), fewer weights and shorter training help "
        "too. Tiles of one painting count as one source, so cutting smaller tiles does not help.",
    )
