"""Enlarging: `enlarge` and `enlarge_files`."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from impasto.device import choose_device
from impasto.enlarging import files as enlarging_files
from impasto.enlarging import load_enlarger
from impasto.enlarging.weights import finisher
from impasto.errors import ImpastoError


def enlarge(
    images: np.ndarray,
    by: int = 4,
    *,
    weights: str | PathLike[str] | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Enlarge images by a small network that was trained on paintings.

    Args:
        images: uint8 [H, W, 3], or [B, H, W, 3] such as `impasto.sample` gives.
        by: factor of width and height, 2 or 4.
        weights: a file of weights of a known super-resolution network (extra `enlarge`); None: the
            network in this package.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Returns:
        uint8, sides `by` times as long.

    Raises:
        ImpastoError: other images or another factor, or weights that cannot be used.
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[-1] != 3:
        raise ImpastoError(
            "enlarge takes uint8 images [H, W, 3] or [B, H, W, 3], not "
            f"{images.dtype} {list(images.shape)}"
        )
    finish = finisher(by, choose_device(device), _path(weights))
    return finish(images) if images.ndim == 4 else finish(images[None])[0]


def enlarge_files(
    pictures: str | PathLike[str] | Sequence[str | PathLike[str]],
    folder: str | PathLike[str],
    by: int = 4,
    *,
    weights: str | PathLike[str] | None = None,
    device: str = "auto",
) -> list[Path]:
    """Enlarge picture files into PNGs in a folder; returns the new ones and those that were there
    already.

    Args:
        pictures: pictures; folders and archives of pictures.
        folder: made if it does not exist. Files of the same names in it are kept.
        by: factor of width and height, 2 or 4.
        weights: see `enlarge`.
        device: see `enlarge`.

    Raises:
        ImpastoError: nothing could be enlarged, the weights cannot be used, or the folder cannot be
            written.
    """
    several = [pictures] if isinstance(pictures, str | PathLike) else list(pictures)
    network = load_enlarger(choose_device(device), _path(weights))
    paths = [Path(path).expanduser() for path in several]
    result = enlarging_files.enlarge_files(paths, Path(folder).expanduser(), network, by)
    if not result.made and not result.kept:
        name, reason = result.left_out[-1]
        raise ImpastoError(f"no picture could be enlarged; {name}: {reason}")
    return [*result.made, *result.kept]


def _path(weights: str | PathLike[str] | None) -> Path | None:
    return None if weights is None else Path(weights).expanduser()
