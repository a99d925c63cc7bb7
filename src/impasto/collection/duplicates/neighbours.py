"""Find the neighbours among many points, exactly, without comparing all pairs.

Each point has a radius and a level. Two points are neighbours if their distance is at most the sum of
their radii and their levels differ by at most a fixed width. The search uses a k-d tree: the points are
split at the median of the coordinate with the largest standard deviation until few are left in a leaf.
The points of two leaves are compared only if the boxes around the leaves are close enough.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_LEAF = 128
"""Most points in a leaf."""
_ROWS = 1024
"""Most points that are compared with those of a leaf at once; bounds memory."""
_SAMPLE = 8192
"""About so many vectors, evenly spaced, determine the principal axes."""
_AT_ONCE = 4096
"""Vectors that are projected at once; bounds memory."""

Pairs = tuple[np.ndarray, np.ndarray]
"""The first and the second of each pair, int64 [P]."""

Check = Callable[[np.ndarray, np.ndarray], Pairs]
"""A function from the numbers of points [P] and of other points [Q] to the wanted pairs of them, as
positions in the first and in the second array."""


class Points(NamedTuple):
    """N points.

    Attributes:
        places: their coordinates, float32 [N, K].
        radii: float32 [N]. The distance of two neighbours is at most the sum of their radii.
        levels: float [N].
        width: the levels of two neighbours differ by at most this.
    """

    places: np.ndarray
    radii: np.ndarray
    levels: np.ndarray
    width: float

    def of(self, numbers: np.ndarray) -> "Points":
        """The points of these numbers."""
        return Points(self.places[numbers], self.radii[numbers], self.levels[numbers], self.width)


def true_pairs(pairs: np.ndarray) -> Pairs:
    """Rows and columns of the true values of bool [P, Q]."""
    # NumPy's `nonzero` is slower in two dimensions.
    row, column = np.divmod(np.flatnonzero(pairs), max(1, pairs.shape[1]))
    return row, column


def group_by_first(pairs: Pairs) -> dict[int, np.ndarray]:
    """By the first of a pair: the second ones. The pairs must be sorted by the first."""
    firsts, starts = np.unique(pairs[0], return_index=True)
    return dict(zip(firsts.tolist(), np.split(pairs[1], starts[1:]), strict=False))


class TooManyError(Exception):
    """There are more pairs than the caller allows."""


def principal_coordinates(
    vectors: Callable[[slice], tuple[np.ndarray, np.ndarray]], count: int, axes: int = 12
) -> np.ndarray:
    """Project vectors to their first principal axes, and append the length of the remainder.

    The distance of two projected vectors is at most that of the vectors, and their dot product at least
    that of the vectors. So a search among the projected vectors misses none.

    Args:
        vectors: a function from a slice of the numbers to the vectors' coordinates along D orthonormal
            axes, float32 [B, D], and their squared lengths, float64 [B]. The vectors may have further
            coordinates along other axes.
        count: the number of vectors, N.
        axes: the number of principal axes, at most D.

    Returns:
        float32 [N, axes + 1].
    """
    sample = vectors(slice(0, count, max(1, -(-count // _SAMPLE))))[0].astype(np.float64)
    sample -= sample.sum(axis=0) / max(1, len(sample))
    principal = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :axes].astype(np.float32)
    found = np.empty((count, axes + 1), np.float32)
    for start in range(0, count, _AT_ONCE):
        some = slice(start, min(start + _AT_ONCE, count))
        along, squares = vectors(some)
        found[some, :axes] = along @ principal
        rest = squares - np.square(found[some, :axes]).sum(axis=1, dtype=np.float64)
        found[some, axes] = np.sqrt(np.maximum(rest, 0))
    return found


def block_vectors(pictures: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures as vectors for `principal_coordinates`, with an axis for each channel of each block.

    Args:
        pictures: [B, H, W, C].
        block: side of a block; it divides H and W.

    Returns:
        The coordinates along these orthonormal axes, float32 [B, H / block * W / block * C]: the sum
        over a block divided by `block`. And the squared length of each picture, float64 [B].
    """
    count, height, width, channels = pictures.shape
    parts = pictures.reshape(count, height // block, block, width // block, block, channels)
    sums = parts.sum(axis=(2, 4)).reshape(count, height // block * (width // block) * channels)
    squares = np.square(pictures).sum(axis=(1, 2, 3), dtype=np.float64)
    return sums / block, squares


@dataclass(frozen=True)
class Sides:
    """The pairs among N points that need not be found: both points are on one side, and at least one is
    settled.

    Attributes:
        side: int64 [N].
        settled: bool [N].
    """

    side: np.ndarray
    settled: np.ndarray


class Neighbours:
    """Finds pairs of neighbours among points, by a k-d tree with bounding boxes."""

    def __init__(self, points: Points) -> None:
        # Levels in the units of the coordinates, so that the tree can also be split by level.
        unit = 2 * float(points.radii.mean()) if len(points.radii) else 1.0
        levels = (points.levels.astype(np.float64) * (unit / points.width))[:, None]
        # A little wider, for rounding errors.
        self._width = unit * (1 + 1e-5) + 1e-6 * float(np.abs(levels).max(initial=0))
        along = np.concatenate([points.places, levels], axis=1).astype(np.float32)
        self._order, self._bounds, self._cuts = _halved(along)
        self._points, self._radii = along[self._order], points.radii[self._order]
        self._low = _by_depth(np.minimum, self._points, self._bounds)
        self._high = _by_depth(np.maximum, self._points, self._bounds)
        self._reach = _by_depth(np.maximum, self._radii, self._bounds)

    def pairs(
        self, asked: np.ndarray, others: np.ndarray, check: Check, sides: Sides, most: int
    ) -> Pairs:
        """The pairs of neighbours with at least one point in `asked`.

        Args:
            asked: bool [N], the points whose neighbours are searched.
            others: bool [N], the points that they are compared with, which include `asked`.
            check: chooses the wanted pairs.
            sides: pairs that `check` would refuse; it only saves time.
            most: the largest number of pairs allowed.

        Returns:
            The lower and the higher number of each pair, sorted.

        Raises:
            TooManyError: there are more than `most`.
        """
        is_asked, is_other = asked[self._order], others[self._order]
        contents = _Contents(self._order, self._bounds, is_asked, is_other, sides)
        found, count = [np.empty((2, 0), np.int64)], 0
        for leaf, ones in self._reached(np.flatnonzero(is_asked), contents):
            inside = np.arange(self._bounds[leaf], self._bounds[leaf + 1])
            inside = inside[is_other[inside]]
            for start in range(0, len(ones), _ROWS):
                pairs = self._compared(ones[start : start + _ROWS], inside, check)
                # A pair of two asked points is found twice; keep one.
                pairs = pairs[:, ~is_asked[pairs[1]] | (pairs[1] > pairs[0])]
                found.append(self._order[pairs])
                count += pairs.shape[1]
                if count > most:
                    raise TooManyError
        lower, higher = np.sort(np.concatenate(found, axis=1), axis=0)
        rising = np.lexsort((higher, lower))
        return lower[rising], higher[rising]

    def _compared(self, ones: np.ndarray, others: np.ndarray, check: Check) -> np.ndarray:
        """The pairs of neighbours between some points and others, all as positions in the tree's order,
        int64 [2, P]."""
        row, column = check(self._order[ones], self._order[others])
        one, other = ones[row], others[column]
        gaps = np.abs(self._points[one] - self._points[other])
        squares = np.einsum("pk,pk->p", gaps[:, :-1], gaps[:, :-1])
        near = squares <= np.square(self._radii[one] + self._radii[other])
        near &= gaps[:, -1] <= self._width
        return np.stack([one[near], other[near]])

    def _reached(self, ones: np.ndarray, contents: "_Contents") -> Iterator[tuple[int, np.ndarray]]:
        """The leaves that may contain neighbours of some points, each with these points.

        Args:
            ones: the points, as rising positions in the tree's order.
            contents: what each box contains.
        """
        if not len(ones):
            return
        level = self._points.shape[1] - 1
        gaps = np.zeros((len(ones), level), np.float32)
        """Distance from the box to each point along each axis."""
        visits = [(0, 0, ones, gaps, gaps.sum(axis=1))]
        while visits:
            depth, box, ones, gaps, squares = visits.pop()
            if depth == len(self._cuts):
                yield box, ones
                continue
            axis = self._cuts[depth][box]
            values = self._points[ones, axis]
            depth += 1
            for half in (2 * box, 2 * box + 1):
                low, high = self._low[depth][half, axis], self._high[depth][half, axis]
                gap = np.maximum(np.maximum(low - values, values - high), 0)
                if axis == level:
                    apart, near = squares, gap <= self._width
                else:
                    apart = squares + (gap**2 - gaps[:, axis] ** 2)
                    near = apart <= np.square(self._radii[ones] + self._reach[depth][half])
                near &= contents.wanted(depth, half, ones)
                left = np.flatnonzero(near)
                if len(left):
                    new = gaps[left]
                    if axis != level:
                        new[:, axis] = gap[left]
                    visits.append((depth, half, ones[left], new, apart[left]))


class _Contents:
    """What can be found in each box of the tree."""

    def __init__(
        self,
        order: np.ndarray,
        bounds: np.ndarray,
        asked: np.ndarray,
        others: np.ndarray,
        sides: Sides,
    ) -> None:
        self._side, self._is_settled = sides.side[order], sides.settled[order]
        self._bounds = bounds
        least = np.where(others, self._side, np.iinfo(np.int64).max)
        self._least = _by_depth(np.minimum, least, bounds)
        self._most = _by_depth(np.maximum, np.where(others, self._side, -1), bounds)
        self._settled = _by_depth(np.logical_and, self._is_settled | ~others, bounds)
        self._rest = _by_depth(np.logical_or, others & ~asked, bounds)

    def wanted(self, depth: int, box: int, ones: np.ndarray) -> np.ndarray:
        """Which of some points, as positions in the tree's order, may find a wanted pair in a box that
        is not found from the other side, bool [P]."""
        least, most = self._least[depth][box], self._most[depth][box]
        if least > most:
            return np.zeros(len(ones), dtype=bool)
        wanted = np.ones(len(ones), dtype=bool)
        if not self._rest[depth][box]:
            boxes = len(self._least[depth])
            end = self._bounds[(box + 1) * (len(self._bounds) - 1) // boxes]
            wanted[np.searchsorted(ones, end) :] = False
        if least == most:
            settled = self._is_settled[ones] | self._settled[depth][box]
            wanted &= ~settled | (self._side[ones] != least)
        return wanted


def _by_depth(choose: np.ufunc, values: np.ndarray, bounds: np.ndarray) -> list[np.ndarray]:
    """By depth, from the root to the leaves: the values of each box reduced by `choose`."""
    found = [choose.reduceat(values, bounds[:-1], axis=0)]
    while len(found[0]) > 1:
        found.insert(0, choose(found[0][::2], found[0][1::2]))
    return found


def _halved(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Build a k-d tree of points [N, K].

    Returns:
        An order in which the points of each box are consecutive, int64 [N]; the positions where the
        leaves begin and end, int64 [L + 1]; and by depth the axis along which each box was split.
    """
    order, bounds, cuts = np.arange(len(points)), [0, len(points)], []
    while len(points) > _LEAF * (len(bounds) - 1):
        cut, axes = [0], []
        for first, end in itertools.pairwise(bounds):
            some = order[first:end]
            inside, middle = points[some], len(some) // 2
            axes.append(int(np.argmax(inside.std(axis=0))))
            order[first:end] = some[np.argpartition(inside[:, axes[-1]], middle)]
            cut += [first + middle, end]
        bounds = cut
        cuts.append(np.array(axes))
    return order, np.array(bounds), cuts
