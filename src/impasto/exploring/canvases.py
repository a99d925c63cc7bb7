"""Canvases: pictures of any size, whose latents and classes change from place to place.

Seeds lie on a grid over the canvas, each at the middle of its cell. Between them latents and classes are
interpolated as on walks (see `curves.py`). This field goes to all levels of a generator that take a
latent. But a generator has learned its first maps by position, so a composition would repeat with every
picture where latents change little. Therefore the latents of the first maps are moved towards others,
one for each picture's area; see `variety`.

A generator's convolutions see a limited area. So a canvas is painted in windows that overlap by so much
that its pixels are those of the whole painted at once, up to rounding. With `tile`, the field and the
windows go round: the picture continues at its opposite edges.
"""

import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.curves import Curve, Kind, Through, between
from impasto.exploring.walks import Stations, stations_of
from impasto.formatting import counted
from impasto.resolution import in_words
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points, load_all_points
from impasto.sampling.seeds import MAX_SEED, check_seeds

_MOST_PIXELS = 2**28
_WINDOW = 1024
"""Pixels of a window's side, unless the margins of a generator need more."""
_LEAST_CORE = 2
"""Pictures along the side of what a window keeps."""
_VARIETY = 0.6
"""Default of generators that take their latent in one place only: it decides colours too."""


@dataclass(frozen=True)
class CanvasOptions:
    """The options of `impasto canvas`."""

    width: int
    height: int
    seeds: Sequence[int] = ()
    points: Sequence[str | PathLike[str] | Points] = ()
    """Points, or files of points, in place of seeds."""
    layout: tuple[int, int] | None = None
    """Columns and rows that seeds are laid out in. None: without seeds, one for each picture's area,
    from 0 on; otherwise a row along the longer side."""
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label field, the classes from left to right."""
    variety: float | None = None
    """How far the latents of the first maps are on the way to others, which differ for each picture's
    area: 0 to 1. None: 1 if the generator has levels, otherwise 0.6."""
    tile: bool = False
    """Whether opposite edges continue each other."""

    def __post_init__(self) -> None:
        """
        Raises:
            ImpastoError: options that do not go together, or a value out of range.
        """
        if self.seeds and self.points:
            raise ImpastoError("seeds and points are given: choose one of the two")
        if self.width * self.height > _MOST_PIXELS:
            raise ImpastoError(
                f"a canvas has at most {_MOST_PIXELS:,} pixels, not {self.width} x {self.height}"
            )
        if self.variety is not None and not 0 <= self.variety <= 1:
            raise ImpastoError(f"the variety is a number from 0 to 1, not {self.variety}")


def _places(middles: Tensor, pictures: int, count: int, *, tile: bool) -> Tensor:
    """Positions on a curve through `count` points, each at the middle of its share of a side.

    Args:
        middles: [n], where on the side, in pictures.
        pictures: along the side.
        count: of points.
        tile: whether the curve is a loop.
    """
    place = middles * (count / pictures) - 0.5
    if tile:
        return (place / count).remainder(1)
    return (place / max(1, count - 1)).clamp(0, 1)


@dataclass(frozen=True)
class Field:
    """The latents and class weights of a canvas of R x C pictures at every position."""

    points: Points
    """Row by row of the grid."""
    grid: tuple[int, int]
    """Its columns and rows."""
    pictures: tuple[int, int]
    """C and R."""
    painter: Painter
    stations: Stations
    variety: float
    tile: bool

    def _across(self, values: Tensor, x: Tensor, y: Tensor, kind: Kind, *, spline: bool) -> Tensor:
        """Values [columns * rows, ...] of the grid's points at places x [w] and y [h], in pictures:
        [h, w, ...]."""
        columns, rows = self.grid

        def through(points: Tensor, middles: Tensor, pictures: int) -> Tensor:
            places = _places(middles.double(), pictures, len(points), tile=self.tile)
            return Through(points, self.tile, kind, spline)(places)

        on_grid = values.unflatten(0, (rows, columns))
        along = through(on_grid.transpose(0, 1), x, self.pictures[0])
        return through(along.transpose(0, 1), y, self.pictures[1])

    def _classes(self, x: Tensor, y: Tensor) -> Tensor:
        """Class weights [h, w, K]."""
        found = self._across(self.points.classes, x, y, "weights", spline=False)
        sizes = self.painter.record.label_sizes
        parts = list(found.split(sizes, dim=2)) if sizes else []
        for column, weights in self.stations.items():
            curve: Curve = Through(weights, self.tile, "weights")
            share = x.double() / self.pictures[0]
            place = share.remainder(1) if self.tile else share.clamp(0, 1)
            parts[column] = curve(place).expand(len(y), -1, -1)
        return torch.cat([found[..., :0], *parts], dim=2)

    def _own(self, x: Tensor, y: Tensor) -> Tensor:
        """Latents [h, w, Z] between those that the areas of pictures have for themselves, at their
        middles."""
        across, down = (
            range(math.floor(float(each[0]) - 0.5), math.floor(float(each[-1]) - 0.5) + 2)
            for each in (x, y)
        )
        seeds = [self._own_seed(row, column) for row in down for column in across]
        own = self.painter.latents(seeds).unflatten(0, (len(down), len(across)))

        def between_middles(latents: Tensor, middles: Tensor, numbers: range) -> Tensor:
            places = (middles.double() - 0.5 - numbers.start) / (len(numbers) - 1)
            return Through(latents, distribution=self.painter.record.latent.distribution)(places)

        along = between_middles(own.transpose(0, 1), x, across)
        return between_middles(along.transpose(0, 1), y, down)

    def _own_seed(self, row: int, column: int) -> int:
        """The seed of the latent that one picture's area has for itself."""
        places = []
        for place, count in zip((row, column), self.pictures[::-1], strict=True):
            places.append(place % count if self.tile else min(max(place, 0), count - 1))
        first = self.points.origins[0].seed or 0
        return random.Random(f"{first} {places[0]} {places[1]}").randint(0, MAX_SEED)

    def at(self, rows: range, columns: range) -> tuple[Tensor, Tensor]:
        """Latents [1, Z, h, w], or [1, L, Z, h, w], and class weights [1, K, h, w] of some pictures.

        Args:
            rows: of pictures, numbered from 0; below and beyond only with `tile`.
            columns: of pictures.
        """
        side = int(self.painter.sampler.generator.canvas_side)  # type: ignore[arg-type]
        y, x = (
            (torch.arange(numbers.start * side, numbers.stop * side) + 0.5) / side
            for numbers in (rows, columns)
        )
        latents = self._latents(x, y)
        weights = self._classes(x, y)
        return latents.movedim((0, 1), (-2, -1))[None], weights.movedim(2, 0)[None]

    def _latents(self, x: Tensor, y: Tensor) -> Tensor:
        """Latents [h, w, Z], or [h, w, L, Z]."""
        distribution = self.painter.record.latent.distribution
        latents = self._across(self.points.latents, x, y, distribution, spline=True)
        levels = self.painter.levels
        if levels is not None and latents.ndim == 3:
            latents = latents[:, :, None].expand(-1, -1, levels, -1)
        if not self.variety:
            return latents
        first = latents if levels is None else latents[:, :, 0]
        first = between(first, self._own(x, y), self.variety, distribution=distribution)
        if levels is None:
            return first
        return torch.cat([first[:, :, None], latents[:, :, 1:]], dim=2)


@dataclass(frozen=True)
class Window:
    """A part of a canvas, in pictures along one side."""

    painted: range
    kept: range


def windows_along(pictures: int, margin: int, core: int, *, tile: bool) -> list[Window]:
    """Windows that together keep a whole side.

    Args:
        pictures: of the side.
        margin: pictures on either side of what a window keeps that it is painted with; none beyond the
            canvas's edges, except with `tile`.
        core: pictures that a window keeps, at most.
        tile: whether the side goes round.
    """
    if not tile and pictures <= core + 2 * margin:
        return [Window(range(pictures), range(pictures))]
    found = []
    edges = [*range(0, pictures, core), pictures]
    for start, stop in pairwise(edges):
        before, after = start - margin, stop + margin
        if not tile:
            before, after = max(0, before), min(pictures, after)
        found.append(Window(range(before, after), range(start, stop)))
    return found


@dataclass(frozen=True)
class Canvas:
    """A picture that is painted in windows."""

    field: Field
    width: int
    height: int

    @property
    def _whole(self) -> bool:
        """Whether the generator makes the whole itself."""
        return self.field.painter.sampler.generator.canvas_margin is None

    @property
    def windows(self) -> list[tuple[Window, Window]]:
        """Rows and columns of each window."""
        painter = self.field.painter
        if self._whole:
            columns, rows = (Window(range(count), range(count)) for count in self.field.pictures)
            return [(rows, columns)]
        margin = int(painter.sampler.generator.canvas_margin)  # type: ignore[arg-type]
        core = max(_LEAST_CORE, _WINDOW // _side(painter) - 2 * margin)
        across, down = (
            windows_along(count, margin, core, tile=self.field.tile)
            for count in self.field.pictures
        )
        return [(row, column) for row in down for column in across]

    def paint(self, progress: Progress = silent) -> np.ndarray:
        """The picture, uint8 [height, width, 3].

        Args:
            progress: shows the number of windows painted.
        """
        windows = self.windows
        side = _side(self.field.painter)
        picture = np.empty((self.height, self.width, 3), np.uint8)
        settings = {"tile": self.field.tile} if self._whole else {}
        fields = (self.field.at(row.painted, column.painted) for row, column in windows)
        painted: Iterator[np.ndarray] = self.field.painter.sampler.canvases(fields, **settings)
        with progress("windows", len(windows)) as report:
            for done, ((row, column), pixels) in enumerate(zip(windows, painted, strict=True), 1):
                top, left = (
                    side * (each.kept.start - each.painted.start) for each in (row, column)
                )
                place = picture[
                    side * row.kept.start : side * row.kept.stop,
                    side * column.kept.start : side * column.kept.stop,
                ]
                place[:] = pixels[top : top + place.shape[0], left : left + place.shape[1]]
                report(done)
        return picture


def check_canvas(painter: Painter) -> None:
    """Check that a model's generator makes canvases.

    Raises:
        ImpastoError: it does not.
    """
    _side(painter)
    if not hasattr(painter.sampler.generator, "canvas_side"):
        raise ImpastoError(
            f"network '{painter.record.generator.network}' makes pictures of one size only: it has no "
            "method 'canvas'"
        )


def _side(painter: Painter) -> int:
    """The side of a model's pictures, in pixels.

    Raises:
        ImpastoError: they are rectangles, or of several proportions.
    """
    resolution = painter.record.resolution
    if isinstance(resolution, int) and not painter.record.buckets:
        return resolution
    sizes = ", ".join(map(in_words, painter.record.buckets or (resolution,)))
    raise ImpastoError(
        f"a canvas is made by models of square pictures, and this one's are {sizes}: a model of squares "
        "alone makes canvases of any size, such as --size 192x256"
    )


def canvas_of(painter: Painter, options: CanvasOptions) -> Canvas:
    """The canvas that is asked for.

    Args:
        painter: of the model.
        options: of the canvas.

    Raises:
        ImpastoError: the generator makes no canvases, the size does not fit it, an unknown class, a
            damaged file of points, or points that do not fill the grid.
    """
    check_canvas(painter)
    record = painter.record
    side = _side(painter)
    if min(options.width, options.height) < side:
        raise ImpastoError(
            f"a canvas of this model is at least {side} x {side} pixels, not {options.width} x "
            f"{options.height}"
        )
    if options.tile and (options.width % side or options.height % side):
        raise ImpastoError(
            f"sides of a tile are multiples of this model's {side} pixels, and {options.width} x "
            f"{options.height} are not"
        )
    pictures = -(-options.width // side), -(-options.height // side)
    chosen, stations = stations_of(record, options.classes)
    points, grid = _laid_out(painter, options, pictures, chosen)
    painter.check_levels(points.latents)
    variety = options.variety
    if variety is None:
        variety = _VARIETY if painter.levels is None else 1.0
    laid = Field(points, grid, pictures, painter, stations, variety, options.tile)
    return Canvas(laid, options.width, options.height)


def _laid_out(
    painter: Painter,
    options: CanvasOptions,
    pictures: tuple[int, int],
    chosen: Mapping[int, int],
) -> tuple[Points, tuple[int, int]]:
    """The points of a canvas, and the columns and rows of their grid."""
    if options.points:
        points = load_all_points(options.points, painter.record, "the canvas")
    else:
        seeds = check_seeds(options.seeds or range(math.prod(options.layout or pictures)))
        points = painter.points(seeds, painter.labels(seeds, chosen))
    grid = options.layout
    if grid is None and not options.points and not options.seeds:
        grid = pictures
    if grid is None:
        grid = (len(points), 1) if options.width >= options.height else (1, len(points))
    if len(points) != math.prod(grid):
        raise ImpastoError(
            f"{counted(len(points), 'point')} cannot be laid out in {counted(grid[0], 'column')} and "
            f"{counted(grid[1], 'row')}: give {math.prod(grid)} seeds, or another --layout"
        )
    return points, grid


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of a text such as `1024x256`.

    Raises:
        ImpastoError: not such a text.
    """
    found = re.fullmatch(r"([1-9]\d{0,6})x([1-9]\d{0,6})", text.strip())
    if not found:
        raise ImpastoError(f"--size takes WIDTHxHEIGHT in pixels, such as 1024x256, not '{text}'")
    return int(found[1]), int(found[2])
