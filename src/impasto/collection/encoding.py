"""How packed pictures are stored: raw pixels, or each picture compressed.

Small pictures stay raw, which reads as fast as memory is copied. From 256 px on they are lossless
WebP, which takes at most half of the disk.
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
"""The least side of a square in pixels that `auto` compresses; of a rectangle, the side of a square
of as many pixels."""


@dataclass(frozen=True)
class Encoding:
    """A way to compress a picture, by Pillow."""

    format: str
    """Pillow's name of it."""
    description: str
    settings: dict[str, Any]


ENCODINGS = {
    "webp": Encoding(
        "WEBP",
        "WebP without loss",
        # Method 0 is four times faster, but drawings take 1.5 times the disk and nearly twice the
        # time to read. Higher methods gain little.
        {"lossless": True, "method": 1, "quality": 0},
    ),
    "jpeg": Encoding(
        "JPEG",
        "JPEG of quality 95, some 42 dB from the pixels",
        {"quality": 95, "subsampling": 0},
    ),
}
"""The compressing encodings, so without `raw`."""


def choose_encoding(wanted: str, resolution: Resolution) -> str:
    """The encoding for a resolution; `wanted` may be `auto`.

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
    """Compress each of some pictures, uint8 [K, H, W, 3]; deterministic.

    It is slow (milliseconds a picture), so packing does it in the worker processes.
    """
    how = ENCODINGS[encoding]

    def encoded(picture: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, how.format, **how.settings)
        return buffer.getvalue()

    return [encoded(picture) for picture in pixels]


def decode(content: bytes, encoding: str, resolution: Resolution) -> np.ndarray:
    """One picture's pixels, uint8 [H, W, 3].

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
