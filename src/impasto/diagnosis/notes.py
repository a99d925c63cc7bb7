"""The numbers of a run's rows as series and curves, which rules judge."""

import math
from array import array
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from impasto.diagnosis.collapse import ALONE, BEST, SHARE, TYPICAL
from impasto.diagnosis.curves import Counts, Floats
from impasto.diagnosis.opponents import LOWEST, MARGIN, SURE_FAKE, SURE_REAL
from impasto.diagnosis.signs import COPIED_BY_CHANCE, COPIED_LOW, Setup

LOSSES = {
    "loss/discriminator": "The discriminator's loss",
    "loss/generator": "The generator's loss",
}
_SERIES = (
    *LOSSES,
    "score/real",
    "score/fake",
    "adversarial/discriminator",
    "adversarial/generator",
    "accuracy/real",
    "accuracy/fake",
    "shown less heldout",
    "shown less sampled",
    SURE_REAL,
    SURE_FAKE,
    MARGIN,
    SHARE,
    ALONE,
    COPIED_LOW,
    COPIED_BY_CHANCE,
)
"""The statistics that rules judge at every row."""
_CURVES = (
    *LOSSES,
    *(f"{name}/max" for name in LOSSES),
    "score/real",
    "score/fake",
    "accuracy/real",
    "accuracy/fake",
)
"""The statistics of which rules judge the whole curve."""


class Notes:
    """The numbers of the rows so far.

    Attributes:
        setup: the run's settings.
        series: by name, its finite values, the oldest first, for rules at every row.
        moments: by name, the images seen at each of these values.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.series: dict[str, list[float]] = {}
        self.moments: dict[str, list[int]] = {}
        self._images = array("q")
        self._curves = {name: array("d") for name in _CURVES}

    def __len__(self) -> int:
        return len(self._images)

    @property
    def images_seen(self) -> Counts:
        """Images seen at each row, [N]."""
        return np.array(self._images, dtype=np.int64)

    def curve(self, name: str) -> Floats | None:
        """A curve [N] with a value for each row, as `curves.py` describes; None if it was never
        recorded."""
        values = np.array(self._curves[name], dtype=np.float64)
        return None if np.isnan(values).all() else values

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row's numbers to the series and curves."""
        seen = int(row["images_seen"])
        values = self._derived(row)
        for name in _SERIES:
            value = _finite_number(values.get(name))
            if value is not None:
                self.series.setdefault(name, []).append(value)
                self.moments.setdefault(name, []).append(seen)
                if name in (SHARE, ALONE):
                    self._add_diversity(name)
                if name == "loss/discriminator":
                    self._add_lowest(value)
        self._images.append(seen)
        for name, curve in self._curves.items():
            value = _finite_number(row.get(name))
            missing = math.inf if name in row else math.nan
            curve.append(missing if value is None else value)

    def _derived(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row's numbers, with the statistics that are derived from them."""
        values = dict(row)
        for network in ("discriminator", "generator"):
            values[f"adversarial/{network}"] = row.get(f"term/{self.setup.adversarial}/{network}")
        fake, real = (_finite_number(row.get(f"diversity/{kind}")) for kind in ("fake", "real"))
        if fake is not None:
            values |= {SHARE: fake / real} if real else {ALONE: fake}
        shown = _finite_number(row.get("score/shown"))
        for other in ("heldout", "sampled"):
            score = _finite_number(row.get(f"score/{other}"))
            if shown is not None and score is not None:
                values[f"shown less {other}"] = shown - score
        real, fake = (_finite_number(row.get(f"score/{kind}")) for kind in ("real", "fake"))
        low, high = self.setup.labels
        if real is not None and fake is not None:
            if self.setup.critic:
                values[MARGIN] = real - fake
            elif high > low:
                values[SURE_REAL] = (real - low) / (high - low)
                values[SURE_FAKE] = (high - fake) / (high - low)
        return values

    def _add_diversity(self, name: str) -> None:
        """Add the median of a series' last three values, and the largest such median so far."""
        shares = self.series[name]
        if len(shares) < 3:
            return
        typical = median(shares[-3:])
        best = self.series.setdefault(name + BEST, [])
        self.series.setdefault(name + TYPICAL, []).append(typical)
        best.append(max(best[-1], typical) if best else typical)

    def _add_lowest(self, value: float) -> None:
        """Add the discriminator's lowest loss so far."""
        lowest = self.series.setdefault(LOWEST, [])
        lowest.append(min(lowest[-1], value) if lowest else value)


def _finite_number(value: Any) -> float | None:
    """A finite number as a float; None for anything else."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None
