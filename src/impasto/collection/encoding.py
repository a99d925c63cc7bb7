"""How packed pictures are stored: plain pixels, or each compressed by itself.

Small pictures stay raw, for they are then read as fast as memory is copied. From 256 px on they are
WebP in its lossless form: nothing is lost, and a collection takes half of the disk or less.
"""

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError, choices

RAW = "raw"
AUTO = "auto"
Stored = np.ndarray | list[bytes]
"""Pictures as they lie in shards: uint8 [K, R, R, 3] in raw ones, else each one's bytes."""
COMPRESSED_FROM = 256
"""Side in pixels from which on `auto` compresses."""


@dataclass(frozen=True)
class Encoding:
    """A way to compress a picture, by Pillow."""

    format: str
    """Pillow's name of it."""
    says: str
    lossless: bool
    settings: dict[str, Any] = field(default_factory=dict)


ENCODINGS = {
    "webp": Encoding(
        "WEBP",
        "WebP without loss",
        True,
        # Method 1 and on take several times as long to gain a tenth. Exact changes nothing where
        # there is no alpha, and fixes that for good.
        {"lossless": True, "method": 0, "quality": 0, "exact": True},
    ),
    "png": Encoding("PNG", "PNG, without loss", True, {"compress_level": 6}),
    "jpeg": Encoding(
        "JPEG",
        "JPEG of quality 95 without colour subsampling: much smaller, and not quite the pixels",
        False,
        {"quality": 95, "subsampling": 0},
    ),
}
"""The encodings that compress; `raw` is no such."""


def choose_encoding(wanted: str, resolution: int) -> str:
    """The encoding of pictures of a side, where `wanted` may be `auto`.

    Raises:
        ImpastoError: there is no such encoding.
    """
    if wanted == AUTO:
        return RAW if resolution < COMPRESSED_FROM else "webp"
    if wanted != RAW and wanted not in ENCODINGS:
        raise ImpastoError(
            f"unknown encoding '{wanted}'; there is {choices([AUTO, RAW, *ENCODINGS])}"
        )
    return wanted


def encode(pixels: np.ndarray, encoding: str) -> list[bytes]:
    """Pictures, uint8 [K, R, R, 3], each compressed; the same bytes for the same pixels.

    It is slow (milliseconds a picture), so packing does it in the worker processes.
    """
    how = ENCODINGS[encoding]

    def encoded(picture: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, how.format, **how.settings)
        return buffer.getvalue()

    return [encoded(picture) for picture in pixels]


def decode(content: bytes, encoding: str, resolution: int) -> np.ndarray:
    """One picture's pixels, uint8 [R, R, 3].

    Raises:
        ValueError: the content is damaged, or a picture of another size or kind.
    """
    try:
        with Image.open(io.BytesIO(content), formats=[ENCODINGS[encoding].format]) as image:
            if image.size != (resolution, resolution):
                raise ValueError(f"{image.width} x {image.height} px, not {resolution}")
            # Where no pixel is transparent, WebP opens as RGB.
            return np.asarray(image.convert("RGB"))
    except Exception as error:
        # Damaged files make decoders raise almost anything.
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
