"""Pictures that are the same as another, or nearly: found by their looks, grouped, one of each kept.

**Exact**: what is packed of them is the same, pixel for pixel; training could not tell them apart.

**Near**: the same picture in another file: compressed again, at another size, a little brighter or
darker. Both hashes are close, and then the pictures themselves are compared, at 32 x 32 in brightness
and 16 x 16 in colour: nowhere may one be much beyond what the other shows there and right around it.
That forgives half a pixel, and not a tear on a face. A picture in other colours, with something added,
mirrored or cropped by more than a hair is another picture. On Debian's 8,121 clip-art drawings, the
hardest case there is for perceptual hashes, this was wrong for one picture in 600 (docs/notebook.md).
Pictures with little detail are compared in colours and structure instead, by stricter limits
(`soft.py`).

**Alike**: pictures with little detail whose colours agree, but which show too little structure to say
whether they are copies. All are kept, and all of a set are on one side of the split.

**By features**: if asked for, also crops, other margins, watermarks and scans of the same picture: a
feature network proposes the pairs, and each is confirmed by laying one over the other
(`registration.py`) and comparing them as above, by wider limits.

No chains: every picture that is excluded is a duplicate of the very one that is kept, not of one
that was excluded itself. So of a, b and c in a row, each near the next, a and c may both be kept.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from impasto.collection.duplicates.comparing import distances, registered_distances
from impasto.collection.duplicates.soft import ALIKE, SOFT, SoftIndex, soft_distances
from impasto.formatting import counted

FINDING_VERSION = 1
"""Raised whenever the same looks would give other copies or other sides of the split."""

DUPLICATES = ("none", "exact", "near", "features")
"""What can be excluded: nothing, the exact ones, near ones too, those by features too."""

Features = Callable[[np.ndarray], np.ndarray]
"""Numbers of pictures, int64 [B], to a feature network's features of them, float32 [B, D]."""

_DHASH, _PHASH = 10, 12
"""Hashes of near duplicates differ in at most so many of their 64 bits."""
_DETAIL = 8.0
"""Hashes are compared of pictures with at least this detail (see `Fingerprint`). The 21 paintings have
10 to
23."""
_ASPECT = 1.1
"""Width to height differs by at most this factor."""
_COSINE = 0.85
"""Features of duplicates have at least this cosine. Of the 21 paintings no two have more than 0.64."""
_FEATURES_AT_ONCE = 256
_AT_ONCE = 1024
"""Pictures that are compared with one at once: the bound on memory."""


@dataclass(frozen=True)
class Duplicates:
    """What was found among S pictures.

    Attributes:
        group: int64 [S], from 0 in the order of the first members; -1 of pictures without duplicates.
        kept: bool [S]; of each group at least one.
        kind: `exact`, `near` or an empty text, one a picture. Of the first of a group it is that of
            the closest of the others.
        distance: float32 [S] from the picture that it was found to be a duplicate of: 0 of exact ones,
            above 0 to 1 of near ones, where 1 is the furthest that is still called near.
        alike: int64 [S], the set of pictures that cannot be told apart from one another, from 0 in the
            order of the first members; -1 of all other pictures. Copies are in the set of their group.
        side: int64 [S]: the same number for pictures that must be on one side of the split, which are
            those of one group and those of one set.
    """

    group: np.ndarray
    kept: np.ndarray
    kind: list[str]
    distance: np.ndarray
    alike: np.ndarray
    side: np.ndarray


def find_duplicates(
    looks: np.ndarray,
    sizes: np.ndarray,
    known: Sequence[int],
    names: Sequence[str],
    *,
    file_bytes: Sequence[int] | None = None,
    excluded: str = "near",
    pinned: np.ndarray | None = None,
    features: Features | None = None,
) -> Duplicates:
    """Group pictures that are duplicates, and say which of each group is kept.

    Kept is the one with the most pixels; of several, the one with the most labels; of those, the
    largest file, which is as a rule the one that was compressed least; of those, the first by name.
    Nothing here sees that a picture was enlarged: a bad copy of twice the width is kept, and the
    original excluded. Pictures that their source holds out are kept all, whatever else is: a published
    test set stays as it is, and what it shares with the pictures for training is excluded from
    those.

    What is not to be excluded is grouped all the same, and then every picture belongs to the group
    of all its duplicates: groups stay on one side of the split. Compares every picture with every
    other, half a nanosecond a pair: seconds for 80,000, minutes for a million, in memory that does
    not grow with the number of pairs. An index would be no safer: drawings share most of their bits.

    Args:
        looks: `fingerprint.FINGERPRINT` [S].
        sizes: width and height of the source pictures, [S, 2].
        known: how many labels each has.
        names: distinct names.
        file_bytes: lengths of the files; None: not known.
        excluded: one of `DUPLICATES`; features are compared only for `features`.
        pinned: bool [S]: those that their source holds out; None: none.
        features: of pictures by number; asked for only with `features`.
    """
    count = len(looks)
    given = np.zeros(count, dtype=bool) if pinned is None else np.asarray(pinned, dtype=bool)
    pixels = np.asarray(sizes, dtype=np.int64).reshape(count, 2).prod(axis=1)
    length = [0] * count if file_bytes is None else file_bytes
    order = sorted(
        range(count),
        key=lambda n: (not given[n], -pixels[n], -known[n], -length[n], names[n]),
    )
    found = _Grouping(np.array(order, dtype=np.int64), given, excluded)
    _exact(found, looks)
    # Exact copies are as their first.
    places = np.flatnonzero(found.kind == 0)
    _near(found, looks, np.asarray(sizes), places)
    places = places[looks["detail"][found.order[places]] >= _DETAIL]
    if excluded == "features" and features is not None:
        _by_features(found, looks, features, places)
    return found.result()


def disagreeing_labels(groups: Iterable[int], labels: Iterable[Sequence[str]]) -> str | None:
    """A note of groups whose pictures have different classes in a field; None if there are none. A
    label that is not known differs from no other.

    Args:
        groups: the group of each picture that has copies.
        labels: its class in each field, or an empty text.
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
    """What has been found so far; pictures by their place in the order of being kept."""

    def __init__(self, order: np.ndarray, pinned: np.ndarray, excluded: str) -> None:
        places = np.arange(len(order))
        self.order = order
        self.pinned = pinned[order]
        self.excluded = np.zeros(len(order), dtype=bool)
        self.excludes = DUPLICATES[1 : DUPLICATES.index(excluded) + 1]
        self.like = places.copy()
        """Which picture each was found to be a duplicate of; itself if of none before it."""
        self.kind = np.zeros(len(order), dtype=np.int8)
        """As what, a position in `DUPLICATES`."""
        self.distance = np.zeros(len(order), dtype=np.float32)
        self.groups = _Sets(len(order))
        """Of copies."""
        self.sides = _Sets(len(order))
        """Of copies and of what is alike."""
        self.alike = np.zeros(len(order), dtype=bool)
        """Which pictures were found to be alike."""

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
        """Put pictures that are alike on one side."""
        for other in others.tolist():
            self.alike[[one, other]] = True
            self.sides.unite(one, other)

    def open(self, place: int, others: np.ndarray, kind: str) -> np.ndarray:
        """Which of some pictures may still become duplicates of an earlier one, bool [B]."""
        if kind in self.excludes:
            return ~self.excluded[others]
        return self.groups.first[others] != self.groups.first[place]

    def result(self) -> Duplicates:
        """The same by picture."""
        count = len(self.order)
        kind, distance = self.kind.copy(), self.distance.copy()
        # A copy of one that was excluded itself: as far from the one that is kept as that one.
        through = self.excluded[self.like] & (self.like[self.like] != self.like)
        kind[through], distance[through] = kind[self.like[through]], distance[self.like[through]]
        # The first of a group is like its closest.
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
    """Places in disjoint sets, each known by its first place."""

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
    """Sets, int64 [S], numbered from 0 in the order in which they occur; -1 stays."""
    firsts = list(dict.fromkeys(sets[sets >= 0].tolist()))
    number = {first: position for position, first in enumerate(firsts)} | {-1: -1}
    return np.array([number[each] for each in sets.tolist()], dtype=np.int64)


def _exact(found: _Grouping, looks: np.ndarray) -> None:
    """Group what is packed pixel for pixel the same."""
    first: dict[bytes, int] = {}
    for place, digest in enumerate(looks["pixels"][found.order]):
        other = first.setdefault(digest.tobytes(), place)
        if other != place:
            found.join(other, np.array([place]), np.zeros(1), "exact")


def _near(found: _Grouping, looks: np.ndarray, sizes: np.ndarray, places: np.ndarray) -> None:
    """Group what looks nearly the same among some pictures, one by one in the order of being kept."""
    numbers = found.order[places]
    detail = looks["detail"][numbers]
    aspect = np.log(sizes[numbers, 0] / sizes[numbers, 1])
    clear, soft = np.flatnonzero(detail >= _DETAIL), np.flatnonzero(detail < SOFT)
    dhash, phash = looks["dhash"][numbers[clear]], looks["phash"][numbers[clear]]
    index = SoftIndex(looks, numbers[soft])
    # How many of each are before: the place of a picture among its kind.
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
            _join_near(found, looks, place, places[alike_in_shape(position, clear[close])])
        if detail[position] < SOFT:
            own = softs[position]
            close = index.later(own)
            # Where no copies can be found, there is no more to find among those on one side.
            sides = found.sides.first[places[soft[close]]]
            apart = sides != found.sides.first[place]
            close = close[apart | index.may_be_copies(own, close)]
            _join_soft(found, looks, place, places[alike_in_shape(position, soft[close])])


def _join_near(found: _Grouping, looks: np.ndarray, place: int, close: np.ndarray) -> None:
    """Compare pictures whose hashes are close with an earlier one."""
    for start in range(0, len(close), _AT_ONCE):
        others = close[start : start + _AT_ONCE]
        others = others[found.open(place, others, "near")]
        far = distances(looks, int(found.order[place]), found.order[others])
        found.join(place, others[far <= 1], far[far <= 1], "near")


def _join_soft(found: _Grouping, looks: np.ndarray, place: int, close: np.ndarray) -> None:
    """Compare pictures with little detail with an earlier one."""
    for start in range(0, len(close), _AT_ONCE):
        others = close[start : start + _AT_ONCE]
        others = others[found.open(place, others, "near")]
        far, copies = soft_distances(looks, int(found.order[place]), found.order[others])
        found.join(place, others[copies], far[copies], "near")
        found.keep_together(place, others[(far <= ALIKE) & ~copies])


def _by_features(
    found: _Grouping, looks: np.ndarray, features: Features, places: np.ndarray
) -> None:
    """Group what has nearly the same features among some pictures, and once it is laid over the other
    looks nearly the same."""
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
                far = registered_distances(looks, int(found.order[place]), found.order[others])
                found.join(place, others[far <= 1], far[far <= 1], "features")
