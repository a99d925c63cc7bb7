"""The latents of seeds by NumPy: those of `latents_of_seeds` without torch.

Torch's CPU generator is the Mersenne Twister MT19937, which NumPy has too, with the same seeding. The
rest is what torch makes of its 32-bit numbers in float64 (ATen/core/TransformationHelper.h and
ATen/native/cpu/DistributionTemplates.h): a uniform value is the low 53 bits of two of them, and normal
values are made in pairs (Box and Muller 1958). Logarithm, sine and cosine are NumPy's
own, so float64 values may differ from torch's in the last place; rounded to float32 they are the same.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from impasto.config import LatentConfig
from impasto.sampling.seeds import check_truncation

_BLOCK = 16  # values that torch draws at once, where there are so many
_ROOT = math.sqrt(2)


class _Uniform:
    """Torch's uniform values in [0, 1) of a seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed)

    def draw(self, count: int) -> np.ndarray:
        words = self._random.randint(0, 2**32, (count, 2), np.uint32).astype(np.uint64)
        bits = (words[:, 0] << np.uint64(32) | words[:, 1]) & np.uint64(2**53 - 1)
        return bits.astype(np.float64) * 2.0**-53


def _pairs(uniform: np.ndarray) -> np.ndarray:
    """Uniform values [..., 16] to normal ones: the first eight with the last eight."""
    first, second = 1 - uniform[..., :8], uniform[..., 8:]
    radius, angle = np.sqrt(-2 * np.log(first)), 2 * math.pi * second
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _normal(uniform: _Uniform, count: int) -> np.ndarray:
    if count < _BLOCK:
        first, second = uniform.draw(count + count % 2).reshape(-1, 2).T
        radius, angle = np.sqrt(-2 * np.log1p(-second)), 2 * math.pi * first
        values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        return values.reshape(-1)[:count]
    drawn = uniform.draw(count)
    whole = count - count % _BLOCK
    values = np.concatenate([_pairs(drawn[:whole].reshape(-1, _BLOCK)).reshape(-1), drawn[whole:]])
    if whole < count:  # the last sixteen are drawn again, those of the last whole block among them
        values[-_BLOCK:] = _pairs(uniform.draw(_BLOCK))
    return values


def numpy_latents(
    seeds: Sequence[int], latent: LatentConfig, truncation: float | None = None
) -> np.ndarray:
    """Latents [B, Z] float32 of the seeds; see `latents_of_seeds`.

    Raises:
        ImpastoError: truncation is not positive.
    """
    check_truncation(truncation)
    values = np.empty((len(seeds), latent.size))
    for row, seed in zip(values, seeds, strict=True):
        if latent.distribution == "normal":
            row[:] = _normal(_Uniform(seed), latent.size)
        else:
            row[:] = _Uniform(seed).draw(latent.size) * 2 - 1
    if truncation is not None:
        values = _truncated(values, latent, truncation)
    return values.astype(np.float32)


def _truncated(values: np.ndarray, latent: LatentConfig, truncation: float) -> np.ndarray:
    if latent.distribution == "uniform":
        return values * min(truncation, 1.0)
    within = math.erf(truncation / _ROOT)
    quantile = NormalDist().inv_cdf

    def one(value: float) -> float:
        # The tail beyond the value, which keeps its digits where the share inside is all but 1.
        tail = (1 - math.erf(abs(value) / _ROOT) * within) / 2
        size = -quantile(tail) if tail > 0 else math.inf
        return math.copysign(min(size, truncation), value)

    return np.array([one(value) for value in values.flat]).reshape(values.shape)
