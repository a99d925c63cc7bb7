"""Find copies by their fingerprints, group them, and keep one of each group.

**Exact**: the packed pixels are equal.

**Near**: the same picture in another file: compressed again, at another size, a little brighter or
darker. Both hashes must be close; then the thumbnails are compared, at 32 x 32 in brightness and 16
x 16 in colour: no place may differ much from what the other shows there and in the places around
it. That allows a shift of half a pixel, but not a tear on a face. A picture in other colours, with
something added, mirrored or cropped visibly is another picture. On Debian's 8,121 clip-art
drawings, a very hard case for perceptual hashes, this was wrong for one picture in 600
(docs/notebook.md). Pictures with little detail are compared in colours and structure instead, by
stricter limits (`soft.py`).

**Alike**: pictures with little detail whose colours agree, but with too little structure to decide
whether they are copies. All are kept, and a set is on one side of the split.

**By features**: if asked for, also crops, other margins, watermarks and scans of the same picture:
a feature network proposes pairs, which are aligned (`registration.py`) and compared as above, with
wider limits.

No chains: every excluded picture is a duplicate of the one that is kept. If a is near b and b near
c only, a and c may both be kept.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from impasto.collection.duplicates.comparing import distances, registered_distances
from impasto.collection.duplicates.soft import ALIKE, SOFT, SoftIndex, soft_distances
from impasto.formatting import counted

FINDING_VERSION = 1
"""Incremented when the same fingerprints would give other copies or another split."""

DUPLICATES = ("none", "exact", "near", "features")
"""What to exclude; each kind includes the ones before it."""

Features = Callable[[np.ndarray], np.ndarray]
"""A function from picture numbers, int64 [B], to a feature network's features, float32 [B, D]."""

_DHASH, _PHASH = 10, 12
"""Hashes of near duplicates differ in at most this many of 64 bits."""
_DETAIL = 8.0
"""The least detail (see `Fingerprint`) for which hashes are compared. The 21 paintings have 10 to
23."""
_ASPECT = 1.1
"""Aspect ratios of near duplicates differ by at most this factor."""
_COSINE = 0.85
"""The least cosine between features of duplicates. Among the 21 paintings it is at most 0.64."""
_FEATURES_AT_ONCE = 256
_AT_ONCE = 1024
"""Pictures compared with one at once; bounds memory."""


@dataclass(frozen=True)
class Duplicates:
    """The duplicates among S pictures.

    Attributes:
        group: int64 [S], from 0 in the order of first members; -1 for pictures without duplicates.
        kept: bool [S]; at least one of each group.
        kind: `exact`, `near`, `features` or empty, for each picture. The first of a group has the
            kind of the closest other one.
        distance: float32 [S] from the picture that it is a duplicate of: 0 for exact ones, above 0
            to 1 for near ones, where 1 is the limit.
        alike: int64 [S], the set of pictures that are alike, from 0 in the order of first members;
            -1 for all others. Copies are in the set of their group.
        side: int64 [S]: equal for pictures that must be on one side of the split: those of a group
            and those of a set.
    """

    group: np.ndarray
    kept: np.ndarray
    kind: list[str]
    distance: np.ndarray
    alike: np.ndarray
    side: np.ndarray


def find_duplicates(
    fingerprints: np.ndarray,
    sizes: np.ndarray,
    known: Sequence[int],
    names: Sequence[str],
    *,
    file_bytes: Sequence[int] | None = None,
    excluded: str = "near",
    pinned: np.ndarray | None = None,
    features: Features | None = None,
) -> Duplicates:
    """Group duplicates, and choose which of each group is kept.

    The one with the most pixels is kept; of several, the one with the most labels, then the largest
    file (mostly the least compressed), then the first by name. Enlarged copies are not detected: a
    bad copy of twice the width is kept, and the original excluded. Pictures that their source holds
    out are all kept: a published test set stays complete, and its copies among the training
    pictures are excluded.

    Kinds that are not excluded are grouped too; such a group holds all duplicates of its pictures,
    and stays on one side of the split. Every pair is compared, at half a nanosecond each: seconds
    for 80,000 pictures, minutes for a million, in memory that does not grow with the pairs. An
    index would not help: drawings share most of their bits.

    Args:
        fingerprints: `fingerprint.FINGERPRINT` [S].
        sizes: width and height of the source pictures, [S, 2].
        known: the number of labels of each.
        names: distinct names.
        file_bytes: lengths of the files; None: unknown.
        excluded: one of `DUPLICATES`; features are compared only for `features`.
        pinned: bool [S]: whether the source holds it out; None: none.
        features: computes features by picture number; called only with `features`.
    """
    count = len(fingerprints)
    given = np.zeros(count, dtype=bool) if pinned is None else np.asarray(pinned, dtype=bool)
    pixels = np.asarray(sizes, dtype=np.int64).reshape(count, 2).prod(axis=1)
    length = [0] * count if file_bytes is None else file_bytes
    order = sorted(
        range(count),
        key=lambda n: (not given[n], -pixels[n], -known[n], -length[n], names[n]),
    )
    found = _Grouping(np.array(order, dtype=np.int64), given, excluded)
    _exact(found, fingerprints)
    # Exact copies are represented by their first.
    places = np.flatnonzero(found.kind == 0)
    _near(found, fingerprints, np.asarray(sizes), places)
    places = places[fingerprints["detail"][found.order[places]] >= _DETAIL]
    if excluded == "features" and features is not None:
        _by_features(found, fingerprints, features, places)
    return found.result()


def disagreeing_labels(groups: Iterable[int], labels: Iterable[Sequence[str]]) -> str | None:
    """A note on groups whose pictures have different classes in a field; None if there are none. An
    unknown label differs from no other.

    Args:
        groups: the group of each picture with copies.
        labels: the class of each in every field; empty if unknown.
    """
    classes: dict[int, list[dict[str, None]]] = {}
    for group, row in zip(groups, labels, strict=True):
        fields = classes.setdefault(group, [{} for _ in row])
        for seen, label in zip(fields, row, strict=True):
            if label:
                seen[label] = None
    differing = [
        next(field for field in fields if len(field) > 1)
        for _, fields in sorted(classes.items())
        if any(len(field) > 1 for field in fields)
    ]
    if not differing:
        return None
    one, other = list(differing[0])[:2]
    have = "has" if len(differing) == 1 else "have"
    return (
        f"{counted(len(differing), 'group')} of copies {have} different labels, such as {one} and "
        f"{other}: see duplicates.csv"
    )


class _Grouping:
    """The groups found so far; pictures are numbered by their place in the order of preference."""

    def __init__(self, order: np.ndarray, pinned: np.ndarray, excluded: str) -> None:
        places = np.arange(len(order))
        self.order = order
        self.pinned = pinned[order]
        self.excluded = np.zeros(len(order), dtype=bool)
        self.excludes = DUPLICATES[1 : DUPLICATES.index(excluded) + 1]
        self.like = places.copy()
        """The picture that each is a duplicate of; itself if of no earlier one."""
        self.kind = np.zeros(len(order), dtype=np.int8)
        """The kind of duplicate, an index into `DUPLICATES`."""
        self.distance = np.zeros(len(order), dtype=np.float32)
        self.groups = _Sets(len(order))
        """Sets of copies."""
        self.sides = _Sets(len(order))
        """Sets of copies and alike pictures."""
        self.alike = np.zeros(len(order), dtype=bool)
        """Whether each picture is alike another."""

    def join(self, first: int, others: np.ndarray, distances: np.ndarray, kind: str) -> None:
        """Make pictures duplicates of an earlier one."""
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
        """Whether each picture may still become a duplicate of an earlier one, bool [B]."""
        if kind in self.excludes:
            return ~self.excluded[others]
        return self.groups.first[others] != self.groups.first[place]

    def result(self) -> Duplicates:
        """The result, by picture number."""
        count = len(self.order)
        kind, distance = self.kind.copy(), self.distance.copy()
        # A copy of an excluded picture gets that one's distance from the kept picture.
        through = self.excluded[self.like] & (self.like[self.like] != self.like)
        kind[through], distance[through] = kind[self.like[through]], distance[self.like[through]]
        # The first of a group has the kind and distance of its closest.
        closest = np.lexsort((distance, kind, self.groups.first))
        closest = closest[kind[closest] > 0]
        heads, position = np.unique(self.groups.first[closest], return_index=True)
        kind[heads], distance[heads] = kind[closest[position]], distance[closest[position]]

        by_picture = np.empty(count, dtype=np.int64)
        by_picture[self.order] = np.arange(count)
        group = np.where(kind > 0, self.groups.first, -1)[by_picture]
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


class _Sets:
    """Disjoint sets of places (union-find), each represented by its first place."""

    def __init__(self, count: int) -> None:
        self.first = np.arange(count)
        self._members: dict[int, list[int]] = {}

    def unite(self, one: int, other: int) -> None:
        """Join the sets of two places."""
        one, other = sorted((int(self.first[one]), int(self.first[other])))
        if one == other:
            return
        moved = self._members.pop(other, [other])
        self._members.setdefault(one, [one]).extend(moved)
        self.first[moved] = one


def _numbered(sets: np.ndarray) -> np.ndarray:
    """Renumber sets, int64 [S], from 0 in order of occurrence; -1 stays."""
    firsts = list(dict.fromkeys(sets[sets >= 0].tolist()))
    number = {first: position for position, first in enumerate(firsts)} | {-1: -1}
    return np.array([number[each] for each in sets.tolist()], dtype=np.int64)


def _exact(found: _Grouping, fingerprints: np.ndarray) -> None:
    """Group pictures with equal packed pixels."""
    first: dict[bytes, int] = {}
    for place, digest in enumerate(fingerprints["pixels"][found.order]):
        other = first.setdefault(digest.tobytes(), place)
        if other != place:
            found.join(other, np.array([place]), np.zeros(1), "exact")


def _near(
    found: _Grouping, fingerprints: np.ndarray, sizes: np.ndarray, places: np.ndarray
) -> None:
    """Group near duplicates among some pictures, one by one in the order of preference."""
    numbers = found.order[places]
    detail = fingerprints["detail"][numbers]
    aspect = np.log(sizes[numbers, 0] / sizes[numbers, 1])
    clear, soft = np.flatnonzero(detail >= _DETAIL), np.flatnonzero(detail < SOFT)
    dhash, phash = fingerprints["dhash"][numbers[clear]], fingerprints["phash"][numbers[clear]]
    index = SoftIndex(fingerprints, numbers[soft])
    # The number of each kind before a picture, which is its index among its kind.
    clears, softs = np.cumsum(detail >= _DETAIL) - 1, np.cumsum(detail < SOFT) - 1

    def alike_in_shape(position: int, others: np.ndarray) -> np.ndarray:
        near: np.ndarray = others[np.abs(aspect[others] - aspect[position]) <= math.log(_ASPECT)]
        return near

    for position, place in enumerate(places.tolist()):
        if found.excluded[place]:
            continue
        if detail[position] >= _DETAIL:
            own = clears[position]
            later = np.bitwise_count(dhash[own + 1 :] ^ dhash[own]) <= _DHASH
            close = np.flatnonzero(later) + own + 1
            close = close[np.bitwise_count(phash[close] ^ phash[own]) <= _PHASH]
            _join_near(found, fingerprints, place, places[alike_in_shape(position, clear[close])])
        if detail[position] < SOFT:
            own = softs[position]
            close = index.later(own)
            # If they cannot be copies, pictures already on one side need no comparison.
            sides = found.sides.first[places[soft[close]]]
            apart = sides != found.sides.first[place]
            close = close[apart | index.may_be_copies(own, close)]
            _join_soft(found, fingerprints, place, places[alike_in_shape(position, soft[close])])


def _join_near(found: _Grouping, fingerprints: np.ndarray, place: int, close: np.ndarray) -> None:
    """Compare pictures whose hashes are close with an earlier one."""
    for start in range(0, len(close), _AT_ONCE):
        others = close[start : start + _AT_ONCE]
        others = others[found.open(place, others, "near")]
        far = distances(fingerprints, int(found.order[place]), found.order[others])
        found.join(place, others[far <= 1], far[far <= 1], "near")


def _join_soft(found: _Grouping, fingerprints: np.ndarray, place: int, close: np.ndarray) -> None:
    """Compare pictures with little detail with an earlier one."""
    for start in range(0, len(close), _AT_ONCE):
        others = close[start : start + _AT_ONCE]
        others = others[found.open(place, others, "near")]
        far, copies = soft_distances(fingerprints, int(found.order[place]), found.order[others])
        found.join(place, others[copies], far[copies], "near")
        found.keep_together(place, others[(far <= ALIKE) & ~copies])


def _by_features(
    found: _Grouping, fingerprints: np.ndarray, features: Features, places: np.ndarray
) -> None:
    """Group pictures with similar features that are near duplicates once aligned."""
    places = places[~found.excluded[places]]
    if not len(places):
        return
    parts = np.split(found.order[places], range(_FEATURES_AT_ONCE, len(places), _FEATURES_AT_ONCE))
    seen = np.concatenate([features(part).astype(np.float32) for part in parts])
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    for start in range(0, len(places), _FEATURES_AT_ONCE):
        cosines = seen[start : start + _FEATURES_AT_ONCE] @ seen[start:].T
        for row, cosine in enumerate(cosines):
            place = int(places[start + row])
            if found.excluded[place]:
                continue
            later = places[start + row + 1 :]
            close = later[cosine[row + 1 :] >= _COSINE]
            for first in range(0, len(close), _AT_ONCE):
                others = close[first : first + _AT_ONCE]
                others = others[found.open(place, others, "features")]
                if not len(others):
                    continue
                far = registered_distances(
                    fingerprints, int(found.order[place]), found.order[others]
                )
                found.join(place, others[far <= 1], far[far <= 1], "features")
