"""Near duplicates among many pictures: which pairs are compared, and in which order.

The rule is that of all pairs, one picture after the other in the order of being kept: it is compared
with all later ones that are not excluded yet. `neighbours.py` finds the pairs that can be near one
another at all, for a block of pictures at a time, so that the pairs of what a block excludes are never
made. Blocks are as long as the memory for their pairs allows.
"""

import math
from dataclasses import dataclass

import numpy as np

from impasto.collection.duplicates.comparing import UNLIKE, distances, normal_light
from impasto.collection.duplicates.grouping import Grouping
from impasto.collection.duplicates.neighbours import (
    Check,
    Neighbours,
    Pairs,
    Points,
    Sides,
    TooManyError,
    by_first,
    coordinates,
    in_blocks,
    true_of,
)
from impasto.collection.duplicates.soft import ALIKE, SOFT, SoftIndex, soft_distances
from impasto.decoding.fingerprint import SIDE

_DHASH, _PHASH = 10, 12
"""Hashes of near duplicates differ in at most so many of their 64 bits."""
DETAIL = 8.0
"""Hashes are compared of pictures with at least this detail (see `Fingerprint`). The 21 paintings have
10 to 23."""
_ASPECT = math.log(1.1)
"""Width to height differs by at most this factor."""
_SQUARE = 4
"""Brightness is first compared by means over squares of this side."""
_BLOCK = 256
"""Pictures in the first block, ..."""
_GROWTH = 4
"""... by how much it gets longer after one with few pairs, and shorter if there are too many, ..."""
_LONGEST = 2**17
"""Pictures in the longest block, ..."""
_PAIRS = 2**22
"""... and the pairs of a block that are held in memory."""


_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class _Block:
    """Which pictures are looked at next: those from `start` to before `end`, beside those after them."""

    start: int
    end: int
    open: np.ndarray
    """Which pictures are not excluded, bool [N]."""
    most: int
    """How many pairs there may be."""


def join_near(
    found: Grouping, fingerprints: np.ndarray, sizes: np.ndarray, places: np.ndarray
) -> None:
    """Group what looks nearly the same among some pictures, one by one in the order of being kept."""
    numbers = found.order[places]
    aspect = np.log(sizes[numbers, 0] / sizes[numbers, 1])
    clear, soft = _Clear(fingerprints, numbers, aspect), _Soft(fingerprints, numbers)
    start, length, most = 0, _BLOCK, max(_PAIRS, len(places))
    while start < len(places):
        end = min(start + length, len(places))
        block = _Block(start, end, ~found.excluded[places], most)
        try:
            near = clear.pairs(block, found.groups.label[places])
            alike = soft.pairs(block, found.sides.label[places])
        except TooManyError:
            length = max(1, length // _GROWTH)
            continue
        _join(found, fingerprints, places, aspect, near, alike, soft)
        start = end
        if _GROWTH * max(len(near[0]), len(alike[0])) < most:
            length = min(length * _GROWTH, _LONGEST)


def _join(
    found: Grouping,
    fingerprints: np.ndarray,
    places: np.ndarray,
    aspect: np.ndarray,
    near: Pairs,
    alike: Pairs,
    soft: "_Soft",
) -> None:
    """Compare the pairs of a block, and group those that are near."""
    by_hashes, by_brightness = by_first(near), by_first(alike)
    for position in sorted(by_hashes.keys() | by_brightness.keys()):
        place = int(places[position])
        if found.excluded[place]:
            continue
        if len(later := _like(aspect, position, by_hashes)):
            _join_clear(found, fingerprints, place, places[later])
        if len(later := _like(aspect, position, by_brightness)):
            # Where no copies can be found, there is no more to find among those on one side.
            apart = found.sides.label[places[later]] != found.sides.label[place]
            later = later[apart | soft.may_be_copies(position, later)]
            _join_soft(found, fingerprints, place, places[later])


def _like(aspect: np.ndarray, position: int, later: dict[int, np.ndarray]) -> np.ndarray:
    """Those of the later ones that have nearly the same shape."""
    others = later.get(position, _NONE)
    like: np.ndarray = others[np.abs(aspect[others] - aspect[position]) <= _ASPECT]
    return like


def _join_clear(found: Grouping, fingerprints: np.ndarray, place: int, close: np.ndarray) -> None:
    """Compare pictures whose hashes are close with an earlier one."""
    for others in found.portions(place, close, "near"):
        far = distances(fingerprints, int(found.order[place]), found.order[others])
        found.join(place, others[far <= 1], far[far <= 1], "near")


def _join_soft(found: Grouping, fingerprints: np.ndarray, place: int, close: np.ndarray) -> None:
    """Compare pictures with little detail with an earlier one."""
    for others in found.portions(place, close, "near"):
        far, copies = soft_distances(fingerprints, int(found.order[place]), found.order[others])
        found.join(place, others[copies], far[copies], "near")
        found.keep_together(place, others[(far <= ALIKE) & ~copies])


class _Search:
    """Neighbours among some pictures, block after block.

    Args:
        members: which pictures, rising.
        points: theirs.
    """

    def __init__(self, members: np.ndarray, points: Points) -> None:
        self._members, self._points = members, points
        self._inside = np.arange(len(members))
        """Of the members, those in the tree."""
        self._tree: Neighbours | None = None

    def pairs(self, block: _Block, check: Check, sides: Sides) -> Pairs:
        """Pairs of pictures of which the first is in the block.

        Args:
            block: which pictures are looked at.
            check: which pairs of members are wanted.
            sides: of the members.

        Raises:
            TooManyError: there are more than the block may have.
        """
        inside = self._inside
        members = self._members[inside]
        left = block.open[members] & (members >= block.start)
        if not (left & (members < block.end)).any():
            return _NONE, _NONE
        if self._tree is None or 2 * left.sum() < len(inside):
            self._inside = inside = inside[left]
            self._tree = Neighbours(self._points.of(inside))
            members, left = self._members[inside], np.ones(len(inside), dtype=bool)
        one, other = self._tree.pairs(
            left & (members < block.end),
            left,
            lambda ones, others: check(inside[ones], inside[others]),
            Sides(sides.side[inside], sides.settled[inside]),
            block.most,
        )
        return members[one], members[other]


class _Clear:
    """Pictures with enough detail for hashes."""

    def __init__(self, fingerprints: np.ndarray, numbers: np.ndarray, aspect: np.ndarray) -> None:
        self._members = np.flatnonzero(fingerprints["detail"][numbers] >= DETAIL)
        numbers = numbers[self._members]
        self._dhash, self._phash = fingerprints["dhash"][numbers], fingerprints["phash"][numbers]

        def directions(some: slice) -> tuple[np.ndarray, np.ndarray]:
            light, _, _ = normal_light(fingerprints["light"][numbers[some]])
            return in_blocks(light[..., None] / SIDE, _SQUARE)

        # Of vectors of length 1 with a cosine of at least 1 - UNLIKE.
        radius = math.sqrt(2 * UNLIKE) / 2 + 1e-3
        radii = np.full(len(numbers), radius, np.float32)
        places = coordinates(directions, len(numbers))
        points = Points(places, radii, aspect[self._members], _ASPECT)
        self._search = _Search(self._members, points)

    def pairs(self, block: _Block, groups: np.ndarray) -> Pairs:
        """Pairs with close hashes, the first of them in the block, not in one group already."""
        side = groups[self._members]

        def check(ones: np.ndarray, others: np.ndarray) -> Pairs:
            differ = self._dhash[ones][:, None] ^ self._dhash[others]
            row, column = true_of(np.bitwise_count(differ) <= _DHASH)
            one, other = ones[row], others[column]
            near = np.bitwise_count(self._phash[one] ^ self._phash[other]) <= _PHASH
            near &= side[one] != side[other]
            return row[near], column[near]

        return self._search.pairs(block, check, Sides(side, np.ones(len(side), dtype=bool)))


class _Soft:
    """Pictures with little detail."""

    def __init__(self, fingerprints: np.ndarray, numbers: np.ndarray) -> None:
        self._members = np.flatnonzero(fingerprints["detail"][numbers] < SOFT)
        self._index = SoftIndex(fingerprints, numbers[self._members])
        self._search = _Search(self._members, self._index.points)

    def pairs(self, block: _Block, groups: np.ndarray) -> Pairs:
        """Pairs that may be alike, the first of them in the block; of pictures on one side only those
        that may be copies."""
        side = groups[self._members]

        def check(ones: np.ndarray, others: np.ndarray) -> Pairs:
            return self._index.alike(ones, others, side)

        return self._search.pairs(block, check, Sides(side, self._index.no_copies))

    def may_be_copies(self, position: int, others: np.ndarray) -> np.ndarray:
        """Whether a picture has enough structure of the same kind as others, bool [B]."""
        one, rest = (np.searchsorted(self._members, some) for some in ([position], others))
        return self._index.may_be_copies(one, rest)[0]
