"""Kernel distance, KID on Inception features: the squared maximum mean discrepancy of two sets of
features with the kernel k(x, y) = (x.y / D + 1)^3 (Binkowski, Sutherland, Arbel and Gretton 2018,
arXiv:1801.01401, section 4; the estimator is Gretton et al. 2012, JMLR 13, eq. 3):

    mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 * mean of k(x_i, y_j)

It is unbiased at any number of images, so classes and collections of different sizes can be
compared. It can be negative where the two sets are alike. It compares moments up to the third.
Like the Fréchet distance it does not detect copies and does not distinguish low quality from low
variety.

The usual figure is the mean over 100 random subsets of 1,000 images. Its expectation over the
choice of subsets is the estimator over all images, which `scores` gives: the same quantity
without the variance of the choice and without a seed.
"""

import torch
from torch import Tensor

from impasto.metrics import Prepared, Sample
from impasto.metrics._pairs import PairSums, row_sums

NEEDS = ("features",)
LEAST = (2, 2)
LIMIT = 10_000


def ranges(width: int) -> dict[str, tuple[float, float]]:
    return {"kid": (-float("inf"), float("inf"))}


def warning(fakes: int, reals: int, width: int) -> str | None:
    fewest = min(fakes, reals)
    if fewest >= 50:
        return None
    return f"{fewest} pictures are few: the value is right on average, but its interval is rough"


def kernel(first: Tensor, second: Tensor) -> Tensor:
    """(x.y / D + 1)^3 for all pairs: [n, D], [m, D] -> [n, m]."""
    return (first @ second.T).div_(first.shape[1]).add_(1).pow_(3)


def prepare(fake: Sample, real: Sample) -> Prepared:
    fakes, reals = fake.features.double(), real.features.double()
    among_fakes = PairSums(fakes, kernel)
    among_reals = PairSums(reals, kernel)(torch.arange(len(reals)))
    across = row_sums(fakes, reals, kernel)
    reals_term = among_reals / (len(reals) * (len(reals) - 1))

    def values(keep: Tensor) -> dict[str, float]:
        count = len(keep)
        fakes_term = among_fakes(keep) / (count * (count - 1))
        across_term = float(across[keep].sum()) / (count * len(reals))
        return {"kid": fakes_term + reals_term - 2 * across_term}

    return values
