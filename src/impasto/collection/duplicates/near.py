"""Find near duplicates among many pictures: which pairs are compared, and in which order.

The result is that of comparing all pairs: each picture, in the order of preference, is compared with all
later ones that are not excluded yet. `neighbours.py` finds the pairs that can be near duplicates, for
one block of pictures at a time. Pictures that a block excludes form no pairs in later blocks. Blocks are
as long as the memory for their pairs allows.
"""

import math
from dataclasses import dataclass

import numpy as np

from impasto.collection.duplicates.comparing import UNLIKE, distances, normalised_light
from impasto.collection.duplicates.grouping import Grouping
from impasto.collection.duplicates.neighbours import (
    Check,
    Neighbours,
    Pairs,
    Points,
    Sides,
    TooManyError,
    block_vectors,
    group_by_first,
    principal_coordinates,
    true_pairs,
)
from impasto.collection.duplicates.soft import ALIKE, SOFT, SoftIndex, soft_distances
from impasto.decoding.fingerprint import SIDE

_DHASH, _PHASH = 10, 12
"""The dHashes and pHashes of near duplicates differ in at most this many of their 64 bits."""
DETAIL = 8.0
"""Hashes are compared only for pictures with at least this detail (see `Fingerprint`). The 21 packaged
paintings have 10 to 23."""
_ASPECT = math.log(1.1)
"""The logarithm of the factor by which the ratio of width to height may differ."""
_SQUARE = 4
"""Brightness is first compared by means over squares of this side, in pixels of the fingerprint."""
_BLOCK = 256
"""Pictures in the first block, ..."""
_GROWTH = 4
"""... the factor by which blocks get longer after one with few pairs, and shorter after too many, ..."""
_LONGEST = 2**17
"""... and most pictures in a block."""
_PAIRS = 2**22
"""Most pairs of a block, which are held in memory; or the number of pictures, if that is larger."""


_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class _Block:
    """The pictures that are compared next: those from `start` to before `end`, with each other and with
    all later ones."""

    start: int
    end: int
    open: np.ndarray
    """Whether each picture is not excluded, bool [N]."""
    most: int
    """Most pairs."""


def join_near(
    found: Grouping, fingerprints: np.ndarray, sizes: np.ndarray, places: np.ndarray
) -> None:
    """Group near duplicates and alike pictures.

    Args:
        found: the groups so far; it is changed.
        fingerprints: `fingerprint.FINGERPRINT` [S], by picture number.
        sizes: width and height of the source pictures in pixels, [S, 2].
        places: the pictures to compare, as rising places in the order of preference, int64 [N].
    """
    numbers = found.order[places]
    aspect = np.log(sizes[numbers, 0] / sizes[numbers, 1])
    clear, soft = (
        _DetailedPictures(fingerprints, numbers, aspect),
        _SoftPictures(fingerprints, numbers),
    )
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
    soft: "_SoftPictures",
) -> None:
    """Compare the pairs of a block, and group the near duplicates and the alike pictures."""
    by_hashes, by_brightness = group_by_first(near), group_by_first(alike)
    for position in sorted(by_hashes.keys() | by_brightness.keys()):
        place = int(places[position])
        if found.excluded[place]:
            continue
        if len(later := _same_shape(aspect, position, by_hashes)):
            _join_detailed(found, fingerprints, place, places[later])
        if len(later := _same_shape(aspect, position, by_brightness)):
            # Alike pictures that are on one side already need no comparison unless they may be copies.
            apart = found.sides.label[places[later]] != found.sides.label[place]
            later = later[apart | soft.may_be_copies(position, later)]
            _join_soft(found, fingerprints, place, places[later])


def _same_shape(aspect: np.ndarray, position: int, later: dict[int, np.ndarray]) -> np.ndarray:
    """The later pictures of this position's pairs that have nearly the same ratio of width to height."""
    others = later.get(position, _NONE)
    like: np.ndarray = others[np.abs(aspect[others] - aspect[position]) <= _ASPECT]
    return like


def _join_detailed(
    found: Grouping, fingerprints: np.ndarray, place: int, close: np.ndarray
) -> None:
    """Compare a picture with later ones whose hashes are close to its own."""
    for others in found.portions(place, close, "near"):
        far = distances(fingerprints, int(found.order[place]), found.order[others])
        found.join(place, others[far <= 1], far[far <= 1], "near")


def _join_soft(found: Grouping, fingerprints: np.ndarray, place: int, close: np.ndarray) -> None:
    """Compare a picture with later ones, all with little detail."""
    for others in found.portions(place, close, "near"):
        far, copies = soft_distances(fingerprints, int(found.order[place]), found.order[others])
        found.join(place, others[copies], far[copies], "near")
        found.keep_together(place, others[(far <= ALIKE) & ~copies])


class _Search:
    """Finds neighbours among some pictures, block after block.

    Args:
        members: the positions of the pictures, rising.
        points: the point of each.
    """

    def __init__(self, members: np.ndarray, points: Points) -> None:
        self._members, self._points = members, points
        self._inside = np.arange(len(members))
        """The indices of the members that are in the tree."""
        self._tree: Neighbours | None = None

    def pairs(self, block: _Block, check: Check, sides: Sides) -> Pairs:
        """The pairs of positions whose first is in the block.

        Args:
            block: the pictures that are compared next.
            check: chooses the wanted pairs of members.
            sides: pairs of members that need not be found.

        Raises:
            TooManyError: there are more than `block.most`.
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


class _DetailedPictures:
    """The pictures with enough detail for hashes."""

    def __init__(self, fingerprints: np.ndarray, numbers: np.ndarray, aspect: np.ndarray) -> None:
        self._members = np.flatnonzero(fingerprints["detail"][numbers] >= DETAIL)
        numbers = numbers[self._members]
        self._dhash, self._phash = fingerprints["dhash"][numbers], fingerprints["phash"][numbers]

        def directions(some: slice) -> tuple[np.ndarray, np.ndarray]:
            light, _, _ = normalised_light(fingerprints["light"][numbers[some]])
            return block_vectors(light[..., None] / SIDE, _SQUARE)

        # Half the distance of unit vectors with a cosine of 1 - UNLIKE, and some rounding.
        radius = math.sqrt(2 * UNLIKE) / 2 + 1e-3
        radii = np.full(len(numbers), radius, np.float32)
        places = principal_coordinates(directions, len(numbers))
        points = Points(places, radii, aspect[self._members], _ASPECT)
        self._search = _Search(self._members, points)

    def pairs(self, block: _Block, groups: np.ndarray) -> Pairs:
        """The pairs with close hashes that are not in one group yet, the first of each in the block."""
        side = groups[self._members]

        def check(ones: np.ndarray, others: np.ndarray) -> Pairs:
            differ = self._dhash[ones][:, None] ^ self._dhash[others]
            row, column = true_pairs(np.bitwise_count(differ) <= _DHASH)
            one, other = ones[row], others[column]
            near = np.bitwise_count(self._phash[one] ^ self._phash[other]) <= _PHASH
            near &= side[one] != side[other]
            return row[near], column[near]

        return self._search.pairs(block, check, Sides(side, np.ones(len(side), dtype=bool)))


class _SoftPictures:
    """The pictures with little detail."""

    def __init__(self, fingerprints: np.ndarray, numbers: np.ndarray) -> None:
        self._members = np.flatnonzero(fingerprints["detail"][numbers] < SOFT)
        self._index = SoftIndex(fingerprints, numbers[self._members])
        self._search = _Search(self._members, self._index.points)

    def pairs(self, block: _Block, groups: np.ndarray) -> Pairs:
        """The pairs that may be alike, the first of each in the block. Pairs on one side already are
        found only if they may be copies."""
        side = groups[self._members]

        def check(ones: np.ndarray, others: np.ndarray) -> Pairs:
            return self._index.alike(ones, others, side)

        return self._search.pairs(block, check, Sides(side, self._index.no_copies))

    def may_be_copies(self, position: int, others: np.ndarray) -> np.ndarray:
        """Whether a picture and each of some others have enough and similar structure, bool [B]."""
        one, rest = (np.searchsorted(self._members, some) for some in ([position], others))
        return self._index.may_be_copies(one, rest)[0]
