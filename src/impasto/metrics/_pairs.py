"""Sums over pairs of images for any subset, computed by blocks of rows, which bounds the memory."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

ROWS = 1024

Kernel = Callable[[Tensor, Tensor], Tensor]
"""([n, D], [m, D]) float64 -> [n, m] float64, symmetric in its arguments."""


def blocks(count: int) -> Iterator[slice]:
    """Slices of at most `ROWS` that cover `count` rows."""
    for start in range(0, count, ROWS):
        yield slice(start, min(start + ROWS, count))


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """|x|^2 + |y|^2 - 2 x.y for all pairs: [n, D], [m, D] float64 -> [n, m], never negative.

    The cancellation error is 1e-16 of the features' squared length. So the distance of two equal
    images is about 1e-8 of that length.
    """
    lengths = first.square().sum(1)[:, None] + second.square().sum(1)
    return torch.addmm(lengths, first, second.T, alpha=-2).clamp_(min=0)


def row_sums(rows: Tensor, columns: Tensor, kernel: Kernel) -> Tensor:
    """Sum of the kernel over all columns [m, D], for each row [n, D]: [n]."""
    return torch.cat([kernel(rows[block], columns).sum(1) for block in blocks(len(rows))])


class PairSums:
    """Sums over all ordered pairs (i, j), i != j, of a subset of N rows.

    For more than half of the rows, the sum is that of all rows minus the pairs of the rows left
    out.
    """

    def __init__(self, rows: Tensor, kernel: Kernel) -> None:
        self._rows = rows
        self._kernel = kernel
        self._sums = self._sums_within(rows)

    def _sums_within(self, rows: Tensor) -> Tensor:
        sums = []
        for block in blocks(len(rows)):
            values = self._kernel(rows[block], rows)
            values.diagonal(block.start).zero_()
            sums.append(values.sum(1))
        return torch.cat(sums) if sums else rows.new_zeros(0)

    def __call__(self, keep: Tensor) -> float:
        left_out = torch.ones(len(self._rows), dtype=torch.bool)
        left_out[keep] = False
        if 2 * len(keep) < len(self._rows):
            return float(self._sums_within(self._rows[keep]).sum())
        among = self._sums_within(self._rows[left_out]).sum()
        return float(self._sums.sum() - 2 * self._sums[left_out].sum() + among)
