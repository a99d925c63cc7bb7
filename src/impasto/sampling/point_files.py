"""Reading points from files of points and from PNGs, as arrays and without torch; see `points.py`."""

from __future__ import annotations

import base64
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from glob import glob
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import ValidationError

from impasto.config import LatentConfig
from impasto.errors import ImpastoError, in_words
from impasto.files import open_regular
from impasto.formatting import error_text
from impasto.sampling.point_text import TEXT_KEY, Origin, PointsRecord, holds, short_floats
from impasto.sampling.records import ModelRecord
from impasto.sampling.tensors import read_arrays, read_metadata

SeedLatents = Callable[[Sequence[int], LatentConfig, float | None], np.ndarray]
"""Latents [B, Z] of seeds, by torch or by NumPy, which may differ in the last bit."""
_MOST_BYTES = 2**26
_MOST_PNG = 2**29
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, KeyError, IndexError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises on damaged files."""
_DAMAGED = "{place} holds a damaged point ({reason}); give its seed or another file"


def check_model(points_model: str, recipe: str, record: ModelRecord, place: object) -> None:
    """Raises: ImpastoError: points of these weights and this recipe are of another model."""
    if points_model != record.weights_sha256:
        raise ImpastoError(
            f"{place} has points of another generator (recipe {recipe}, weights "
            f"{points_model[:12]}), and this one's weights are {record.weights_sha256[:12]}: give the "
            "model that painted them"
        )


@dataclass(frozen=True)
class PointArrays:
    """N points of one generator."""

    record: PointsRecord
    latents: np.ndarray
    """[N, Z] or [N, L, Z], float32."""
    classes: np.ndarray
    """Class weights [N, K], float32."""

    def single(self, number: int) -> PointsRecord:
        """The record of point `number`. The latent of a seed is left out, because the seed determines
        it."""
        origin, latents = self.record.origins[number], None
        if origin.seed is None or origin.edits:
            values = np.ascontiguousarray(self.latents[number]).astype("<f4").tobytes()
            latents = base64.b64encode(zlib.compress(values)).decode()
        return PointsRecord(
            model=self.record.model,
            recipe=self.record.recipe,
            fields=self.record.fields,
            origins=(origin,),
            latents=latents,
            levels=self.latents.shape[1] if self.latents.ndim == 3 else None,
            classes=short_floats(self.classes[number]),
        )


def load_points(
    path: str | PathLike[str], model: ModelRecord, of_seeds: SeedLatents
) -> PointArrays:
    """Read a file of points, or the point of a PNG that impasto painted.

    Args:
        path: the file.
        model: the model to which the points must belong.
        of_seeds: computes the latent of a PNG's seed.

    Raises:
        ImpastoError: it is missing, damaged, has no points, or those of another model.
    """
    place = Path(path).expanduser()
    if place.suffix.lower() == ".png":
        return single_point(_record(_text_of_picture(place), place), place, model, of_seeds)
    if place.is_dir():
        raise ImpastoError(
            f"{place} is a folder: give its files, such as '{place / '*.png'}', a pattern in quotes"
        )
    if not place.is_file():
        raise ImpastoError(f"there is no file of points {place}")
    if place.suffix.lower() != ".safetensors":
        raise ImpastoError(
            f"{place} has no points: they are in .safetensors files, and in PNGs that impasto "
            "painted; impasto invert finds the points of other pictures"
        )
    arrays = read_arrays(place)
    text = read_metadata(place).get(TEXT_KEY)
    if text is None or set(arrays) != {"latents", "classes"} or not holds(text, "origins"):
        raise ImpastoError(
            f"{place} is no file of points, as `impasto sample --save-points` writes"
        )
    return _checked(_record(text, place), arrays["latents"], arrays["classes"], place, model)


def single_point(
    record: PointsRecord, place: str | PathLike[str], model: ModelRecord, of_seeds: SeedLatents
) -> PointArrays:
    """The point of a record that `single` returned.

    Args:
        record: the point.
        place: where it was read, for messages.
        model: the model to which it must belong.
        of_seeds: computes the latent of its seed.

    Raises:
        ImpastoError: it is damaged, or of another model.
    """
    try:
        latents = _latents_in(record)
    except (ValueError, zlib.error) as error:
        raise ImpastoError(_DAMAGED.format(place=place, reason=error_text(error))) from error
    if latents is None:
        origin = record.origins[0] if record.origins else Origin()
        if origin.seed is None:
            raise ImpastoError(_DAMAGED.format(place=place, reason="neither latent nor seed"))
        latents = of_seeds([origin.seed], model.latent, origin.truncation)
    return _checked(record, latents, np.array([record.classes], np.float32), place, model)


def _checked(
    record: PointsRecord,
    latents: np.ndarray,
    classes: np.ndarray,
    place: str | PathLike[str],
    model: ModelRecord,
) -> PointArrays:
    check_model(record.model, record.recipe, model, place)
    count = len(record.origins)
    fits = latents.ndim in (2, 3) and classes.ndim == 2 and len(latents) == len(classes) == count
    sizes = (model.latent.size, sum(model.label_sizes))
    if not count or not fits or (latents.shape[-1], classes.shape[1]) != sizes:
        raise ImpastoError(_DAMAGED.format(place=place, reason="its parts do not fit together"))
    if not np.isfinite(latents).all() or not np.isfinite(classes).all():
        raise ImpastoError(_DAMAGED.format(place=place, reason="values that are not finite"))
    return PointArrays(record, latents.astype(np.float32), classes.astype(np.float32))


def _text_of_picture(path: Path) -> str:
    """The text that holds the point in a PNG that impasto painted."""
    try:
        with open_regular(path, _MOST_PNG) as file, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=["PNG"]) as picture:
                # Reading the texts decodes the picture where they are behind it.
                text: str | None = getattr(picture, "text", {}).get(TEXT_KEY)
    except FileNotFoundError:
        raise ImpastoError(f"there is no {path}") from None
    except _UNREADABLE as error:
        raise ImpastoError(f"{path} cannot be read as a PNG ({error_text(error)})") from error
    if text is None:
        raise ImpastoError(
            f"{path} carries no point: it was not painted by impasto, or was saved again by a "
            "program that drops such texts; impasto invert finds the points of other pictures"
        )
    return text


def _latents_in(record: PointsRecord) -> np.ndarray | None:
    """The latents [1, Z] or [1, L, Z] in a picture's text; None if only its seed is there.

    Raises:
        ValueError, zlib.error: they are damaged.
    """
    if record.latents is None:
        return None
    # Never more than this, whatever a picture claims to hold.
    unpacked = zlib.decompressobj().decompress(base64.b64decode(record.latents), _MOST_BYTES)
    values = np.frombuffer(unpacked, "<f4").astype(np.float32)
    return values[None] if record.levels is None else values.reshape(1, record.levels, -1)


def _record(text: str, place: Path) -> PointsRecord:
    try:
        return PointsRecord.model_validate_json(text)
    except ValidationError as error:
        reason = in_words(error.errors()[0])
        raise ImpastoError(_DAMAGED.format(place=place, reason=reason)) from error


def files_of(pattern: str | PathLike[str]) -> list[Path]:
    """The files that match a glob pattern, sorted by name; a path that is no pattern is returned as it
    is.

    Raises:
        ImpastoError: no file matches.
    """
    file = Path(pattern).expanduser()
    if file.exists() or not set("*?[") & set(str(file)):
        return [file]
    # Path.glob raises an error at ** beside other letters.
    found = sorted(map(Path, glob(str(file), recursive=True, include_hidden=True)))  # noqa: PTH207
    if not found:
        raise ImpastoError(f"no file of points has a name of the pattern '{pattern}'")
    return found
