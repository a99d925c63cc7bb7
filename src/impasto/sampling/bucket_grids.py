"""Grids of images of several sizes: each row has one size, rows alternate between the sizes, and all
cells are as large as the largest size."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from impasto.resolution import Resolution, width_and_height
from impasto.sampling.grid import columns_of

PAPER = 255
"""Grey level around a picture that is smaller than its cell."""


def cell_of(sizes: Sequence[Resolution]) -> tuple[int, int]:
    """Width and height of a cell that holds a picture of each size."""
    widths, heights = zip(*map(width_and_height, sizes), strict=True)
    return max(widths), max(heights)


def in_order(main: Resolution, sizes: Sequence[Resolution]) -> list[Resolution]:
    """The sizes in the order of the rows: `main`, then the others."""
    return [main, *(size for size in sizes if size != main)]


def in_rows(
    main: Resolution,
    sizes: Sequence[Resolution],
    count: int,
    pictures: Callable[[Resolution, int], np.ndarray],
    columns: int | None = None,
) -> np.ndarray:
    """The pictures of a grid, as cells: uint8 [B, H, W, 3].

    Args:
        main: the size of the first row.
        sizes: all sizes, `main` among them; each has at least one row.
        count: number of pictures of a grid of one size; it determines the number of columns.
        pictures: gives the first `n` pictures of a size, uint8 [n, H, W, 3].
        columns: number of columns; None: that of a square grid of `count` pictures.
    """
    order = in_order(main, sizes)
    columns = columns or columns_of(count)
    rows = max(len(order), math.ceil(count / columns))
    width, height = cell_of(order)
    cells = np.full((rows, columns, height, width, 3), PAPER, np.uint8)
    for place, size in enumerate(order):
        mine = cells[place :: len(order)]
        found = pictures(size, mine.shape[0] * columns)
        across, down = width_and_height(size)
        left, top = (width - across) // 2, (height - down) // 2
        mine[:, :, top : top + down, left : left + across] = found.reshape(
            mine.shape[0], columns, down, across, 3
        )
    return cells.reshape(-1, height, width, 3)
