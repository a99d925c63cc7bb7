"""Distances between fingerprints, compared pixel by pixel."""

import math

import numpy as np

from impasto.collection.duplicates.registration import normalise, register, warp
from impasto.decoding.fingerprint import SIDE, THUMB

_MEAN = 45.0
"""Mean brightness differs by at most this many levels of 255, ..."""
_GAIN = 1.5
"""... and contrast by at most this factor."""
UNLIKE = 0.03
"""Correlation of brightness is at least 1 minus this."""
_LIGHT = 20.0
"""Most levels by which the brightness of a pixel may lie outside the range of the other picture's
3 x 3 neighbourhood, after normalising mean and contrast. JPEG of quality 40 with resizing reaches 18;
a tear on a face 32."""
_COLOUR = 12.0
"""The same limit for both colour differences, not normalised."""
_UNLIKE_REGISTERED, _LIGHT_REGISTERED, _COLOUR_REGISTERED = 0.05, 50.0, 24.0
"""The limits of `UNLIKE`, `_LIGHT` and `_COLOUR` for duplicates by features, after alignment."""

_CB_CR = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=np.float32)
"""Colour differences of red, green and blue (JFIF)."""


def distances(fingerprints: np.ndarray, one: int, others: np.ndarray) -> np.ndarray:
    """Distances between a picture and others.

    Args:
        fingerprints: `fingerprint.FINGERPRINT` [S].
        one: number of the picture.
        others: numbers of the others, int64 [B].

    Returns:
        float32 [B], from 0; up to 1 they are near duplicates.
    """
    own, own_mean, own_spread = normalised_light(fingerprints["light"][one][None])
    light, mean, spread = normalised_light(fingerprints["light"][others])
    far = (1 - (own * light).mean(axis=(1, 2))) / UNLIKE
    far[np.abs(mean - own_mean) > _MEAN] = np.inf
    far[np.abs(np.log(spread / own_spread)) > math.log(_GAIN)] = np.inf
    left = np.flatnonzero(far <= 1)
    if len(left):
        beyond = largest(outside(own, light[left])) * (own_spread + spread[left]) / 2
        far[left] = np.maximum(far[left], beyond / _LIGHT)
        left = left[far[left] <= 1]
    if len(left):
        beyond = largest(
            outside(
                colour_differences(fingerprints, np.array([one])),
                colour_differences(fingerprints, others[left]),
            )
        )
        far[left] = np.maximum(far[left], beyond / _COLOUR)
    return np.maximum(far, 0).astype(np.float32)


def registered_distances(fingerprints: np.ndarray, one: int, others: np.ndarray) -> np.ndarray:
    """As `distances`, but with wider limits, and after aligning the two pictures: the smaller distance
    of the two directions."""
    alone = np.full(len(others), one)
    numbers, beside = np.concatenate([alone, others]), np.concatenate([others, alone])
    frames = register(fingerprints["light"][numbers], fingerprints["light"][beside])
    light, inside = warp(fingerprints["light"][beside].astype(np.float64), frames)
    own, own_mean, own_spread = normalise(fingerprints["light"][numbers].astype(np.float64), inside)
    light, mean, spread = normalise(light, inside)
    far = (1 - (own * light).sum(axis=(1, 2)) / inside.sum(axis=(1, 2))) / _UNLIKE_REGISTERED
    far[np.abs(mean - own_mean) > _MEAN] = np.inf
    far[np.abs(np.log(spread / own_spread)) > math.log(_GAIN)] = np.inf
    beyond = largest(outside(own, light) * inside) * (own_spread + spread) / 2
    far = np.maximum(far, beyond / _LIGHT_REGISTERED)
    half = frames * (1, THUMB / SIDE, 1, THUMB / SIDE)
    own_colour, colour = (
        colour_differences(fingerprints, numbers),
        colour_differences(fingerprints, beside),
    )
    for part in range(2):
        moved, inside = warp(colour[..., part], half)
        beyond = largest(outside(own_colour[..., part], moved) * inside)
        far = np.maximum(far, beyond / _COLOUR_REGISTERED)
    nearest: np.ndarray = np.maximum(far, 0).reshape(2, -1).min(axis=0).astype(np.float32)
    return nearest


def colour_differences(fingerprints: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The colour differences of some pictures, float32 [B, 16, 16, 2]."""
    colour: np.ndarray = fingerprints["thumb"][numbers] @ _CB_CR.T
    return colour


def normalised_light(light: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures [B, H, W] normalised to mean 0 and standard deviation 1, and their mean and standard
    deviation before that, [B] each; all float32."""
    light = light.astype(np.float32)
    mean = light.mean(axis=(1, 2))
    light -= mean[:, None, None]
    spread = np.sqrt(np.square(light).mean(axis=(1, 2)))
    return light / spread[:, None, None], mean, spread


def outside(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far the pixels of two pictures lie outside the range of each other's 3 x 3 neighbourhood.

    Args:
        one: [1 or B, H, W, ...].
        others: [B, H, W, ...].

    Returns:
        The larger one of both directions, [B, H, W, ...]; negative inside the range.
    """
    least, most = _around(one)
    beyond = np.maximum(least - others, others - most)
    least, most = _around(others)
    result: np.ndarray = np.maximum(beyond, np.maximum(least - one, one - most))
    return result


def largest(values: np.ndarray) -> np.ndarray:
    """The maximum of each item of [B, ...], [B]."""
    largest: np.ndarray = values.reshape(len(values), -1).max(axis=1)
    return largest


def _around(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum over the 3 x 3 neighbourhood of each pixel in [B, H, W, ...]."""
    least = _of_three(_of_three(pictures, 1, np.minimum), 2, np.minimum)
    return least, _of_three(_of_three(pictures, 1, np.maximum), 2, np.maximum)


def _of_three(pictures: np.ndarray, axis: int, choose: np.ufunc) -> np.ndarray:
    """`choose` (minimum or maximum) over each pixel and its two neighbours along an axis."""
    given = np.moveaxis(pictures, axis, 0)
    taken = given.copy()
    choose(taken[1:], given[:-1], out=taken[1:])
    choose(taken[:-1], given[1:], out=taken[:-1])
    return np.moveaxis(taken, 0, axis)
