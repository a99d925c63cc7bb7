"""Whether a loss has spikes."""

import numpy as np

from impasto.diagnosis.curves import Counts, Floats, finite, rolling_median
from impasto.diagnosis.signs import Sign


def _spike_rows(values: Floats, level_of: Floats, some: float, strong: float) -> list[int]:
    """The first rows of all spikes by the rule of `spikes`; [] if they are no finding.

    Args:
        values: [N].
        level_of: [N] the values whose usual level is meant.
        some: least height of a spike, in levels.
        strong: least height of a spike that is a finding by itself, in levels.
    """
    side = 10
    rows = len(values)
    if rows < 12:
        return []
    padded = np.concatenate([np.full(side, np.nan), values, np.full(side, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, side)
    inner = np.arange(3, rows - 3)
    left = np.nanmedian(windows[inner], axis=1)
    right = np.nanmedian(windows[inner + side + 1], axis=1)
    height = values[inner] - np.maximum(left, right)
    noise = 1.4826 * rolling_median(np.abs(values[inner] - (left + right) / 2), 51)
    level = np.maximum(
        np.abs(rolling_median(level_of, 2 * side)[inner]), np.median(np.abs(level_of))
    )
    noise = np.maximum(noise, 0.01 * level + 1e-12)
    is_spike = (height > 10 * noise) & (height > some * level)
    is_strong = (height > 20 * noise) & (height > strong * level)
    # Neighbouring rows are one spike.
    starts = np.flatnonzero(is_spike & ~np.concatenate([[False], is_spike[:-1]]))
    if len(starts) < max(3, rows / 300) and not is_strong.any():
        return []
    return [int(row) for row in inner[starts]]


def spikes(images_seen: Counts, means: Floats, maxima: Floats | None, what: str) -> Sign | None:
    """A loss has spikes.

    Rule: a row is a spike if it is above the medians of the ten rows before and of the ten rows after
    it, by ten times the local noise (from the median deviation of 51 rows) and by 0.75 times the usual
    level of the loss. Three spikes are a finding (in long runs, one for every 300 rows), and so is one
    that reaches 20 times the noise and 3 times the level. For the interval maxima, which vary more, the
    limits are 4 and 10 times the level of the means. A high start or a lasting step is no spike. The
    rule needs 12 rows.

    Args:
        images_seen: [N].
        means: [N] the loss, mean over each interval.
        maxima: [N] the largest loss of one step in each interval, if recorded.
        what: the loss's name in the sentence.
    """
    images, (mean,) = finite(images_seen, means)
    rows = _spike_rows(mean, mean, 0.75, 3.0)
    if rows:
        peak = float(mean[rows].max())
    elif maxima is not None:
        images, (mean, largest) = finite(images_seen, means, maxima)
        rows = _spike_rows(largest, mean, 4.0, 10.0)
        peak = float(largest[rows].max()) if rows else 0.0
    if not rows:
        return None
    usual = float(np.median(mean))
    times = "once" if len(rows) == 1 else f"{len(rows)} times"
    return Sign(
        f"{what} shot up and came back {times}, to {peak:.2g} at the highest; it is usually near "
        f"{usual:.2g}.",
        "A few spikes that leave no trace in the grids can be ignored. Otherwise lower the "
        "learning rates, raise the batch (--set training.batch=...), or lower Adam's first beta to "
        "0.5 or 0. A moving average of the weights (--set training.ema_half_life=...) keeps spikes "
        "out of the pictures.",
        began=int(images[rows[0]]),
    )
