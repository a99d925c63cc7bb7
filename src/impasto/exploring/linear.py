"""Linear fits, for directions: ridge regression and correlation."""

from typing import NamedTuple

import torch
from torch import Tensor

_STRENGTHS = (1e-4, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties to choose from, in multiples of the number of rows."""
_SHARE = 0.2
"""The share of rows that are held out."""


class Fit(NamedTuple):
    """A fitted linear function."""

    weights: Tensor
    """[D, M] float64."""
    offset: Tensor
    """[M] float64."""
    correlation: Tensor
    """[M]: of its values on the held-out rows with the true ones."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Its values [N, M] of inputs [N, D]."""
        return inputs.double() @ self.weights + self.offset


def ridge(inputs: Tensor, targets: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Weights [D, M] and offset [M] of the ridge regression of targets [N, M] on inputs [N, D].

    The offset is not penalised.

    Args:
        inputs: float64.
        targets: float64.
        strength: of the penalty, in multiples of N.
    """
    count, width = inputs.shape
    centre, level = inputs.mean(0), targets.mean(0)
    x, y = inputs - centre, targets - level
    penalty = strength * count
    if width <= count:
        identity = torch.eye(width, dtype=x.dtype)
        weights = torch.linalg.solve(x.T @ x + penalty * identity, x.T @ y)
    else:  # the same solution by a system of N equations
        identity = torch.eye(count, dtype=x.dtype)
        weights = x.T @ torch.linalg.solve(x @ x.T + penalty * identity, y)
    return weights, level - centre @ weights


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's correlation of columns [N, M] with columns [N, M]; 0 where one of them is constant."""
    a, b = one - one.mean(0), other - other.mean(0)
    size = (a.square().sum(0) * b.square().sum(0)).sqrt()
    return torch.where(size > 0, (a * b).sum(0) / size.clamp(min=1e-300), 0.0)


def fit(inputs: Tensor, targets: Tensor, groups: Tensor | None = None) -> Fit:
    """A ridge regression with its correlation on held-out rows.

    The penalty is chosen on a part of the other rows. The weights are then fitted to all rows.

    Args:
        inputs: [N, D].
        targets: [N, M].
        groups: int64 [N]: rows of the same group are held out together. Default: each by itself.
    """
    x, y = inputs.double(), targets.double()
    names = torch.arange(len(x)) if groups is None else groups
    of_row = torch.unique(names, return_inverse=True)[1]
    order = torch.randperm(int(of_row.max()) + 1, generator=torch.Generator().manual_seed(0))
    place = order[of_row].double() / len(order)  # one number in [0, 1) a group
    heldout, trial = place < _SHARE, (place >= _SHARE) & (place < 2 * _SHARE)
    rest = place >= 2 * _SHARE

    def error(strength: float) -> float:
        weights, offset = ridge(x[rest], y[rest], strength)
        scale = y.var(0).clamp(min=1e-300)
        return float(((x[trial] @ weights + offset - y[trial]).square() / scale).mean())

    if (
        min(int(part.sum()) for part in (heldout, trial, rest)) < 2
    ):  # too few rows to choose or test
        weights, offset = ridge(x, y, _STRENGTHS[-1])
        return Fit(weights, offset, torch.zeros(y.shape[1], dtype=torch.float64))
    best = min(_STRENGTHS, key=error)
    weights, offset = ridge(x[~heldout], y[~heldout], best)
    found = correlation(x[heldout] @ weights + offset, y[heldout])
    return Fit(*ridge(x, y, best), found)
