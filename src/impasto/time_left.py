"""How long a training still takes, as its output and the studio say it."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

TIMES = ("images_seen", "seconds", "images_per_second")
"""What is read of a row of statistics."""
_RECENT = 20
"""Rows from which the speed of a training is taken."""


def seconds_left(rows: Sequence[Mapping[str, Any]], images: int, every: int = 0) -> float | None:
    """What is left of a stage: its images at the speed of the last rows, and the evaluations that are
    due, each of the time that those so far took. None: not known yet.

    Args:
        rows: the last of its statistics.
        images: its planned length.
        every: images between two evaluations; 0: none.
    """
    some = [[float(row[name]) for name in TIMES] for row in rows if all(map(row.get, TIMES))]
    if len(some) < 2 or some[-1][0] <= some[0][0]:
        return None
    steps = [(later[0] - earlier[0], later[2]) for earlier, later in pairwise(some)]
    trained = [count / speed for count, speed in steps]
    recent = sum(count for count, _ in steps[-_RECENT:])
    if recent <= 0:
        return None
    seen = some[-1][0]
    left = max(0.0, images - seen) * sum(trained[-_RECENT:]) / recent
    if every > 0:
        made = seen // every - some[0][0] // every
        due = math.ceil(images / every) - seen // every  # the last one at the end
        others = some[-1][1] - some[0][1] - sum(trained)
        left += max(0.0, due) * max(0.0, others) / max(1.0, made)
    return left
