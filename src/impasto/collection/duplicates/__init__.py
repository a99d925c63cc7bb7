"""Find copies by their fingerprints, group them, and keep one of each group.

**Exact**: the packed pixels are equal.

**Near**: the same picture in another file, such as one compressed again, at another size, or a little
brighter. The perceptual hashes of both must be close. Then the thumbnails are compared, at 32 x 32 in
brightness and 16 x 16 in colour: no pixel may lie far outside the range of the other thumbnail's 3 x 3
neighbourhood. That allows a shift of half a pixel, but not a tear on a face. A picture in other colours,
with something added, mirrored or visibly cropped is another picture. On Debian's 8,121 clip-art
drawings, a very hard case for perceptual hashes, this was wrong for one picture in 600
(docs/notebook.md). Pictures with little detail are compared by colours and structure instead, with
stricter limits (`soft.py`).

**Alike**: pictures with little detail whose colours agree, but with too little structure to decide
whether they are copies. All are kept, and a set is on one side of the split.

**By features**, only if asked for: also crops, other margins, watermarks and scans of the same picture.
A feature network proposes pairs, which are aligned (`registration.py`) and compared as above, with wider
limits.

Duplicates are not chained: every excluded picture is a duplicate of one that is kept. If a is near b and
b is near c, but a is not near c, then a and c may both be kept.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from impasto.collection.duplicates.comparing import registered_distances
from impasto.collection.duplicates.grouping import DUPLICATES as DUPLICATES
from impasto.collection.duplicates.grouping import Duplicates as Duplicates
from impasto.collection.duplicates.grouping import Grouping
from impasto.collection.duplicates.naming import is_named_a_copy
from impasto.collection.duplicates.near import DETAIL, join_near
from impasto.collection.duplicates.neighbours import (
    group_by_first,
    principal_coordinates,
    true_pairs,
)
from impasto.formatting import counted

FINDING_VERSION = 3
"""Incremented when the same fingerprints would give other copies or another split."""

Features = Callable[[np.ndarray], np.ndarray]
"""A function from picture numbers, int64 [B], to a feature network's features, float32 [B, D]."""

_COSINE = 0.85
"""Least cosine similarity of the features of duplicates. Among the 21 packaged paintings it is at most
0.64."""
_AXES, _ROUNDING = 64, 1e-3
"""Features are first compared along this many principal axes; the second number is more than the
rounding error of float32."""
_FEATURES_AT_ONCE, _COLUMNS = 256, 8192
"""Most pictures that are compared at once, and most others that they are compared with; bounds
memory."""


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
    file (mostly the least compressed), then one that is not named as a copy, then the first by
    name. Enlarged copies are not detected: a bad copy of twice the width is kept, and the original
    excluded. Pictures that their source holds out are all kept. So a published test set stays
    complete, and its copies among the training pictures are excluded.

    Kinds that are not excluded are grouped too. Such a group holds all duplicates of its pictures,
    and stays on one side of the split. The result is that of comparing every pair; see `near.py`.

    Args:
        fingerprints: `fingerprint.FINGERPRINT` [S].
        sizes: width and height of the source pictures in pixels, [S, 2].
        known: the number of labels of each, [S].
        names: paths in the source, [S], distinct.
        file_bytes: lengths of the files, [S]; None: unknown.
        excluded: one of `DUPLICATES`; features are compared only for `features`.
        pinned: bool [S], whether the source holds out each picture; None: none.
        features: computes features by picture number; needed only for `features`.
    """
    count = len(fingerprints)
    given = np.zeros(count, dtype=bool) if pinned is None else np.asarray(pinned, dtype=bool)
    pixels = np.asarray(sizes, dtype=np.int64).reshape(count, 2).prod(axis=1)
    length = [0] * count if file_bytes is None else file_bytes
    order = sorted(
        range(count),
        key=lambda n: (
            not given[n],
            -pixels[n],
            -known[n],
            -length[n],
            is_named_a_copy(names[n]),
            names[n],
        ),
    )
    found = Grouping(np.array(order, dtype=np.int64), given, excluded)
    _exact(found, fingerprints)
    # Of exact copies only the first is compared further.
    places = np.flatnonzero(found.kind == 0)
    join_near(found, fingerprints, np.asarray(sizes), places)
    places = places[fingerprints["detail"][found.order[places]] >= DETAIL]
    if excluded == "features" and features is not None:
        _by_features(found, fingerprints, features, places)
    return found.result()


def disagreeing_labels(groups: Iterable[int], labels: Iterable[Sequence[str]]) -> str | None:
    """A note on groups whose pictures have different classes in a field; None if there are none.

    Args:
        groups: the group of each picture with copies.
        labels: the class of each in every field; an empty one is unknown, and differs from no other.
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


def _exact(found: Grouping, fingerprints: np.ndarray) -> None:
    """Group pictures with equal packed pixels."""
    first: dict[bytes, int] = {}
    for place, digest in enumerate(fingerprints["pixels"][found.order]):
        other = first.setdefault(digest.tobytes(), place)
        if other != place:
            found.join(other, np.array([place]), np.zeros(1), "exact")


def _by_features(
    found: Grouping, fingerprints: np.ndarray, features: Features, places: np.ndarray
) -> None:
    """Group pictures with similar features that are near duplicates once aligned."""
    places = places[~found.excluded[places]]
    if not len(places):
        return
    parts = np.split(found.order[places], range(_FEATURES_AT_ONCE, len(places), _FEATURES_AT_ONCE))
    seen = np.concatenate([features(part).astype(np.float32) for part in parts])
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    axes = min(_AXES, seen.shape[1])
    short = principal_coordinates(
        lambda some: (seen[some], np.ones(len(seen[some]))), len(seen), axes
    )
    for start in range(0, len(places), _FEATURES_AT_ONCE):
        rows = np.arange(start, min(start + _FEATURES_AT_ONCE, len(places)))
        rows = rows[~found.excluded[places[rows]]]
        later = _similar(seen, short, rows)
        for row in rows.tolist():
            place, close = int(places[row]), places[later[row]]
            if found.excluded[place]:
                continue
            for others in found.portions(place, close, "features"):
                far = registered_distances(
                    fingerprints, int(found.order[place]), found.order[others]
                )
                found.join(place, others[far <= 1], far[far <= 1], "features")


def _similar(seen: np.ndarray, short: np.ndarray, rows: np.ndarray) -> dict[int, np.ndarray]:
    """The later pictures whose features are similar to those of some pictures.

    Args:
        seen: the features, of length 1, float32 [N, D].
        short: their `principal_coordinates`, which take fewer multiplications, float32 [N, K].
        rows: the pictures, int64 [B].

    Returns:
        By each of `rows`: the similar pictures of higher numbers, int64.
    """
    found: dict[int, list[np.ndarray]] = {row: [np.empty(0, np.int64)] for row in rows.tolist()}
    for start in range(int(rows.min(initial=len(seen))), len(seen), _COLUMNS):
        columns = np.arange(start, min(start + _COLUMNS, len(seen)))
        one, other = true_pairs(short[rows] @ short[columns].T >= _COSINE - _ROUNDING)
        one, other = rows[one], columns[other]
        one, other = one[other > one], other[other > one]
        close = np.einsum("pd,pd->p", seen[one], seen[other]) >= _COSINE
        for row, later in group_by_first((one[close], other[close])).items():
            found[row].append(later)
    return {row: np.concatenate(columns) for row, columns in found.items()}
