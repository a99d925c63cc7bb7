"""Buckets: a few sizes of different proportions for a collection whose pictures are not alike.

All have about as many pixels as a square of the wanted side, and each picture gets the one whose
proportions are nearest to its own.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from impasto.collection.job import PackJob
from impasto.collection.options import PackOptions
from impasto.decoding.checking import sizes_of
from impasto.errors import ImpastoError
from impasto.messages import say
from impasto.resolution import Resolution, area, resolution_of, width_and_height
from impasto.sources.listing import Listing

MOST_BUCKETS = 5
UNIT = 16
"""Sides are multiples of this number of pixels."""
_LEAST_SHARE = 0.04
"""A bucket has at least this share of the pictures."""
_LEAST_GAIN = 0.005
"""One more bucket saves at least this share of the average picture from being cropped."""
_AREA = 1 / 8
"""So far, as a share, may the number of pixels be from the square's."""
_STEEPEST = 4
"""One side is at most so many times the other."""
_MEASURED = 4096
"""Of more pictures as many are measured, chosen at random."""


def candidate_sizes(side: int) -> list[Resolution]:
    """The sizes that a bucket may have, for about as many pixels as a square of `side`, widest last.

    Raises:
        ImpastoError: the square itself is none.
    """
    if side % UNIT or side < 2 * UNIT:
        raise ImpastoError(
            f"--fit aspect takes a --resolution that is a multiple of {UNIT}, from {2 * UNIT}, not "
            f"{side}"
        )
    sides = range(UNIT, _STEEPEST * side + 1, UNIT)
    sizes = [
        resolution_of(width, height)
        for width in sides
        for height in sides
        if abs(width * height / side**2 - 1) <= _AREA
        and max(width, height) <= _STEEPEST * min(width, height)
    ]
    # Of sizes of the same proportions, such as 48x48 and 64x64, the one of nearest area.
    sizes.sort(key=lambda size: abs(area(size) - side**2))
    unique = {_proportion(size): size for size in reversed(sizes)}
    return [unique[each] for each in sorted(unique)]


def _proportion(size: Resolution) -> float:
    width, height = width_and_height(size)
    return width / height


def cropped_shares(pictures: np.ndarray, sizes: Sequence[Resolution]) -> np.ndarray:
    """The share of each picture, [N] of them, that each of [K] sizes crops off: [N, K].

    Args:
        pictures: width and height of each, [N, 2].
        sizes: of the buckets.
    """
    theirs = pictures[:, :1] / pictures[:, 1:]
    ratio = theirs / np.array([_proportion(size) for size in sizes])
    shares: np.ndarray = 1 - np.minimum(ratio, 1 / ratio)
    return shares


def choose_buckets(pictures: np.ndarray, side: int) -> tuple[Resolution, ...]:
    """The buckets that crop the least of these pictures, at most `MOST_BUCKETS`, widest last.

    One after another is added that saves most, while it saves enough; after each, all are exchanged for
    better ones as long as there are such.

    Args:
        pictures: width and height of each, [N, 2].
        side: of a square with as many pixels.
    """
    sizes = candidate_sizes(side)
    shares = cropped_shares(pictures, sizes)

    def cost(some: Sequence[int]) -> float:
        """The mean share cropped; infinite if a bucket has too few pictures."""
        mine = shares[:, list(some)]
        counts = np.bincount(mine.argmin(axis=1), minlength=len(some))
        enough = len(some) == 1 or counts.min() >= max(2, _LEAST_SHARE * len(pictures))
        return float(mine.min(axis=1).mean()) if enough else np.inf

    found = [min(range(len(sizes)), key=lambda one: cost([one]))]
    while len(found) < MOST_BUCKETS:
        more = min(
            ([*found, one] for one in range(len(sizes)) if one not in found),
            key=cost,
            default=found,
        )
        more = _improved(more, len(sizes), cost)
        if not cost(more) <= cost(found) - _LEAST_GAIN:
            break
        found = more
    return tuple(sizes[one] for one in sorted(found))


def _improved(found: list[int], of: int, cost: Callable[[Sequence[int]], float]) -> list[int]:
    """The choice after exchanging one for another as long as this lowers the cost."""
    while True:
        others = [
            [*found[:place], one, *found[place + 1 :]]
            for place in range(len(found))
            for one in range(of)
            if one not in found
        ]
        best = min(others, key=cost, default=found)
        if not cost(best) < cost(found):
            return found
        found = best


def buckets_of(job: PackJob) -> tuple[Resolution, ...]:
    """The buckets for the pictures of a job, by their sizes as the files say.

    Raises:
        ImpastoError: no picture can be measured, or the side is no multiple of `UNIT`.
    """
    count = len(job.listing.entries)
    numbers = np.arange(count)
    if count > _MEASURED:
        numbers = np.sort(np.random.default_rng(0).choice(count, _MEASURED, replace=False))
    say(f"measuring {len(numbers):,} pictures to choose proportions")
    measured = measure_pictures(job.listing, numbers.tolist(), job.options)
    side = job.options.resolution
    assert isinstance(side, int)
    if not len(measured):
        candidate_sizes(side)
        return (side,)  # Fitting says what is wrong with each.
    return choose_buckets(measured, side)


def measure_pictures(listing: Listing, numbers: Sequence[int], options: PackOptions) -> np.ndarray:
    """Width and height, [N, 2], of those of these entries that can be measured."""
    return np.array(list(_measured_sizes(listing, numbers, options)), np.float64).reshape(-1, 2)


def _measured_sizes(
    listing: Listing, numbers: Sequence[int], options: PackOptions
) -> Iterable[tuple[int, int]]:
    if listing.decoded:
        for picture in listing.pictures(numbers):
            if isinstance(picture, np.ndarray):
                yield picture.shape[1], picture.shape[0]
        return
    files = (each for each in listing.pictures(numbers) if not isinstance(each, np.ndarray))
    for size in sizes_of(files, len(numbers), options.max_pixels, options.max_seconds):
        if not isinstance(size, str):
            yield size


def bucket_lines(sizes: Sequence[Resolution], pictures: Sequence[tuple[int, int]]) -> list[str]:
    """A line for each bucket: how many pictures it has, and how much of them is cropped.

    Args:
        sizes: of the buckets.
        pictures: width and height of each source picture.
    """
    shares = cropped_shares(np.array(pictures, np.float64), sizes)
    nearest = shares.argmin(axis=1)
    lost = shares.min(axis=1)
    square = cropped_shares(np.array(pictures, np.float64), [1])[:, 0]
    lines = [
        f"{size}: {int((nearest == place).sum()):,} source pictures, "
        f"{lost[nearest == place].mean():.1%} of each cropped on average"
        for place, size in enumerate(sizes)
        if (nearest == place).any()
    ]
    return [
        *lines,
        f"cropped on average: {lost.mean():.1%}; squares would have cropped {square.mean():.1%}",
    ]
