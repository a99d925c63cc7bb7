"""The groups of duplicates found so far, and the result."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

DUPLICATES = ("none", "exact", "near", "features")
"""What is excluded; each kind includes the ones before it."""
_AT_ONCE = 1024
"""Pictures that are compared with one picture at once; bounds memory."""


@dataclass(frozen=True)
class Duplicates:
    """The duplicates among S pictures.

    Attributes:
        group: int64 [S], numbered from 0 by first occurrence; -1 for pictures without duplicates.
        kept: bool [S]; at least one picture of each group is kept.
        kind: `exact`, `near`, `features` or empty, for each picture. The first of a group has the
            kind of its closest duplicate.
        distance: float32 [S], the distance from the picture that it is a duplicate of: 0 for exact
            ones, up to 1 for the others.
        alike: int64 [S], the set of alike pictures, numbered from 0 by first occurrence; -1 for all
            others. Duplicates are in the set of their group.
        side: int64 [S], equal for pictures that must be on one side of the split: those of a group and
            those of a set.
    """

    group: np.ndarray
    kept: np.ndarray
    kind: list[str]
    distance: np.ndarray
    alike: np.ndarray
    side: np.ndarray


class Grouping:
    """The groups found so far. A picture's number here is its place in the order of preference.

    Args:
        order: the picture number at each place, int64 [S].
        pinned: whether the source holds out each picture, bool [S] by picture number.
        excluded: one of `DUPLICATES`.
    """

    def __init__(self, order: np.ndarray, pinned: np.ndarray, excluded: str) -> None:
        places = np.arange(len(order))
        self.order = order
        self.pinned = pinned[order]
        self.excluded = np.zeros(len(order), dtype=bool)
        self.excludes = DUPLICATES[1 : DUPLICATES.index(excluded) + 1]
        self.like = places.copy()
        """The earlier picture that each is a duplicate of; itself if there is none."""
        self.kind = np.zeros(len(order), dtype=np.int8)
        """The kind of duplicate, an index into `DUPLICATES`."""
        self.distance = np.zeros(len(order), dtype=np.float32)
        self.groups = DisjointSets(len(order))
        """Sets of copies."""
        self.sides = DisjointSets(len(order))
        """Sets of copies and alike pictures."""
        self.alike = np.zeros(len(order), dtype=bool)
        """Whether each picture is alike another."""

    def join(self, first: int, others: np.ndarray, distances: np.ndarray, kind: str) -> None:
        """Record pictures as duplicates of an earlier one.

        Args:
            first: place of the earlier one.
            others: places of its duplicates, [B].
            distances: of the duplicates from it, [B].
            kind: one of `DUPLICATES` but `none`.
        """
        for other, distance in zip(others.tolist(), distances.tolist(), strict=True):
            if kind in self.excludes and not self.pinned[other]:
                self.excluded[other] = True
            if self.like[other] == other:
                self.like[other] = first
                self.kind[other] = DUPLICATES.index(kind)
                self.distance[other] = distance
            self.groups.unite(first, other)
            self.sides.unite(first, other)

    def keep_together(self, one: int, others: np.ndarray) -> None:
        """Put alike pictures on one side of the split."""
        for other in others.tolist():
            self.alike[[one, other]] = True
            self.sides.unite(one, other)

    def open(self, place: int, others: np.ndarray, kind: str) -> np.ndarray:
        """Whether each of some pictures can still be recorded as a duplicate of an earlier one, bool
        [B]."""
        if kind in self.excludes:
            return ~self.excluded[others]
        return self.groups.label[others] != self.groups.label[place]

    def portions(self, place: int, others: np.ndarray, kind: str) -> Iterator[np.ndarray]:
        """The pictures that can still be recorded as duplicates of an earlier one, at most `_AT_ONCE` at
        a time. Pictures that are excluded meanwhile are not in later portions."""
        for start in range(0, len(others), _AT_ONCE):
            some = others[start : start + _AT_ONCE]
            if len(some := some[self.open(place, some, kind)]):
                yield some

    def result(self) -> Duplicates:
        """The result, by picture number."""
        count = len(self.order)
        kind, distance = self.kind.copy(), self.distance.copy()
        # A copy of an excluded picture gets the excluded picture's distance from the kept one.
        through = self.excluded[self.like] & (self.like[self.like] != self.like)
        kind[through], distance[through] = kind[self.like[through]], distance[self.like[through]]
        # The first of a group gets the kind and distance of its closest duplicate.
        firsts = self.groups.first
        closest = np.lexsort((distance, kind, firsts))
        closest = closest[kind[closest] > 0]
        heads, position = np.unique(firsts[closest], return_index=True)
        kind[heads], distance[heads] = kind[closest[position]], distance[closest[position]]

        by_picture = np.empty(count, dtype=np.int64)
        by_picture[self.order] = np.arange(count)
        group = np.where(kind > 0, firsts, -1)[by_picture]
        sides = self.sides.first
        alike = np.where(np.isin(sides, sides[self.alike]), sides, -1)[by_picture]
        return Duplicates(
            group=_numbered(group),
            kept=~self.excluded[by_picture],
            kind=["" if code == 0 else DUPLICATES[code] for code in kind[by_picture].tolist()],
            distance=distance[by_picture],
            alike=_numbered(alike),
            side=_numbered(sides[by_picture]),
        )


class DisjointSets:
    """Disjoint sets of places (union-find).

    Attributes:
        label: int64 [S], equal for places in one set.
    """

    def __init__(self, count: int) -> None:
        self.label = np.arange(count)
        self._first = np.arange(count)
        """The first place in the set of each label."""
        self._members: dict[int, list[int]] = {}

    @property
    def first(self) -> np.ndarray:
        """The first place in the set of each, int64 [S]."""
        return self._first[self.label]

    def unite(self, one: int, other: int) -> None:
        """Join the sets of two places. The smaller set gets the other's label, so a place gets a new
        label at most log2(S) times."""
        one, other = int(self.label[one]), int(self.label[other])
        if one == other:
            return
        members = [self._members.pop(label, [label]) for label in (one, other)]
        if len(members[0]) < len(members[1]):
            one, other, members = other, one, members[::-1]
        self._first[one] = min(self._first[one], self._first[other])
        self.label[members[1]] = one
        members[0].extend(members[1])
        self._members[one] = members[0]


def _numbered(sets: np.ndarray) -> np.ndarray:
    """Renumber sets, int64 [S], from 0 in order of occurrence; -1 stays."""
    firsts = list(dict.fromkeys(sets[sets >= 0].tolist()))
    number = {first: position for position, first in enumerate(firsts)} | {-1: -1}
    return np.array([number[each] for each in sets.tolist()], dtype=np.int64)
