"""Points: latents and class weights that can be kept, and painted again.

A seed names a latent and classes; a point holds the values themselves, so it may also lie between seeds
and between classes. A file of points is a safetensors file: `latents` [N, Z], or [N, L, Z] with a latent
for each of L levels of the generator, `classes` [N, K], and a text with what they belong to. A PNG that
impasto paints carries its point as text. Points belong to one generator, named by the SHA-256 of its
weights.
"""

import base64
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import glob
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from impasto.errors import ImpastoError, in_words
from impasto.files import atomic_file, open_regular
from impasto.formatting import error_text
from impasto.networks import one_hot
from impasto.sampling.class_choice import weights_of_rows
from impasto.sampling.point_text import (
    TEXT_KEY,
    Origin,
    PointsRecord,
    check_points_file,
    holds,
    short_floats,
)
from impasto.sampling.records import ModelRecord
from impasto.sampling.seeds import latents_of_seeds
from impasto.sampling.tensors import read_metadata, read_tensors, write_tensors

_MOST_BYTES = 2**26
_MOST_PNG = 2**29
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, KeyError, IndexError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises on damaged files."""
_DAMAGED = "{place} holds a damaged point ({reason}); give its seed or another file"


@dataclass(frozen=True)
class Points:
    """N points of one generator."""

    latents: Tensor
    """[N, Z], or [N, L, Z] with one for each level, float32 on the CPU."""
    classes: Tensor
    """[N, K1 + K2 + ...] class weights, float32: one-hot for a class, zeros where it is unknown."""
    origins: tuple[Origin, ...]
    model: str
    """SHA-256 of the generator's weights."""
    recipe: str
    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def make(
        cls,
        record: ModelRecord,
        latents: Tensor,
        labels: Tensor,
        origins: Sequence[Origin] | None = None,
    ) -> "Points":
        """Points of a model.

        Args:
            record: of the model.
            latents: [N, Z] or [N, L, Z].
            labels: [N, F] int64, or class weights [N, K].
            origins: one a point; none are known by default.
        """
        return cls(
            latents.detach().float().cpu(),
            one_hot(labels, record.label_sizes).detach().float().cpu(),
            tuple(origins or (Origin() for _ in latents)),
            record.weights_sha256,
            record.recipe,
            _fields(record),
        )

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, places: Sequence[int] | slice) -> "Points":
        """Some of the points."""
        numbers = list(range(len(self)))[places] if isinstance(places, slice) else list(places)
        origins = tuple(self.origins[number] for number in numbers)
        return replace(
            self, latents=self.latents[numbers], classes=self.classes[numbers], origins=origins
        )

    def changed(self, **values: Any) -> "Points":
        """A copy with other values."""
        return replace(self, **values)

    def require(self, record: ModelRecord, place: str | PathLike[str]) -> "Points":
        """Check that these are points of this model; gives them.

        Raises:
            ImpastoError: they are of another.
        """
        if self.model != record.weights_sha256:
            raise ImpastoError(
                f"{place} has points of another generator (recipe {self.recipe}, weights "
                f"{self.model[:12]}), and this one's weights are {record.weights_sha256[:12]}: give the "
                "model that painted them"
            )
        return self

    def _record(self, **more: Any) -> PointsRecord:
        return PointsRecord(
            model=self.model, recipe=self.recipe, fields=self.fields, origins=self.origins, **more
        )

    def save(self, path: str | PathLike[str]) -> Path:
        """Write them as one file, atomically.

        Raises:
            ImpastoError: it does not end in `.safetensors`, or cannot be written.
        """
        target = Path(path)
        check_points_file(target)
        tensors = {"latents": self.latents, "classes": self.classes}
        with atomic_file(target) as temporary:
            write_tensors(temporary, tensors, {TEXT_KEY: self._record().text()})
        return target

    @classmethod
    def load(cls, path: str | PathLike[str], record: ModelRecord) -> "Points":
        """Read a file of points, or the point of a PNG that impasto painted.

        Args:
            path: the file.
            record: of the model that the points are to belong to.

        Raises:
            ImpastoError: it is missing, damaged, has no points, or those of another model.
        """
        place = Path(path).expanduser()
        if place.suffix.lower() == ".png":
            return cls._of_picture(place, record)
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
        tensors = read_tensors(place)
        text = read_metadata(place).get(TEXT_KEY)
        if text is None or set(tensors) != {"latents", "classes"} or not holds(text, "origins"):
            raise ImpastoError(
                f"{place} is no file of points, as `impasto sample --save-points` writes"
            )
        return cls._whole(_read(text, place), tensors["latents"], tensors["classes"], place, record)

    @classmethod
    def _whole(
        cls,
        record: PointsRecord,
        latents: Tensor,
        classes: Tensor,
        place: str | PathLike[str],
        model: ModelRecord,
    ) -> "Points":
        """Points from their parts, checked."""
        points = cls(
            latents.float(),
            classes.float(),
            record.origins,
            record.model,
            record.recipe,
            record.fields,
        ).require(model, place)
        count = len(record.origins)
        fits = (
            latents.ndim in (2, 3) and classes.ndim == 2 and len(latents) == len(classes) == count
        )
        sizes = (model.latent.size, sum(model.label_sizes))
        if not count or not fits or (latents.shape[-1], classes.shape[1]) != sizes:
            raise ImpastoError(_DAMAGED.format(place=place, reason="its parts do not fit together"))
        if not latents.isfinite().all() or not classes.isfinite().all():
            raise ImpastoError(_DAMAGED.format(place=place, reason="values that are not finite"))
        return points

    def single(self, number: int) -> PointsRecord:
        """Point `number`, whole. A latent that a seed has is left out: the seed names it."""
        one = self[[number]]
        latents = None
        if one.origins[0].seed is None or one.origins[0].edits:
            values = one.latents[0].contiguous().numpy().astype("<f4").tobytes()
            latents = base64.b64encode(zlib.compress(values)).decode()
        return one._record(
            latents=latents,
            levels=one.latents.shape[1] if one.latents.ndim == 3 else None,
            classes=short_floats(one.classes[0].numpy()),
        )

    def text(self, number: int) -> str:
        """The text that a PNG of point `number` carries."""
        return self.single(number).text()

    @classmethod
    def _of_picture(cls, path: Path, model: ModelRecord) -> "Points":
        """The point of a PNG that impasto painted."""
        try:
            with open_regular(path, _MOST_PNG) as file, warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(file, formats=["PNG"]) as picture:
                    # Reading the texts decodes the picture where they are behind it.
                    text = getattr(picture, "text", {}).get(TEXT_KEY)
        except FileNotFoundError:
            raise ImpastoError(f"there is no {path}") from None
        except _UNREADABLE as error:
            raise ImpastoError(f"{path} cannot be read as a PNG ({error_text(error)})") from error
        if text is None:
            raise ImpastoError(
                f"{path} carries no point: it was not painted by impasto, or was saved again by a "
                "program that drops such texts; impasto invert finds the points of other pictures"
            )
        return cls.of_single(_read(text, path), path, model)

    @classmethod
    def of_single(
        cls, record: PointsRecord, place: str | PathLike[str], model: ModelRecord
    ) -> "Points":
        """The point that `single` gave.

        Args:
            record: the point.
            place: where it was read, for messages.
            model: that it is to belong to.

        Raises:
            ImpastoError: it is damaged, or of another model.
        """
        try:
            latents = _latents_in(record)
        except (ValueError, zlib.error, RuntimeError) as error:
            reason = error_text(error)
            raise ImpastoError(_DAMAGED.format(place=place, reason=reason)) from error
        classes = torch.tensor(record.classes, dtype=torch.float32)[None]
        if latents is None:
            origin = record.origins[0] if record.origins else Origin()
            if origin.seed is None:
                raise ImpastoError(_DAMAGED.format(place=place, reason="neither latent nor seed"))
            latents = latents_of_seeds([origin.seed], model.latent, origin.truncation)
        return cls._whole(record, latents, classes, place, model)


def _fields(record: ModelRecord) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((field.name, tuple(field.classes)) for field in record.labels)


def _latents_in(record: PointsRecord) -> Tensor | None:
    """The latents [1, Z] or [1, L, Z] in a picture's text; None if only its seed is there.

    Raises:
        ValueError, zlib.error, RuntimeError: they are damaged.
    """
    if record.latents is None:
        return None
    # Never more than this, whatever a picture claims to hold.
    unpacked = zlib.decompressobj().decompress(base64.b64decode(record.latents), _MOST_BYTES)
    values = torch.from_numpy(np.frombuffer(unpacked, "<f4").copy())
    return values[None] if record.levels is None else values.view(1, record.levels, -1)


def _read(text: str, place: Path) -> PointsRecord:
    try:
        return PointsRecord.model_validate_json(text)
    except ValidationError as error:
        reason = in_words(error.errors()[0])
        raise ImpastoError(_DAMAGED.format(place=place, reason=reason)) from error


def class_weights(record: ModelRecord, parts: Mapping[int, Mapping[int, float]]) -> Tensor:
    """Class weights [K1 + K2 + ...] of one point.

    Args:
        record: of the model.
        parts: by column of the field, the weight of each class by number. Other fields are zero.
    """
    unknown = np.full((1, len(record.labels)), -1)
    return torch.from_numpy(weights_of_rows(record, unknown, parts)[0])


def class_texts(points: Points, number: int) -> dict[str, str]:
    """The classes of a point in words, such as `0.6 Ukiyo-e + 0.4 Cubism` or `1.5 Ukiyo-e - 0.5 Cubism`,
    by field; the largest weights first. Fields whose class is unknown are left out."""
    found, start = {}, 0
    for name, classes in points.fields:
        weights = points.classes[number, start : start + len(classes)].tolist()
        start += len(classes)
        named = [
            (weight, each) for weight, each in zip(weights, classes, strict=True) if weight != 0
        ]
        named.sort(key=lambda pair: -abs(pair[0]))
        if len(named) == 1 and named[0][0] == 1:
            found[name] = named[0][1]
        elif named:
            (first, most), *others = named
            signed = [
                f" {'-' if weight < 0 else '+'} {abs(weight):.2g} {x}" for weight, x in others
            ]
            found[name] = f"{first:.2g} {most}" + "".join(signed)
    return found


def described(points: Points, number: int) -> str:
    """The classes of a point in words, such as `style 0.6 Ukiyo-e + 0.4 Cubism`; '' without any."""
    return ", ".join(f"{name} {text}" for name, text in class_texts(points, number).items())


def differing_classes(points: Points) -> list[str]:
    """The classes of each point in words, in the fields in which not all points are alike."""
    texts = [class_texts(points, number) for number in range(len(points))]
    fields = [name for name, _ in points.fields if len({each.get(name, "") for each in texts}) > 1]
    return [", ".join(each.get(name, "unknown") for name in fields) for each in texts]


def gathered(
    given: Sequence[str | PathLike[str] | Points], record: ModelRecord, what: str
) -> Points:
    """All points that are given, in order.

    Args:
        given: points, files of points, PNGs with one, or patterns of such files, such as `mine/*.png`.
        record: of their model.
        what: needs them, for the message.

    Raises:
        ImpastoError: as `Points.load` and `joined`; or no file has a name of this pattern.
    """
    found: list[Points] = []
    for each in given:
        if isinstance(each, Points):
            found.append(each.require(record, what))
        else:
            found += [Points.load(file, record) for file in _files_of(each)]
    return joined(found)


def _files_of(pattern: str | PathLike[str]) -> list[Path]:
    """The files of a pattern in the order of their names; the file itself, if it is none.

    Raises:
        ImpastoError: there are none.
    """
    file = Path(pattern).expanduser()
    if file.exists() or not set("*?[") & set(str(file)):
        return [file]
    # Path.glob raises an error at ** beside other letters.
    found = sorted(map(Path, glob(str(file), recursive=True, include_hidden=True)))  # noqa: PTH207
    if not found:
        raise ImpastoError(f"no file of points has a name of the pattern '{pattern}'")
    return found


def joined(several: Sequence[Points]) -> Points:
    """All points of several sets of the same model, in order.

    If some have a latent for each level, the others get theirs at every level.

    Raises:
        ImpastoError: they have different numbers of levels.
    """
    levels = {each.latents.shape[1] for each in several if each.latents.ndim == 3}
    if len(levels) > 1:
        raise ImpastoError("points with different numbers of levels cannot be joined")
    latents = [each.latents for each in several]
    for count in levels:
        latents = [at_levels(each, count) for each in latents]
    return several[0].changed(
        latents=torch.cat(latents),
        classes=torch.cat([each.classes for each in several]),
        origins=tuple(origin for each in several for origin in each.origins),
    )


def at_levels(latents: Tensor, levels: int) -> Tensor:
    """Latents [N, L, Z] of latents [N, Z], the same one for each of L levels, or of [N, L, Z]."""
    return latents if latents.ndim == 3 else latents[:, None].repeat(1, levels, 1)


def batches_of(points: Points, count: int) -> Iterator[Points]:
    """The points, `count` at a time."""
    for start in range(0, len(points), count):
        yield points[start : start + count]
