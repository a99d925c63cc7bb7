"""Helpers for rules on whole curves: medians, noise, lasting rises.

In a series NaN means not recorded in this row, and infinity means recorded but not finite.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_TREND_POINTS = 1000
"""Longer curves are condensed to this many points, which keeps rolling medians of 100,000 rows fast."""


def rolling_median(values: Floats, window: int) -> Floats:
    """Centred median over `window` rows (made odd); the ends are mirrored."""
    half = min(window // 2, len(values) - 1)
    if half < 1:
        return values
    padded = np.pad(values, half, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.asarray(np.median(windows, axis=1), dtype=np.float64)


def spread(residuals: Floats) -> float:
    """A robust standard deviation, from the median absolute deviation; 0 for no values."""
    return 1.4826 * float(np.median(np.abs(residuals))) if len(residuals) else 0.0


def finite(images_seen: Counts, *series: Floats) -> tuple[Counts, list[Floats]]:
    """The rows in which every series is recorded, up to the first non-finite value."""
    broken = np.any([np.isinf(values) for values in series], axis=0)
    end = int(np.argmax(broken)) if broken.any() else len(images_seen)
    keep = np.all([np.isfinite(values) for values in series], axis=0)
    keep[end:] = False
    return images_seen[keep], [values[keep] for values in series]


def condense(images_seen: Counts, *series: Floats) -> tuple[Counts, list[Floats]]:
    """Condense curves to at most `_TREND_POINTS` points: means of equal ranges, each at its first
    row."""
    if len(images_seen) <= _TREND_POINTS:
        return images_seen, list(series)
    starts = np.linspace(0, len(images_seen), _TREND_POINTS, endpoint=False).astype(np.int64)
    sizes = np.diff(np.append(starts, len(images_seen)))
    return images_seen[starts], [np.add.reduceat(values, starts) / sizes for values in series]


def _knee(heights: Floats) -> int:
    """The row at which two joined lines, the second steeper, fit `heights` best by least squares."""
    rows = np.arange(len(heights), dtype=np.float64)
    ramps = np.maximum(rows[None, :] - rows[1:-1, None], 0)
    # Subtract what a single line explains; the knees are compared by the rest.
    line, _ = np.linalg.qr(np.stack([np.ones_like(rows), rows], axis=1))
    ramps -= (ramps @ line) @ line.T
    along = ramps @ (heights - line @ (line.T @ heights))
    gain = np.where(along > 0, along**2 / np.square(ramps).sum(axis=1), 0.0)
    return int(gain.argmax()) + 1 if len(gain) else 0


def lasting_rise(values: Floats, least: float, share: float) -> tuple[int, float, float] | None:
    """Find a lasting rise of `values` [N]: its first row, the level before it and the level at the end;
    None without one or with fewer than 24 rows.

    The first tenth is left out, because every curve moves there. The rest is smoothed by a median over a
    twentieth of the run. The rise is that from the lowest twentieth of the smoothed values to their
    end. It must reach `least`, `share` times the absolute lower level, six times the rows' noise, and
    six times the earlier variation of the smoothed values. Its start is the knee of the two joined
    lines that best fit its first part: 30% of the rise, or more with more noise.
    """
    rows = len(values)
    if rows < 24:
        return None
    start = rows // 10
    window = max(5, rows // 20)
    calm = values[start:]
    smooth = rolling_median(calm, window)
    noise = spread(calm - smooth)
    low = float(np.quantile(smooth, 0.05))
    end = float(np.median(calm[-window:]))

    def last_below(level: float, portion: float) -> int:
        below = np.flatnonzero(smooth <= level + portion * (end - level))
        return int(below[-1]) if len(below) else 0

    # The lowest twentieth of a flat part with waves is below its middle. So once the rise is located,
    # the median before it is the level.
    before = smooth[: last_below(low, 0.25) + 1]
    before = before[: max(len(before) - window, 3)]
    level = max(low, float(np.median(before)))
    wander = spread(before - level) if len(before) >= 2 * window else 0.0
    if end - level < max(least, share * abs(low), 6 * noise, 6 * wander):
        return None
    # The knee is sought in the first part of the rise that exceeds the noise, since later parts may
    # curve.
    clear = float(np.clip(12 * noise / (end - level), 0.3, 0.6))
    began = _knee(smooth[: last_below(level, clear) + 1 + max(3, window // 2)])
    return start + began, level, end


def since(images_seen: Counts, holds: NDArray[np.bool_]) -> int:
    """Images seen at the first row from which `holds` is true to the end; if it is not true at the end,
    those at the last row."""
    not_so = np.flatnonzero(~holds)
    first = int(not_so[-1]) + 1 if len(not_so) else 0
    return int(images_seen[min(first, len(images_seen) - 1)])
