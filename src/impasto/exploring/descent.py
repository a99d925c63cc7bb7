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

_FEATURES, _PRIOR, _APART = 0.3, 0.1, 0.1
"""Weights in the loss: of the frozen features, of the latents' norm, and of how far apart the latents of
levels are; that of the pixels is 1."""
_SCALES = (1, 2, 4, 8)
"""Sides of the squares that pixels are averaged in; each scale's error is weighted by its side."""
_LATENT_RATE, _CLASS_RATE = 0.2, 0.02
"""Learning rates; that of latents is in standard deviations. They are constant for half of the steps and
then fall to nearly zero as half a cosine."""
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
        difference = images - self._targets
        error = torch.zeros(len(images), device=images.device)
        for side in _SCALES:
            if images.shape[-1] >= side:
                averaged = F.avg_pool2d(difference, side)
                error = error + side * averaged.square().mean((1, 2, 3))
        for found, wanted in zip(self._features(images), self._maps, strict=True):
            apart = (_unit(found) - wanted).square().sum(1).mean((1, 2))
            error = error + _FEATURES * apart
        return error


def _unit(maps: Tensor) -> Tensor:
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + _EPSILON)


class Descent:
    """Moves B points towards B targets.

    Args:
        generator: of one step.
        latents: [B, Z], where it begins.
        weights: class weights [B, K].
        sizes: classes of each label field.
        latent: the distribution of latents.
    """

    def __init__(
        self,
        generator: nn.Module,
        latents: Tensor,
        weights: Tensor,
        sizes: tuple[int, ...],
        latent: LatentConfig,
    ) -> None:
        self._generator = generator
        self._sizes = sizes
        self._normal = latent.distribution == "normal"
        self._rate = _LATENT_RATE * deviation(latent)
        self._weights = weights.clone().requires_grad_()
        self._hold(latents)

    def _hold(self, latents: Tensor) -> None:
        self._latents = latents.detach().clone().requires_grad_()
        groups = [{"params": [self._latents]}, {"params": [self._weights]}]
        self._adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self._best = self._latents.detach().clone(), self._weights.detach().clone()
        self._least = torch.full((len(latents),), math.inf, device=latents.device)

    def separate(self, levels: int) -> None:
        """Give each level a latent of its own, which begins as the best common one."""
        latents, weights = self._best
        self._weights = weights.clone().requires_grad_()
        self._hold(latents[:, None].repeat(1, levels, 1))

    def values(self) -> tuple[Tensor, Tensor]:
        """The latents [B, Z] or [B, L, Z] and class weights [B, K] of the least loss so far."""
        return self._best

    def _prior(self) -> Tensor:
        """The penalty [B] of latents that are unlike the model's."""
        penalty = torch.zeros(len(self._latents), device=self._latents.device)
        if self._normal:
            # The mean square of Z normal values is 1, with a variance of 2 / Z.
            usual = 2 * math.sqrt(2 / self._latents.shape[-1])
            off = F.relu((self._latents.square().mean(-1) - 1).abs() - usual).square()
            penalty = penalty + _PRIOR * (off if off.ndim == 1 else off.mean(1))
        if self._latents.ndim == 3:
            penalty = penalty + _APART * self._latents.var(1, correction=0).mean(1)
        return penalty

    @torch.no_grad()
    def _keep_best(self, losses: Tensor) -> None:
        better = losses < self._least
        self._least = torch.where(better, losses, self._least)
        latents, weights = self._best
        self._best = (
            torch.where(better.view(-1, *[1] * (latents.ndim - 1)), self._latents, latents),
            torch.where(better[:, None], self._weights, weights),
        )

    @torch.no_grad()
    def _restrict(self) -> None:
        if not self._normal:
            self._latents.clamp_(-1, 1)
        for field in self._weights.split(self._sizes, dim=1) if self._sizes else ():
            field.clamp_(min=0)
            field /= field.sum(1, keepdim=True).clamp(min=1)

    def run(self, target: Comparison, steps: int, after: Callable[[int], None]) -> Tensor:
        """Make steps; gives the least loss [B].

        Args:
            target: what the pictures are compared with.
            steps: from 1.
            after: called after each step, with the number of steps made.
        """
        with chosen_threads("step", free=self._latents.device.type == "cpu") as threads:
            for step in range(steps):
                left = min(1.0, 2 * (steps - step) / steps)
                factor = max(0.01, 0.5 - 0.5 * math.cos(math.pi * left))
                for group, rate in zip(
                    self._adam.param_groups, (self._rate, _CLASS_RATE), strict=True
                ):
                    group["lr"] = rate * factor
                with threads.unit():
                    images = self._generator(self._latents, self._weights)
                    losses = target.losses(images) + self._prior()
                    self._keep_best(losses)
                    self._adam.zero_grad()
                    losses.sum().backward()
                    self._adam.step()
                    self._restrict()
                after(step + 1)
        return self._least
