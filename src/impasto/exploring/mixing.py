"""Mixing: coarse levels of one picture and fine levels of another; and variations of a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from impasto.errors import ImpastoError
from impasto.exploring.curves import between
from impasto.sampling.painter import Painter
from impasto.sampling.point_text import Origin
from impasto.sampling.points import Points, at_levels


@dataclass(frozen=True)
class Mix:
    """R coarse and C fine points of one model, and what they are mixed to."""

    coarse: Points
    fine: Points
    mixed: Points
    """R * C points, row by row: of row r, the coarse levels and the classes of coarse point r; of column
    c, the fine levels of fine point c."""
    at: int
    """The first fine level."""
    levels: int

    def images(self, painter: Painter) -> np.ndarray:
        """The mixed pictures, uint8 [R, C, H, W, 3]."""
        found = np.concatenate(list(painter.paint_points(self.mixed)))
        return found.reshape(len(self.coarse), len(self.fine), *found.shape[1:])

    def grid(self, painter: Painter) -> np.ndarray:
        """The pictures of a grid with the points' own pictures at its edges, row by row: uint8
        [(R + 1) * (C + 1), H, W, 3]. The corner is white."""
        beside, above = (
            np.concatenate(list(painter.paint_points(points)))
            for points in (self.coarse, self.fine)
        )
        corner = np.full_like(above[:1], 255)
        rows = [np.concatenate([corner, above])]
        rows += [
            np.concatenate([own[None], row])
            for own, row in zip(beside, self.images(painter), strict=True)
        ]
        return np.concatenate(rows)


def mix_of(painter: Painter, coarse: Points, fine: Points, at: int | None = None) -> Mix:
    """Mix each of some points with each of others, by the levels of the generator.

    Args:
        painter: of their model.
        coarse: [R], with a latent each or one for each level.
        fine: [C], likewise.
        at: the first level that takes the fine latent, from 1; or the side of its maps, such as 16.
            None: half of the levels.

    Raises:
        ImpastoError: the generator takes one latent for all, or has no such level.
    """
    levels = painter.levels
    for points in (coarse, fine):
        painter.check_levels(points.latents)
    if levels is None:
        raise ImpastoError(
            f"this model's network ('{painter.record.generator.network}') takes its latent in one "
            "place, so there are no levels to mix; the flagship's recipes train networks that have "
            "levels"
        )
    at = _level(levels // 2 if at is None else at, levels, painter.level_sides)
    rows = at_levels(coarse.latents, levels).repeat_interleave(len(fine), dim=0)
    columns = at_levels(fine.latents, levels).repeat(len(coarse), 1, 1)
    latents = torch.cat([rows[:, :at], columns[:, at:]], dim=1)
    mixed = coarse.changed(
        latents=latents,
        classes=coarse.classes.repeat_interleave(len(fine), dim=0),
        origins=tuple(Origin() for _ in latents),
    )
    return Mix(coarse, fine, mixed, at, levels)


def _level(at: int, levels: int, sides: Sequence[int]) -> int:
    """The level of this number, or with maps of this side.

    Raises:
        ImpastoError: it is none from 1 on.
    """
    if 1 <= at < levels:
        return at
    if at in sides[1:]:
        return sides.index(at)
    or_side = f", or the side of its maps, {', '.join(map(str, sides[1:]))}" if sides else ""
    raise ImpastoError(
        f"this generator has {levels} levels, so the first fine one (--at) is 1 to {levels - 1}"
        f"{or_side}, not {at}"
    )


def variations_of(painter: Painter, centre: Points, seeds: Sequence[int], spread: float) -> Points:
    """Points near one point, each on the way from it to the latent of a seed.

    Args:
        painter: of the model.
        centre: a single point, whose classes all have.
        seeds: of the variations.
        spread: how far on this way: 0 for the point itself, 1 for the seed's latent.

    Raises:
        ImpastoError: several points, or a spread out of range.
    """
    if len(centre) != 1:
        raise ImpastoError(f"variations are of one seed or point, not of {len(centre)}")
    if not 0 < spread <= 1:
        raise ImpastoError(f"the spread is a number above 0, at most 1, not {spread}")
    ends = painter.latents(seeds)
    start = centre.latents
    if start.ndim == 3:  # all levels move towards the same latent
        ends = ends[:, None].expand(-1, start.shape[1], -1)
    latents = between(
        start.expand_as(ends), ends, spread, distribution=painter.record.latent.distribution
    )
    return centre.changed(
        latents=latents,
        classes=centre.classes.expand(len(latents), -1),
        origins=tuple(Origin() for _ in latents),
    )
