"""Points: latents and class weights that can be kept, and painted again.

A seed names a latent and classes; a point holds the values themselves, so it may also lie between seeds
and between classes. A file of points is a safetensors file: `latents` [N, Z], or [N, L, Z] with a latent
for each of L levels of the generator, `classes` [N, K], and a text with what they belong to. A PNG that
impasto paints carries its point as text. Points belong to one generator, named by the SHA-256 of its
weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.config import LatentConfig
from impasto.errors import ImpastoError
from impasto.files import atomic_file
from impasto.networks import one_hot
from impasto.sampling.class_choice import weights_of_rows
from impasto.sampling.point_files import (
    PointArrays,
    check_model,
    files_of,
    load_points,
    single_point,
)
from impasto.sampling.point_text import TEXT_KEY, Origin, PointsRecord, check_points_file
from impasto.sampling.records import ModelRecord
from impasto.sampling.seeds import latents_of_seeds
from impasto.sampling.tensors import write_tensors


def _of_seeds(seeds: Sequence[int], latent: LatentConfig, truncation: float | None) -> np.ndarray:
    return latents_of_seeds(seeds, latent, truncation).numpy()


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
        """Check that these are points of this model; returns them.

        Raises:
            ImpastoError: they are of another.
        """
        check_model(self.model, self.recipe, record, place)
        return self

    def _record(self) -> PointsRecord:
        return PointsRecord(
            model=self.model, recipe=self.recipe, fields=self.fields, origins=self.origins
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
        return cls._of_arrays(load_points(path, record, _of_seeds))

    @classmethod
    def _of_arrays(cls, found: PointArrays) -> "Points":
        record = found.record
        latents, classes = torch.from_numpy(found.latents), torch.from_numpy(found.classes)
        return cls(latents, classes, record.origins, record.model, record.recipe, record.fields)

    def single(self, number: int) -> PointsRecord:
        """The record of point `number`. The latent of a seed is left out, because the seed determines
        it."""
        one = self[[number]]
        arrays = PointArrays(one._record(), one.latents.numpy(), one.classes.numpy())
        return arrays.single(0)

    def text(self, number: int) -> str:
        """The text that a PNG of point `number` carries."""
        return self.single(number).text()

    @classmethod
    def of_single(
        cls, record: PointsRecord, place: str | PathLike[str], model: ModelRecord
    ) -> "Points":
        """The point of a record that `single` returned.

        Args:
            record: the point.
            place: where it was read, for messages.
            model: the model to which it must belong.

        Raises:
            ImpastoError: it is damaged, or of another model.
        """
        return cls._of_arrays(single_point(record, place, model, _of_seeds))


def _fields(record: ModelRecord) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((field.name, tuple(field.classes)) for field in record.labels)


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


def differing_classes(points: Points) -> list[str]:
    """The classes of each point in words, only in the fields in which points differ."""
    texts = [class_texts(points, number) for number in range(len(points))]
    fields = [name for name, _ in points.fields if len({each.get(name, "") for each in texts}) > 1]
    return [", ".join(each.get(name, "unknown") for name in fields) for each in texts]


def load_all_points(
    given: Sequence[str | PathLike[str] | Points], record: ModelRecord, what: str
) -> Points:
    """Load and join points, in order.

    Args:
        given: points, files of points, PNGs with a point, or patterns of such files, such as
            `mine/*.png`.
        record: of the model to which they must belong.
        what: the command or function that needs them, for messages.

    Raises:
        ImpastoError: as `Points.load` and `joined`; or no file has a name of this pattern.
    """
    found: list[Points] = []
    for each in given:
        if isinstance(each, Points):
            found.append(each.require(record, what))
        else:
            found += [Points.load(file, record) for file in files_of(each)]
    return joined(found)


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
