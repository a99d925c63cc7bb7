"""Which pairs are compared: all that the rule of all pairs would find, of any pictures."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from impasto.collection import duplicates
from impasto.collection.duplicates import Duplicates, find_duplicates, near, neighbours
from impasto.collection.duplicates.comparing import distances
from impasto.collection.duplicates.grouping import DisjointSets, Grouping
from impasto.collection.duplicates.neighbours import (
    Neighbours,
    Points,
    Sides,
    TooManyError,
    block_vectors,
    principal_coordinates,
)
from impasto.collection.duplicates.soft import ALIKE, SOFT, soft_distances
from impasto.decoding.fingerprint import FINGERPRINT, fingerprint_of


def all_pairs(
    found: Grouping, fingerprints: np.ndarray, sizes: np.ndarray, places: np.ndarray
) -> None:
    """The rule: every picture is compared with all later ones."""
    for position, place in enumerate(places.tolist()):
        if found.excluded[place]:
            continue
        one = int(found.order[place])
        later = places[position + 1 :]
        numbers = found.order[later]
        shape = np.log(sizes[:, 0] / sizes[:, 1])
        later = later[np.abs(shape[numbers] - shape[one]) <= np.log(1.1)]
        numbers = found.order[later]
        detail = fingerprints["detail"]
        if detail[one] >= 8:
            close = detail[numbers] >= 8
            for name, most in (("dhash", 10), ("phash", 12)):
                hashes = fingerprints[name]
                close &= np.bitwise_count(hashes[numbers] ^ hashes[one]) <= most
            others = later[close]
            others = others[found.open(place, others, "near")]
            far = distances(fingerprints, one, found.order[others])
            found.join(place, others[far <= 1], far[far <= 1], "near")
        if detail[one] < SOFT:
            others = later[detail[numbers] < SOFT]
            others = others[found.open(place, others, "near")]
            far, copies = soft_distances(fingerprints, one, found.order[others])
            found.join(place, others[copies], far[copies], "near")
            found.keep_together(place, others[(far <= ALIKE) & ~copies])


def field(seed: int, cells: int, height: float) -> np.ndarray:
    """A smooth field around 0, float64 [32, 32, 3]."""
    values = np.random.default_rng(seed).normal(size=(cells, cells, 3))
    across = np.linspace(0, cells - 1, 32)
    low = np.minimum(across.astype(int), cells - 2)
    share = (across - low)[:, None, None]
    rows = values[low] * (1 - share) + values[low + 1] * share
    share = (across - low)[None, :, None]
    smooth: np.ndarray = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    return height * smooth / smooth.std()


def drawing(points: int) -> np.ndarray:
    page = Image.new("RGB", (32, 32), "white")
    draw = ImageDraw.Draw(page)
    draw.ellipse((3, 3, 28, 28), fill=(250, 200, 40), outline="black")
    draw.point([(10 + 3 * number, 12) for number in range(points)], "black")
    return np.asarray(page).astype(np.float64)


def originals() -> list[np.ndarray]:
    """Pictures of every kind, float64 [32, 32, 3], several of each next to one another."""
    grey = np.full((32, 32, 3), 128.0)
    ramp = np.linspace(100, 150, 32)[:, None, None] + np.zeros((32, 32, 3))
    blurred = Image.fromarray((128 + field(9, 12, 72)).clip(0, 255).astype(np.uint8))
    softer = blurred.filter(ImageFilter.GaussianBlur(0.4))
    return [
        *(grey, grey + 2, grey + 1, grey + np.array([0, 0, 6]), ramp),
        *(grey + field(seed, 5, 1) for seed in range(3)),
        *(grey + field(seed, 5, 1).mean(axis=2, keepdims=True) for seed in range(3)),
        *(grey + field(4, 6, 25), grey + field(4, 6, 25) * 1.05, ramp + field(5, 7, 3)),
        *(grey + field(6, 12, 75), grey + field(6, 12, 75) + field(7, 6, 12)),
        *(np.asarray(blurred).astype(np.float64), np.asarray(softer).astype(np.float64)),
        *(grey + field(8, 10, 27), grey + field(10, 14, 80), drawing(1), drawing(2), drawing(5)),
    ]


@cache
def library() -> np.ndarray:
    """Fingerprints of the originals, each changed in seven ways."""
    random = np.random.default_rng(1)
    records = []
    for original in originals():
        noise = [random.normal(size=(32, 32, 1)) * size for size in (0, 0, 0.4, 0.8, 1.5, 4)]
        for values in [*(original + each for each in noise), original * 0.9 + 9]:
            pixels = values.round().clip(0, 255).astype(np.uint8)
            records.append(fingerprint_of(Image.fromarray(pixels), pixels[None]).record())
    prints = np.array(records, FINGERPRINT)
    # Packed at another size, what looks the same need not be the same.
    prints["pixels"] = random.integers(0, 256, prints["pixels"].shape)
    return prints


def same(one: Duplicates, other: Duplicates) -> bool:
    return one.kind == other.kind and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("group", "kept", "distance", "alike", "side")
    )


def test_the_library_has_every_kind() -> None:
    prints = library()
    assert (prints["detail"] < 8).sum() > 50
    assert ((prints["detail"] >= 8) & (prints["detail"] < SOFT)).sum() > 5
    assert (prints["detail"] >= SOFT).sum() > 30
    count = len(prints)
    names = [f"{number:03}" for number in range(count)]
    found = find_duplicates(prints, np.full((count, 2), 9), [0] * count, names)
    assert (~found.kept).sum() > 20
    assert (found.alike >= 0).sum() > 20


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 160), st.sampled_from([(90, 90), (80, 87), (99, 90)])),
        min_size=1,
        max_size=90,
    ),
    st.sampled_from(["none", "exact", "near"]),
    st.sampled_from([0, 0.3]),
    st.sampled_from([(2, 3, 1, 40), (8, 4, 16, 400), (128, 1024, 256, 2**22)]),
    st.integers(0, 10**6),
)
def test_the_pairs_are_those_of_the_rule(
    chosen: list[tuple[int, tuple[int, int]]],
    excluded: str,
    held_out: float,
    lengths: tuple[int, int, int, int],
    seed: int,
) -> None:
    rows = [number % len(library()) for number, _ in chosen]
    prints = library()[rows]
    random = np.random.default_rng(seed)
    # Hashes at any distance, whatever the pictures show.
    for name in ("dhash", "phash"):
        for _ in range(int(random.integers(8))):
            bits = random.integers(0, 64, len(rows)).astype(np.uint64)
            prints[name] ^= np.uint64(1) << bits
    pinned = random.random(len(rows)) < held_out

    def outcome() -> Duplicates:
        sizes = np.array([size for _, size in chosen])
        names = [f"{number:03}" for number in range(len(rows))]
        return find_duplicates(
            prints, sizes, [0] * len(rows), names, excluded=excluded, pinned=pinned
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_LEAF", lengths[0])
        patch.setattr(neighbours, "_ROWS", lengths[1])
        patch.setattr(near, "_BLOCK", lengths[2])
        patch.setattr(near, "_PAIRS", lengths[3])
        found = outcome()
        patch.setattr(duplicates, "join_near", all_pairs)
        assert same(found, outcome())


@settings(max_examples=60)
@given(
    st.integers(1, 120),
    st.integers(1, 9),
    st.sampled_from([0.02, 0.3, 2.0]),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_neighbours_are_all_that_touch(
    count: int, leaf: int, reach: float, seed: int, crowded: bool
) -> None:
    random = np.random.default_rng(seed)
    places = random.normal(size=(count, 3)).round(1 if crowded else 6).astype(np.float32)
    radii = (reach * random.random(count)).astype(np.float32)
    levels = random.integers(0, 3, count) * 2.0
    others = random.random(count) < 0.8
    asked = others & (random.random(count) < random.random())
    sides = Sides(random.integers(0, 3, count), random.random(count) < 0.5)

    def everything(ones: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = sides.side[ones][:, None] != sides.side[rest]
        wanted |= ~(sides.settled[ones][:, None] | sides.settled[rest])
        row, column = np.nonzero(wanted)
        return row, column

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_LEAF", leaf)
        tree = Neighbours(Points(places, radii, levels, 2.0))
        lower, higher = tree.pairs(asked, others, everything, sides, count**2)
    expected = [
        (one, other)
        for one in range(count)
        for other in range(one + 1, count)
        if others[one] and others[other] and (asked[one] or asked[other])
        if np.square(places[one] - places[other]).sum() <= np.square(radii[one] + radii[other])
        if abs(levels[one] - levels[other]) <= 2
        if sides.side[one] != sides.side[other] or not (sides.settled[[one, other]].any())
    ]
    assert list(zip(lower.tolist(), higher.tolist(), strict=True)) == expected


def test_too_many_pairs_are_an_error_and_not_held() -> None:
    count = 300
    points = Points(
        np.zeros((count, 2), np.float32), np.ones(count, np.float32), np.zeros(count), 1
    )
    asked = np.ones(count, dtype=bool)
    sides = Sides(np.arange(count), np.ones(count, dtype=bool))
    compared = []

    def everything(ones: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        compared.append(len(ones) * len(rest))
        row, column = np.nonzero(np.ones((len(ones), len(rest)), dtype=bool))
        return row, column

    with pytest.raises(TooManyError):
        Neighbours(points).pairs(asked, asked, everything, sides, 1000)
    assert sum(compared) < count**2 / 2


def test_coordinates_bring_nothing_further_apart() -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(50, 32, 32)).astype(np.float32)
    vectors[10:20] = vectors[0] + 0.01 * vectors[10:20]
    vectors[20:30] = vectors[20:30].mean(axis=(1, 2), keepdims=True)
    places = principal_coordinates(
        lambda some: block_vectors(vectors[some, :, :, None], 4), 50
    ).astype(np.float64)
    flat = vectors.reshape(50, -1).astype(np.float64)
    real = np.linalg.norm(flat[:, None] - flat, axis=2)
    assert (np.linalg.norm(places[:, None] - places, axis=2) <= real + 0.01).all()
    assert (places @ places.T >= flat @ flat.T - 0.01).all()
    assert np.allclose(np.linalg.norm(places, axis=1), np.linalg.norm(flat, axis=1), atol=0.01)


@settings(max_examples=40)
@given(st.integers(1, 60), st.sampled_from([3, 100]), st.integers(0, 10**6))
def test_similar_features_are_all_that_have_the_cosine(count: int, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    seen = random.normal(size=(count, size)) + random.normal(size=(7, size))[
        random.integers(7, size=count)
    ] * random.choice([1, 3], (count, 1))
    seen = (seen / np.linalg.norm(seen, axis=1, keepdims=True)).astype(np.float32)
    axes = min(64, size)
    short = principal_coordinates(lambda some: (seen[some], np.ones(len(seen[some]))), count, axes)
    rows = np.flatnonzero(random.random(count) < 0.7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_COLUMNS", 16)
        found = duplicates._similar(seen, short, rows)
    cosines = seen.astype(np.float64) @ seen.T.astype(np.float64)
    for row in rows.tolist():
        expected = row + 1 + np.flatnonzero(cosines[row, row + 1 :] >= 0.85)
        assert found[row].tolist() == expected.tolist()
    assert list(found) == rows.tolist()


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_sets_are_known_by_their_first(unions: list[tuple[int, int]]) -> None:
    sets, plain = DisjointSets(20), [{number} for number in range(20)]
    for one, other in unions:
        sets.unite(one, other)
        joined = plain[one] | plain[other]
        for member in joined:
            plain[member] = joined
    assert sets.first.tolist() == [min(members) for members in plain]
    for one in range(20):
        assert np.flatnonzero(sets.label == sets.label[one]).tolist() == sorted(plain[one])
