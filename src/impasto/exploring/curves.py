"""Curves through latents.

Normal latents in Z dimensions have a norm close to sqrt(Z), and generators know no others: the
middle of a straight line between two of them is nearer to zero than any latent of a seed. So curves
through normal latents run on the sphere: the direction turns, and the norm changes evenly from one to
the other (Shoemake 1985, "Animating rotation with quaternion curves", for interpolation and splines on
spheres). Uniform latents are interpolated linearly.

Positions are float64, 0 at the beginning of a curve and 1 at its end. At the points that a curve goes
through it has exactly their values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Curve = Callable[[Tensor], Tensor]
"""Positions [B] to values [B, ...]."""
Kind = Literal["normal", "uniform", "weights"]
_PARALLEL = 1e-9
_ROUNDING = 1e-9
"""Positions closer than this to that of a point count as the point itself."""
HARMONICS = 3
"""A loop around a point turns once, twice and three times at once, in planes of their own."""
_STRENGTHS = (0.8, 0.5, 0.3317)  # their squares have the sum 1


def _length(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=-1, keepdim=True)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / _length(vectors).clamp_min(1e-300)


def _perpendicular(units: Tensor) -> Tensor:
    """A unit vector perpendicular to each, always the same one."""
    axis = torch.zeros_like(units).scatter_(-1, units.abs().argmin(dim=-1, keepdim=True), 1.0)
    return _unit(axis - (axis * units).sum(dim=-1, keepdim=True) * units)


def _tangent(start: Tensor, end: Tensor) -> Tensor:
    """The tangent at unit vectors `start` of the shortest way to `end`, as long as the way."""
    along = (start * end).sum(dim=-1, keepdim=True)
    across = end - along * start
    length = _length(across)
    angle = torch.atan2(length, along)
    # Every way to the opposite point is as short as any other.
    direction = torch.where(length > _PARALLEL, _unit(across), _perpendicular(start))
    return direction * angle


def _arrive(start: Tensor, tangent: Tensor) -> Tensor:
    """The exponential map of the sphere: the ends of the geodesics from unit vectors along tangents."""
    angle = _length(tangent)
    return angle.cos() * start + angle.sin() * _unit(tangent)


def _on_sphere(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation (slerp) of unit vectors."""
    return _arrive(start, share * _tangent(start, end))


def _straight(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    return start + share * (end - start)


def _ends_kept(values: Tensor, start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """The values, with exactly `start` at share 0 and `end` at 1."""
    return torch.where(share == 0, start, torch.where(share == 1, end, values))


def between(
    start: Tensor, end: Tensor, share: Tensor | float, *, distribution: str = "normal"
) -> Tensor:
    """Interpolate latents, float32. Normal latents are interpolated spherically, others linearly.

    Args:
        start: [..., Z].
        end: [..., Z].
        share: 0 for `start`, 1 for `end`; a number, or a tensor that broadcasts to [..., 1].
        distribution: of the latents; see `LatentConfig`.
    """
    first, last = start.double(), end.double()
    part = torch.as_tensor(share, dtype=torch.float64)
    if distribution == "normal":
        norm = _straight(_length(first), _length(last), part)
        values = _on_sphere(_unit(first), _unit(last), part) * norm
    else:
        values = _straight(first, last, part)
    return _ends_kept(values, first, last, part).float()


def eased(share: Tensor) -> Tensor:
    """From 0 to 1, slowly at both ends: 3 s^2 - 2 s^3."""
    return share * share * (3 - 2 * share)


@dataclass(frozen=True)
class Through:
    """A curve through points, with equal shares of the positions between them.

    Args:
        points: [P, ..., Z], at least one.
        loop: whether it goes back to the first.
        distribution: of latents; `weights` for class weights, which are interpolated linearly.
        spline: a curve without corners (of Bezier curves with the tangents of Catmull and Rom);
            otherwise the shortest way from each point to the next.
        easing: whether it slows down at each point.
    """

    points: Tensor
    loop: bool = False
    distribution: Kind = "normal"
    spline: bool = False
    easing: bool = False

    def __call__(self, positions: Tensor) -> Tensor:
        """Values [B, ..., Z] float32 at positions [B]."""
        count = len(self.points)
        if count == 1:
            return self.points.float().expand(len(positions), *self.points.shape[1:])
        segments = count if self.loop else count - 1
        place = positions.double().clamp(0, 1) * segments
        whole = place.round()
        place = torch.where((place - whole).abs() < _ROUNDING, whole, place)
        number = place.floor().clamp(max=segments - 1)
        share = (place - number).view(_shape(positions, self.points))
        if self.easing:
            share = eased(share)
        number = number.long()
        start, end = self._point(number), self._point(number + 1)
        if not self.spline:
            kind = "normal" if self.distribution == "normal" else "uniform"
            return between(start, end, share, distribution=kind)
        curved = self.distribution == "normal"
        values = self._bezier(number, share, curved)
        if curved:
            values = values * _straight(_length(start), _length(end), eased(share))
        else:
            values = values.clamp(-1, 1)
        return _ends_kept(values, start, end, share).float()

    def _point(self, number: Tensor) -> Tensor:
        """Point `number` [B]. Beyond the ends of an open curve are the ends themselves."""
        count = len(self.points)
        number = number % count if self.loop else number.clamp(0, count - 1)
        return self.points.double()[number]

    def _bezier(self, number: Tensor, share: Tensor, curved: bool) -> Tensor:
        """The curve from point `number` [B] to the next, by de Casteljau's construction; of unit vectors
        if it is curved."""
        start, end = self._point(number), self._point(number + 1)
        before, after = self._point(number - 1), self._point(number + 2)
        if curved:
            before, start, end, after = map(_unit, (before, start, end, after))
        blend = _on_sphere if curved else _straight
        first = self._slope(start, end, before, number == 0, curved)
        last = self._slope(end, start, after, number == len(self.points) - 2, curved)
        line = [start, _moved(start, first, curved), _moved(end, last, curved), end]
        while len(line) > 1:
            line = [blend(a, b, share) for a, b in pairwise(line)]
        return line[0]

    def _slope(
        self, point: Tensor, ahead: Tensor, behind: Tensor, last: Tensor, curved: bool
    ) -> Tensor:
        """A third of the tangent at a point: half the way between its neighbours; at an open curve's
        end (`last`, [B]) the way to its only one."""
        to, back = (
            (_tangent(point, ahead), _tangent(point, behind))
            if curved
            else (ahead - point, behind - point)
        )
        ends = last.view(_shape(last, point)) & (not self.loop)
        return torch.where(ends, to, (to - back) / 2) / 3


def _shape(positions: Tensor, values: Tensor) -> list[int]:
    """The shape in which positions [B] broadcast to values [*, ...]."""
    return [len(positions), *[1] * (values.ndim - 1)]


def _moved(point: Tensor, slope: Tensor, curved: bool) -> Tensor:
    return _arrive(point, slope) if curved else point + slope


@dataclass(frozen=True)
class Around:
    """A closed curve around a latent, at the same distance from it everywhere.

    Args:
        centre: [..., Z].
        radius: 0 for the latent itself, 1 for a distance as of unrelated latents; or a curve of such
            numbers [B], which then is the distance.
        seed: of the planes that it turns in.
        distribution: `normal` or `uniform`.
        turns: how often it goes round.
    """

    centre: Tensor
    radius: float | Curve
    seed: int
    distribution: str = "normal"
    turns: int = 1

    def __call__(self, positions: Tensor) -> Tensor:
        """Latents [B, ..., Z] float32 at positions [B]."""
        shape = [-1, *[1] * self.centre.ndim]
        turn = (positions.double() * self.turns).remainder(1).view(shape)
        radius = self.radius(positions).view(shape) if callable(self.radius) else self.radius
        centre = self.centre.double()
        if self.distribution == "uniform":
            return between(centre, self._waves(turn), radius, distribution="uniform")
        unit = _unit(centre)
        ways = self._circles(unit, turn) * (radius * torch.pi / 2)
        return (_arrive(unit, ways) * _length(centre)).float()

    def _random(self, *shape: int) -> Tensor:
        # A random state of its own, independent of that of the seed's latents.
        random = torch.Generator().manual_seed(self.seed ^ 0x5DEECE66D)
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    def _circles(self, unit: Tensor, turn: Tensor) -> Tensor:
        """Tangents of length 1 at `unit` [..., Z], for turns [B, ..., 1]."""
        size = unit.shape[-1]
        planes = min(HARMONICS, (size - 1) // 2)
        if planes == 0:  # fewer than three values: there and back on the one circle there is
            return _perpendicular(unit) * (2 * torch.pi * turn).sin()
        # Orthonormal among themselves and to the centre: a basis [..., Z, 1 + 2 planes].
        drawn = self._random(*unit.shape[:-1], size, 2 * planes)
        basis, _ = torch.linalg.qr(torch.cat([unit[..., None], drawn], dim=-1))
        strengths = torch.tensor(_STRENGTHS[:planes], dtype=torch.float64)
        strengths = strengths / strengths.norm()
        total = torch.zeros(())
        for number in range(planes):
            angle = 2 * torch.pi * (number + 1) * turn
            one, other = basis[..., 1 + 2 * number], basis[..., 2 + 2 * number]
            total = total + strengths[number] * (angle.cos() * one + angle.sin() * other)
        return total

    def _waves(self, turn: Tensor) -> Tensor:
        """Latents that are uniform in each value, as triangle waves of one to three turns are."""
        drawn = self._random(2, *self.centre.shape)
        phases = torch.special.ndtr(drawn[0])
        turns = (torch.special.ndtr(drawn[1]) * HARMONICS).floor() + 1
        return 4 * ((turn * turns + phases).remainder(1) - 0.5).abs() - 1
