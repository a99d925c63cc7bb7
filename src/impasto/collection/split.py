"""Which source pictures are held out of training: decided by name, so that it stays as it is."""

import hashlib
from collections import Counter
from collections.abc import Sequence


def rank(relative: str, seed: int) -> int:
    """A picture's place in the order of being held out: a hash of its relative path and the seed."""
    digest = hashlib.sha256(f"{seed}\n{relative}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def held_out(
    paths: Sequence[str],
    digests: Sequence[str],
    labels: Sequence[tuple[str, ...]],
    share: float,
    seed: int,
) -> list[bool]:
    """Whether each source picture is held out: the `share` of them that rank lowest.

    Adding or taking away a picture changes the state of few others, since each one's rank is its
    own. Two things come before the rank:
    - where files are the same byte for byte, the first decides for all of them: a picture that is
      trained on must not be held out under another name;
    - the last picture of a class stays for training, or there would be nothing to learn it from.

    Args:
        paths: relative paths, distinct.
        digests: a digest of each file's bytes.
        labels: each one's class in every field, empty where unknown.
        share: of the pictures, in [0, 1); at least one is held out where there are five or more
            and the share is above 0 (unless all are copies of one), and at least one is not.
        seed: another seed gives another split.
    """
    groups: dict[str, list[int]] = {}
    for index, digest in enumerate(digests):
        groups.setdefault(digest, []).append(index)
    # The last group in the order always stays for training.
    order = sorted(groups.values(), key=lambda group: rank(paths[group[0]], seed))[:-1]
    wanted = round(share * len(paths))
    if share > 0 and len(paths) >= 5:
        wanted = max(1, wanted)

    chosen = [False] * len(paths)
    left = Counter(item for row in labels for item in enumerate(row) if item[1])
    taken = 0
    for group in order:
        classes = Counter(item for index in group for item in enumerate(labels[index]) if item[1])
        # Copies may be more than what is left of the share; a later group may not.
        if taken + len(group) > wanted or any(left[item] == n for item, n in classes.items()):
            continue
        left -= classes
        taken += len(group)
        for index in group:
            chosen[index] = True
    if wanted and not taken and order:
        # Every picture is the only one of a class, or copied many times: something must be held
        # out all the same.
        for index in min(order, key=len):
            chosen[index] = True
    return chosen
