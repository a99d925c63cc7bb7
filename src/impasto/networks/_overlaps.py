"""Large pictures by a denoiser of one size: in each step, its outputs for overlapping windows are
averaged (MultiDiffusion: Bar-Tal et al. 2023, arXiv:2302.08113, equation 5).

There all values have the same weight. Here weights fall towards a window's edges, so that no edge shows.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_AT_ONCE = 16


class Overlaps:
    """Windows of the side s of a picture, on a canvas of R x C pictures, half a side apart.

    Args:
        side: s, even.
        rows: R.
        columns: C.
        tile: whether windows wrap around the canvas's edges.
    """

    def __init__(self, side: int, rows: int, columns: int, *, tile: bool) -> None:
        self.side = side
        self.tile = tile
        self.counts = rows, columns
        self.starts = [
            (row, column)
            for row in range(2 * rows - (not tile))
            for column in range(2 * columns - (not tile))
        ]
        """Row and column of each window's upper left corner, in units of half a side."""
        rising = (torch.arange(side) + 0.5).minimum(side - torch.arange(side) - 0.5) / (side / 2)
        self.weights = torch.outer(rising, rising)

    def of_fields(self, field: Tensor) -> Tensor:
        """The values [B, windows, V] at the middles of windows, of a field [B, V, R, C] that has one at
        the middle of each picture."""
        return torch.stack([self._middle(field, *start) for start in self.starts], dim=1)

    def _middle(self, field: Tensor, row: int, column: int) -> Tensor:
        rows, columns = self.counts
        above, below = row // 2, (row + 1) // 2 % rows
        left, right = column // 2, (column + 1) // 2 % columns
        corners = (field[:, :, y, x] for y in (above, below) for x in (left, right))
        return torch.stack(list(corners)).mean(dim=0)

    def averaged(
        self, denoise: Callable[[Tensor, Tensor], Tensor], noisy: Tensor, values: Tensor
    ) -> Tensor:
        """Denoise canvases window by window; returns the weighted mean of the windows, [B, C, H, W].

        Args:
            denoise: denoises pictures [N, C, s, s] with values [N, V], such as class weights.
            noisy: [B, C, H, W], the canvases.
            values: [B, windows, V], the values of each window.
        """
        half = self.side // 2
        extended = F.pad(noisy, (0, half, 0, half), mode="circular") if self.tile else noisy
        total = torch.zeros_like(extended)
        weight = torch.zeros_like(extended[:1, :1])
        window = self.weights.to(noisy)
        for numbers in torch.arange(len(self.starts)).split(_AT_ONCE):
            places = []
            for number in numbers.tolist():
                top, left = (half * start for start in self.starts[number])
                places.append((..., slice(top, top + self.side), slice(left, left + self.side)))
            parts = torch.stack([extended[place] for place in places], dim=1)
            made = denoise(parts.flatten(0, 1), values[:, numbers].flatten(0, 1))
            for number, place in enumerate(places):
                total[place] += made.view_as(parts)[:, number] * window
                weight[place] += window
        mean = [total, weight]
        if self.tile:
            mean = [self._round(each) for each in mean]
        return mean[0] / mean[1]

    def _round(self, extended: Tensor) -> Tensor:
        """Values on a canvas that goes on for half a side beyond its edges, added to those at its
        beginning."""
        half = self.side // 2
        extended[..., :half, :] += extended[..., -half:, :]
        extended[..., :half] += extended[..., -half:]
        return extended[..., :-half, :-half]
