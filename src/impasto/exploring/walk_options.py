"""What a walk is asked for becomes the film of one walk or several."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.frames import Film
from impasto.exploring.walks import (
    Stations,
    Style,
    Walk,
    evenly_paced,
    probes_of,
    stations_of,
    walk_around,
    walk_through,
)
from impasto.features import load_network
from impasto.formatting import counted
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points, joined
from impasto.sampling.seeds import check_seeds

SEEDS = (0, 1, 2, 3)
RADIUS = 0.4


@dataclass(frozen=True)
class WalkOptions:
    """What is asked for."""

    seeds: Sequence[int] = ()
    points: Sequence[Path | Points] = ()
    """Points, or files of such, in place of seeds."""
    around: bool = False
    """Whether each walk is a loop around one of these, instead of a way through all."""
    radius: float = RADIUS
    style: Style = field(default_factory=Style)
    even: bool = False
    """Whether pictures change at an even pace; see `evenly_paced`."""
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label field, the classes to go through."""
    columns: int = 1
    """Of a grid of walks, among which the points are dealt out."""
    rows: int = 1

    def __post_init__(self) -> None:
        """
        Raises:
            ImpastoError: options that do not go together.
        """
        if self.seeds and self.points:
            raise ImpastoError("seeds and points are given: choose one of the two")
        if self.even and self.style.easing:
            raise ImpastoError("an even pace does not slow down at points: choose one of the two")
        if min(self.columns, self.rows) < 1:
            raise ImpastoError("a grid has at least one column and one row")

    def points_of(self, painter: Painter, chosen: Mapping[int, int]) -> Points:
        """The points, with these classes of seeds by column."""
        if self.points:
            return joined(
                [
                    each.require(painter.record, "the walk")
                    if isinstance(each, Points)
                    else Points.load(each, painter.record)
                    for each in self.points
                ]
            )
        seeds = check_seeds(self.seeds or SEEDS)
        return painter.points(seeds, painter.labels(seeds, chosen))

    def walks_of(self, painter: Painter) -> list[Walk]:
        """The walks, row by row.

        Raises:
            ImpastoError: an unknown class, a damaged file, or points that cannot be dealt out.
        """
        chosen, stations = stations_of(painter.record, self.classes)
        points = self.points_of(painter, chosen)
        painter.check_levels(points.latents)
        cells = self.columns * self.rows
        if len(points) % cells or (self.around and len(points) != cells):
            raise ImpastoError(
                f"{counted(len(points), 'point')} cannot be dealt out to {counted(cells, 'walk')}: give "
                + ("one for each (--grid)" if self.around else "as many for each (--grid)")
            )
        each = len(points) // cells
        parts = (points[start : start + each] for start in range(0, len(points), each))
        return [self._walk(part, painter, stations) for part in parts]

    def _walk(self, points: Points, painter: Painter, stations: Stations) -> Walk:
        if not self.around:
            return walk_through(points, painter.record, self.style, stations)
        seed = points.origins[0].seed or 0
        return walk_around(points, painter.record, self.radius, seed, stations)


def film_of(
    painter: Painter,
    options: WalkOptions,
    *,
    seconds: float,
    rate: int,
    scale: int | None = None,
    progress: Progress = silent,
) -> Film:
    """The film of walks; see `Film` for its length.

    Args:
        painter: of the model.
        options: of the walks.
        seconds: of the film.
        rate: frames a second.
        scale: how often each pixel is repeated.
        progress: shows the number of pictures that are looked at for an even pace.

    Raises:
        ImpastoError: as `WalkOptions.walks_of` and `Film`.
    """
    walks = options.walks_of(painter)
    film = Film(walks, painter, seconds, rate, options.columns, scale)
    if not options.even:
        return film
    network = load_network("lite0", device=painter.sampler.device)
    paced: list[Walk] = []
    with progress("pictures looked at", sum(map(probes_of, walks))) as report:
        for walk in walks:
            paced.append(evenly_paced(walk, painter, network))
            report(sum(map(probes_of, walks[: len(paced)])))
    return replace(film, walks=paced)


def parse_grid(text: str, option: str = "--grid") -> tuple[int, int]:
    """Columns and rows of a text such as `4x2`.

    Raises:
        ImpastoError: not such a text.
    """
    found = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", text.strip())
    if not found:
        raise ImpastoError(f"{option} takes COLUMNSxROWS, such as 4x2, not '{text}'")
    return int(found[1]), int(found[2])
