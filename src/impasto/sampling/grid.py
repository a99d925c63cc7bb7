"""Pictures side by side."""

import math

import numpy as np
from PIL import Image


def columns_of(count: int) -> int:
    """Columns of the most nearly square grid for `count` pictures; 8 for 64."""
    return max(1, math.ceil(math.sqrt(count)))


def grid_picture(images: np.ndarray, columns: int | None = None) -> Image.Image:
    """Pictures [B, H, W, 3] (uint8) in rows, without gaps; what is left of the last row is black."""
    count, height, width, _ = images.shape
    columns = columns or columns_of(count)
    rows = math.ceil(count / columns)
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + height, left : left + width] = image
    return Image.fromarray(canvas)
