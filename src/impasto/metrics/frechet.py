"""Fréchet distance of two sets of features taken as Gaussians, FID on Inception features (Heusel et al.
2017, arXiv:1706.08500, eq. 6; Dowson and Landau 1982, J. Multivariate Analysis 12, eq. 4):

    |mean1 - mean2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))

It sees whether means and covariances agree, so missing quality and missing variety alike, without
telling which; two different sets with the same moments, and copies of the training pictures, score
well. It is biased upwards by roughly 1/N: compare only at equal counts.

**The trace.** With C2 = F F^T, the eigenvalues of C1 C2 that are not zero are those of F^T C1 F, which
is symmetric and never negative: real square roots of `eigvalsh`, where a general matrix square root
goes through complex numbers and fails on singular matrices. F is the Cholesky factor of C2; with no
more pictures than dimensions it is their centred features, and with C2 singular for another reason its
symmetric eigenvectors. With Y the centred features of the other side times F, only the smaller of
Y^T Y and Y Y^T is needed.

**Extrapolated** (`fd-infinity`; Chong and Forsyth 2020, arXiv:1911.07023, section 3): a straight line
through the distance against 1/N at 15 subset sizes, and its value at 1/N = 0. It takes the generated
side to infinity only; the reference stays what it is. Its interval joins two errors as independent
ones: that of the distance (the jackknife's), and that of the line's intercept from its residuals.
"""

import math

import torch
from torch import Tensor

from impasto.metrics import Moments, Prepared, Sample
from impasto.metrics._pairs import blocks

NEEDS = ("features",)
LEAST = (2, 2)
LIMIT = None

SIZES = 15
"""Subset sizes that the line of `fd-infinity` goes through."""


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
    """Squared Fréchet distance of two Gaussians: means [D], covariances [D, D]; never negative.

    Covariances may be singular. Computed in float64.
    """
    covariance1, covariance2 = covariance1.double(), covariance2.double()
    factor, other = _cholesky(covariance2), covariance1
    if factor is None:
        factor, other = _cholesky(covariance1), covariance2
    if factor is None:
        factor = _symmetric_factor(covariance1)
    root = _root_trace(factor.T @ other @ factor)
    apart = float((mean1.double() - mean2.double()).square().sum())
    traces = float(covariance1.trace() + covariance2.trace())
    return max(apart + traces - 2 * root, 0.0)


def prepare(fake: Sample, real: Sample) -> Prepared:
    features = fake.features
    count = len(features)
    centre = features.mean(0, dtype=torch.float64)
    mean2, trace2, factor = _reference(real)
    rank = factor.shape[1]
    lengths = torch.cat([_less(features[b], centre).square().sum(1) for b in blocks(count)])

    def projected(index: Tensor) -> Tensor:
        """Features less their centre, times the reference's factor: [n, rank]."""
        return _less(features[index], centre) @ factor

    def scatter_of(index: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of projected features [rank] and of their outer products [rank, rank]."""
        total, scatter = centre.new_zeros(rank), centre.new_zeros(rank, rank)
        for chunk in index.split(4096):
            rows = projected(chunk)
            total += rows.sum(0)
            scatter.addmm_(rows.T, rows)
        return total, scatter

    everything = scatter_of(torch.arange(count)) if count > rank else None

    def root_trace(keep: Tensor) -> float:
        if everything is None or len(keep) <= rank:
            rows = projected(keep)
            rows -= rows.mean(0)
            return _root_trace(rows @ rows.T / (len(keep) - 1))
        left_out = torch.ones(count, dtype=torch.bool)
        left_out[keep] = False
        if 2 * len(keep) >= count:
            total, scatter = scatter_of(torch.nonzero(left_out).flatten())
            total, scatter = everything[0] - total, everything[1] - scatter
        else:
            total, scatter = scatter_of(keep)
        scatter -= torch.outer(total, total) / len(keep)
        return _root_trace(scatter / (len(keep) - 1))

    def values(keep: Tensor) -> dict[str, float]:
        if fake.moments is not None and len(keep) == count:
            # All pictures, more than there are features of. The jackknife goes on with those there
            # are, so that the interval is a little too wide rather than too narrow.
            mean, trace = fake.moments.mean, float(fake.moments.covariance.trace())
            root = _root_trace(factor.T @ fake.moments.covariance @ factor)
        else:
            shift = _less(features[keep], centre).mean(0)
            mean = centre + shift
            spread = float(lengths[keep].sum()) - len(keep) * float(shift.square().sum())
            trace = spread / (len(keep) - 1)
            root = root_trace(keep)
        apart = float((mean - mean2).square().sum())
        return {"fd": max(apart + trace + trace2 - 2 * root, 0.0)}

    return values


def _reference(real: Sample) -> tuple[Tensor, float, Tensor]:
    """Mean [D], trace of the covariance, and a factor F [D, rank] with F F^T the covariance."""
    count, width = real.features.shape
    if real.moments is None and count <= width:
        rows = real.features.double()
        mean = rows.mean(0)
        factor = ((rows - mean) / math.sqrt(count - 1)).T
        return mean, float(factor.square().sum()), factor
    moments = real.moments or Moments.of(real.features)
    factor = _cholesky(moments.covariance)
    if factor is None:
        factor = _symmetric_factor(moments.covariance)
    return moments.mean, float(moments.covariance.trace()), factor


def _less(features: Tensor, centre: Tensor) -> Tensor:
    return features.double() - centre


def _cholesky(covariance: Tensor) -> Tensor | None:
    """Lower factor, or None where the matrix is singular."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    return None if int(failed) else factor


def _symmetric_factor(covariance: Tensor) -> Tensor:
    """V sqrt(w) for the eigenvalues w that are more than rounding: [D, rank], rank at least 1."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1] * torch.finfo(values.dtype).eps * len(values)
    kept[-1] = True
    return vectors[:, kept] * values[kept].clamp(min=0).sqrt()


def _root_trace(matrix: Tensor) -> float:
    """Sum of the square roots of the eigenvalues of a symmetric matrix that has none below 0."""
    values = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    return float(values.clamp(min=0).sqrt().sum())
