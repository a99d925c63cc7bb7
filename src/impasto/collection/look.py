"""What is kept of a picture's looks: enough to find others that look the same, in few bytes."""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

THUMB = 16
"""Side of the thumbnail, in pixels."""

LOOK = np.dtype(
    [
        ("pixels", np.uint8, (32,)),
        ("dhash", "<u8"),
        ("phash", "<u8"),
        ("structure", "<f4"),
        ("thumb", np.uint8, (THUMB, THUMB, 3)),
    ]
)
"""A `Look` as a NumPy record, 820 bytes, so that many of them are one plain array."""

_SIDE = 32
"""Side of the small picture that all but the pixels' digest is computed of."""
_LOW = 8
"""Frequencies along each side in the pHash."""
_MARGIN = 1.0
"""The dHash sets a bit where a picture brightens by more than this, of 255: what is flat in a
drawing is then 0, whatever a JPEG's noise makes of it."""
_WAVE = 0.5 * _SIDE**2 / 4
"""The pHash sets a bit where a wave's coefficient is above the median by more than this, which is a
wave of half a level: half of the waves of a symmetric drawing are 0 but for such noise."""


@dataclass(frozen=True)
class Look:
    """How a picture looks; fields of fixed size."""

    pixels: bytes
    """SHA-256 of the packed pixels, 32 bytes: the same for those that no training can tell apart."""
    dhash: int
    """64 bits: where the whole picture, squashed to 9 x 8, brightens from left to right."""
    phash: int
    """64 bits: which of its lowest frequencies are above their median."""
    structure: float
    """Standard deviation of its brightness, 0 to 127.5; hashes of what is nearly flat are noise."""
    thumb: np.ndarray
    """uint8 [16, 16, 3]: the whole picture, squashed."""

    def record(self) -> np.ndarray:
        """The same as an array of shape () and type `LOOK`."""
        digest = np.frombuffer(self.pixels, np.uint8)
        return np.array((digest, self.dhash, self.phash, self.structure, self.thumb), LOOK)

    @classmethod
    def of(cls, record: np.ndarray) -> "Look":
        """The look in a record of type `LOOK`."""
        return cls(
            pixels=record["pixels"].tobytes(),
            dhash=int(record["dhash"]),
            phash=int(record["phash"]),
            structure=float(record["structure"]),
            thumb=np.array(record["thumb"]),
        )


def _cosines() -> np.ndarray:
    """The lowest frequencies of the DCT-II of 32 samples, without the constant: float32 [8, 32]."""
    frequency = np.arange(1, _LOW + 1)[:, None]
    return np.cos(np.pi / _SIDE * (np.arange(_SIDE) + 0.5) * frequency).astype(np.float32)


_COSINES = _cosines()


def _bits(is_set: np.ndarray) -> int:
    """64 truth values as one number, the first the highest bit."""
    return int.from_bytes(np.packbits(is_set).tobytes(), "big")


def look(picture: Image.Image, pixels: np.ndarray) -> Look:
    """Keep what a picture looks like.

    Sources: the dHash as N. Krawetz describes it ("Kind of Like That", hackerfactor.com, 2013); the
    pHash after C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions"
    (2010), section 3.2.1. The margins are ours.

    Args:
        picture: the whole picture upright, RGB, at any size: it may be reduced already.
        pixels: uint8 [K, R, R, 3]: what is packed of it.
    """
    # The gap makes it average whole pixels first, which is four times as quick.
    small = picture.resize((_SIDE, _SIDE), Image.Resampling.HAMMING, reducing_gap=2)
    grey = small.convert("L")
    light = np.asarray(grey, dtype=np.float32)
    steps = np.diff(np.asarray(grey.resize((9, 8), Image.Resampling.HAMMING), dtype=np.float32))
    waves = _COSINES @ light @ _COSINES.T
    return Look(
        pixels=hashlib.sha256(np.ascontiguousarray(pixels).data).digest(),
        dhash=_bits(steps > _MARGIN),
        phash=_bits(waves > np.median(waves) + _WAVE),
        structure=float(light.std()),
        thumb=np.asarray(small.reduce(_SIDE // THUMB)),
    )
