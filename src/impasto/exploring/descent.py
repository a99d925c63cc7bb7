"""Gradient descent from a picture of a model to a given one; see `inverting.py`."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import LatentConfig
from impasto.exploring.directions import deviation
from impasto.networks._frozen_features import FrozenFeatures
from impasto.threads import chosen_threads

_FEATURES, _PRIOR, _APART = 3.0, 3.0, 0.5
"""Weights in the loss: of the frozen features, of the latents' norm, and of how far apart the latents of
levels are; that of the pixels is 1."""
_SCALES = (1, 2, 4, 8)
"""Sides of the squares that pixels are averaged in; each scale's error is weighted by its side."""
_LATENT_RATE, _CLASS_RATE = 0.3, 0.02
"""Learning rates; that of latents is in standard deviations, and half of it for those of levels."""
_PROBED_AT_ONCE = 16
_EPSILON = 1e-6


class Comparison:
    """Compares pictures with the targets.

    Args:
        features: the frozen network.
        targets: [B, 3, H, W] in [-1, 1].
    """

    def __init__(self, features: FrozenFeatures, targets: Tensor) -> None:
        self._features = features
        self._targets = targets
        with torch.no_grad():
            self._maps = [_unit(each) for each in features(targets)]

    def losses(self, images: Tensor) -> Tensor:
        """The error [B] of images [B, 3, H, W] in [-1, 1]."""
        error = pixel_errors(images - self._targets)
        for found, wanted in zip(self._features(images), self._maps, strict=True):
            apart = (_unit(found) - wanted).square().sum(1).mean((1, 2))
            error = error + _FEATURES * apart
        return error


def pixel_errors(difference: Tensor) -> Tensor:
    """The mean square [B] of differences [B, 3, H, W] of pictures, averaged at several scales."""
    error = torch.zeros(len(difference), device=difference.device)
    for side in _SCALES:
        if difference.shape[-1] >= side:
            averaged = F.avg_pool2d(difference, side)
            error = error + side * averaged.square().mean((1, 2, 3))
    return error


def _unit(maps: Tensor) -> Tensor:
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + _EPSILON)


def axes_of(
    generator: nn.Module, latents: Tensor, weights: Tensor, report: Callable[[int], None]
) -> Tensor:
    """Orthonormal axes [Z, Z] of latents, a column each, by how much pictures change along them.

    A generator's pictures change some hundred times more along some directions than along others. Adam
    scales each coordinate for itself, so it is several times quicker where the coordinates are these
    directions (as in Vyas et al. 2024, arXiv:2409.11321). They are the eigenvectors of the mean of
    J^T J, where J is the derivative of the averaged pixels that `Comparison` compares. This mean is
    estimated from J^T v of random v.

    Args:
        generator: of one step.
        latents: [N, Z], from which the pictures are.
        weights: class weights [N, K].
        report: called with the number of latents that are done.
    """
    random = torch.Generator().manual_seed(0)
    total = torch.zeros(latents.shape[1], latents.shape[1], device=latents.device)
    for start in range(0, len(latents), _PROBED_AT_ONCE):
        part = slice(start, start + _PROBED_AT_ONCE)
        some = latents[part].clone().requires_grad_()
        images = generator(some, weights[part])
        value = torch.zeros((), device=images.device)
        for side in _SCALES:
            if images.shape[-1] >= side:
                averaged = F.avg_pool2d(images, side)
                noise = torch.randn(averaged.shape, generator=random).to(images.device)
                value = value + (averaged * noise).sum() * math.sqrt(side / averaged[0].numel())
        (gradients,) = torch.autograd.grad(value, some)
        total = total + gradients.T @ gradients
        report(min(start + _PROBED_AT_ONCE, len(latents)))
    axes: Tensor = torch.linalg.eigh(total).eigenvectors
    return axes


class Descent:
    """Moves B points towards B targets.

    Args:
        generator: of one step.
        latents: [B, Z], where it begins.
        weights: class weights [B, K].
        sizes: classes of each label field.
        latent: the distribution of latents.
        axes: [Z, Z], see `axes_of`; the coordinates that Adam moves are along these. The identity for
            uniform latents.
    """

    def __init__(
        self,
        generator: nn.Module,
        latents: Tensor,
        weights: Tensor,
        sizes: tuple[int, ...],
        latent: LatentConfig,
        axes: Tensor,
    ) -> None:
        self._generator = generator
        self._sizes = sizes
        self._normal = latent.distribution == "normal"
        self._axes = axes
        self._hold(latents, weights, _LATENT_RATE * deviation(latent))

    def _hold(self, latents: Tensor, weights: Tensor, rate: float) -> None:
        self._rate = rate
        self._along = (latents.detach() @ self._axes).requires_grad_()
        self._weights = weights.detach().clone().requires_grad_()
        groups = [{"params": [self._along]}, {"params": [self._weights]}]
        self._adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self._best = latents.detach().clone(), weights.detach().clone()
        self._least = torch.full((len(latents),), math.inf, device=latents.device)

    def separate(self, levels: int) -> None:
        """Give each level a latent of its own, which begins as the best common one."""
        latents, weights = self._best
        self._hold(latents[:, None].repeat(1, levels, 1), weights, self._rate / 2)

    def values(self) -> tuple[Tensor, Tensor]:
        """The latents [B, Z] or [B, L, Z] and class weights [B, K] of the least loss so far."""
        return self._best

    def _prior(self, latents: Tensor) -> Tensor:
        """The penalty [B] of latents that are unlike the model's."""
        penalty = torch.zeros(len(latents), device=latents.device)
        if self._normal:
            # The mean square of Z normal values is 1, with a variance of 2 / Z.
            usual = 2 * math.sqrt(2 / latents.shape[-1])
            off = F.relu((latents.square().mean(-1) - 1).abs() - usual).square()
            penalty = penalty + _PRIOR * (off if off.ndim == 1 else off.mean(1))
        if latents.ndim == 3:
            penalty = penalty + _APART * latents.var(1, correction=0).mean(1)
        return penalty

    @torch.no_grad()
    def _keep_best(self, latents: Tensor, losses: Tensor) -> None:
        better = losses < self._least
        self._least = torch.where(better, losses, self._least)
        kept, weights = self._best
        self._best = (
            torch.where(better.view(-1, *[1] * (kept.ndim - 1)), latents, kept),
            torch.where(better[:, None], self._weights, weights),
        )

    @torch.no_grad()
    def _restrict(self) -> None:
        if not self._normal:
            self._along.clamp_(-1, 1)
        for field in self._weights.split(self._sizes, dim=1) if self._sizes else ():
            field.clamp_(min=0)
            field /= field.sum(1, keepdim=True).clamp(min=1)

    def run(
        self, target: Comparison, steps: int, after: Callable[[], None], *, slowing: bool = True
    ) -> Tensor:
        """Make steps; gives the least loss [B] of these.

        Args:
            target: what the pictures are compared with. Another one than before makes losses that
                cannot be compared with the earlier ones, so give these steps to a new descent.
            steps: from 1.
            after: called after each step.
            slowing: whether the learning rates fall to nearly zero, as half a cosine, in the second half
                of the steps.
        """
        with chosen_threads("step", free=self._along.device.type == "cpu") as threads:
            for step in range(steps):
                left = min(1.0, 2 * (steps - step) / steps) if slowing else 1.0
                factor = max(0.01, 0.5 - 0.5 * math.cos(math.pi * left))
                for group, rate in zip(
                    self._adam.param_groups, (self._rate, _CLASS_RATE), strict=True
                ):
                    group["lr"] = rate * factor
                with threads.unit():
                    latents = self._along @ self._axes.T
                    images = self._generator(latents, self._weights)
                    losses = target.losses(images) + self._prior(latents)
                    self._keep_best(latents, losses)
                    self._adam.zero_grad()
                    losses.sum().backward()
                    self._adam.step()
                    self._restrict()
                after()
        return self._least
