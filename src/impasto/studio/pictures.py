"""Pictures as the bytes of an answer."""

import io
from typing import Literal

import numpy as np
from fastapi.responses import Response
from PIL import Image

from impasto.sampling.point_text import png_text

Format = Literal["webp", "png"]
QUALITY = 92
"""Of WebP. Lossy: what has to keep its pixels is a PNG."""
FOR_A_WHILE = "private, max-age=600"


def encoded(picture: np.ndarray | Image.Image, form: Format, text: str | None = None) -> bytes:
    """A picture's file.

    Args:
        picture: uint8 [H, W, 3], or an image.
        form: of the file.
        text: of the point that a PNG carries.
    """
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    file = io.BytesIO()
    if form == "png":
        image.save(file, "PNG", pnginfo=None if text is None else png_text(text))
    else:
        image.save(file, "WEBP", quality=QUALITY, method=2)
    return file.getvalue()


def answer(content: bytes, form: str, *, name: str | None = None, cached: bool = False) -> Response:
    """The answer with a picture.

    Args:
        content: the file.
        form: of the file.
        name: to download it under.
        cached: whether the same address always gives the same picture.
    """
    headers = {"cache-control": FOR_A_WHILE} if cached else {}
    if name is not None:
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)
        headers["content-disposition"] = f'attachment; filename="{plain}"'
    return Response(content, media_type=f"image/{form}", headers=headers)


def thumbnail(picture: np.ndarray, side: int | None) -> Image.Image:
    """A picture [H, W, 3] with sides of at most so many pixels."""
    image = Image.fromarray(picture)
    if side is not None and side < max(image.size):
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image
