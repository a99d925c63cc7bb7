"""Pictures to files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError
from impasto.files import atomic_file
from impasto.sampling.grid import grid_picture

_MAX_GRID_PIXELS = 30_000**2


def save_grid(path: Path, images: np.ndarray, columns: int | None = None) -> None:
    """Write pictures [B, H, W, 3] (uint8) as one PNG, in one step.

    Raises:
        ImpastoError: it cannot be written.
    """
    with atomic_file(path) as temporary:
        grid_picture(images, columns).save(temporary, "PNG")


def save_grid_of(batches: Iterable[np.ndarray], path: Path) -> None:
    """Write all pictures of the batches as one PNG.

    Raises:
        ImpastoError: the path is not a PNG's, cannot be written, or the grid would be larger than
            30,000 x 30,000 pixels.
    """
    if path.suffix.lower() != ".png":
        raise ImpastoError(f"a grid is a PNG: give a path that ends in .png, not {path}")
    images = np.concatenate(list(batches))
    if images[..., 0].size > _MAX_GRID_PIXELS:
        raise ImpastoError(f"{len(images)} pictures are too many for one grid; use --out instead")
    save_grid(path, images)


def save_pictures(batches: Iterable[np.ndarray], seeds: Sequence[int], folder: Path) -> None:
    """Write each picture as `seed-00000007.png` into `folder`; the same names are replaced.

    Raises:
        ImpastoError: the folder cannot be written.
    """
    remaining = iter(seeds)
    for batch in batches:
        for image in batch:
            with atomic_file(folder / f"seed-{next(remaining):08d}.png") as temporary:
                Image.fromarray(image).save(temporary, "PNG")
