"""Choose the held-out source pictures by a hash of their paths, so that the choice is stable."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence


def rank(relative: str, seed: int) -> int:
    """A picture's rank for holding out: 64 bits of a hash of its path in the source and the seed."""
    digest = hashlib.sha256(f"{seed}\n{relative}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def held_out(
    paths: Sequence[str],
    groups: Sequence[Hashable],
    labels: Sequence[tuple[str, ...]],
    share: float,
    seed: int,
    kept: Sequence[bool] | None = None,
) -> list[bool]:
    """Whether each source picture is held out: the `share` of them with the lowest ranks.

    Adding or removing a picture changes the choice of few others, because ranks are independent. Two
    rules override the rank:
    - a group is on one side, by the rank of its first path in the alphabet, so that no copy of a
      training picture is held out;
    - at least one picture of each class stays for training.

    Args:
        paths: paths in the source, [S], distinct.
        groups: equal for pictures that must be on one side, [S] (see `Duplicates.side`).
        labels: the class of each picture in every field, [S], empty where unknown.
        share: the share to hold out, in [0, 1). If it is above 0 and there are at least five
            pictures in several groups, at least one picture is held out. At least one never is.
        seed: of the ranks.
        kept: whether each picture is packed, [S]; None: all are. Excluded duplicates are on the side
            of their group, but are not counted.
    """
    names: dict[Hashable, str] = {}
    members: dict[Hashable, list[int]] = {}
    for index, (path, group) in enumerate(zip(paths, groups, strict=True)):
        names[group] = min(path, names.get(group, path))
        if kept is None or kept[index]:
            members.setdefault(group, []).append(index)
    # The last group by rank always stays for training.
    order = sorted(members, key=lambda group: rank(names[group], seed))[:-1]
    count = sum(map(len, members.values()))
    wanted = round(share * count)
    if share > 0 and count >= 5:
        wanted = max(1, wanted)

    chosen: set[Hashable] = set()
    left = _classes(labels, [index for group in members.values() for index in group])
    taken = 0
    for group in order:
        size, classes = len(members[group]), _classes(labels, members[group])
        # A group may be larger than the rest of the share, where a smaller later one still fits.
        if taken + size > wanted or any(left[item] == n for item, n in classes.items()):
            continue
        left -= classes
        taken += size
        chosen.add(group)
    if wanted and not taken and order:
        # If every picture is the only one of a class or copied many times, hold out the smallest
        # group, preferably one whose classes keep other pictures.
        def loss(group: Hashable) -> tuple[bool, int]:
            classes = _classes(labels, members[group])
            return any(left[item] == n for item, n in classes.items()), len(members[group])

        chosen.add(min(order, key=loss))
    return [group in chosen for group in groups]


def _classes(labels: Sequence[tuple[str, ...]], indices: list[int]) -> Counter[tuple[int, str]]:
    """Counts of pictures by field and class."""
    return Counter(item for index in indices for item in enumerate(labels[index]) if item[1])
