"""Perceptual fingerprints of pictures, to find copies."""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 32
"""Side of the reduced picture that everything but the pixels' digest is computed from."""
THUMB = 16
"""Side of the colour thumbnail."""

FINGERPRINT = np.dtype(
    [
        ("pixels", np.uint8, (32,)),
        ("dhash", "<u8"),
        ("phash", "<u8"),
        ("detail", "<f4"),
        ("light", np.uint8, (SIDE, SIDE)),
        ("thumb", np.uint8, (THUMB, THUMB, 3)),
    ]
)
"""A `Fingerprint` as a NumPy record of 1,844 bytes."""

_LOW = 8
"""Frequencies along each axis in the pHash."""
_DHASH_MARGIN = 1
"""The dHash sets a bit where brightness rises by more than this, of 255. So JPEG noise in a drawing's
flat areas gives 0."""
_ONE = 4096
"""The integer that stands for 1 in `_COSINES`."""
_PHASH_MARGIN = 0.5 * SIDE**2 / 4 * _ONE**2
"""The pHash sets a bit where a coefficient exceeds the median by more than this: the coefficient of a
wave with an amplitude of half a level. Half of a symmetric drawing's coefficients are 0 but for noise,
and noise must set no bits."""


@dataclass(frozen=True)
class Fingerprint:
    """A picture's digest, hashes and thumbnails; fields of fixed size."""

    pixels: bytes
    """SHA-256 of the packed pixels, 32 bytes."""
    dhash: int
    """64 bits: where the whole picture, squashed to 9 x 8, brightens from left to right."""
    phash: int
    """64 bits: which of its lowest frequencies are above their median."""
    detail: float
    """Root mean square difference between a pixel's brightness and the mean of its four neighbours, in
    levels of 255, at 32 x 32. It is almost 0 for flat pictures and plain gradients."""
    light: np.ndarray
    """uint8 [32, 32]: the brightness of the whole picture, squashed."""
    thumb: np.ndarray
    """uint8 [16, 16, 3]: the whole picture in RGB, squashed."""

    def record(self) -> np.ndarray:
        """The fingerprint as an array of shape () and type `FINGERPRINT`."""
        digest = np.frombuffer(self.pixels, np.uint8)
        hashes = (self.dhash, self.phash)
        return np.array((digest, *hashes, self.detail, self.light, self.thumb), FINGERPRINT)


def _cosines() -> np.ndarray:
    """The lowest frequencies of the DCT-II of 32 samples, without the constant, times `_ONE`: int64
    [8, 32]. Integer sums are equal on every machine, and so are the hashes."""
    frequency = np.arange(1, _LOW + 1)[:, None]
    waves = np.cos(np.pi / SIDE * (np.arange(SIDE) + 0.5) * frequency)
    return np.rint(_ONE * waves).astype(np.int64)


_COSINES = _cosines()


def _bits(is_set: np.ndarray) -> int:
    """64 truth values as one number; the first is the highest bit."""
    return int.from_bytes(np.packbits(is_set).tobytes(), "big")


def _detail(light: np.ndarray) -> float:
    """`Fingerprint.detail` of brightness, int64 [H, W]."""
    around = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:]
    differences = 4 * light[1:-1, 1:-1] - around
    return float(np.sqrt((differences**2).sum() / differences.size) / 4)


def fingerprint_of(picture: Image.Image, pixels: np.ndarray) -> Fingerprint:
    """The fingerprint of a picture.

    Sources: the dHash as N. Krawetz describes it ("Kind of Like That", hackerfactor.com, 2013); the
    pHash after C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions"
    (2010), section 3.2.1. The margins are impasto's own.

    Args:
        picture: the whole picture upright, RGB, at any size.
        pixels: uint8 [K, H, W, 3]: its packed pixels.
    """
    # `reducing_gap` averages whole pixels first, four times faster.
    small = picture.resize((SIDE, SIDE), Image.Resampling.HAMMING, reducing_gap=2)
    grey = small.convert("L")
    light = np.asarray(grey, dtype=np.int64)
    steps = np.diff(np.asarray(grey.resize((9, 8), Image.Resampling.HAMMING), dtype=np.int64))
    waves = _COSINES @ light @ _COSINES.T
    median = np.sort(waves, axis=None)[_LOW**2 // 2 - 1 : _LOW**2 // 2 + 1].sum() / 2
    return Fingerprint(
        pixels=hashlib.sha256(np.ascontiguousarray(pixels).data).digest(),
        dhash=_bits(steps > _DHASH_MARGIN),
        phash=_bits(waves > median + _PHASH_MARGIN),
        detail=_detail(light),
        light=np.asarray(grey),
        thumb=np.asarray(small.reduce(SIDE // THUMB)),
    )
