"""How packed pictures are stored: raw pixels, or each picture compressed.

Small pictures are stored raw, because raw pixels are read as fast as memory is copied. From 256 pixels
on they are stored as lossless WebP, which takes at most half of the disk space.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError, choices
from impasto.formatting import error_text
from impasto.resolution import Resolution, area, width_and_height

RAW = "raw"
AUTO = "auto"
Stored = np.ndarray | list[bytes]
"""Pictures as stored in shards: uint8 [K, H, W, 3] in raw ones, else a list of bytes."""
COMPRESSED_FROM = 256
"""`auto` compresses pictures of at least as many pixels as a square of this side."""


@dataclass(frozen=True)
class Encoding:
    """A way to compress a picture with Pillow."""

    format: str
    """Pillow's name of the format."""
    description: str
    """For the summary of a collection."""
    settings: dict[str, Any]
    """Options of Pillow's `save`."""


ENCODINGS = {
    "webp": Encoding(
        "WEBP",
        "WebP without loss",
        # Method 0 encodes four times as fast, but drawings then take 1.5 times the disk space and
        # nearly twice the time to read. Higher methods gain little.
        {"lossless": True, "method": 1, "quality": 0},
    ),
    "jpeg": Encoding(
        "JPEG",
        "JPEG of quality 95, some 42 dB from the pixels",
        {"quality": 95, "subsampling": 0},
    ),
}
"""The encodings that compress; `raw` is not among them."""


def choose_encoding(wanted: str, resolution: Resolution) -> str:
    """The encoding for pictures of a resolution.

    Args:
        wanted: `auto`, `raw` or a name in `ENCODINGS`.
        resolution: of the pictures.

    Raises:
        ImpastoError: there is no such encoding.
    """
    if wanted == AUTO:
        return RAW if area(resolution) < COMPRESSED_FROM**2 else "webp"
    if wanted != RAW and wanted not in ENCODINGS:
        raise ImpastoError(
            f"unknown encoding '{wanted}'; there is {choices([AUTO, RAW, *ENCODINGS])}"
        )
    return wanted


def encode(pixels: np.ndarray, encoding: str) -> list[bytes]:
    """Compress pictures, each by itself; deterministic.

    A picture takes milliseconds, so packing calls this in the worker processes.

    Args:
        pixels: uint8 [K, H, W, 3].
        encoding: a name in `ENCODINGS`.
    """
    how = ENCODINGS[encoding]

    def encoded(picture: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, how.format, **how.settings)
        return buffer.getvalue()

    return [encoded(picture) for picture in pixels]


def decode(content: bytes, encoding: str, resolution: Resolution) -> np.ndarray:
    """Decompress one picture.

    Args:
        content: one of the results of `encode`.
        encoding: a name in `ENCODINGS`.
        resolution: of the picture.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: the content is damaged, or of another size or mode.
    """
    try:
        with Image.open(io.BytesIO(content), formats=[ENCODINGS[encoding].format]) as image:
            if image.size != width_and_height(resolution):
                raise ValueError(f"{image.width} x {image.height} px, not {resolution}")
            if image.mode != "RGB":
                raise ValueError(f"its mode is {image.mode}, not RGB")
            return np.asarray(image)
    except Exception as error:
        # Damaged files make decoders raise almost anything.
        raise ValueError(error_text(error)) from error
