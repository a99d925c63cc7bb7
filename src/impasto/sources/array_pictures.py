"""Pictures in numeric arrays: the axes, the range of the values, and the conversion to pixels."""

import math

import numpy as np

from impasto.errors import ImpastoError
from impasto.sources.numpy_files import StoredArray, read_rows, reading
from impasto.sources.trees import UnusableError

_CHANNELS = (1, 3, 4)
"""Numbers of channels: grey, RGB, RGB with opacity."""
_LEAST_SIDE = 4
_TOLERANCE = 1e-3
"""Floating-point values may exceed their range by this much, from rounding."""


def layout_of(array: StoredArray) -> str:
    """The axes of a picture in an array of pictures, whose first axis is that of the pictures: `hw`,
    `hwc` or `chw`; blank if the array holds no pictures."""
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        return ""
    sides = array.shape[1:]
    layout = ""
    if len(sides) == 2 and sides[1] not in _CHANNELS:
        layout = "hw"
    elif len(sides) == 3 and sides[2] in _CHANNELS:
        layout, sides = "hwc", sides[:2]
    elif len(sides) == 3 and sides[0] in _CHANNELS:
        layout, sides = "chw", sides[1:]
    return layout if layout and min(sides) >= _LEAST_SIDE and array.shape[0] > 0 else ""


def scale_of(arrays: list[StoredArray]) -> tuple[float, float]:
    """The factor and the offset that turn values into levels from 0 to 255.

    The known ranges are bool, 0 to 255, 0 to 65,535 (integers), 0 to 1 and -1 to 1 (floating point).

    Args:
        arrays: of one type.

    Raises:
        ImpastoError: the values are in none of the known ranges.
    """
    kind = arrays[0].dtype
    if kind in (np.uint8, np.bool_):
        return (255.0 if kind == np.bool_ else 1.0), 0.0
    ranges = [_range(array) for array in arrays]
    least, greatest = min(low for low, _ in ranges), max(high for _, high in ranges)
    if kind.kind != "f":
        if 0 <= least <= greatest <= 65535:
            return (1.0 if greatest <= 255 else 1 / 257), 0.0
    elif least < 0 and max(-least, greatest) <= 1 + _TOLERANCE:
        return 127.5, 127.5
    elif 0 <= least <= greatest <= 255:
        return (255.0 if greatest <= 1 + _TOLERANCE else 1.0), 0.0
    raise ImpastoError(
        f"the pictures in {arrays[0].path} have values from {least:g} to {greatest:g}; save them as "
        "uint8 from 0 to 255, or as numbers from 0 to 1 or from -1 to 1"
    )


def _range(array: StoredArray) -> tuple[float, float]:
    """The least and the greatest finite value of an array."""
    least, greatest = math.inf, -math.inf
    with reading(array.path):
        for row in read_rows(array, range(array.shape[0])):
            numbers = row[np.isfinite(row)]
            if numbers.size:
                least = min(least, float(numbers.min()))
                greatest = max(greatest, float(numbers.max()))
    return least, greatest


def pixels_of(values: np.ndarray, layout: str, scale: tuple[float, float]) -> np.ndarray:
    """A row of an array as pixels. Transparent pixels are put on white.

    Args:
        values: one picture, with the axes of `layout`.
        layout: see `layout_of`.
        scale: see `scale_of`.

    Returns:
        uint8 [H, W, 3].

    Raises:
        UnusableError: it has values that are NaN or infinite.
    """
    if layout == "chw":
        values = values.transpose(1, 2, 0)
    if values.ndim == 2:
        values = values[..., None]
    if values.dtype != np.uint8:
        if not np.isfinite(values).all():
            raise UnusableError("unreadable: some of its pixels are no numbers (NaN, infinite)")
        levels = np.rint(values.astype(np.float64) * scale[0] + scale[1])
        values = levels.clip(0, 255).astype(np.uint8)
    if values.shape[2] == 4:
        opacity = values[..., 3:].astype(np.float64) / 255
        values = np.rint(values[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return values if values.shape[2] == 3 else values.repeat(3, axis=2)
