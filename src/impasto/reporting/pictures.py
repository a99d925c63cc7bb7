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


def tile_size(grid: Image.Image, columns: int) -> int:
    """Side, in pixels, of the square pictures of a grid that has `columns` of them in a row.

    If the width is not divisible by `columns`, the grid is taken as one picture.
    """
    return grid.width // columns if grid.width % columns == 0 else grid.width


def cut(grid: Image.Image, columns: int, most: int) -> tuple[Image.Image, int, int]:
    """The first whole pictures of a grid that fit a square of `most` pixels a side.

    Pictures are not shrunk, because that would blur them.

    Returns:
        (grid, pictures kept, pictures there were)
    """
    tile = tile_size(grid, columns)
    across, down = max(1, grid.width // tile), max(1, grid.height // tile)
    fit = max(1, most // tile)
    kept_across, kept_down = min(across, fit), min(down, fit)
    kept = grid.crop((0, 0, kept_across * tile, min(kept_down * tile, grid.height)))
    return kept, kept_across * kept_down, across * down


def enlarge(picture: Image.Image, least: int) -> Image.Image:
    """The picture with pixels repeated, so that its shorter side is at least `least`."""
    times = math.ceil(least / min(picture.size))
    if times <= 1:
        return picture
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def joined(tiles: Pixels) -> Image.Image:
    """Pictures [rows, columns, side, side, 3] side by side, without gaps."""
    rows, columns, side = tiles.shape[:3]
    return Image.fromarray(tiles.swapaxes(1, 2).reshape(rows * side, columns * side, 3))


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
