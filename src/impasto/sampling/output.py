"""Pictures to files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError
from impasto.files import atomic_file
from impasto.sampling.grid import named_grid_picture

_MAX_GRID_PIXELS = 30_000**2


def save_grid(
    path: Path,
    images: np.ndarray,
    columns: int | None = None,
    *,
    above: Sequence[str] = (),
    beside: Sequence[str] = (),
) -> None:
    """Write pictures [B, H, W, 3] (uint8) as one PNG, in one step.

    Args:
        path: of the PNG.
        images: row by row.
        columns: how many; by default as many as rows.
        above: names of the columns, drawn above them.
        beside: names of the rows.

    Raises:
        ImpastoError: it cannot be written.
    """
    with atomic_file(path) as temporary:
        named_grid_picture(images, columns, above, beside).save(temporary, "PNG")


def check_grid_path(path: Path) -> None:
    """Raises: ImpastoError: the path is not a PNG's."""
    if path.suffix.lower() != ".png":
        raise ImpastoError(f"a grid is a PNG: give a path that ends in .png, not {path}")


def save_grid_of(
    batches: Iterable[np.ndarray],
    path: Path,
    columns: int | None = None,
    *,
    above: Sequence[str] = (),
    beside: Sequence[str] = (),
) -> None:
    """Write all pictures of the batches as one PNG; see `save_grid`.

    Raises:
        ImpastoError: the path is not a PNG's, cannot be written, or the grid would be larger than
            30,000 x 30,000 pixels.
    """
    check_grid_path(path)
    images = np.concatenate(list(batches))
    if images[..., 0].size > _MAX_GRID_PIXELS:
        raise ImpastoError(f"{len(images)} pictures are too many for one grid; use --out instead")
    save_grid(path, images, columns, above=above, beside=beside)


def seed_name(seed: int) -> str:
    """What a seed's picture is called: `seed-00000007`."""
    return f"seed-{seed:08d}"


def slugs(names: Sequence[str]) -> list[str]:
    """A name for files of each of these names, no two the same: `Ukiyo-e` as `ukiyo-e`."""
    made: dict[str, None] = {}  # in order, and quick to look into: there may be thousands
    for name in names:
        letters = "".join(c if c.isalnum() else " " for c in name.lower())
        slug = "-".join(letters.split()).encode()[:100].decode(errors="ignore") or "x"
        number, free = 2, slug
        while free in made:
            number, free = number + 1, f"{slug}-{number}"
        made[free] = None
    return list(made)


def save_pictures(batches: Iterable[np.ndarray], names: Sequence[str], folder: Path) -> None:
    """Write each picture as `NAME.png` into `folder`, in one step each; the same names are replaced.

    Raises:
        ImpastoError: the folder cannot be written.
    """
    remaining = iter(names)
    for batch in batches:
        for image in batch:
            with atomic_file(folder / f"{next(remaining)}.png") as temporary:
                Image.fromarray(image).save(temporary, "PNG")
