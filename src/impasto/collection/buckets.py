"""Buckets: a few sizes of different proportions for a collection whose pictures differ in proportions.

All buckets have about as many pixels as a square of the wanted side. Each picture gets the bucket whose
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
"""The sides of buckets are multiples of this number of pixels."""
_LEAST_SHARE = 0.04
"""A bucket has at least this share of the pictures."""
_LEAST_GAIN = 0.005
"""Another bucket is added only if it lowers the mean share of a picture that is cropped by this much."""
_AREA = 1 / 8
"""The number of pixels differs from the square's by at most this share."""
_STEEPEST = 4
"""The longer side is at most this many times the shorter one."""
_MEASURED = 4096
"""Most pictures that are measured; of more, a random sample of this many."""


def candidate_sizes(side: int) -> list[Resolution]:
    """The sizes that a bucket may have, of about as many pixels as a square of `side`, the widest last.

    Args:
        side: of the square, in pixels.

    Raises:
        ImpastoError: `side` is not a multiple of `UNIT`, or less than 2 `UNIT`.
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
    # Of several sizes of the same proportions, such as 48x48 and 64x64, the one of nearest area.
    sizes.sort(key=lambda size: abs(area(size) - side**2))
    unique = {_proportion(size): size for size in reversed(sizes)}
    return [unique[each] for each in sorted(unique)]


def _proportion(size: Resolution) -> float:
    """Width divided by height."""
    width, height = width_and_height(size)
    return width / height


def cropped_shares(pictures: np.ndarray, sizes: Sequence[Resolution]) -> np.ndarray:
    """The share of each picture that is cropped to fit each bucket.

    Args:
        pictures: width and height of each picture, [N, 2].
        sizes: of the K buckets.

    Returns:
        float64 [N, K], from 0 to below 1.
    """
    theirs = pictures[:, :1] / pictures[:, 1:]
    ratio = theirs / np.array([_proportion(size) for size in sizes])
    shares: np.ndarray = 1 - np.minimum(ratio, 1 / ratio)
    return shares


def choose_buckets(pictures: np.ndarray, side: int) -> tuple[Resolution, ...]:
    """Choose the buckets that crop the least of some pictures, at most `MOST_BUCKETS`, the widest last.

    A greedy search adds the bucket that lowers the mean cropped share most, as long as the gain is at
    least `_LEAST_GAIN`. After each addition, single buckets are exchanged for better ones until none is
    better.

    Args:
        pictures: width and height of each picture, [N, 2].
        side: of a square with about as many pixels.

    Raises:
        ImpastoError: see `candidate_sizes`.
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
    """Exchange single candidates for others as long as this lowers the cost.

    Args:
        found: the chosen candidates, as numbers from 0.
        of: the number of candidates.
        cost: of a choice.
    """
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
    """The buckets for the pictures of a job, by the sizes in their files' headers.

    If no picture can be measured, it is a single square; fitting the pictures then reports the reasons.

    Raises:
        ImpastoError: see `candidate_sizes`.
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
        candidate_sizes(side)  # It checks the side.
        return (side,)
    return choose_buckets(measured, side)


def measure_pictures(listing: Listing, numbers: Sequence[int], options: PackOptions) -> np.ndarray:
    """Measure pictures by their files' headers; pictures that cannot be measured are left out.

    Args:
        listing: of the source.
        numbers: of its entries, rising.
        options: limits of pixels and of time.

    Returns:
        Width and height in pixels, float64 [N, 2].
    """
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
    """A line for each bucket, with the number of its pictures and the mean share that is cropped, and
    one line for all of them.

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
