"""Distances between fingerprints, compared place by place."""

import math

import numpy as np

from impasto.collection.duplicates.registration import normal, register, warped
from impasto.decoding.fingerprint import SIDE, THUMB

_MEAN = 45.0
"""Mean brightness differs by at most this many levels of 255, ..."""
_GAIN = 1.5
"""... and contrast by at most this factor."""
UNLIKE = 0.03
"""Correlation of brightness is at least 1 minus this."""
_LIGHT = 20.0
"""How far brightness may lie outside the range that the other picture shows around the same place,
in levels, after normalising mean and contrast. JPEG of quality 40 with resizing reaches 18; a tear
on a face 32."""
_COLOUR = 12.0
"""The same limit for both colour differences, not normalised."""
_UNLIKE_REGISTERED, _LIGHT_REGISTERED, _COLOUR_REGISTERED = 0.05, 50.0, 24.0
"""The limits of `UNLIKE`, `_LIGHT` and `_COLOUR` for duplicates by features, after alignment."""

_CB_CR = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=np.float32)
"""Colour differences of red, green and blue (JFIF)."""


def distances(fingerprints: np.ndarray, one: int, others: np.ndarray) -> np.ndarray:
    """Distances of some pictures from one, float32 [B]: 1 is the limit of near."""
    own, own_mean, own_spread = normal_light(fingerprints["light"][one][None])
    light, mean, spread = normal_light(fingerprints["light"][others])
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
    """As `distances`, but after aligning each with the one (in either direction), with wider limits."""
    alone = np.full(len(others), one)
    numbers, beside = np.concatenate([alone, others]), np.concatenate([others, alone])
    frames = register(fingerprints["light"][numbers], fingerprints["light"][beside])
    light, inside = warped(fingerprints["light"][beside].astype(np.float64), frames)
    own, own_mean, own_spread = normal(fingerprints["light"][numbers].astype(np.float64), inside)
    light, mean, spread = normal(light, inside)
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
        moved, inside = warped(colour[..., part], half)
        beyond = largest(outside(own_colour[..., part], moved) * inside)
        far = np.maximum(far, beyond / _COLOUR_REGISTERED)
    nearest: np.ndarray = np.maximum(far, 0).reshape(2, -1).min(axis=0).astype(np.float32)
    return nearest


def colour_differences(fingerprints: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The colour differences of some pictures, float32 [B, 16, 16, 2]."""
    colour: np.ndarray = fingerprints["thumb"][numbers] @ _CB_CR.T
    return colour


def normal_light(light: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures [B, H, W] normalised to mean 0 and standard deviation 1, and the old mean and
    deviation, [B]."""
    light = light.astype(np.float32)
    mean = light.mean(axis=(1, 2))
    light -= mean[:, None, None]
    spread = np.sqrt(np.square(light).mean(axis=(1, 2)))
    return light / spread[:, None, None], mean, spread


def outside(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far each place in a picture [1 or B, H, W, ...] and in another [B, H, W, ...] lies
    outside the range of the other's 3 x 3 neighbourhood; negative inside it."""
    least, most = _around(one)
    beyond = np.maximum(least - others, others - most)
    least, most = _around(others)
    result: np.ndarray = np.maximum(beyond, np.maximum(least - one, one - most))
    return result


def largest(values: np.ndarray) -> np.ndarray:
    """The maximum of each of [B, ...], [B]."""
    largest: np.ndarray = values.reshape(len(values), -1).max(axis=1)
    return largest


def _around(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum over the 3 x 3 neighbourhood of each place in [B, H, W, ...]."""
    least = _of_three(_of_three(pictures, 1, np.minimum), 2, np.minimum)
    return least, _of_three(_of_three(pictures, 1, np.maximum), 2, np.maximum)


def _of_three(pictures: np.ndarray, axis: int, choose: np.ufunc) -> np.ndarray:
    """`choose` applied to each place and its two neighbours along an axis."""
    given = np.moveaxis(pictures, axis, 0)
    taken = given.copy()
    choose(taken[1:], given[:-1], out=taken[1:])
    choose(taken[:-1], given[1:], out=taken[:-1])
    return np.moveaxis(taken, 0, axis)
