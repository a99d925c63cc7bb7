"""Large maps through a network in overlapping tiles, so that memory depends on the tile only."""

from collections.abc import Callable

import torch
from torch import Tensor


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side: evenly, with at least this overlap, the last one at the end."""
    count = -(-(side - overlap) // (tile - overlap))
    return [round(place * (side - tile) / (count - 1)) for place in range(count)]


def _window(size: int, overlap: int, first: bool, last: bool) -> Tensor:
    """Weights [size] of a tile's values along a side: 1, but at an inner edge 0 for a quarter of the
    overlap, where the tile lacks its neighbourhood, and then rising to 1 within half of it."""
    rising = ((torch.arange(size) + 0.5 - overlap / 4) / (overlap / 2)).clamp(0, 1)
    weights = torch.ones(size)
    if not first:
        weights = weights * rising
    if not last:
        weights = weights * rising.flip(0)
    return weights


def in_tiles(
    network: Callable[[Tensor], Tensor], maps: Tensor, *, tile: int, overlap: int, factor: int
) -> Tensor:
    """The result of a network that enlarges maps, computed tile by tile and blended in the overlaps.

    It equals the whole result if the network sees no further than a quarter of the overlap.

    Args:
        network: gives [B, D, factor * h, factor * w] for maps [B, C, h, w].
        maps: [B, C, H, W].
        tile: side of a tile; maps of this side or less go through the network at once.
        overlap: of neighbouring tiles, at least; below `tile`.
        factor: the enlargement.
    """
    height, width = maps.shape[2:]
    if max(height, width) <= tile:
        return network(maps)
    result = maps.new_zeros(0)
    weight = torch.zeros(factor * height, factor * width)
    rows = _starts(height, tile, overlap) if height > tile else [0]
    columns = _starts(width, tile, overlap) if width > tile else [0]
    for top in rows:
        for left in columns:
            part = maps[:, :, top : top + tile, left : left + tile]
            made = network(part)
            window = torch.outer(
                _window(factor * part.shape[2], factor * overlap, top == 0, top == rows[-1]),
                _window(factor * part.shape[3], factor * overlap, left == 0, left == columns[-1]),
            )
            if not len(result):
                result = made.new_zeros(*made.shape[:2], *weight.shape)
            y, x = factor * top, factor * left
            place = slice(y, y + made.shape[2]), slice(x, x + made.shape[3])
            result[:, :, *place] += made * window.to(made)
            weight[place] += window
    return result / weight.to(result)
