"""Fréchet distance of two sets of features taken as Gaussians; FID on Inception features (Heusel
et al. 2017, arXiv:1706.08500, eq. 6; Dowson and Landau 1982, J. Multivariate Analysis 12, eq. 4):

    |mean1 - mean2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))

It compares means and covariances. So it measures low quality and low variety without
distinguishing them. Different sets with equal moments, and copies of the training images, have a
low distance. It is biased upwards by roughly 1/N: compare only at equal counts.

**The trace.** With C2 = F F^T, the nonzero eigenvalues of C1 C2 are those of F^T C1 F. That
matrix is symmetric and positive semidefinite, so its eigenvalues from `eigvalsh` have real square
roots. A general matrix square root needs complex numbers and fails on singular matrices. F is the
Cholesky factor of C2. With no more images than dimensions F is the matrix of centred features,
and where C2 is singular for another reason F comes from its symmetric eigenvectors. With Y the
centred features of the other side times F, only the smaller of Y^T Y and Y Y^T is computed.

**Extrapolated** (`fd-infinity`; Chong and Forsyth 2020, arXiv:1911.07023, section 3): a straight
line is fitted to the distance of random subsets against 1/N; the score is its value at 1/N = 0.
Subsets have N/2 to N images. With smaller ones the relation is not linear: on Gaussians of known
distance, the error of the result was two to five times larger. Only the number of generated
images is extrapolated, not that of the reference. The interval combines two errors as
independent: that of the distance (from the jackknife), and that of the intercept (from the line's
residuals). A second line is fitted to N/4 to N/2. Where its value at 0 differs by more than the
interval, a warning gives the difference.
"""

import math

import torch
from torch import Tensor

from impasto.metrics import STUDENT, Moments, Prepared, Sample, Score

NEEDS = ("features",)
LEAST = (2, 2)
LIMIT = None

LEAST_FOR_A_LINE = 40
"""The fewest generated images that give a value of `fd-infinity`."""


def ranges(width: int) -> dict[str, tuple[float, float]]:
    return {"fd": (0, math.inf), "fd-infinity": (0, math.inf)}


def warning(fakes: int, reals: int, width: int) -> str | None:
    fewest = min(fakes, reals)
    if fewest > width:
        return None
    kind = "generated" if fewest == fakes else "real"
    return (
        f"{fewest:,} {kind} pictures are no more than the {width:,} dimensions: "
        "compare only at equal counts, or use kid"
    )


def frechet_distance(
    mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor
) -> float:
    """Squared Fréchet distance of two Gaussians, never negative, in float64.

    Args:
        mean1: [D].
        covariance1: [D, D], may be singular.
        mean2: [D].
        covariance2: [D, D], may be singular.
    """
    covariance1, covariance2 = covariance1.double(), covariance2.double()
    root = _root_trace(_between(_factor(covariance2), covariance1))
    apart = float((mean1.double() - mean2.double()).square().sum())
    traces = float(covariance1.trace() + covariance2.trace())
    return max(apart + traces - 2 * root, 0.0)


def prepare(fake: Sample, real: Sample) -> Prepared:
    count = len(fake.features)
    mean2, trace2, factor = _reference(real)
    subsets = _Subsets(fake.features, factor)

    def values(keep: Tensor) -> dict[str, float]:
        if fake.moments is not None and len(keep) == count:
            # All images, also those without features. The jackknife uses those with features, so the
            # interval is slightly too wide rather than too narrow.
            mean, covariance = fake.moments.mean - subsets.centre, fake.moments.covariance
            trace, root = float(covariance.trace()), _root_trace(_between(factor, covariance))
        else:
            mean, trace, root = subsets.moments(keep)
        apart = float((subsets.centre + mean - mean2).square().sum())
        return {"fd": max(apart + trace + trace2 - 2 * root, 0.0)}

    return values


def beside(
    values: Prepared, count: int, width: int, half_widths: dict[str, float], seed: int
) -> list[Score]:
    """`fd-infinity`: the extrapolation of the distance to 1/N = 0."""
    if count < LEAST_FOR_A_LINE or "fd" not in half_widths:
        reason = f"{count} generated pictures: at least {LEAST_FOR_A_LINE} are needed for a line"
        return [Score("fd-infinity", None, None, None, reason)]
    generator = torch.Generator().manual_seed(seed)

    def line(least: int, most: int, points: int) -> tuple[float, float]:
        sizes = [round(least + (most - least) * i / (points - 1)) for i in range(points)]
        subsets = [torch.randperm(count, generator=generator)[:size] for size in sizes]
        distances = [values(subset)["fd"] for subset in subsets]
        return _intercept([1 / size for size in sizes], distances)

    # One fewer than all: `values` of all may include images without features.
    value, half = line(count // 2, count - 1, 10)
    bend = abs(value - line(count // 4, count // 2, 5)[0])
    half = math.hypot(half, half_widths["fd"])
    bent = None
    if bend > half:
        bent = (
            f"{count:,} generated pictures are too few for {width:,} dimensions: the distance does "
            f"not fall in a straight line, which may put its end off by up to {bend:.3g}"
        )
    value = max(value, 0.0)
    return [Score("fd-infinity", value, max(value - half, 0.0), value + half, bent)]


def _intercept(along: list[float], heights: list[float]) -> tuple[float, float]:
    """The least-squares line's value at 0, and the half-width of its 95% interval."""
    x, y = (torch.tensor(values, dtype=torch.float64) for values in (along, heights))
    spread = (x - x.mean()).square().sum()
    slope = (x - x.mean()) @ (y - y.mean()) / spread
    end = y.mean() - slope * x.mean()
    free = len(x) - 2
    variance = (y - end - slope * x).square().sum() / free
    error = (variance * (1 / len(x) + x.mean().square() / spread)).sqrt()
    return float(end), STUDENT[free - 1] * float(error)


class _Subsets:
    """Moments of subsets of the generated images, from products that are computed once.

    Args:
        features: of all N images, [N, D].
        factor: F [D, rank] of the reference's covariance C2 = F F^T.
    """

    def __init__(self, features: Tensor, factor: Tensor) -> None:
        self.features = features
        self.factor = factor
        self.centre = features.mean(0, dtype=torch.float64)
        """[D]."""
        count, rank = len(features), factor.shape[1]
        if count <= rank:
            self.rows = self._centred(torch.arange(count))
            self.products = _squared(self.rows @ factor)
        else:
            self.whole = self._sums(torch.arange(count))

    def moments(self, keep: Tensor) -> tuple[Tensor, float, float]:
        """Mean minus the centre, trace of the covariance, and trace of (C1 C2)^(1/2)."""
        count, rank = len(self.features), self.factor.shape[1]
        if count <= rank:
            return _of_few(self.rows[keep], self.products[keep][:, keep])
        if len(keep) <= rank:
            rows = self._centred(keep)
            return _of_few(rows, _squared(rows @ self.factor))
        if 2 * len(keep) < count:
            total, squares, scatter = self._sums(keep)
        else:
            left_out = torch.ones(count, dtype=torch.bool)
            left_out[keep] = False
            without = self._sums(torch.nonzero(left_out).flatten())
            total, squares = self.whole[0] - without[0], self.whole[1] - without[1]
            scatter = self.whole[2] - without[2]
        mean, free = total / len(keep), len(keep) - 1
        along = mean @ self.factor
        scatter.addr_(along, along, alpha=-len(keep))
        trace = (squares - len(keep) * float(mean.square().sum())) / free
        return mean, trace, _root_trace(scatter / free)

    def _centred(self, index: Tensor) -> Tensor:
        return self.features[index].double() - self.centre

    def _sums(self, index: Tensor) -> tuple[Tensor, float, Tensor]:
        """Sums over images, of centred features: the features [D], their squared lengths, and the
        outer products of their projections on the reference's factor [rank, rank]."""
        rank = self.factor.shape[1]
        total, squares = torch.zeros_like(self.centre), 0.0
        scatter = self.centre.new_zeros(rank, rank)
        for chunk in index.split(4096):
            rows = self._centred(chunk)
            total += rows.sum(0)
            squares += float(rows.square().sum())
            rows = rows @ self.factor
            scatter.addmm_(rows.T, rows)
        return total, squares, scatter


def _of_few(rows: Tensor, products: Tensor) -> tuple[Tensor, float, float]:
    """Mean, trace and trace of the root, of no more images than the reference has dimensions.

    Args:
        rows: centred features [n, D].
        products: of every two of them by C2, [n, n].
    """
    mean = rows.mean(0)
    spread = float(rows.square().sum()) - len(rows) * float(mean.square().sum())
    of_row = products.mean(0)
    products = products - of_row - of_row[:, None] + of_row.mean()
    free = len(rows) - 1
    return mean, spread / free, _root_trace(products / free)


def _reference(real: Sample) -> tuple[Tensor, float, Tensor]:
    """Mean [D], trace of the covariance, and a factor F [D, rank] with F F^T the covariance."""
    count, width = real.features.shape
    if real.moments is None and count <= width:
        rows = real.features.double()
        mean = rows.mean(0)
        factor = ((rows - mean) / math.sqrt(count - 1)).T
        return mean, float(factor.square().sum()), factor
    moments = real.moments or Moments.of(real.features)
    return moments.mean, float(moments.covariance.trace()), _factor(moments.covariance)


def _factor(covariance: Tensor) -> Tensor:
    """F [D, rank] with F F^T the covariance: Cholesky's factor. Where that fails, F is V sqrt(w)
    of the eigenvalues w above rounding; with none, its rank is 0."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not int(failed):
        return factor
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1] * torch.finfo(values.dtype).eps * len(values)
    return vectors[:, kept] * values[kept].clamp(min=0).sqrt()


def _squared(rows: Tensor) -> Tensor:
    return rows @ rows.T


def _between(factor: Tensor, covariance: Tensor) -> Tensor:
    """F^T C F, of which only the lower triangle is valid; `covariance` is symmetric.

    For a lower triangular F it is computed by halves: 4/3 D^3 operations, where two products take
    4 D^3.
    """
    size, rank = factor.shape
    half = size // 2
    if size != rank or size <= 128 or bool(factor[:half, half:].any()):
        return factor.T @ covariance @ factor
    first, low, second = factor[:half, :half], factor[half:, :half], factor[half:, half:]
    across = covariance[half:, :half] @ first
    down = covariance[half:, half:] @ low
    both = low.T @ (across + down / 2)
    product = torch.empty_like(covariance)
    product[:half, :half] = _between(first, covariance[:half, :half]) + both + both.T
    product[half:, :half] = second.T @ across.add_(down)
    product[half:, half:] = _between(second, covariance[half:, half:])
    return product


def _root_trace(matrix: Tensor) -> float:
    """Sum of the square roots of the eigenvalues of a positive semidefinite matrix. Only its
    lower triangle is read."""
    return float(torch.linalg.eigvalsh(matrix).clamp(min=0).sqrt().sum())
