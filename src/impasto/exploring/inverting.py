"""Inversion: the point of a model whose picture is nearest to a given one.

The model's pictures of many seeds are compared with the target by features. From the nearest of them,
Adam moves latent and class weights (Abdal et al. 2019, arXiv:1904.03189, section 3): some steps from
each of several starts, and then more from the best of these. The loss compares
pixels, averaged at several scales, and the maps of a frozen network at several strides, each
position's channels as a unit vector (Zhang et al. 2018, arXiv:1801.03924, equation 1, without learned
weights). A prior keeps the latent where the model has learned: the norm of normal latents among those of
random ones, uniform latents in [-1, 1], class weights at least 0 and at most 1 together in a field.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.descent import Comparison, Descent, axes_of
from impasto.features import FeatureNetwork
from impasto.networks import one_hot
from impasto.networks._frozen_features import FrozenFeatures, averaged_pixels, stage_statistics
from impasto.resolution import square_of, width_and_height
from impasto.sampling.painter import Painter
from impasto.sampling.pixels import as_images, to_uint8
from impasto.sampling.points import Points, joined
from impasto.threads import chosen_threads

_SHOWN = (0.1, 0.3)
"""Shares of the descent at which pictures are kept for the sheet, besides those at start and end."""
_MOMENTS = ("start", *(f"{part:.0%}" for part in _SHOWN), "end")
_READ_AT = (32, 64)
"""Least and largest side at which the frozen network reads pictures at first; from the best start on it
reads them at twice this side, where its maps are nearer to those by which distances are measured."""
_TRIAL = 0.3
"""Steps from each start, as a share of the steps from the best one."""
_AXES_FROM = 256
"""Number of candidates from which the axes are computed."""


@dataclass(frozen=True)
class Search:
    """The options of an inversion."""

    steps: int = 250
    """Steps of Adam from the best start."""
    starts: int = 3
    """Number of starts to try for each picture."""
    candidates: int = 1024
    """Number of seeds from which the starts are chosen."""
    levels: bool = False
    """Whether each level gets a latent of its own in the second half of the steps."""

    @property
    def trial(self) -> int:
        """Steps from each of several starts."""
        return max(1, round(_TRIAL * self.steps)) if self.starts > 1 else 0


@dataclass(frozen=True)
class Inversion:
    """N pictures and the points nearest to them."""

    points: Points
    """[N]."""
    way: np.ndarray
    """uint8 [S, N, H, W, 3]: pictures on the way."""
    moments: tuple[str, ...]
    """[S] names of the moments of the way, such as `start`, `30%`, `end`."""
    distances: Tensor
    """[S, N]: distances of the features of these pictures from those of the targets."""
    usual: float
    """The median distance between pictures of two seeds."""


def check_invertible(painter: Painter, search: Search) -> None:
    """Check that a model can be inverted.

    Raises:
        ImpastoError: it works in many steps, or levels are asked for that it has not; or a number is too
            small.
    """
    if hasattr(painter.sampler.generator, "denoise"):
        raise ImpastoError(
            "this model makes a picture in many steps, and gradients through all of them take too long: "
            "only models that make it in one can be inverted"
        )
    if search.levels and painter.levels is None:
        raise ImpastoError("this generator takes one latent for all levels: leave out --levels")
    if min(search.steps, search.starts, search.candidates - search.starts + 1) < 1:
        raise ImpastoError("--steps and --starts are from 1, and --candidates at least --starts")


def _signature(features: FrozenFeatures, images: Tensor) -> Tensor:
    """What candidates are compared by, [B, D]: statistics of all maps, and coarse pixels."""
    stages = [F.normalize(each) for each in stage_statistics(features(images))]
    return torch.cat([*stages, averaged_pixels(images) / 8], dim=1)


def distances_of(network: FeatureNetwork, way: np.ndarray, targets: np.ndarray) -> Tensor:
    """Distances [S, N] of the features of pictures [S, N, H, W, 3] from those of N targets."""
    wanted = network(torch.from_numpy(targets)).features
    each = [(network(torch.from_numpy(some)).features - wanted).norm(dim=1) for some in way]
    return torch.stack(each)


class Inverter:
    """Searches points of a model.

    Args:
        painter: of the model.
        search: how to search.
        network: whose features distances are measured in.

    Raises:
        ImpastoError: see `check_invertible`.
    """

    def __init__(self, painter: Painter, search: Search, network: FeatureNetwork) -> None:
        check_invertible(painter, search)
        self.painter = painter
        self.search = search
        self.network = network
        self._sizes = painter.record.label_sizes
        self._device = painter.sampler.device
        low, high = _READ_AT
        side = min(max(square_of(painter.record.resolution), low), high)
        self._coarse = FrozenFeatures(side).to(self._device).eval()
        self._fine = FrozenFeatures(2 * side).to(self._device).eval()

    def invert(self, targets: np.ndarray, progress: Progress = silent) -> Inversion:
        """The points of targets, uint8 [N, H, W, 3], N from 1.

        As many are searched at a time as the painter generates.

        Raises:
            ImpastoError: they are not of this form, or not of the model's resolution.
        """
        width, height = width_and_height(self.painter.record.resolution)
        if targets.dtype != np.uint8 or targets.shape[1:] != (height, width, 3) or not len(targets):
            raise ImpastoError(
                f"pictures to invert are uint8 [N, {height}, {width}, 3] here, not {targets.dtype} "
                f"{list(targets.shape)}"
            )
        images = as_images(torch.from_numpy(targets))
        seeds = range(self.search.candidates)
        labels = one_hot(self.painter.labels(seeds, {}), self._sizes)
        latents = self.painter.latents(seeds)
        with progress("candidates", len(seeds)) as update:
            nearest = self._nearest(images, latents, labels, update)
        axes = self._axes(latents, labels, progress)
        batch = self.painter.batch
        parts = [slice(start, start + batch) for start in range(0, len(images), batch)]
        steps = self.search.starts * self.search.trial + self.search.steps
        found: list[tuple[Points, np.ndarray]] = []
        with progress("steps", steps * len(parts)) as update:
            count = itertools.count(1)
            for part in parts:
                chosen = nearest[part]
                found.append(
                    self._search(
                        images[part],
                        latents[chosen],
                        labels[chosen],
                        axes,
                        lambda: update(next(count)),
                    )
                )
        way = np.concatenate([pictures for _, pictures in found], axis=1)
        distances = distances_of(self.network, way, targets)
        points = joined([points for points, _ in found])
        return Inversion(points, way, _MOMENTS, distances, self._usual())

    def _usual(self) -> float:
        """The median distance of the features of pictures of two seeds."""
        seeds = range(min(64, self.search.candidates))
        images = np.concatenate(list(self.painter.paint(seeds, self.painter.labels(seeds, {}))))
        features = self.network(torch.from_numpy(images)).features
        if len(features) < 2:
            return math.nan
        return float(torch.pdist(features).median())

    def _axes(self, latents: Tensor, labels: Tensor, progress: Progress) -> Tensor:
        """The axes of the model's latents, from the first candidates; see `axes_of`.

        Uniform latents keep their own: a point that is turned and then held within its limits stops at
        an edge, short of the least loss.
        """
        if self.painter.record.latent.distribution == "uniform":
            return torch.eye(latents.shape[1], device=self._device)
        some = slice(0, _AXES_FROM)
        latents, labels = latents[some].to(self._device), labels[some].to(self._device)
        with progress("gradients", len(latents)) as update:
            return axes_of(self.painter.sampler.generator, latents, labels, update)

    @torch.no_grad()
    def _nearest(
        self, images: Tensor, latents: Tensor, labels: Tensor, update: Callable[[int], None]
    ) -> Tensor:
        """The numbers [N, starts] of the candidates nearest to each image, nearest first."""
        batch = self.painter.batch

        def signatures(pictures: Callable[[slice], Tensor], count: int, tell: bool) -> Tensor:
            kept = []
            with chosen_threads("batch", free=self._device.type == "cpu") as threads:
                for start in range(0, count, batch):
                    with threads.unit():
                        part = pictures(slice(start, start + batch)).to(self._device)
                        kept.append(_signature(self._coarse, part).cpu())
                    if tell:
                        update(min(start + batch, count))
            return torch.cat(kept)

        def painted(part: slice) -> Tensor:
            return self.painter.sampler.images(latents[part], labels[part])

        found = signatures(painted, len(latents), True)
        wanted = signatures(lambda part: images[part], len(images), False)
        return torch.cdist(wanted, found).topk(self.search.starts, largest=False).indices

    def _search(
        self,
        images: Tensor,
        latents: Tensor,
        labels: Tensor,
        axes: Tensor,
        tell: Callable[[], None],
    ) -> tuple[Points, np.ndarray]:
        """The points of B images, and the pictures of the way [S, B, H, W, 3].

        Args:
            images: [B, 3, H, W].
            latents: [B, starts, Z].
            labels: class weights [B, starts, K].
            axes: see `axes_of`.
            tell: called after each step.
        """
        images, latents, labels = (each.to(self._device) for each in (images, latents, labels))
        start, begun = self._best_start(images, latents, labels, axes, tell)
        way = [self._pixels(*start)]
        descent = self._descent(*begun, axes)
        moments = [round(part * self.search.steps) for part in _SHOWN]
        count = itertools.count(1)

        def after() -> None:
            tell()
            step = next(count)
            way.extend(self._pixels(*descent.values()) for moment in moments if moment == step)

        target = Comparison(self._fine, images)
        whole = self.search.steps // 2 if self.search.levels else self.search.steps
        if whole:
            descent.run(target, whole, after)
        if self.search.levels:
            descent.separate(self.painter.levels or 1)
            descent.run(target, self.search.steps - whole, after)
        found = descent.values()
        # Fewer steps than moments: those that were never reached are shown as the start.
        way[1:1] = [way[0]] * (len(_MOMENTS) - 1 - len(way))
        way.append(self._pixels(*found))
        return Points.make(self.painter.record, *found), np.stack(way)

    def _best_start(
        self,
        images: Tensor,
        latents: Tensor,
        labels: Tensor,
        axes: Tensor,
        tell: Callable[[], None],
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The start of each image from which a few steps lead nearest, and where they have led."""
        if self.search.starts == 1:
            only = latents[:, 0], labels[:, 0]
            return only, only
        target = Comparison(self._coarse, images)
        losses, ends = [], []
        for place in range(self.search.starts):
            descent = self._descent(latents[:, place], labels[:, place], axes)
            losses.append(descent.run(target, self.search.trial, tell, slowing=False))
            ends.append(descent.values())
        best = torch.stack(losses).argmin(0)
        rows = torch.arange(len(best), device=best.device)
        begun = [torch.stack(each, dim=1)[rows, best] for each in zip(*ends, strict=True)]
        return (latents[rows, best], labels[rows, best]), (begun[0], begun[1])

    def _pixels(self, latents: Tensor, weights: Tensor) -> np.ndarray:
        pixels: np.ndarray = to_uint8(self.painter.sampler.images(latents, weights)).cpu().numpy()
        return pixels

    def _descent(self, latents: Tensor, weights: Tensor, axes: Tensor) -> Descent:
        sampler = self.painter.sampler
        return Descent(sampler.generator, latents, weights, self._sizes, sampler.latent, axes)
