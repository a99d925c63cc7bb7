"""Which of many points lie close to one another, exactly and without comparing all pairs.

A point is a ball with a level: two are neighbours if their balls touch and their levels differ by no
more than a width. The points are cut in halves, each time along the direction in which they are
furthest apart, until few are left in a leaf. Of two leaves points are compared only if the boxes around
them come near enough.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_LEAF = 128
"""Points in a leaf, at most."""
_ROWS = 1024
"""Points that are compared with those of a leaf at once."""
_SAMPLE = 8192
_AT_ONCE = 4096

Pairs = tuple[np.ndarray, np.ndarray]
"""The first and the second of each pair, int64 [P]."""

Check = Callable[[np.ndarray, np.ndarray], Pairs]
"""Numbers of points [P] and of others [Q] to the pairs among them that are wanted: positions among the
points and among the others."""


class Points(NamedTuple):
    """N points.

    Attributes:
        places: float32 [N, K].
        radii: of their balls, float32 [N].
        levels: [N].
        width: levels of neighbours differ by no more.
    """

    places: np.ndarray
    radii: np.ndarray
    levels: np.ndarray
    width: float

    def of(self, numbers: np.ndarray) -> "Points":
        """Some of them."""
        return Points(self.places[numbers], self.radii[numbers], self.levels[numbers], self.width)


def true_of(pairs: np.ndarray) -> Pairs:
    """Row and column of those that are true, of bool [P, Q]: quicker than NumPy's `nonzero`, which is
    slow in two dimensions."""
    row, column = np.divmod(np.flatnonzero(pairs), max(1, pairs.shape[1]))
    return row, column


def by_first(pairs: Pairs) -> dict[int, np.ndarray]:
    """The second ones of each first one, of pairs whose first ones rise."""
    firsts, starts = np.unique(pairs[0], return_index=True)
    return dict(zip(firsts.tolist(), np.split(pairs[1], starts[1:]), strict=False))


class TooManyError(Exception):
    """There are more pairs than were asked for."""


def coordinates(
    vectors: Callable[[slice], tuple[np.ndarray, np.ndarray]], count: int, axes: int = 12
) -> np.ndarray:
    """Vectors in few dimensions, float32 [N, K]: no two are further apart, and no product of two is
    smaller, than those of the vectors.

    The last coordinate is the length of what the principal axes leave out.

    Args:
        vectors: of a slice of the numbers, their coordinates along orthonormal axes, float32 [B, D],
            and their squared lengths, float64 [B]. What lies along other axes may be missing.
        count: how many there are.
        axes: the number of principal axes kept, at most D.
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


def in_blocks(pictures: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [B, H, W, C] as vectors for `coordinates`: along an axis for each channel of each block
    of so many places along each side."""
    count, height, width, channels = pictures.shape
    parts = pictures.reshape(count, height // block, block, width // block, block, channels)
    sums = parts.sum(axis=(2, 4)).reshape(count, height // block * (width // block) * channels)
    squares = np.square(pictures).sum(axis=(1, 2, 3), dtype=np.float64)
    return sums / block, squares


@dataclass(frozen=True)
class Sides:
    """Which pairs of N points are of no interest: those on one side, if one of the two is settled.

    Attributes:
        side: int64 [N].
        settled: bool [N].
    """

    side: np.ndarray
    settled: np.ndarray


class Neighbours:
    """Finds pairs of neighbours among points, by a tree of boxes around them."""

    def __init__(self, points: Points) -> None:
        # Levels in the units of places, so that all directions can be compared.
        unit = 2 * float(points.radii.mean()) if len(points.radii) else 1.0
        levels = (points.levels.astype(np.float64) * (unit / points.width))[:, None]
        # For rounding.
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
        """The pairs of neighbours of which one at least is asked for.

        Args:
            asked: bool [N], which points.
            others: bool [N], which they are compared with; those asked for are among them.
            check: which pairs are wanted.
            sides: which are not; this only spares time, `check` has to know it too.
            most: how many there may be.

        Returns:
            The lower and the higher number of each pair, in rising order.

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
                # One of two that are asked for finds the other.
                pairs = pairs[:, ~is_asked[pairs[1]] | (pairs[1] > pairs[0])]
                found.append(self._order[pairs])
                count += pairs.shape[1]
                if count > most:
                    raise TooManyError
        lower, higher = np.sort(np.concatenate(found, axis=1), axis=0)
        rising = np.lexsort((higher, lower))
        return lower[rising], higher[rising]

    def _compared(self, ones: np.ndarray, others: np.ndarray, check: Check) -> np.ndarray:
        """The pairs of neighbours among some points by their places in the tree, int64 [2, P]."""
        row, column = check(self._order[ones], self._order[others])
        one, other = ones[row], others[column]
        gaps = np.abs(self._points[one] - self._points[other])
        squares = np.einsum("pk,pk->p", gaps[:, :-1], gaps[:, :-1])
        near = squares <= np.square(self._radii[one] + self._radii[other])
        near &= gaps[:, -1] <= self._width
        return np.stack([one[near], other[near]])

    def _reached(self, ones: np.ndarray, contents: "_Contents") -> Iterator[tuple[int, np.ndarray]]:
        """The leaves in which there may be neighbours of some points, and of which of them.

        Args:
            ones: their places in the tree, rising.
            contents: what there is to be found.
        """
        if not len(ones):
            return
        level = self._points.shape[1] - 1
        gaps = np.zeros((len(ones), level), np.float32)
        """From the box to each point, along each axis, ..."""
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
    """What is to be found in each box."""

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
        """Which of some points, by their places in the tree, may find in a box what others do not find
        from there, bool [P]."""
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
    """What `choose` takes of the values in each box: first that around all, last the leaves."""
    found = [choose.reduceat(values, bounds[:-1], axis=0)]
    while len(found[0]) > 1:
        found.insert(0, choose(found[0][::2], found[0][1::2]))
    return found


def _halved(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """A tree of points [N, K].

    Returns:
        An order in which those of a box follow one another; where the leaves begin and end, int64
        [L + 1]; and by depth the axis along which each box was cut.
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
