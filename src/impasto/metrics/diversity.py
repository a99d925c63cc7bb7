"""Diversity: mean distance between the features of generated images, divided by that of real
images.

It measures mode collapse, overall and within a class. 1 is as varied as the collection, 0 is a
single image. It measures spread only: noise has a high diversity too, so compare precision as
well.

Pairwise distance within a class is the literature's measure of collapse (Odena et al. 2017,
arXiv:1610.09585, section 4.2, with MS-SSIM as the similarity). The ratio to the real images makes
classes comparable.
"""

import math

import torch
from torch import Tensor

from impasto.metrics import Prepared, Sample
from impasto.metrics._pairs import PairSums, squared_distances

NEEDS = ("features",)
LEAST = (2, 2)
LIMIT = 10_000


def ranges(width: int) -> dict[str, tuple[float, float]]:
    return {"diversity": (0, math.inf)}


def warning(fakes: int, reals: int, width: int) -> str | None:
    fewest = min(fakes, reals)
    return None if fewest >= 20 else f"{fewest} pictures are few for a diversity"


def mean_distance(features: Tensor) -> float:
    """Mean Euclidean distance over all pairs of features [N, D], N at least 2."""
    return _mean(PairSums(features.double(), _distances), torch.arange(len(features)))


def prepare(fake: Sample, real: Sample) -> Prepared:
    # Distances do not depend on the origin. Rounding errors are least near the mean.
    centre = real.features.mean(0, dtype=torch.float64)
    of_real = mean_distance(real.features.double() - centre)
    sums = PairSums(fake.features.double() - centre, _distances)

    def values(keep: Tensor) -> dict[str, float]:
        return {"diversity": _mean(sums, keep) / of_real if of_real > 0 else math.nan}

    return values


def _distances(first: Tensor, second: Tensor) -> Tensor:
    return squared_distances(first, second).sqrt_()


def _mean(sums: PairSums, keep: Tensor) -> float:
    return max(sums(keep), 0.0) / (len(keep) * (len(keep) - 1))
