"""Has it learned by heart: are samples nearer to training pictures than unseen real pictures are?

A generator that only knows its training pictures paints them again, and every score of quality
rewards it. So each sample's distance to the nearest training picture is compared with the same
distance of real pictures that were not trained on (the idea of Meehan, Chaudhuri and Dasgupta 2020,
arXiv:2004.05675, who compare the two distributions by a rank test):

- **copied** is the share of samples nearer than the limit, the 1% quantile of real pictures. Of
  pictures that are new, about `expected` would be.
- **nearer** is the probability that a sample is nearer than a real picture is (Mann and Whitney 1947,
  ties count half): 0.5 is alike, 1 is all copies. Below 0.5 samples lie farther from the training
  pictures than real ones: they are not copies, but perhaps not good either.

**Distance** is 1 minus the cosine between features. The features of a pooled network are longer for
busy, contrasty pictures than for plain ones; direction says what is in a picture, and stays when a
copy is paler or blurred. It has no unit, so it is only compared with distances by the same network.

**Tiles.** Pictures of one source picture are not independent, so in the reference each source weighs
the same, and a real picture is never compared with others of its own source.

**The reference** is the held-out pictures. Where they come from few sources, training pictures join
them, each compared with the training pictures of all other sources.

**What it cannot see.** The limit is among real pictures that are alike by nature: where a collection
has near-duplicates in several sources, real pictures are near too, and only still nearer samples
count. Copies of a part of a picture, or heavily changed ones, may be no nearer than real pictures.
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
"""Of real pictures' distances: the limit."""
FEW_SOURCES = 20
"""With fewer held-out source pictures, training pictures join the reference; nor do so few say what
real pictures score."""
FEWEST_SOURCES = 10
"""With fewer source pictures in the reference no share is given."""
SAME = 1e-6
"""A distance that is only rounding: real pictures this near are one picture under two names."""
_ROUGH = 100
"""With fewer source pictures in the reference its 1% quantile is little more than its least."""
_MOST = 10_000
"""Held-out pictures in the reference at most, and as many training pictures where they join it: each
is compared with all training pictures."""
_BLOCK = 1024, 8192
"""Pictures and training pictures that are compared at once: 32 MiB of distances."""


@dataclass(frozen=True)
class RealPictures:
    """Features of pictures of a collection."""

    features: Tensor
    """float32 [N, D]"""
    rows: np.ndarray
    """int64 [N]: their places in the collection."""
    sources: np.ndarray
    """int64 [N]: their source pictures."""

    def some(self, places: np.ndarray) -> "RealPictures":
        """Those at some places."""
        chosen = self.features[torch.from_numpy(places)]
        return RealPictures(chosen, self.rows[places], self.sources[places])

    def at_most(self, count: int) -> "RealPictures":
        """All of them, or `count` evenly among them."""
        if len(self.rows) <= count:
            return self
        return self.some(np.linspace(0, len(self.rows) - 1, count).round().astype(np.int64))


@dataclass(frozen=True)
class Nearest:
    """Of each of B pictures the nearest training picture."""

    distance: np.ndarray
    """float64 [B], 0 to 2."""
    row: np.ndarray
    """int64 [B]: its place in the collection."""
    source: np.ndarray
    """int64 [B]: its source picture."""

    def some(self, places: np.ndarray) -> "Nearest":
        """Of the pictures at some places."""
        return Nearest(self.distance[places], self.row[places], self.source[places])


def nearest(features: Tensor, training: RealPictures, own: np.ndarray | None = None) -> Nearest:
    """The nearest training picture of each picture, by cosine distance, in bounded memory.

    Args:
        features: [B, D].
        training: at least one picture; with `own`, of two sources or more.
        own: int [B], source pictures to leave out for each.
    """
    features, others = features.float(), training.features.float()
    # 1 / length, so that no second copy of all the features is made. A length of 0 has no direction.
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
        # Half the squared difference of unit vectors is 1 - cosine, and exact where that is small.
        pair = F.normalize(features[mine].double()) - F.normalize(others[found[mine]].double())
        distance[mine] = pair.square().sum(dim=1) / 2
    places = found.numpy()
    return Nearest(distance.numpy(), training.rows[places], training.sources[places])


@dataclass(frozen=True)
class RealDistances:
    """Real pictures and how near they come to training pictures of other sources."""

    kind: str
    """Which ones, in words."""
    rows: np.ndarray
    """int64 [R]: their places in the collection."""
    sources: np.ndarray
    """int64 [R]: their source pictures, S different ones."""
    nearest: Nearest
    duplicates: int
    """Pictures left out, for they are also among the training pictures, under another source."""

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.nearest.distance, kind="stable")

    @cached_property
    def weights(self) -> np.ndarray:
        """float64 [R]: 1 / S shared by each source's pictures."""
        _, places, counts = np.unique(self.sources, return_inverse=True, return_counts=True)
        return 1 / counts[places] / len(counts)

    @property
    def source_count(self) -> int:
        """S."""
        return len(np.unique(self.sources))

    def quantile(self, without: int | None = None) -> float:
        """The least distance that at least a share `QUANTILE` of the weight does not exceed.

        Args:
            without: a source left out.
        """
        order = self._order
        if without is not None:
            order = order[self.sources[order] != without]
        reached = np.cumsum(self.weights[order])
        # The tolerance: sums of weights such as 1/300 must not miss the share by rounding.
        place = np.searchsorted(reached, QUANTILE * reached[-1] * (1 - 1e-9))
        return float(self.nearest.distance[order[place]])

    def expected(self) -> float:
        """The share of new real pictures that would be nearer than the limit: each source is held
        against the limit of the others, and the mean taken. With few sources it is more than
        `QUANTILE`, for then the limit is itself a chance find."""
        names = np.unique(self.sources)
        if len(names) > 1000:
            return QUANTILE
        shares = [
            float((self.nearest.distance[self.sources == name] < self.quantile(name)).mean())
            for name in names.tolist()
        ]
        return float(np.mean(shares))

    def expected_at_most(self) -> float:
        """What that share is at most, with 97.5% certainty: the limit is the k-th least of S
        independent distances, so the true share below it is distributed as Beta(k, S + 1 - k)."""
        count = self.source_count
        least = math.ceil(QUANTILE * count * (1 - 1e-9))

        def fewer(share: float) -> float:
            """The probability that fewer than k of S fall below a true share."""
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
        """The share of the weight [B] that is farther than each distance [B]; equal counts half."""
        ordered = self.nearest.distance[self._order]
        reached = np.concatenate([[0.0], np.cumsum(self.weights[self._order])])
        below = reached[np.searchsorted(ordered, distances, side="left")]
        upto = reached[np.searchsorted(ordered, distances, side="right")]
        # Sums of weights such as 1/21 end a little beside 1, and 'all' is to be all.
        shares: np.ndarray = np.clip(1 - (below + upto) / 2 / reached[-1], 0.0, 1.0)
        return shares


def reference_of(training: RealPictures, heldout: RealPictures) -> RealDistances:
    """What real pictures' distances are; see the top of this file."""
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
    # A picture whose source is the only one in training has nothing to be compared with.
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
    """How near samples come to training pictures; numbers are None where there are too few real
    pictures to compare with."""

    samples: Nearest
    reference: RealDistances
    limit: float | None
    copied: float | None
    interval: tuple[float, float] | None
    """Wilson's, 95%, of `copied`: where another draw of as many seeds would mostly lie."""
    expected: float | None
    expected_at_most: float | None
    """See `RealDistances`: a share of `copied` that is no higher may be chance."""
    nearer: float | None
    nearer_interval: tuple[float, float] | None
    """95%, of `nearer`, by the spread of both sides (DeLong, DeLong and Clarke-Pearson 1988), with
    source pictures as observations of the reference."""
    warning: str | None

    def numbers(self) -> dict[str, Any]:
        """All of it, for JSON."""
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
        """Whether more are copied than chance explains, both the draw's and the limit's."""
        if self.interval is None or self.expected_at_most is None:
            return False
        return self.interval[0] > self.expected_at_most

    def lines(self) -> list[str]:
        """What to tell of it, a line each."""
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
    """Compare samples with real pictures, see the top of this file.

    Args:
        samples: features [B, D] of generated pictures, at least one.
        training: what was trained on, at least one picture.
        heldout: what was not; there may be none.
        reference: `reference_of` these two, where it is known already: it is the slower half, and the
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
    """The probability that a sample is nearer than a real picture, and its 95% interval."""
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
