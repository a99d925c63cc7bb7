"""The split between training and held-out pictures: stable, and never across copies."""

import hashlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from impasto.collection.split import held_out

PATHS = st.lists(st.text("abcdef/", min_size=1, max_size=8), unique=True, max_size=60)
SHARES = st.floats(0, 0.99)


def split(paths: list[str], share: float, seed: int = 0) -> dict[str, bool]:
    chosen = held_out(paths, paths, [()] * len(paths), share, seed)
    return dict(zip(paths, chosen, strict=True))


@given(PATHS, SHARES)
def test_the_share_is_held_out_and_something_stays(paths: list[str], share: float) -> None:
    count = sum(split(paths, share).values())
    wanted = round(share * len(paths))
    if len(paths) >= 5 and share > 0:
        wanted = max(1, wanted)
    assert count == min(wanted, max(0, len(paths) - 1))


@given(PATHS, SHARES, st.randoms(use_true_random=False))
def test_order_does_not_matter(paths: list[str], share: float, random: object) -> None:
    shuffled = list(paths)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split(paths, share) == split(shuffled, share)


@given(PATHS.filter(lambda paths: len(paths) >= 2), SHARES)
def test_adding_a_picture_changes_at_most_one_other(paths: list[str], share: float) -> None:
    *before, added = paths
    old, new = split(before, share), split([*before, added], share)
    assert sum(old[path] != new[path] for path in before) <= 1


def test_another_seed_holds_out_others() -> None:
    paths = [f"{number}.jpg" for number in range(200)]
    first, second = split(paths, 0.1, seed=0), split(paths, 0.1, seed=1)
    assert sum(first.values()) == sum(second.values()) == 20
    assert sum(first[path] and second[path] for path in paths) < 10


def test_a_split_stays_as_it_is_from_one_version_to_the_next() -> None:
    """By SHA-256 of seed and name: what was held out of a collection is so when it is packed again."""
    paths = [f"warm/{number}.jpg" for number in range(40)]
    for seed in (0, 7):
        by_hash = sorted(paths, key=lambda p: hashlib.sha256(f"{seed}\n{p}".encode()).hexdigest())
        held = [path for path, out in split(paths, 0.1, seed).items() if out]
        assert sorted(held) == sorted(by_hash[:4])


@given(PATHS, st.integers(1, 5), SHARES, st.integers(), st.randoms(use_true_random=False))
def test_a_group_is_on_one_side(
    paths: list[str], distinct: int, share: float, seed: int, random: Random
) -> None:
    groups = [random.randrange(distinct) for _ in paths]
    # Of each group one is packed at least, whatever is excluded.
    kept = [groups.index(group) == n or random.random() < 0.5 for n, group in enumerate(groups)]
    chosen = held_out(paths, groups, [()] * len(paths), share, seed, kept)
    for group in set(groups):
        assert len({held for held, own in zip(chosen, groups, strict=True) if own == group}) == 1


def test_what_is_set_aside_counts_for_nothing() -> None:
    # 20 pictures and 80 copies of the last of them; only that one is of class b, but for copies.
    paths = [f"{number:03}" for number in range(100)]
    groups = [min(number, 19) for number in range(100)]
    kept = [number < 20 for number in range(100)]
    for seed in range(30):
        labels = [("a",) if number < 19 else ("b",) for number in range(100)]
        chosen = held_out(paths, groups, labels, 0.1, seed, kept)
        assert sum(chosen[:19]) == 2
        assert not any(chosen[19:])


def test_a_name_of_a_copy_decides_where_it_comes_first() -> None:
    paths = [f"{number:02}" for number in range(40)]
    alone = held_out(paths[:20], range(20), [()] * 20, 0.3, 0)
    # Copies named after the others make no difference, whichever of the two is kept.
    groups = [number % 20 for number in range(40)]
    for kept in ([True] * 20 + [False] * 20, [False] * 20 + [True] * 20):
        assert held_out(paths, groups, [()] * 40, 0.3, 0, kept) == alone * 2


@given(PATHS, SHARES)
def test_the_last_of_a_class_stays(paths: list[str], share: float) -> None:
    # Half of the pictures share a class, the others are alone in theirs.
    labels = [("common" if number % 2 else f"own {number}",) for number in range(len(paths))]
    chosen = held_out(paths, paths, labels, share, 0)
    if sum(chosen) > 1:
        train = {row for row, held in zip(labels, chosen, strict=True) if not held}
        assert train == set(labels)


def test_where_groups_are_larger_than_the_share_a_class_is_kept() -> None:
    # Of class a a group of 3 and one of 5, of class b one of 2, all more than a tenth of them.
    paths = [f"{number}.jpg" for number in range(10)]
    groups = [0] * 3 + [1] * 5 + [2] * 2
    labels = [("a",)] * 8 + [("b",)] * 2
    for seed in range(20):
        chosen = held_out(paths, groups, labels, 0.1, seed)
        assert any(chosen)
        assert not any(chosen[8:])


def test_where_every_picture_is_alone_in_its_class_one_is_held_out_all_the_same() -> None:
    paths = [f"{number}.jpg" for number in range(10)]
    assert sum(held_out(paths, paths, [(path,) for path in paths], 0.1, 0)) == 1
    assert sum(held_out(paths, paths, [(path,) for path in paths], 0.0, 0)) == 0
