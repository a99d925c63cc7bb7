"""What is kept of a picture's looks: enough to find others that look the same, in few bytes."""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 32
"""Side of the small picture that all but the pixels' digest is computed of."""
THUMB = 16
"""Side of the thumbnail in colour."""

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
"""A `Fingerprint` as a NumPy record, 1,844 bytes, so that many of them are one plain array."""

_LOW = 8
"""Frequencies along each side in the pHash."""
_MARGIN = 1
"""The dHash sets a bit where a picture brightens by more than this, of 255: what is flat in a
drawing is then 0, whatever a JPEG's noise makes of it."""
_ONE = 4096
_WAVE = 0.5 * SIDE**2 / 4 * _ONE**2
"""The pHash sets a bit where a wave's coefficient is above the median by more than this, which is a
wave of half a level: half of the waves of a symmetric drawing are 0 but for such noise."""


@dataclass(frozen=True)
class Fingerprint:
    """How a picture looks; fields of fixed size."""

    pixels: bytes
    """SHA-256 of the packed pixels, 32 bytes: the same for those that no training can tell apart."""
    dhash: int
    """64 bits: where the whole picture, squashed to 9 x 8, brightens from left to right."""
    phash: int
    """64 bits: which of its lowest frequencies are above their median."""
    detail: float
    """How far its brightness at a place is from the mean of the four around it (root mean square, in
    levels, at 32 x 32): what is flat or a plain gradient has next to none, and looks like others."""
    light: np.ndarray
    """uint8 [32, 32]: the brightness of the whole picture, squashed."""
    thumb: np.ndarray
    """uint8 [16, 16, 3]: the whole picture in RGB, squashed."""

    def record(self) -> np.ndarray:
        """The same as an array of shape () and type `FINGERPRINT`."""
        digest = np.frombuffer(self.pixels, np.uint8)
        hashes = (self.dhash, self.phash)
        return np.array((digest, *hashes, self.detail, self.light, self.thumb), FINGERPRINT)


def _cosines() -> np.ndarray:
    """The lowest frequencies of the DCT-II of 32 samples, without the constant, times `_ONE`: int64
    [8, 32]. Whole numbers, so that every machine has the same bits."""
    frequency = np.arange(1, _LOW + 1)[:, None]
    waves = np.cos(np.pi / SIDE * (np.arange(SIDE) + 0.5) * frequency)
    return np.rint(_ONE * waves).astype(np.int64)


_COSINES = _cosines()


def _bits(is_set: np.ndarray) -> int:
    """64 truth values as one number, the first the highest bit."""
    return int.from_bytes(np.packbits(is_set).tobytes(), "big")


def _detail(light: np.ndarray) -> float:
    """See `Fingerprint.detail`; of int64 [H, W]."""
    around = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:]
    differences = 4 * light[1:-1, 1:-1] - around
    return float(np.sqrt((differences**2).sum() / differences.size) / 4)


def look(picture: Image.Image, pixels: np.ndarray) -> Fingerprint:
    """Keep what a picture looks like.

    Sources: the dHash as N. Krawetz describes it ("Kind of Like That", hackerfactor.com, 2013); the
    pHash after C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions"
    (2010), section 3.2.1. The margins are ours.

    Args:
        picture: the whole picture upright, RGB, at any size: it may be reduced already.
        pixels: uint8 [K, R, R, 3]: what is packed of it.
    """
    # The gap makes it average whole pixels first, which is four times as quick.
    small = picture.resize((SIDE, SIDE), Image.Resampling.HAMMING, reducing_gap=2)
    grey = small.convert("L")
    light = np.asarray(grey, dtype=np.int64)
    steps = np.diff(np.asarray(grey.resize((9, 8), Image.Resampling.HAMMING), dtype=np.int64))
    waves = _COSINES @ light @ _COSINES.T
    middle = np.sort(waves, axis=None)[_LOW**2 // 2 - 1 : _LOW**2 // 2 + 1].sum() / 2
    return Fingerprint(
        pixels=hashlib.sha256(np.ascontiguousarray(pixels).data).digest(),
        dhash=_bits(steps > _MARGIN),
        phash=_bits(waves > middle + _WAVE),
        detail=_detail(light),
        light=np.asarray(grey),
        thumb=np.asarray(small.reduce(SIDE // THUMB)),
    )
