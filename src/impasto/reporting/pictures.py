"""A run's grids: read, cropped for a page, and embedded in it."""

import base64
import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

# Largest PNG that stays lossless; above it WebP is used, a fifth of the size.
_PNG_BYTES = 60_000


def open_picture(path: Path) -> Image.Image | None:
    """The picture at `path` in RGB, or None if it is missing, incomplete or no picture."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def tile_size(grid: Image.Image, columns: int, tall: float = 1.0) -> tuple[int, int]:
    """Width and height, in pixels, of the pictures of a grid that has `columns` of them in a row.

    If the width is not divisible by `columns`, the grid is taken as one picture.

    Args:
        grid: the grid.
        columns: pictures side by side.
        tall: the height of a picture divided by its width.
    """
    width = grid.width // columns if grid.width % columns == 0 else grid.width
    return width, max(1, round(width * tall))


def cut(
    grid: Image.Image, columns: int, most: int, tall: float = 1.0
) -> tuple[Image.Image, int, int]:
    """The first whole pictures of a grid that fit a square of `most` pixels a side; see `tile_size`.

    Pictures are not shrunk, because that would blur them.

    Returns:
        (grid, pictures kept, pictures there were)
    """
    width, height = tile_size(grid, columns, tall)
    across, down = max(1, grid.width // width), max(1, grid.height // height)
    kept_across, kept_down = min(across, max(1, most // width)), min(down, max(1, most // height))
    kept = grid.crop((0, 0, kept_across * width, min(kept_down * height, grid.height)))
    return kept, kept_across * kept_down, across * down


def enlarge(picture: Image.Image, least: int) -> Image.Image:
    """The picture with pixels repeated, so that its shorter side is at least `least`."""
    times = math.ceil(least / min(picture.size))
    if times <= 1:
        return picture
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def joined(tiles: Pixels) -> Image.Image:
    """Pictures [rows, columns, H, W, 3] side by side, without gaps."""
    rows, columns, height, width = tiles.shape[:4]
    return Image.fromarray(tiles.swapaxes(1, 2).reshape(rows * height, columns * width, 3))


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` positions, evenly spaced, with the first and last."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def data_uri(content: bytes, kind: str) -> str:
    """`content` as a data URI, such as `data:image/png;base64,...`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _encoded(picture: Image.Image, form: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def picture_uri(picture: Image.Image, exact: bool = False, *, most_png: int = _PNG_BYTES) -> str:
    """A picture as a data URI: PNG if that takes at most `most_png` bytes or `exact` is set, else
    WebP."""
    png = _encoded(picture, "PNG", optimize=True)
    if exact or len(png) <= most_png:
        return data_uri(png, "image/png")
    return data_uri(_encoded(picture, "WEBP", quality=86, method=4), "image/webp")


def photo_uri(picture: Image.Image, most: int) -> str:
    """A photograph as a data URI, JPEG, its longer side shrunk to at most `most` pixels."""
    small = picture.copy()
    small.thumbnail((most, most), Image.Resampling.LANCZOS)
    return data_uri(_encoded(small, "JPEG", quality=86, progressive=True), "image/jpeg")
