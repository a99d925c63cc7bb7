"""From the points in a request to points of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from impasto.errors import ImpastoError
from impasto.resolution import Resolution, area
from impasto.sampling.point_text import PointsRecord
from impasto.sampling.records import ModelRecord

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from impasto.sampling.painter import Painter
    from impasto.sampling.points import Points
    from impasto.sampling.step_settings import StepSettings

MOST_POINTS = 256
"""Most points in a request."""
MOST_PIXELS = 2**26
"""Most pixels in an answer."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1000, le=1000)]
Aspect = Annotated[str | None, Field(pattern=r"^[1-9]\d{0,4}[:x][1-9]\d{0,4}$")]
"""Width to height, such as 3:4, of models that make several sizes; None: as the model is saved."""
Truncation = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
ClassesIn = dict[Name, Name | dict[Name, Number]]


class PointIn(BaseModel):
    """A point: a seed, a favourite, or a whole point as a PNG carries it. Exactly one of the three."""

    model_config = ConfigDict(extra="forbid")
    seed: Seed | None = None
    favourite: Name | None = None
    point: PointsRecord | None = None
    classes: ClassesIn = Field(default_factory=dict, max_length=50)
    """With a seed: by label field a class, or weights by class. In other fields the seed draws one."""
    truncation: Truncation | None = None
    """With a seed: truncation of its latent."""
    edits: dict[Name, Number] = Field(default_factory=dict, max_length=100)
    """By name of a direction, how far the point is moved along it."""


class How(BaseModel):
    """The model, and its sampling settings."""

    model_config = ConfigDict(extra="forbid")
    model: str = Field(min_length=1, max_length=500)
    """Its name, as in the list of models."""
    guidance: Number | None = None
    """For flow models."""
    aspect: Aspect = None

    def settings(self) -> StepSettings:
        from impasto.sampling.step_settings import StepSettings

        return StepSettings(guidance=self.guidance, aspect=self.aspect)

    def arguments(self) -> list[str]:
        """The settings as options of a command, such as `--guidance=2`."""
        names = ("guidance", "aspect")
        given = {name: getattr(self, name) for name in names}
        return [f"--{name}={value}" for name, value in given.items() if value is not None]


def check_size(pictures: int, resolution: Resolution, enlarge: int = 1) -> None:
    """Raises: ImpastoError: so many pictures, enlarged so many times, are too many for one answer."""
    pixels = area(resolution) * enlarge**2
    if pictures * pixels > MOST_PIXELS:
        enlarged = f", enlarged {enlarge} times," if enlarge > 1 else ""
        raise ImpastoError(
            f"{pictures} pictures of {resolution} pixels{enlarged} are too many at once; ask for at "
            f"most {MOST_PIXELS // pixels}"
        )


def painted(painter: Painter, folder: Path, wanted: Sequence[PointIn]) -> np.ndarray:
    """The pictures of points, uint8 [B, H, W, 3]; see `points_of`."""
    import numpy as np

    return np.concatenate(list(painter.paint_points(points_of(painter, folder, wanted))))


def points_of(painter: Painter, folder: Path, wanted: Sequence[PointIn]) -> Points:
    """The points, in order.

    Args:
        painter: of the model.
        folder: of the model.
        wanted: see `PointIn`.

    Raises:
        ImpastoError: an unknown class, favourite or direction, or a point of another model.
    """
    from impasto.sampling.points import joined

    return joined([_point_of(painter, folder, each) for each in wanted])


def _point_of(painter: Painter, folder: Path, wanted: PointIn) -> Points:
    from impasto.exploring.directions import Directions, usual_path
    from impasto.exploring.favourites import chosen_favourites
    from impasto.sampling.points import Points

    given = [wanted.seed, wanted.favourite, wanted.point]
    if sum(each is not None for each in given) != 1:
        raise ImpastoError("a point is a seed, a favourite or a whole point: give one of the three")
    record = painter.record
    if wanted.seed is None and (wanted.classes or wanted.truncation is not None):
        raise ImpastoError("favourites and points have classes and a truncation of their own")
    if wanted.favourite is not None:
        points = chosen_favourites(folder, record, wanted.favourite)[1]
        if len(points) != 1:
            raise ImpastoError("a point is one favourite, not several")
    elif wanted.point is not None:
        points = Points.of_single(wanted.point, "the request", record)
    else:
        assert wanted.seed is not None
        points = _of_seed(painter, wanted.seed, wanted)
    if wanted.edits:
        points = Directions.load(usual_path(folder), record).edited(points, wanted.edits)
    return points


def _of_seed(painter: Painter, seed: int, wanted: PointIn) -> Points:
    from dataclasses import replace

    labels = labels_of(painter, [seed], wanted.classes)
    return replace(painter, truncation=wanted.truncation).points([seed], labels)


def labels_of(painter: Painter, seeds: list[int], classes: ClassesIn) -> Tensor:
    """The labels of seeds, or their class weights if classes are mixed.

    Args:
        painter: of the model.
        seeds: which draw classes in the fields in which none is chosen.
        classes: see `PointIn`.

    Raises:
        ImpastoError: an unknown field or class.
    """
    from impasto.sampling.class_choice import mixed

    chosen, mixtures = chosen_classes(painter.record, classes)
    return mixed(painter.record, painter.labels(seeds, chosen), mixtures)


def chosen_classes(
    record: ModelRecord, classes: ClassesIn
) -> tuple[dict[int, int], dict[int, dict[int, float]]]:
    """Classes and mixtures by column, from their names; see `class_choice.parse_mixtures`.

    Raises:
        ImpastoError: an unknown field or class.
    """
    from impasto.sampling.class_choice import class_numbers, field_of

    whole = {field: each for field, each in classes.items() if isinstance(each, str)}
    mixtures = {
        field_of(record, field): {
            class_numbers(record, {field: name})[field_of(record, field)]: weight
            for name, weight in each.items()
        }
        for field, each in classes.items()
        if isinstance(each, dict)
    }
    return class_numbers(record, whole), mixtures
