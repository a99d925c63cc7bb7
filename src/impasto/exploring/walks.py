"""Walks: curves through a model's latents and classes, painted as the frames of a video."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.exploring.curves import Around, Curve, Through
from impasto.features import FeatureNetwork
from impasto.sampling.class_choice import field_of, parse_mixtures
from impasto.sampling.model import ModelRecord
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points, class_weights
from impasto.sampling.sampler import check_batch

_LEAST_PROBES, _MOST_PROBES = 64, 512
_PROBES_PER_POINT = 32


@dataclass(frozen=True)
class Walk:
    """A curve through latents and one through class weights, both at the same positions."""

    latents: Curve
    """Positions [B] to latents [B, Z] or [B, L, Z]."""
    classes: Curve
    """Positions [B] to class weights [B, K]."""
    loop: bool
    points: int
    """Number of points that it goes through."""
    key: str
    """Text that is the same for equal walks only."""
    pace: tuple[Tensor, Tensor] | None = None
    """Share of the time, and the position at that time; None: the same."""

    def at(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and class weights at times [B] from 0 to 1."""
        positions = times.double()
        if self.pace is not None:
            known, places = (each.numpy() for each in self.pace)
            positions = torch.from_numpy(np.interp(positions.numpy(), known, places))
        return self.latents(positions), self.classes(positions)


@dataclass(frozen=True)
class Style:
    """How a walk goes from point to point."""

    loop: bool = False
    spline: bool = True
    easing: bool = False


def _digest(*values: object) -> str:
    """A text that is the same for equal tensors and equal settings only."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            found.update(str(tuple(value.shape)).encode())
            found.update(value.contiguous().numpy().tobytes())
        else:
            found.update(json.dumps(value).encode())
    return found.hexdigest()


@dataclass(frozen=True)
class Swell:
    """How the radius of a walk around a point changes on the way."""

    shares: Tensor
    """[N] float64, of the radius, at positions spread evenly from 0 to 1."""
    turns: int
    """How often the walk goes round."""

    def times(self, radius: float) -> Curve:
        """The radius at positions [B]."""
        known = np.linspace(0, 1, len(self.shares))

        def at(positions: Tensor) -> Tensor:
            found = np.interp(positions.double().numpy(), known, self.shares.numpy())
            return radius * torch.from_numpy(found)

        return at


Stations = Mapping[int, Tensor]
"""By column of the field, the weights [C, K] of the classes that a walk goes through."""


def _of(stations: Stations) -> list[object]:
    return [each for field in sorted(stations) for each in (field, stations[field])]


def walk_through(points: Points, record: ModelRecord, style: Style, stations: Stations) -> Walk:
    """A walk through points, whose classes change on the way from one to the next.

    Args:
        points: at least two; or one, if the classes change.
        record: of their model.
        style: of the walk.
        stations: classes that it goes through instead of those of its points.

    Raises:
        ImpastoError: there is nothing to walk between.
    """
    most = max([len(points), *(len(each) for each in stations.values())])
    if most < 2:
        raise ImpastoError("a walk needs at least two points, such as --seeds 3,17")
    distribution = record.latent.distribution
    latents = Through(points.latents, style.loop, distribution, style.spline, style.easing)
    classes = Through(points.classes, style.loop, "weights", easing=style.easing)
    key = _digest(points.latents, points.classes, vars(style), *_of(stations))
    changed = with_stations(classes, record, stations, style)
    return Walk(latents, changed, style.loop, most, key)


def walk_around(
    point: Points,
    record: ModelRecord,
    radius: float,
    seed: int,
    stations: Stations,
    swell: Swell | None = None,
) -> Walk:
    """A walk in a loop around one point.

    Args:
        point: a single one.
        record: of its model.
        radius: above 0, at most 1: the distance as a share of that of unrelated latents.
        seed: of the loop.
        stations: classes that it goes through instead of that of its point.
        swell: how the radius changes on the way.

    Raises:
        ImpastoError: another radius.
    """
    if not 0 < radius <= 1:
        raise ImpastoError(f"the radius is a number above 0, at most 1, not {radius}")
    distribution = record.latent.distribution
    key = _digest(point.latents, point.classes, radius, seed, *_of(stations))
    if swell is None:
        latents = Around(point.latents[0], radius, seed, distribution)
    else:
        curve = swell.times(radius)
        latents = Around(point.latents[0], curve, seed, distribution, swell.turns)
        key = _digest(key, swell.shares, swell.turns)
    classes = with_stations(Through(point.classes), record, stations, Style(loop=True))
    most = max([4, *(len(each) for each in stations.values())])
    return Walk(latents, classes, True, most, key)


def parse_stations(record: ModelRecord, texts: Sequence[str]) -> dict[str, list[str]]:
    """Classes to go through by label field, from texts such as `style=Impressionism,Ukiyo-e`, or
    without the field if there is only one.

    Raises:
        ImpastoError: an unknown field, or one twice.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, names = text.partition("=")
        if not equals and len(record.labels) > 1:
            raise ImpastoError(f"--classes takes FIELD=CLASS,CLASS here, not '{text}'")
        if not equals:
            name, names = (record.labels[0].name if record.labels else ""), text
        field = record.labels[field_of(record, name)]
        if field.name in found:
            raise ImpastoError(f"--classes names {name} twice; give all its classes at once")
        found[field.name] = _parts(names, field.classes)
    return found


def _parts(text: str, classes: Sequence[str]) -> list[str]:
    """The classes in a text, separated by commas, which names of classes may have too."""
    pieces, start = text.split(","), 0
    found: list[str] = []
    while start < len(pieces):
        ends = range(len(pieces), start, -1)
        known = [end for end in ends if ",".join(pieces[start:end]).strip() in classes]
        end = known[0] if known else start + 1
        found.append(",".join(pieces[start:end]).strip())
        start = end
    return found


def stations_of(
    record: ModelRecord, names: Mapping[str, Sequence[str]]
) -> tuple[dict[int, int], dict[int, Tensor]]:
    """Classes that walks go through.

    Args:
        record: of the model.
        names: by label field, classes, or mixtures as `parse_mixtures` takes them.

    Returns:
        By column of the field: the class, where there is a single one and no mixture; and the weights
        [C, K] of all.

    Raises:
        ImpastoError: an unknown field or class.
    """
    single: dict[int, int] = {}
    stations: dict[int, Tensor] = {}
    for name, classes in names.items():
        if isinstance(classes, str) or not classes:
            raise ImpastoError(
                f'classes of {name} are a list, such as ["Ukiyo-e"], not {classes!r}'
            )
        field = field_of(record, name)
        rows = []
        for text in classes:
            chosen, mixtures = parse_mixtures(record, [f"{name}={text}"])
            if len(classes) == 1:
                single |= chosen
            parts = {field: mixtures.get(field) or {chosen[field]: 1.0}}
            rows.append(class_weights(record, parts).split(record.label_sizes)[field])
        stations[field] = torch.stack(rows)
    return single, stations


def with_stations(base: Curve, record: ModelRecord, stations: Stations, style: Style) -> Curve:
    """A curve of class weights that goes through other classes in some fields."""
    if not stations:
        return base
    curves = {
        field: Through(weights, style.loop, "weights", easing=style.easing)
        for field, weights in stations.items()
    }

    def classes(positions: Tensor) -> Tensor:
        blocks = list(base(positions).split(record.label_sizes, dim=1))
        for field, curve in curves.items():
            blocks[field] = curve(positions)
        return torch.cat(blocks, dim=1)

    return classes


def times_of(frames: int, *, loop: bool) -> Tensor:
    """The times [frames] of a walk's frames, float64: in a loop the one after the last would be the
    first again, otherwise the last is the end."""
    return torch.arange(frames, dtype=torch.float64) / (frames if loop else max(1, frames - 1))


def with_pace(walk: Walk, passed: Tensor, places: Tensor, what: str) -> Walk:
    """The walk at another pace.

    Args:
        walk: any; if it has a pace, it keeps it.
        passed: [N] float64, rising shares of the time.
        places: [N] float64, the share of the walk at these times.
        what: makes the walk's key another.
    """
    key = _digest(walk.key, what, passed, places)
    if walk.pace is not None:
        known, positions = (each.numpy() for each in walk.pace)
        places = torch.from_numpy(np.interp(places.numpy(), known, positions))
    return replace(walk, pace=(passed, places), key=key)


def probes_of(walk: Walk) -> int:
    """The number of pictures that `evenly_paced` looks at."""
    return 1 + min(max(_LEAST_PROBES, _PROBES_PER_POINT * walk.points), _MOST_PROBES)


def evenly_paced(walk: Walk, painter: Painter, network: FeatureNetwork) -> Walk:
    """The walk at a pace that is even to the eye: features change as much in any two equal times.

    Pictures along the way are painted and looked at, 32 a point, from 64 to 512.

    Args:
        walk: any.
        painter: of its model.
        network: of the features.
    """
    places = torch.linspace(0, 1, probes_of(walk), dtype=torch.float64)
    before: Tensor | None = None
    steps: list[Tensor] = []
    for pixels in paint_frames([walk], painter, places):
        features = network(torch.from_numpy(pixels).to(network.device)).features.double()
        joined = features if before is None else torch.cat([before, features])
        steps.append((joined[1:] - joined[:-1]).norm(dim=1))
        before = features[-1:]
    passed = torch.cat([torch.zeros(1, dtype=torch.float64), torch.cat(steps).cumsum(0)])
    if passed[-1] == 0:  # all pictures are the same
        return walk
    return replace(walk, pace=(passed / passed[-1], places), key=_digest(walk.key, "even"))


def paint_frames(
    walks: Sequence[Walk], painter: Painter, times: Tensor, columns: int = 1
) -> Iterator[np.ndarray]:
    """The pictures of walks at some times, side by side, in batches uint8 [B, R * H, columns * W, 3].

    Latents are computed as they are needed, so that memory does not grow with the number of times.

    Args:
        walks: in rows of `columns`.
        painter: of their model.
        times: [T].
        columns: of the grid.

    Raises:
        ImpastoError: points with another number of latents than the generator takes.
    """
    check_batch(painter.batch)
    cells = len(walks)
    painter.check_levels(walks[0].latents(times[:1]))

    def inputs() -> Iterator[tuple[Tensor, Tensor]]:
        for some in times.split(max(1, painter.batch // cells)):
            both = [walk.at(some) for walk in walks]
            latents = torch.stack([each for each, _ in both], dim=1).flatten(0, 1)
            weights = torch.stack([each for _, each in both], dim=1).flatten(0, 1)
            yield from zip(latents.split(painter.batch), weights.split(painter.batch), strict=True)

    waiting: list[np.ndarray] = []
    for pixels in painter.sampler.pixels(inputs()):
        waiting.append(pixels)
        if sum(map(len, waiting)) % cells == 0:
            yield _side_by_side(np.concatenate(waiting), cells, columns)
            waiting = []


def _side_by_side(pixels: np.ndarray, cells: int, columns: int) -> np.ndarray:
    """Pictures [B * cells, H, W, 3] as grids [B, R * H, columns * W, 3]."""
    _, height, width, _ = pixels.shape
    rows = cells // columns
    grid = pixels.reshape(-1, rows, columns, height, width, 3).swapaxes(2, 3)
    return grid.reshape(-1, rows * height, columns * width, 3)
