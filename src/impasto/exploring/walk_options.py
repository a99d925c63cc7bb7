"""From the options of a walk to its film, of one walk or of several side by side."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.frames import Film, frames_in
from impasto.exploring.rhythm import Loudness, check_beats, knots_of, length_of
from impasto.exploring.walks import (
    Stations,
    Style,
    Swell,
    Walk,
    evenly_paced,
    probes_of,
    stations_of,
    walk_around,
    walk_through,
    with_pace,
)
from impasto.features import load_network
from impasto.formatting import counted
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points, load_all_points
from impasto.sampling.seeds import check_seeds

SEEDS = (0, 1, 2, 3)
RADIUS = 0.4
SECONDS = 12.0
"""Length of a film, and of a turn around a point to music."""


@dataclass(frozen=True)
class WalkOptions:
    """The options of `impasto walk`."""

    seeds: Sequence[int] = ()
    points: Sequence[str | PathLike[str] | Points] = ()
    """Points, or files of points, in place of seeds."""
    around: bool = False
    """Whether each walk is a loop around one seed or point, instead of a curve through all."""
    radius: float = RADIUS
    style: Style = field(default_factory=Style)
    even: bool = False
    """Whether pictures change at an even pace; see `evenly_paced`."""
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label field, the classes to go through."""
    columns: int = 1
    """Columns of a grid of walks; the points are distributed among the walks in order."""
    rows: int = 1
    audio: str | PathLike[str] | None = None
    """A file whose loudness drives the speed, or around a point the radius. An MP4 gets its sound."""
    beats: Sequence[float] = ()
    """Seconds at which the points are reached, in place of equal times; then loudness drives nothing."""

    def __post_init__(self) -> None:
        """
        Raises:
            ImpastoError: options that do not go together.
        """
        if self.seeds and self.points:
            raise ImpastoError("seeds and points are given: choose one of the two")
        if self.even and self.style.easing:
            raise ImpastoError("an even pace does not slow down at points: choose one of the two")
        if self.beats:
            check_beats(self.beats)
        if self.beats and self.even:
            raise ImpastoError("beats set the pace, so it cannot be even: choose one of the two")
        if self.beats and self.around:
            raise ImpastoError("a walk around a point reaches no others: leave out the beats")
        if min(self.columns, self.rows) < 1:
            raise ImpastoError("a grid has at least one column and one row")

    def points_of(self, painter: Painter, chosen: Mapping[int, int]) -> Points:
        """The points, with these classes of seeds by column."""
        if self.points:
            return load_all_points(self.points, painter.record, "the walk")
        seeds = check_seeds(self.seeds or SEEDS)
        return painter.points(seeds, painter.labels(seeds, chosen))

    def walks_of(
        self, painter: Painter, swell: Swell | None = None, knots: np.ndarray | None = None
    ) -> list[Walk]:
        """The walks, row by row.

        Args:
            painter: of their model.
            swell: of walks around points.
            knots: see `rhythm.knots_of`.

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
        if each < 2 and not (self.around or stations) and len(points) > 1:
            raise ImpastoError(
                f"{counted(len(points), 'point')} for {counted(cells, 'walk')}: each needs at least two"
            )
        parts = (points[start : start + each] for start in range(0, len(points), each))
        if self.around:
            return [self._around(part, painter, stations, swell) for part in parts]
        return [self._through(part, painter, stations, knots) for part in parts]

    def _around(
        self, point: Points, painter: Painter, stations: Stations, swell: Swell | None
    ) -> Walk:
        seed = point.origins[0].seed or 0
        return walk_around(point, painter.record, self.radius, seed, stations, swell)

    def _through(
        self, points: Points, painter: Painter, stations: Stations, knots: np.ndarray | None
    ) -> Walk:
        if knots is None:
            return walk_through(points, painter.record, self.style, stations)
        ways = len(knots) - 1
        reached = ways if self.style.loop else ways + 1
        if not 2 <= len(points) <= reached:
            raise ImpastoError(
                f"{counted(len(points), 'point')} cannot be reached at these beats, which make "
                f"{counted(reached, 'stop')}: give 2 to {reached} seeds"
            )
        # The walk goes through its points again and again.
        around = points[[stop % len(points) for stop in range(reached)]]
        walk = walk_through(around, painter.record, self.style, stations)
        passed = torch.from_numpy(knots / knots[-1])
        return with_pace(walk, passed, torch.from_numpy(np.arange(ways + 1) / ways), "beats")


def film_of(
    painter: Painter,
    options: WalkOptions,
    *,
    seconds: float | None = None,
    rate: int,
    scale: int | None = None,
    progress: Progress = silent,
) -> Film:
    """The film of walks; see `Film` for its length.

    Args:
        painter: of the model.
        options: of the walks.
        seconds: of the film; None: of the sound, or else up to the last beat, or else 12.
        rate: frames a second.
        scale: how often each pixel is repeated.
        progress: shows the number of pictures that are looked at for an even pace.

    Raises:
        ImpastoError: as `WalkOptions.walks_of` and `Film`.
    """
    song = None if options.audio is None else Path(options.audio).expanduser()
    loudness = None if song is None else Loudness.read(song)
    loop = options.around or options.style.loop
    if seconds is None and loudness is not None:
        seconds = loudness.seconds
    elif seconds is None and options.beats:
        seconds = length_of(options.beats, rate, loop=loop)
    elif seconds is None:
        seconds = SECONDS
    count = frames_in(seconds, rate)
    knots = knots_of(options.beats, rate, count, loop=loop) if options.beats else None
    swell = None
    if loudness is not None and options.around:
        shares = torch.from_numpy(loudness.strength(np.linspace(0, seconds, count + 1)))
        swell = Swell(shares, max(1, round(seconds / SECONDS)))
    walks = options.walks_of(painter, swell, knots)
    if options.even:
        walks = _even(walks, painter, progress)
    if loudness is not None and not options.around and knots is None:
        walks = [_to_music(walk, loudness, count, rate) for walk in walks]
    return Film(walks, painter, seconds, rate, options.columns, scale, song)


def _to_music(walk: Walk, loudness: Loudness, count: int, rate: int) -> Walk:
    """The walk at a speed that follows the loudness, from frame to frame."""
    frames = count + 1 if walk.loop else count
    speeds = loudness.strength((np.arange(frames - 1) + 0.5) / rate)
    places = np.concatenate([[0.0], np.cumsum(speeds)])
    if frames < 2:
        return walk
    passed = torch.from_numpy(np.arange(frames) / (frames - 1))
    return with_pace(walk, passed, torch.from_numpy(places / places[-1]), "loudness")


def _even(walks: Sequence[Walk], painter: Painter, progress: Progress) -> list[Walk]:
    """The walks at an even pace."""
    network = load_network("lite0", device=painter.sampler.device)
    paced: list[Walk] = []
    with progress("pictures looked at", sum(map(probes_of, walks))) as report:
        for walk in walks:
            paced.append(evenly_paced(walk, painter, network))
            report(sum(map(probes_of, walks[: len(paced)])))
    return paced


def parse_grid(text: str, option: str = "--grid") -> tuple[int, int]:
    """Columns and rows of a text such as `4x2`.

    Raises:
        ImpastoError: not such a text.
    """
    found = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", text.strip())
    if not found:
        raise ImpastoError(f"{option} takes COLUMNSxROWS, such as 4x2, not '{text}'")
    return int(found[1]), int(found[2])
