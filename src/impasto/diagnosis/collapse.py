"""Whether the generator collapses, so that generated pictures become alike."""

from impasto.diagnosis.signs import Series, Sign
from impasto.formatting import percent

SHARE, ALONE = "diversity/share", "diversity/alone"
"""Series: the ratio of the distance between generated pictures to that between real ones, and in older
runs the distance alone."""
TYPICAL, BEST = ", of three", ", best of three"
"""Suffixes of two derived series: the median of the last three grids, and the largest such median so
far."""

_ADVICE = (
    "Take pictures from before this. If it lasts, start again with lower learning rates, the "
    "discriminator's first, a larger batch or another seed; or with another objective (hinge, "
    "relativistic with r1 and r2, wasserstein with gradient_penalty)."
)


def collapse(series: Series, active: bool) -> Sign | None:
    """Generated pictures are alike for all latents.

    Rule: the ratio of the distance between generated pictures to that between real ones
    (`diversity/...` in the rows), as a median over three grids, is below 0.45 times its best so far. A
    best above 1 counts as 1. It has passed above 0.6 times. Or the ratio never exceeded 0.2 in ten grids
    or more, by default a quarter of a run. The rule needs five grids. Healthy runs of ours end at 0.54
    to 1.15, and never fall below 0.63 of their best. Without the distance between real pictures, only
    the fall is judged. The median over three grids ignores single ones.
    """
    name = next((name for name in (SHARE, ALONE) if series.get(name)), None)
    if name is None or len(series[name]) < 5:
        return None
    relative = name == SHARE
    now, best = series[name + TYPICAL][-1], series[name + BEST][-1]
    if relative:
        best = min(best, 1.0)
    if relative and best < 0.2:
        if len(series[name]) < 10:
            return None
        return Sign(
            "The generated pictures have been alike from the start: the distance between them never "
            f"passed {percent(best)} of that between real ones.",
            _ADVICE,
            began=0,
        )
    if now >= (0.6 if active else 0.45) * best:
        return None
    fall = (
        f"from {percent(best)} to {percent(now)} of that between real ones"
        if relative
        else f"from {best:.3g} to {now:.3g}"
    )
    return Sign(
        f"The generated pictures became alike: the distance between them fell {fall}.", _ADVICE
    )
