"""Pictures that are the same as another, or nearly: found by their looks, grouped, one of each kept.

**Exact**: what is packed of them is the same, pixel for pixel; training could not tell them apart.

**Near**: the same picture in another file: compressed again, at another size, a little brighter or
darker. Both hashes are close, and then the pictures themselves are compared, at 32 x 32 in brightness
and 16 x 16 in colour: nowhere may one be much beyond what the other shows there and right around it.
That forgives half a pixel, and not a tear on a face. A picture in other colours, with something added,
mirrored or cropped by more than a hair is another picture; so is any that shows hardly anything,
since all of those look alike. On Debian's 8,121 clip-art drawings, the hardest case there is for
perceptual hashes, this was wrong for one picture in 600 (docs/notebook.md).

**By features**: if asked for, also crops, other margins, watermarks and scans of the same picture: a
feature network proposes the pairs, and each is confirmed by laying one over the other
(`registration.py`) and comparing them as above, by wider limits.

No chains: every picture that is set aside is a duplicate of the very one that is kept, not of one
that was set aside itself. So of a, b and c in a row, each near the next, a and c may both be kept.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from impasto.collection.look import SIDE, THUMB
from impasto.collection.registration import laid_over, normal, register
from impasto.words import counted

DUPLICATES = ("none", "exact", "near", "features")
"""What can be set aside: nothing, the exact ones, near ones too, those by features too."""

Features = Callable[[np.ndarray], np.ndarray]
"""Numbers of pictures, int64 [B], to a feature network's features of them, float32 [B, D]."""

_DHASH, _PHASH = 10, 12
"""Hashes of near duplicates differ in at most so many of their 64 bits."""
_DETAIL = 8.0
"""Pictures of less detail (see `Look`) are never near: skies and blank sheets look alike. The 21
paintings have 10 to 23."""
_ASPECT = 1.1
"""Width to height differs by at most this factor."""
_MEAN = 45.0
"""Mean brightness differs by at most so many levels of 255, ..."""
_GAIN = 1.5
"""... and contrast by at most this factor."""
_UNLIKE = 0.03
"""Brightness correlates by at least 1 less this."""
_LIGHT = 20.0
"""How far brightness may lie outside what the other picture shows around the same place, in levels,
once both have the same mean and contrast. JPEG of quality 40 and another size come to 18; a tear on a
face to 32."""
_COLOUR = 12.0
"""The same for both colour differences, as they are."""
_COSINE = 0.85
"""Features of duplicates have at least this cosine. Of the 21 paintings no two have more than 0.64."""
_UNLIKE_REGISTERED, _LIGHT_REGISTERED, _COLOUR_REGISTERED = 0.05, 50.0, 24.0
"""The limits of `_UNLIKE`, `_LIGHT` and `_COLOUR` for those, once they are laid over each other."""

_CB_CR = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=np.float32)
"""Colour differences of red, green and blue (JFIF)."""
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
    """

    group: np.ndarray
    kept: np.ndarray
    kind: list[str]
    distance: np.ndarray

    @property
    def sides(self) -> list[int]:
        """A number a picture, the same for all of a group and no others: see `split.held_out`."""
        alone = self.group < 0
        numbers = self.group.copy()
        numbers[alone] = len(self.group) + np.flatnonzero(alone)
        return [int(number) for number in numbers]


def find_duplicates(
    looks: np.ndarray,
    sizes: np.ndarray,
    known: Sequence[int],
    names: Sequence[str],
    *,
    file_bytes: Sequence[int] | None = None,
    aside: str = "near",
    pinned: np.ndarray | None = None,
    features: Features | None = None,
) -> Duplicates:
    """Group pictures that are duplicates, and say which of each group is kept.

    Kept is the one with the most pixels; of several, the one with the most labels; of those, the
    largest file, which is as a rule the one that was compressed least; of those, the first by name.
    Nothing here sees that a picture was enlarged: a bad copy of twice the width is kept, and the
    original set aside. Pictures that their source holds out are kept all, whatever else is: a published
    test set stays as it is, and what it shares with the pictures for training is set aside from
    those.

    What is not to be set aside is grouped all the same, and then every picture belongs to the group
    of all its duplicates: groups stay on one side of the split. Compares every picture with every
    other, half a nanosecond a pair: seconds for 80,000, minutes for a million, in memory that does
    not grow with the number of pairs. An index would be no safer: drawings share most of their bits.

    Args:
        looks: `look.LOOK` [S].
        sizes: width and height of the source pictures, [S, 2].
        known: how many labels each has.
        names: distinct names.
        file_bytes: lengths of the files; None: not known.
        aside: one of `DUPLICATES`; features are compared only for `features`.
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
    found = _Found(np.array(order, dtype=np.int64), given, aside)
    _exact(found, looks)
    # What shows hardly anything is like nothing but itself; copies are as their first.
    telling = looks["detail"][found.order] >= _DETAIL
    places = np.flatnonzero(telling & (found.kind == 0))
    _near(found, looks, np.asarray(sizes), places)
    if aside == "features" and features is not None:
        _by_features(found, looks, features, places)
    return found.told()


def told_differently(groups: Iterable[int], labels: Iterable[Sequence[str]]) -> str | None:
    """A note of groups whose pictures have different classes in a field; None if there are none. A
    label that is not known differs from no other.

    Args:
        groups: the group of each picture that has copies.
        labels: its class in each field, or an empty text.
    """
    classes: dict[int, list[dict[str, None]]] = {}
    for group, told in zip(groups, labels, strict=True):
        fields = classes.setdefault(group, [{} for _ in told])
        for seen, label in zip(fields, told, strict=True):
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


class _Found:
    """What has been found so far; pictures by their place in the order of being kept."""

    def __init__(self, order: np.ndarray, pinned: np.ndarray, aside: str) -> None:
        places = np.arange(len(order))
        self.order = order
        self.pinned = pinned[order]
        self.aside = np.zeros(len(order), dtype=bool)
        self.sets_aside = DUPLICATES[1 : DUPLICATES.index(aside) + 1]
        self.like = places.copy()
        """Which picture each was found to be a duplicate of; itself if of none before it."""
        self.kind = np.zeros(len(order), dtype=np.int8)
        """As what, a position in `DUPLICATES`."""
        self.distance = np.zeros(len(order), dtype=np.float32)
        self.group = places
        """The first of each one's group."""
        self._members: dict[int, list[int]] = {}

    def join(self, first: int, others: np.ndarray, distances: np.ndarray, kind: str) -> None:
        """Make pictures duplicates of an earlier one."""
        for other, distance in zip(others.tolist(), distances.tolist(), strict=True):
            if kind in self.sets_aside and not self.pinned[other]:
                self.aside[other] = True
            if self.like[other] == other:
                self.like[other] = first
                self.kind[other] = DUPLICATES.index(kind)
                self.distance[other] = distance
            self._unite(int(self.group[first]), int(self.group[other]))

    def _unite(self, one: int, other: int) -> None:
        if one == other:
            return
        one, other = min(one, other), max(one, other)
        moved = self._members.pop(other, [other])
        self._members.setdefault(one, [one]).extend(moved)
        self.group[moved] = one

    def open(self, place: int, others: np.ndarray, kind: str) -> np.ndarray:
        """Which of some pictures may still become duplicates of an earlier one, bool [B]."""
        if kind in self.sets_aside:
            return ~self.aside[others]
        return self.group[others] != self.group[place]

    def told(self) -> Duplicates:
        """The same by picture."""
        count = len(self.order)
        kind, distance = self.kind.copy(), self.distance.copy()
        # A copy of one that was set aside itself: as far from the one that is kept as that one.
        through = self.aside[self.like] & (self.like[self.like] != self.like)
        kind[through], distance[through] = kind[self.like[through]], distance[self.like[through]]
        # The first of a group is like its closest.
        closest = np.lexsort((distance, kind, self.group))
        closest = closest[kind[closest] > 0]
        heads, position = np.unique(self.group[closest], return_index=True)
        kind[heads], distance[heads] = kind[closest[position]], distance[closest[position]]

        by_picture = np.empty(count, dtype=np.int64)
        by_picture[self.order] = np.arange(count)
        group = np.where(kind > 0, self.group, -1)[by_picture]
        # Numbered in the order in which the pictures came in.
        firsts = list(dict.fromkeys(group[group >= 0].tolist()))
        number = {first: position for position, first in enumerate(firsts)} | {-1: -1}
        return Duplicates(
            group=np.array([number[first] for first in group.tolist()], dtype=np.int64),
            kept=~self.aside[by_picture],
            kind=["" if code == 0 else DUPLICATES[code] for code in kind[by_picture].tolist()],
            distance=distance[by_picture],
        )


def _exact(found: _Found, looks: np.ndarray) -> None:
    """Group what is packed pixel for pixel the same."""
    first: dict[bytes, int] = {}
    for place, digest in enumerate(looks["pixels"][found.order]):
        other = first.setdefault(digest.tobytes(), place)
        if other != place:
            found.join(other, np.array([place]), np.zeros(1), "exact")


def _near(found: _Found, looks: np.ndarray, sizes: np.ndarray, places: np.ndarray) -> None:
    """Group what looks nearly the same among some pictures."""
    numbers = found.order[places]
    dhash, phash = looks["dhash"][numbers], looks["phash"][numbers]
    aspect = np.log(sizes[numbers, 0] / sizes[numbers, 1])
    for index, place in enumerate(places.tolist()):
        if found.aside[place]:
            continue
        later = np.bitwise_count(dhash[index + 1 :] ^ dhash[index]) <= _DHASH
        close = np.flatnonzero(later) + index + 1
        close = close[np.bitwise_count(phash[close] ^ phash[index]) <= _PHASH]
        close = close[np.abs(aspect[close] - aspect[index]) <= math.log(_ASPECT)]
        for start in range(0, len(close), _AT_ONCE):
            others = places[close[start : start + _AT_ONCE]]
            others = others[found.open(place, others, "near")]
            distances = _distances(looks, int(found.order[place]), found.order[others])
            near = distances <= 1
            found.join(place, others[near], distances[near], "near")


def _distances(looks: np.ndarray, one: int, others: np.ndarray) -> np.ndarray:
    """How far some pictures look from one, float32 [B]: 1 at the limit of what is near."""
    own, own_mean, own_spread = _normal(looks["light"][one][None])
    light, mean, spread = _normal(looks["light"][others])
    far = (1 - (own * light).mean(axis=(1, 2))) / _UNLIKE
    far[np.abs(mean - own_mean) > _MEAN] = np.inf
    far[np.abs(np.log(spread / own_spread)) > math.log(_GAIN)] = np.inf
    left = np.flatnonzero(far <= 1)
    if len(left):
        beyond = _largest(_beyond(own, light[left])) * (own_spread + spread[left]) / 2
        far[left] = np.maximum(far[left], beyond / _LIGHT)
        left = left[far[left] <= 1]
    if len(left):
        beyond = _largest(_beyond(_colour(looks, np.array([one])), _colour(looks, others[left])))
        far[left] = np.maximum(far[left], beyond / _COLOUR)
    return np.maximum(far, 0).astype(np.float32)


def _registered_distances(looks: np.ndarray, one: int, others: np.ndarray) -> np.ndarray:
    """The same, but each is first laid over the one, or the one over it, and the limits are wider."""
    alone = np.full(len(others), one)
    numbers, beside = np.concatenate([alone, others]), np.concatenate([others, alone])
    frames = register(looks["light"][numbers], looks["light"][beside])
    light, inside = laid_over(looks["light"][beside].astype(np.float64), frames)
    own, own_mean, own_spread = normal(looks["light"][numbers].astype(np.float64), inside)
    light, mean, spread = normal(light, inside)
    far = (1 - (own * light).sum(axis=(1, 2)) / inside.sum(axis=(1, 2))) / _UNLIKE_REGISTERED
    far[np.abs(mean - own_mean) > _MEAN] = np.inf
    far[np.abs(np.log(spread / own_spread)) > math.log(_GAIN)] = np.inf
    beyond = _largest(_beyond(own, light) * inside) * (own_spread + spread) / 2
    far = np.maximum(far, beyond / _LIGHT_REGISTERED)
    half = frames * (1, THUMB / SIDE, 1, THUMB / SIDE)
    own_colour, colour = _colour(looks, numbers), _colour(looks, beside)
    for part in range(2):
        moved, inside = laid_over(colour[..., part], half)
        beyond = _largest(_beyond(own_colour[..., part], moved) * inside)
        far = np.maximum(far, beyond / _COLOUR_REGISTERED)
    nearest: np.ndarray = np.maximum(far, 0).reshape(2, -1).min(axis=0).astype(np.float32)
    return nearest


def _colour(looks: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The colour differences of some pictures, float32 [B, 16, 16, 2]."""
    colour: np.ndarray = looks["thumb"][numbers] @ _CB_CR.T
    return colour


def _normal(light: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures [B, H, W] with a mean of 0 and a spread of 1, and what mean and spread were, [B]."""
    light = light.astype(np.float32)
    mean = light.mean(axis=(1, 2))
    light -= mean[:, None, None]
    spread = np.sqrt(np.square(light).mean(axis=(1, 2)))
    return light / spread[:, None, None], mean, spread


def _beyond(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far each place in a picture [1 or B, H, W, ...] and in another [B, H, W, ...] is outside of
    what the other shows there and in the eight places around it: below 0 where it is inside."""
    least, most = _around(one)
    beyond = np.maximum(least - others, others - most)
    least, most = _around(others)
    result: np.ndarray = np.maximum(beyond, np.maximum(least - one, one - most))
    return result


def _largest(values: np.ndarray) -> np.ndarray:
    """The largest of each of [B, ...], [B]."""
    largest: np.ndarray = values.reshape(len(values), -1).max(axis=1)
    return largest


def _around(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most of each place of [B, H, W, ...] and the eight around it."""
    least = _of_three(_of_three(pictures, 1, np.minimum), 2, np.minimum)
    return least, _of_three(_of_three(pictures, 1, np.maximum), 2, np.maximum)


def _of_three(pictures: np.ndarray, axis: int, choose: np.ufunc) -> np.ndarray:
    """What `choose` takes of each place and the two beside it along an axis."""
    given = np.moveaxis(pictures, axis, 0)
    taken = given.copy()
    choose(taken[1:], given[:-1], out=taken[1:])
    choose(taken[:-1], given[1:], out=taken[:-1])
    return np.moveaxis(taken, 0, axis)


def _by_features(found: _Found, looks: np.ndarray, features: Features, places: np.ndarray) -> None:
    """Group what has nearly the same features among some pictures, and once it is laid over the other
    looks nearly the same."""
    places = places[~found.aside[places]]
    if not len(places):
        return
    parts = np.split(found.order[places], range(_FEATURES_AT_ONCE, len(places), _FEATURES_AT_ONCE))
    seen = np.concatenate([features(part).astype(np.float32) for part in parts])
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    for start in range(0, len(places), _FEATURES_AT_ONCE):
        cosines = seen[start : start + _FEATURES_AT_ONCE] @ seen[start:].T
        for row, cosine in enumerate(cosines):
            place = int(places[start + row])
            if found.aside[place]:
                continue
            later = places[start + row + 1 :]
            close = later[cosine[row + 1 :] >= _COSINE]
            for first in range(0, len(close), _AT_ONCE):
                others = close[first : first + _AT_ONCE]
                others = others[found.open(place, others, "features")]
                if not len(others):
                    continue
                distances = _registered_distances(
                    looks, int(found.order[place]), found.order[others]
                )
                near = distances <= 1
                found.join(place, others[near], distances[near], "features")
