"""Resolutions of pictures: the side of a square, or width x height of a rectangle.

A square's resolution is an int, a rectangle's a `Size`, written `192x256`: width x height, in pixels.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Width and height of a rectangle, in pixels; a square's resolution is an int instead."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width == self.height:
            raise ValueError(f"a square of {self.width} pixels is no rectangle")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


Resolution = int | Size


def resolution_of(width: int, height: int) -> Resolution:
    """The resolution of pictures of this width and height."""
    return width if width == height else Size(width, height)


def width_and_height(resolution: Resolution) -> tuple[int, int]:
    """Both in pixels, of a square too."""
    if isinstance(resolution, int):
        return resolution, resolution
    return resolution.width, resolution.height


def area(resolution: Resolution) -> int:
    """The number of pixels."""
    width, height = width_and_height(resolution)
    return width * height


def short_side(resolution: Resolution) -> int:
    """The shorter side, or a square's side, in pixels."""
    return min(width_and_height(resolution))


def long_side(resolution: Resolution) -> int:
    """The longer side, or a square's side, in pixels."""
    return max(width_and_height(resolution))


def times(larger: Resolution, smaller: Resolution) -> int:
    """How many times `smaller` the sides of `larger` are; 0 if they are no whole multiple of it.

    So pictures of `larger` can be averaged down to `smaller` by squares of so many pixels.
    """
    (width, height), (w, h) = width_and_height(larger), width_and_height(smaller)
    return width // w if width % w == 0 and height == h * (width // w) else 0


def divided(resolution: Resolution, factor: int) -> Resolution:
    """The resolution of pictures averaged down by squares of `factor` pixels."""
    width, height = width_and_height(resolution)
    return resolution_of(width // factor, height // factor)


def alike(one: Resolution, other: Resolution) -> bool:
    """Whether two resolutions have the same proportions."""
    (width, height), (w, h) = width_and_height(one), width_and_height(other)
    return width * h == w * height


def square_of(resolution: Resolution) -> int:
    """The side of a square; for a rectangle the power of two that is the side of the square with about
    as many pixels."""
    if isinstance(resolution, int):
        return resolution
    return 1 << round(math.log2(area(resolution)) / 2)


def in_proportion(resolution: Resolution, side: int) -> Resolution:
    """A size with the proportions of `resolution` and about as many pixels as a square of `side`: a
    power of two times the smallest maps. Of a square, `side` itself."""
    if isinstance(resolution, int):
        return side
    common = math.gcd(resolution.width, resolution.height)
    unit = common & -common
    width, height = resolution.width // unit, resolution.height // unit
    scale = 1 << max(0, round(math.log2(side**2 / (width * height)) / 2))
    return Size(width * scale, height * scale)


def cropped(width: float, height: float, size: Resolution) -> float:
    """The share of a picture of this width and height that its largest part of the proportions of
    `size` leaves out."""
    wide, high = width_and_height(size)
    ratio = (width * high) / (height * wide)
    return 1 - min(ratio, 1 / ratio)


def nearest(width: float, height: float, sizes: Sequence[Resolution]) -> Resolution:
    """The size that crops the least of a picture of this width and height; of several the narrowest."""
    return min(sizes, key=lambda size: (cropped(width, height, size), width_and_height(size)))


def are_buckets(sizes: Sequence[Resolution]) -> bool:
    """Whether the sizes of a collection are of different proportions, so that each picture is of one."""
    return not all(alike(size, sizes[0]) for size in sizes)


def in_words(resolution: Resolution) -> str:
    """`64 x 64`, or `192 x 256`: width x height."""
    width, height = width_and_height(resolution)
    return f"{width} x {height}"


def recorded(resolution: Resolution) -> int | str:
    """As in JSON: 64, or "192x256"."""
    return resolution if isinstance(resolution, int) else str(resolution)


def parse_resolution(value: object) -> Resolution:
    """A resolution from 64, "64" or "192x256" (width x height).

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, Size) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    found = (
        re.fullmatch(r"\s*(\d+)(?:\s*[xX×]\s*(\d+))?\s*", value) if isinstance(value, str) else None
    )
    if found is None:
        raise ValueError(f"'{value}' is no size: give 64 for squares, or 192x256, width x height")
    width, height = (int(side or found[1]) for side in found.groups())
    return resolution_of(width, height)


def sides(resolutions: Sequence[Resolution]) -> str:
    """Resolutions as text: `64 px`, or `64 and 256 px`."""
    *others, last = resolutions
    return f"{', '.join(map(str, others))} and {last} px" if others else f"{last} px"
