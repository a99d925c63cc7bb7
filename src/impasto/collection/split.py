"""Which source pictures are held out of training: decided by name, so that it stays as it is."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence


def rank(relative: str, seed: int) -> int:
    """A picture's place in the order of being held out: a hash of its relative path and the seed."""
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
    """Whether each source picture is held out: the `share` of them that rank lowest.

    Adding or taking away a picture changes the state of few others, since each one's rank is its
    own. Two things come before the rank:
    - of a group, all are on one side, and the first by name decides for all: a picture that is
      trained on must not be held out under another name;
    - the last picture of a class stays for training, or there would be nothing to learn it from.

    Args:
        paths: relative paths, distinct.
        groups: the group of each: the same for what must be on one side (see `Duplicates.side`).
        labels: each one's class in every field, empty where unknown.
        share: of the pictures, in [0, 1); at least one is held out where there are five or more
            and the share is above 0 (unless all are of one group), and at least one is not.
        seed: another seed gives another split.
        kept: whether each is to be packed; None: all are. One that is excluded as a duplicate is
            on the side of its group, but counts for nothing.
    """
    names: dict[Hashable, str] = {}
    members: dict[Hashable, list[int]] = {}
    for index, (path, group) in enumerate(zip(paths, groups, strict=True)):
        names[group] = min(path, names.get(group, path))
        if kept is None or kept[index]:
            members.setdefault(group, []).append(index)
    # The last group in the order always stays for training.
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
        # Copies may be more than what is left of the share; a later group may not.
        if taken + size > wanted or any(left[item] == n for item, n in classes.items()):
            continue
        left -= classes
        taken += size
        chosen.add(group)
    if wanted and not taken and order:
        # Every picture is the only one of a class, or copied many times: something must be held
        # out all the same, of a class that others are left of if there is one.
        def loss(group: Hashable) -> tuple[bool, int]:
            classes = _classes(labels, members[group])
            return any(left[item] == n for item, n in classes.items()), len(members[group])

        chosen.add(min(order, key=loss))
    return [group in chosen for group in groups]


def _classes(labels: Sequence[tuple[str, ...]], indices: list[int]) -> Counter[tuple[int, str]]:
    """How many of some pictures are of each field and class."""
    return Counter(item for index in indices for item in enumerate(labels[index]) if item[1])
