"""The split between training and held-out pictures: stable, and never across copies or classes."""

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


@given(PATHS, st.integers(1, 5), SHARES)
def test_copies_are_never_on_both_sides(paths: list[str], distinct: int, share: float) -> None:
    digests = [str(len(path) % distinct) for path in paths]
    chosen = held_out(paths, digests, [()] * len(paths), share, 0)
    for digest in set(digests):
        assert len({held for held, own in zip(chosen, digests, strict=True) if own == digest}) == 1


@given(PATHS, SHARES)
def test_the_last_of_a_class_stays(paths: list[str], share: float) -> None:
    # Half of the pictures share a class, the others are alone in theirs.
    labels = [("common" if number % 2 else f"own {number}",) for number in range(len(paths))]
    chosen = held_out(paths, paths, labels, share, 0)
    if sum(chosen) > 1:
        train = {row for row, held in zip(labels, chosen, strict=True) if not held}
        assert train == set(labels)


def test_where_every_picture_is_alone_in_its_class_one_is_held_out_all_the_same() -> None:
    paths = [f"{number}.jpg" for number in range(10)]
    assert sum(held_out(paths, paths, [(path,) for path in paths], 0.1, 0)) == 1
    assert sum(held_out(paths, paths, [(path,) for path in paths], 0.0, 0)) == 0
