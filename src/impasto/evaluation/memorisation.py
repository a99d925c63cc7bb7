"""Memorisation: are samples nearer to training pictures than unseen real pictures are?

A generator that reproduces its training pictures gets good quality scores. So each sample's
distance to the nearest training picture is compared with the same distance of real pictures that
were not trained on (the idea of Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675, who compare
the two distributions by a rank test):

- **copied** is the share of samples nearer than the limit, the 1% quantile of real pictures. For
  pictures that copy nothing it is about `expected`.
- **nearer** is the probability that a sample is nearer than a real picture is (Mann and Whitney 1947,
  ties count half): 0.5 is equal, 1 is all copies. Below 0.5 samples are farther from the training
  pictures than real ones: no copies, but perhaps of low quality.

**Distance** is 1 minus the cosine between features. Pooled features are longer for pictures with
more contrast; their direction describes the content, and changes little when a copy is paler or
blurred. Only distances by the same network are comparable.

**Tiles.** Pictures of one source picture are not independent, so each source has the same weight in
the reference, and a real picture is not compared with its own source.

**The reference** is the held-out pictures. If these are from few sources, training pictures are
added, each compared with the training pictures of all other sources.

**Limits.** If a collection has near-duplicates in several sources, real pictures are near each
other, and only samples that are nearer still count as copied. Copies of a part of a picture, or
heavily changed ones, may be no nearer than real pictures.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.evaluation.accuracy import wilson
from impasto.evaluation.judge import check_finite
from impasto.formatting import counted

QUANTILE = 0.01
"""The quantile of real pictures' distances that is the limit."""
FEW_SOURCES = 20
"""With fewer held-out source pictures, training pictures are added to the reference, and no score
of held-out pictures is given."""
FEWEST_SOURCES = 10
"""With fewer source pictures in the reference no share is given."""
SAME = 1e-6
"""Distances up to this are rounding: the pictures are equal."""
_ROUGH = 100
"""With fewer source pictures in the reference, its 1% quantile is hardly more than its minimum."""
_MOST = 10_000
"""Most held-out pictures in the reference, and most training pictures added to it."""
_BLOCK = 1024, 8192
"""Pictures and training pictures compared at once: 32 MiB of distances."""


@dataclass(frozen=True)
class RealPictures:
    """Features of a collection's pictures."""

    features: Tensor
    """float32 [N, D]"""
    rows: np.ndarray
    """int64 [N]: their indices in the collection."""
    sources: np.ndarray
    """int64 [N]: their source pictures."""

    def some(self, places: np.ndarray) -> "RealPictures":
        """The pictures at some positions."""
        chosen = self.features[torch.from_numpy(places)]
        return RealPictures(chosen, self.rows[places], self.sources[places])

    def at_most(self, count: int) -> "RealPictures":
        """All pictures, or `count` evenly spaced ones."""
        if len(self.rows) <= count:
            return self
        return self.some(np.linspace(0, len(self.rows) - 1, count).round().astype(np.int64))


@dataclass(frozen=True)
class Nearest:
    """The nearest training picture of each of B pictures."""

    distance: np.ndarray
    """float64 [B], 0 to 2."""
    row: np.ndarray
    """int64 [B]: its index in the collection."""
    source: np.ndarray
    """int64 [B]: its source picture."""

    def some(self, places: np.ndarray) -> "Nearest":
        """The results of the pictures at some positions."""
        return Nearest(self.distance[places], self.row[places], self.source[places])


def nearest(features: Tensor, training: RealPictures, own: np.ndarray | None = None) -> Nearest:
    """The nearest training picture of each picture, by cosine distance, in bounded memory.

    Args:
        features: [B, D].
        training: at least one picture; with `own`, of two sources or more.
        own: int [B], source pictures to leave out for each.
    """
    features, others = features.float(), training.features.float()
    # 1 / length, to avoid a second copy of the features. A length of 0 has no direction.
    inverse = 1 / others.norm(dim=1).clamp(min=1e-12)
    sources = torch.from_numpy(training.sources)
    found = torch.empty(len(features), dtype=torch.int64)
    distance = torch.empty(len(features), dtype=torch.float64)
    for start in range(0, len(features), _BLOCK[0]):
        mine = slice(start, start + _BLOCK[0])
        unit = F.normalize(features[mine])
        best = torch.full((len(unit),), -torch.inf)
        for first in range(0, len(others), _BLOCK[1]):
            block = slice(first, first + _BLOCK[1])
            cosine = (unit @ others[block].T) * inverse[block]
            if own is not None:
                cosine[torch.from_numpy(own[mine])[:, None] == sources[block]] = -torch.inf
            highest, place = cosine.max(dim=1)
            better = highest > best
            best = torch.where(better, highest, best)
            found[mine] = torch.where(better, place + first, found[mine])
        # Half the squared difference of unit vectors is 1 - cosine, and exact for small values.
        pair = F.normalize(features[mine].double()) - F.normalize(others[found[mine]].double())
        distance[mine] = pair.square().sum(dim=1) / 2
    places = found.numpy()
    return Nearest(distance.numpy(), training.rows[places], training.sources[places])


@dataclass(frozen=True)
class RealDistances:
    """Distances of real pictures to training pictures of other sources."""

    kind: str
    """The pictures' kind, in words."""
    rows: np.ndarray
    """int64 [R]: their indices in the collection."""
    sources: np.ndarray
    """int64 [R]: their source pictures, S distinct ones."""
    nearest: Nearest
    duplicates: int
    """The number of pictures left out because they equal a training picture of another source."""

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.nearest.distance, kind="stable")

    @cached_property
    def weights(self) -> np.ndarray:
        """float64 [R]: 1 / S, divided among each source's pictures."""
        _, places, counts = np.unique(self.sources, return_inverse=True, return_counts=True)
        return 1 / counts[places] / len(counts)

    @property
    def source_count(self) -> int:
        """S."""
        return len(np.unique(self.sources))

    def quantile(self, without: int | None = None) -> float:
        """The weighted `QUANTILE` of the distances.

        Args:
            without: a source left out.
        """
        order = self._order
        if without is not None:
            order = order[self.sources[order] != without]
        reached = np.cumsum(self.weights[order])
        # The tolerance is for rounding of sums of weights such as 1/300.
        place = np.searchsorted(reached, QUANTILE * reached[-1] * (1 - 1e-9))
        return float(self.nearest.distance[order[place]])

    def expected(self) -> float:
        """The expected share of new real pictures nearer than the limit, by leaving out each source
        in turn. With few sources it exceeds `QUANTILE`, because the limit is uncertain."""
        names = np.unique(self.sources)
        if len(names) > 1000:
            return QUANTILE
        shares = [
            float((self.nearest.distance[self.sources == name] < self.quantile(name)).mean())
            for name in names.tolist()
        ]
        return float(np.mean(shares))

    def expected_at_most(self) -> float:
        """The upper bound of that share with 97.5% confidence: the limit is the k-th smallest of S
        independent distances, so the true share below it has the distribution Beta(k, S + 1 - k)."""
        count = self.source_count
        least = math.ceil(QUANTILE * count * (1 - 1e-9))

        def fewer(share: float) -> float:
            """The probability that fewer than k of S are below a true share."""
            return sum(
                math.exp(
                    math.lgamma(count + 1)
                    - math.lgamma(found + 1)
                    - math.lgamma(count - found + 1)
                    + found * math.log(share)
                    + (count - found) * math.log1p(-share)
                )
                for found in range(least)
            )

        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if fewer(middle) > 0.025 else (low, middle)
        return high

    def farther(self, distances: np.ndarray) -> np.ndarray:
        """The weighted share [B] of real pictures farther than each distance [B]; equal ones count
        half."""
        ordered = self.nearest.distance[self._order]
        reached = np.concatenate([[0.0], np.cumsum(self.weights[self._order])])
        below = reached[np.searchsorted(ordered, distances, side="left")]
        upto = reached[np.searchsorted(ordered, distances, side="right")]
        # Sums of weights such as 1/21 miss 1 by rounding.
        shares: np.ndarray = np.clip(1 - (below + upto) / 2 / reached[-1], 0.0, 1.0)
        return shares


def reference_of(training: RealPictures, heldout: RealPictures) -> RealDistances:
    """The distances of the reference's real pictures; see the top of this file."""
    kind, pictures = "held-out pictures", heldout.at_most(_MOST)
    if len(np.unique(heldout.sources)) < FEW_SOURCES:
        kind = "training pictures, each against those of other sources"
        join = training.at_most(_MOST)
        if len(heldout.rows):
            kind = f"held-out pictures and {kind}"
            join = RealPictures(
                torch.cat([pictures.features.float(), join.features.float()]),
                np.concatenate([pictures.rows, join.rows]),
                np.concatenate([pictures.sources, join.sources]),
            )
        pictures = join
    # With a single source in training, its pictures have nothing to be compared with.
    others = np.unique(training.sources)
    lonely = len(others) == 1
    comparable = np.flatnonzero(~(np.isin(pictures.sources, others) & lonely))
    pictures = pictures.some(comparable)
    found = nearest(pictures.features, training, pictures.sources)
    kept = np.flatnonzero(found.distance > SAME)
    return RealDistances(
        kind,
        pictures.rows[kept],
        pictures.sources[kept],
        found.some(kept),
        len(comparable) - len(kept),
    )


@dataclass(frozen=True)
class Memorisation:
    """How near samples are to training pictures; numbers are None with too few real pictures."""

    samples: Nearest
    reference: RealDistances
    limit: float | None
    copied: float | None
    interval: tuple[float, float] | None
    """Wilson's 95% interval of `copied`, for other seeds."""
    expected: float | None
    expected_at_most: float | None
    """See `RealDistances`; a `copied` up to this may be chance."""
    nearer: float | None
    nearer_interval: tuple[float, float] | None
    """95% interval of `nearer` (DeLong, DeLong and Clarke-Pearson 1988), with source pictures as
    observations of the reference."""
    warning: str | None

    def numbers(self) -> dict[str, Any]:
        """All fields, for JSON."""
        low, high = self.interval or (None, None)
        nearer_low, nearer_high = self.nearer_interval or (None, None)
        reals = self.reference.nearest.distance
        return {
            "copied": self.copied,
            "low": low,
            "high": high,
            "expected": self.expected,
            "expected_at_most": self.expected_at_most,
            "limit": self.limit,
            "nearer": self.nearer,
            "nearer_low": nearer_low,
            "nearer_high": nearer_high,
            "pictures": len(self.samples.distance),
            "median_distance": float(np.median(self.samples.distance)),
            "reference": self.reference.kind,
            "reference_pictures": len(reals),
            "reference_sources": self.reference.source_count,
            "reference_median_distance": float(np.median(reals)) if len(reals) else None,
            "reference_duplicates": self.reference.duplicates,
            "warning": self.warning,
        }

    @property
    def many(self) -> bool:
        """Whether more are copied than chance explains, of the seeds and of the limit."""
        if self.interval is None or self.expected_at_most is None:
            return False
        return self.interval[0] > self.expected_at_most

    def lines(self) -> list[str]:
        """The result as lines of text."""
        lines = []
        if self.copied is not None and self.interval is not None:
            low, high = self.interval
            total = len(self.samples.distance)
            near = round(self.copied * total)
            same = int((self.samples.distance <= SAME).sum())
            lines.append(
                f"{near:,} of {counted(total, 'picture')} ({self.copied:.1%}; 95% interval {low:.1%} to "
                f"{high:.1%}) {'is' if near == 1 else 'are'} nearer to a training picture than "
                f"{1 - QUANTILE:.0%} of real ones are; of new real pictures {self.expected:.1%} would "
                f"be, {self.expected_at_most:.1%} at most"
            )
            if same:
                verb = "is" if same == 1 else "are"
                lines.append(f"{same:,} of them {verb} the very same as a training picture")
            if self.many:
                lines.append(
                    "that is more than chance: training pictures are copied; see which below"
                )
        if self.nearer is not None:
            where = "nearer to" if self.nearer > 0.5 else "farther from"
            lines.append(
                f"taken together they lie {where} the training pictures than real pictures do "
                f"(nearer in {self.nearer:.0%} of all comparisons; 50%: alike), whatever a single one is"
            )
        count = self.reference.source_count
        lines.append(f"compared with {self.reference.kind} ({count:,} source pictures)")
        if self.warning:
            lines.append(self.warning)
        return lines


def memorisation(
    samples: Tensor,
    training: RealPictures,
    heldout: RealPictures,
    *,
    reference: RealDistances | None = None,
) -> Memorisation:
    """Compare samples with real pictures; see the top of this file.

    Args:
        samples: features [B, D] of generated pictures, at least one.
        training: the training pictures, at least one.
        heldout: the held-out pictures; may be empty.
        reference: `reference_of` these two, if computed already; it is the slower half, and the
            same for all checkpoints.

    Raises:
        ImpastoError: no pictures, or features that are not finite.
    """
    if not len(samples) or not len(training.rows):
        kind = "generated" if not len(samples) else "training"
        raise ImpastoError(f"no {kind} pictures, so copies of training pictures cannot be measured")
    for features in (samples, training.features, heldout.features):
        check_finite(features)
    found = nearest(samples, training)
    reference = reference or reference_of(training, heldout)
    count = reference.source_count
    if count < FEWEST_SOURCES:
        duplicates = _duplicates(reference)
        return Memorisation(
            found, reference, None, None, None, None, None, None, None,
            f"only {count} source pictures to compare with: too few to say what was learned by "
            f"heart{duplicates}; look at the closest pairs",
        )  # fmt: skip
    limit = reference.quantile()
    copied = float((found.distance < limit).mean())
    expected, at_most = reference.expected(), reference.expected_at_most()
    nearer, interval = _nearer(found.distance, reference)
    return Memorisation(
        samples=found,
        reference=reference,
        limit=limit,
        copied=copied,
        interval=wilson(copied, len(samples)),
        expected=expected,
        expected_at_most=at_most,
        nearer=nearer,
        nearer_interval=interval,
        warning=_warning(reference, limit, at_most),
    )


def _duplicates(reference: RealDistances) -> str:
    count = reference.duplicates
    return f" ({count:,} that are the same as another source's were left out)" if count else ""


def _warning(reference: RealDistances, limit: float, at_most: float) -> str | None:
    reasons = []
    if reference.source_count < _ROUGH:
        reasons.append(
            f"the limit rests on {reference.source_count} source pictures and is rough: of new real "
            f"pictures up to {at_most:.1%} may be nearer"
        )
    if reference.duplicates:
        total = len(reference.rows) + reference.duplicates
        reasons.append(
            f"{reference.duplicates:,} of {total:,} real pictures are the same as a training picture "
            "of another source and were left out of the comparison: the collection has duplicates"
        )
    if limit < 0.1 * float(np.median(reference.nearest.distance)):
        reasons.append(
            "some real pictures all but repeat a training picture of another source, so only samples "
            "that are nearer still are counted; look at the closest pairs"
        )
    return "; ".join(reasons) or None


def _nearer(
    distances: np.ndarray, reference: RealDistances
) -> tuple[float, tuple[float, float] | None]:
    """The probability that a sample is nearer than a real picture, with its 95% interval."""
    of_samples = reference.farther(distances)
    value = float(of_samples.mean())
    ordered, reals = np.sort(distances), reference.nearest.distance
    left, right = (np.searchsorted(ordered, reals, side=side) for side in ("left", "right"))
    _, places = np.unique(reference.sources, return_inverse=True)
    of_sources = np.bincount(places, weights=(left + right) / 2 / len(ordered)) / np.bincount(
        places
    )
    if len(of_samples) < 2:
        return value, None
    variance = of_samples.var(ddof=1) / len(of_samples) + of_sources.var(ddof=1) / len(of_sources)
    spread = 1.96 * float(np.sqrt(variance))
    return value, (max(0.0, value - spread), min(1.0, value + spread))
