"""The smallest maps of a network, of squares and rectangles."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from impasto.errors import ImpastoError
from impasto.resolution import Resolution, long_side, short_side, square_of, width_and_height

_LARGEST_START = 16
"""A network's smallest maps have at most about as many positions as a square of this side."""


class Start(NamedTuple):
    """The smallest maps of a network: a generator doubles them up to the picture, and a discriminator
    halves the picture down to them."""

    height: int
    width: int
    doublings: int
    side: int
    """Layers are named, and given channels, by the side of the maps of a square: this is the
    smallest. A rectangle's maps have the names of those of the square with about as many pixels."""


def start_of(resolution: Resolution, network: str, *, least: int = 8) -> Start:
    """The smallest maps for a resolution: 4x4, or those of a rectangle with about as many pixels, such
    as 3x4 for 192x256; larger ones where its sides have few powers of two.

    Args:
        resolution: of the pictures.
        network: its name, for errors.
        least: the least side of square pictures; the family takes its doubles.

    Raises:
        ImpastoError: the resolution is a square whose side is no such power of two, or a rectangle
            whose sides have too few powers of two.
    """
    if isinstance(resolution, int):
        doublings = levels_above(resolution, least // 2, network) + (least // 8).bit_length() - 1
        return Start(4, 4, doublings, 4)
    width, height = resolution.width, resolution.height
    common = math.gcd(width, height)
    side = square_of(resolution)
    doublings = min((common & -common).bit_length() - 1, side.bit_length() - 3)
    start = side >> max(doublings, 0)
    if side < least or start > _LARGEST_START or max(width, height) > 4 * min(width, height):
        raise ImpastoError(
            f"network '{network}' cannot make pictures of {resolution} pixels: choose a rectangle whose "
            f"sides are multiples of {max(least // 4, side // _LARGEST_START)}, neither more than four "
            "times the other, with --set resolution"
        )
    return Start(height >> doublings, width >> doublings, doublings, start)


def bucket_maps(
    size: Resolution, buckets: Sequence[Resolution], network: str
) -> list[tuple[int, int]]:
    """Height and width of the maps of each level for one of several sizes, the smallest first.

    All sizes have the levels of the square with about as many pixels, so that they share all layers but
    those of the first maps. Maps are rounded up: a generator doubles them and cuts them to the next.

    Raises:
        ImpastoError: the sizes have too different numbers of pixels, or one is too long or too small.
    """
    sides = {square_of(each) for each in buckets}
    long = any(long_side(each) > 4 * short_side(each) for each in buckets)
    if len(sides) > 1 or min(sides) < 32 or long:
        raise ImpastoError(
            f"network '{network}' takes sizes of about as many pixels as one square of 32, 64, ... "
            f"pixels, none longer than four times its short side, not {', '.join(map(str, buckets))}; "
            "choose with --set buckets"
        )
    width, height = width_and_height(size)
    doublings = sides.pop().bit_length() - 3
    return [(-(-height >> level), -(-width >> level)) for level in range(doublings, -1, -1)]


def levels_above(resolution: int, base: int, network: str) -> int:
    """How often `base` must be doubled to reach `resolution`.

    Raises:
        ImpastoError: the resolution is not `base` times 2, 4, 8, ...
    """
    levels = (resolution // base).bit_length() - 1
    if levels < 1 or base << levels != resolution:
        raise ImpastoError(
            f"network '{network}' makes pictures of {base * 2}, {base * 4}, {base * 8}, ... pixels, "
            f"not {resolution}; choose one of these with --set resolution"
        )
    return levels
