"""Classification accuracy, overall and by class, with source pictures as observations.

Tiles of one painting are not independent. So each source picture is one observation: the share of
its pictures (tiles) that are classified correctly. Accuracies are means over source pictures, with
intervals for that number of observations. With one picture for each source picture, this is the
plain accuracy.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FEW_SOURCES = 30
"""With fewer source pictures the interval is too wide for a useful number."""


@dataclass(frozen=True)
class ClassResult:
    """The accuracy for one class."""

    name: str
    pictures: int
    sources: int
    accuracy: float | None
    """Mean over its source pictures; None without any."""
    interval: tuple[float, float] | None
    """Wilson's, 95%, with source pictures as observations."""


@dataclass(frozen=True)
class FieldResult:
    """The accuracy for one label field."""

    field: str
    classes: tuple[str, ...]
    confusion: np.ndarray
    """int64 [K, K]: counts by true class (row) and predicted class (column)."""
    pictures: int
    sources: int
    accuracy: float
    """Mean over source pictures of the share of their pictures classified correctly."""
    interval: tuple[float, float]
    """Wilson's, 95%, with source pictures as observations."""
    accuracy_of_pictures: float
    """Accuracy over pictures instead of source pictures."""
    commonest: str
    """The most frequent class in training."""
    baseline: float
    """The accuracy of always predicting `commonest`, a mean over source pictures too."""
    by_class: tuple[ClassResult, ...]
    unknown: int
    """The number of pictures left out: of unknown class, or of one not in training."""

    @property
    def warning(self) -> str | None:
        """A warning if there are too few source pictures."""
        if self.sources >= FEW_SOURCES:
            return None
        return (
            f"fewer than {FEW_SOURCES} source pictures are too few for this number to mean "
            "much; look at the interval"
        )

    def numbers(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return {**asdict(self), "confusion": self.confusion.tolist()}

    def lines(self) -> list[str]:
        """The result as lines of text."""
        low, high = self.interval
        tiles = (
            f"; of all pictures alike {self.accuracy_of_pictures:.1%}"
            if self.sources < self.pictures
            else ""
        )
        lines = [
            f"{self.field}: {self.accuracy:.1%} named right, 95% interval {low:.1%} to {high:.1%} "
            f"({_of(self.sources, self.pictures)}{tiles})",
            f"  always saying '{self.commonest}', the commonest in training: {self.baseline:.1%}",
        ]
        if self.warning:
            lines.append(f"  {self.warning}")
        width = max(len(each.name) for each in self.by_class)
        lines += [
            f"  {each.name:<{width}}  "
            + (
                "none"
                if each.accuracy is None
                else f"{each.accuracy:6.1%} ({_of(each.sources, each.pictures)})"
            )
            for each in self.by_class
        ]
        if self.unknown:
            lines.append(
                f"  left out: {self.unknown:,} of unknown class, or of one the model does not know"
            )
        return lines


def _of(sources: int, pictures: int) -> str:
    """`12 pictures`, or `340 pictures of 12 paintings`."""
    text = f"{pictures:,} picture{'' if pictures == 1 else 's'}"
    if sources == pictures:
        return text
    return f"{text} of {sources:,} source picture{'' if sources == 1 else 's'}"


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a mean of `count` observations in [0, 1] (Wilson 1927, equation 11,
    with z = 1.96). It is for observations of 0 or 1, which vary most, and rather too wide for others."""
    z = 1.959964
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def over_sources(right: np.ndarray, sources: np.ndarray) -> tuple[float, int]:
    """The mean over source pictures of the share of their pictures that are right, and the number
    of source pictures; `right` [N] bool, `sources` [N]."""
    _, places = np.unique(sources, return_inverse=True)
    counts = np.bincount(places)
    shares = np.bincount(places, weights=right.astype(np.float64)) / counts
    return float(shares.mean()), len(counts)


def result(
    field: str,
    classes: Sequence[str],
    truth: np.ndarray,
    named: np.ndarray,
    sources: np.ndarray,
    *,
    commonest: int,
    unknown: int = 0,
) -> FieldResult:
    """The result from true and predicted classes.

    Args:
        field: the label field.
        classes: K names.
        truth: [N] their true classes, at least one picture.
        named: [N] the predicted classes.
        sources: [N] the source picture of each.
        commonest: the most frequent class in training.
        unknown: the number of pictures left out.
    """
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (truth, named), 1)
    right = truth == named
    accuracy, count = over_sources(right, sources)
    by_class = []
    for number, name in enumerate(classes):
        mine = truth == number
        share, of = over_sources(right[mine], sources[mine]) if mine.any() else (None, 0)
        interval = None if share is None else wilson(share, of)
        by_class.append(ClassResult(name, int(mine.sum()), of, share, interval))
    return FieldResult(
        field=field,
        classes=tuple(classes),
        confusion=confusion,
        pictures=len(truth),
        sources=count,
        accuracy=accuracy,
        interval=wilson(accuracy, count),
        accuracy_of_pictures=float(right.mean()),
        commonest=classes[commonest],
        baseline=over_sources(truth == commonest, sources)[0],
        by_class=tuple(by_class),
        unknown=unknown,
    )
