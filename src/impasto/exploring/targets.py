"""A user's own pictures as targets of an inversion, and the sheet that shows what was found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from impasto.collection import PackOptions
from impasto.decoding.fit import open_picture, picture_of
from impasto.errors import ImpastoError
from impasto.exploring.inverting import Inversion
from impasto.resolution import Resolution
from impasto.sampling.output import save_grid
from impasto.sources.trees import UnusableError

FITS = ("crop", "squash", "pad")
"""Ways to bring a picture to the model's size."""
_ANY_SIZE = 16.0
"""So far are small pictures enlarged."""


def read_targets(files: Sequence[Path], resolution: Resolution, fit: str = "crop") -> np.ndarray:
    """The pictures in files, brought to a size as packing does, uint8 [N, H, W, 3].

    Args:
        files: one or more.
        resolution: of the model's pictures.
        fit: one of `FITS`.

    Raises:
        ImpastoError: there are none, or one is missing, no picture, or too small.
    """
    if not files:
        raise ImpastoError("give one picture or more")
    if fit not in FITS:
        raise ImpastoError(f"--fit takes {', '.join(FITS)}, not '{fit}'")
    options = PackOptions(resolution=resolution, fit=fit, max_upscale=_ANY_SIZE)
    fitted = []
    for path in files:
        if path.is_dir():
            raise ImpastoError(f"{path} is a folder; name its pictures, such as {path / '*.jpg'}")
        if not path.is_file():
            raise ImpastoError(f"there is no picture {path}")
        try:
            with open_picture(path) as file:
                fitted.append(picture_of(file, options.fitting()))
        except UnusableError as error:
            raise ImpastoError(f"{path} cannot be used: {error}") from error
    return np.stack(fitted)


def lines(inversion: Inversion, names: Sequence[str]) -> list[str]:
    """A line for each picture, with the distance of its features at the start and at the end."""
    width = max(map(len, names))
    first, final = inversion.distances[0].tolist(), inversion.distances[-1].tolist()
    last = "at the end" if inversion.moments[-1] == "end" else f"when {inversion.moments[-1]}"
    rows = [
        f"{name:<{width}}  {begun:.2f} at the start, {end:.2f} {last}"
        for name, begun, end in zip(names, first, final, strict=True)
    ]
    return [*rows, f"two pictures of this model are {inversion.usual:.2f} apart (median)"]


def save_sheet(inversion: Inversion, targets: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Write one PNG with a row for each picture: the target and the way, beside the name and the
    distances.

    Raises:
        ImpastoError: the file cannot be written.
    """
    images = np.concatenate([targets[None], inversion.way]).swapaxes(0, 1)
    distances = inversion.distances.T.tolist()
    beside = [
        f"{name}\n{values[0]:.1f} to {values[-1]:.1f}"
        for name, values in zip(names, distances, strict=True)
    ]
    columns = images.shape[1]
    above = ["target", *inversion.moments]
    save_grid(path, images.reshape(-1, *images.shape[2:]), columns, above=above, beside=beside)
