"""Saving images to files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError
from impasto.files import atomic_file
from impasto.sampling.grid import captioned_grid_picture, named_grid_picture
from impasto.sampling.point_text import png_text
from impasto.sampling.records import LabelRecord

_MAX_GRID_PIXELS = 30_000**2


def save_grid(
    path: Path,
    images: np.ndarray,
    columns: int | None = None,
    *,
    above: Sequence[str] = (),
    beside: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
) -> None:
    """Write images as one PNG, atomically.

    Args:
        path: of the PNG.
        images: uint8 [B, H, W, 3], row by row.
        columns: number of columns; by default as many as rows.
        above: names of the columns.
        beside: names of the rows.
        captions: lines below each image, in place of these names.

    Raises:
        ImpastoError: the file cannot be written.
    """
    if captions:
        picture = captioned_grid_picture(images, captions, columns)
    else:
        picture = named_grid_picture(images, columns, above, beside)
    with atomic_file(path) as temporary:
        picture.save(temporary, "PNG")


def check_grid_path(path: Path) -> None:
    """Check that a path for a grid ends in `.png`; see `check_png`."""
    check_png(path, "grid")


def check_png(path: Path, what: str) -> None:
    """Check that a path ends in `.png`.

    Args:
        path: of the file.
        what: kind of picture, such as `grid`, for the message.

    Raises:
        ImpastoError: it does not.
    """
    if path.suffix.lower() != ".png":
        raise ImpastoError(f"a {what} is a PNG: give a path that ends in .png, not {path}")


def save_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture, uint8 [H, W, 3], as a PNG, atomically.

    Raises:
        ImpastoError: the file cannot be written.
    """
    with atomic_file(path) as temporary:
        Image.fromarray(picture).save(temporary, "PNG")


def save_grid_of(
    batches: Iterable[np.ndarray],
    path: Path,
    columns: int | None = None,
    *,
    above: Sequence[str] = (),
    beside: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
) -> None:
    """Write all images of the batches as one PNG; see `save_grid`.

    Raises:
        ImpastoError: the path does not end in `.png` or cannot be written, or the grid would be
            larger than 30,000 x 30,000 pixels.
    """
    check_grid_path(path)
    images = np.concatenate(list(batches))
    if images[..., 0].size > _MAX_GRID_PIXELS:
        raise ImpastoError(f"{len(images)} pictures are too many for one grid; use --out instead")
    save_grid(path, images, columns, above=above, beside=beside, captions=captions)


def seed_name(seed: int) -> str:
    """File name of a seed's image: `seed-00000007`."""
    return f"seed-{seed:08d}"


def slugs(names: Sequence[str]) -> list[str]:
    """File names for these names, all different: `ukiyo-e` for `Ukiyo-e`."""
    made: dict[str, None] = {}  # ordered, with quick look-up: there may be thousands
    for name in names:
        letters = "".join(c if c.isalnum() else " " for c in name.lower())
        slug = "-".join(letters.split()).encode()[:100].decode(errors="ignore") or "x"
        number, free = 2, slug
        while free in made:
            number, free = number + 1, f"{slug}-{number}"
        made[free] = None
    return list(made)


def save_pictures(
    batches: Iterable[np.ndarray], names: Sequence[str], folder: Path, texts: Iterable[str] = ()
) -> None:
    """Write each image as `NAME.png` into `folder`, atomically. Existing files are replaced.

    Args:
        batches: the images, uint8 [B, H, W, 3].
        names: one an image.
        folder: of the files.
        texts: of the points that the images carry (`Points.text`), one an image, or none.

    Raises:
        ImpastoError: the folder cannot be written.
    """
    remaining, carried = iter(names), iter(texts)
    for batch in batches:
        for image in batch:
            text = next(carried, None)
            info = None if text is None else png_text(text)
            with atomic_file(folder / f"{next(remaining)}.png") as temporary:
                Image.fromarray(image).save(temporary, "PNG", pnginfo=info)


def save_every_class(
    batches: Iterable[np.ndarray],
    texts: Iterable[str],
    seeds: Sequence[int],
    field: LabelRecord,
    shown: Sequence[str],
    *,
    grid: Path | None,
    out: Path | None,
    default: Path,
) -> Path:
    """Write the images of each seed in some classes of a field: as one grid, or as files.

    Args:
        batches: the images, uint8 [B, H, W, 3], a row of classes for each seed.
        texts: see `save_pictures`.
        seeds: one a row.
        field: the label field.
        shown: its classes that are shown, one a column.
        grid: the grid's file.
        out: the folder of the files.
        default: where neither is given, the grid is beside this path.

    Returns:
        The grid's file, or the folder.
    """
    if out is None:
        grid = grid or default.with_name(f"{default.name}-every-{slugs([field.name])[0]}.png")
        save_grid_of(batches, grid, len(shown), above=shown)
        return grid
    safe = dict(zip(field.classes, slugs(field.classes), strict=True))
    parts = [f"{slugs([field.name])[0]}-{safe[name]}" for name in shown]
    names = [f"{seed_name(seed)}-{part}" for seed in seeds for part in parts]
    save_pictures(batches, names, out, texts)
    return out
