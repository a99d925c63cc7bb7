"""Fréchet distance between generated and real images, as a loss of the generator.

Source: FD-Loss (2026, arXiv:2604.28190). Both sets of features are taken for normal distributions;
the loss is the squared Fréchet distance of these. A batch is too small for a covariance, so the moments
of generated images are a moving average over batches, and the gradient goes through the newest batch.

Differences from the source: the gradient of the batch's moments is not multiplied by 1 - decay, so that
the term's weight does not depend on it; the first batches have equal weights, until there are
1 / (1 - decay) of them; and averaged pixels are a set of features, too, because a frozen network largely
ignores colour and layout.

An evaluation with the same network is no test of what this term does: it was trained on.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from impasto.config import Count, Fraction
from impasto.networks._frozen_features import (
    PIXEL_WIDTH,
    WIDTH,
    FrozenFeatures,
    averaged_pixels,
    means,
)
from impasto.objectives import StepInputs
from impasto.resolution import Resolution

_SMALL = 0.01
"""Added to a distance, as in the source."""
_WIDTHS = {"lite0": WIDTH, "pixels": PIXEL_WIDTH}

Network = Literal["lite0", "pixels"]


def distance(
    mean: Tensor, covariance: Tensor, real_mean: Tensor, real_trace: Tensor, real_root: Tensor
) -> Tensor:
    """The squared Fréchet distance of two normal distributions (Dowson and Landau 1982), a scalar.

    Args:
        mean: [D].
        covariance: [D, D].
        real_mean: [D].
        real_trace: the trace of the other covariance, a scalar.
        real_root: its symmetric square root [D, D].
    """
    product = real_root @ covariance @ real_root
    values = torch.linalg.eigvalsh((product + product.T) / 2)
    # The root's slope at 0 is infinite; values that small are rounding errors.
    least = 1e-7 * values.detach().amax().clamp_min(1e-12)
    roots = values.clamp_min(0).add(least).sqrt()
    return (mean - real_mean).square().sum() + covariance.trace() + real_trace - 2 * roots.sum()


class Moments(nn.Module):
    """The moments of one set of features: of real images, and a moving average of generated ones.

    Args:
        width: D.
        decay: the weight of earlier batches in the moving average.
    """

    running_mean: Tensor
    running_square: Tensor
    batches: Tensor
    real_mean: Tensor
    real_trace: Tensor
    real_root: Tensor

    def __init__(self, width: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_square", torch.zeros(width, width))
        self.register_buffer("batches", torch.zeros(()))
        self.register_buffer("real_mean", torch.zeros(width))
        self.register_buffer("real_trace", torch.zeros(()))
        self.register_buffer("real_root", torch.zeros(width, width))

    @torch.no_grad()
    def set_real(self, features: Tensor) -> None:
        """Set the moments of real images from features [N, D]."""
        features = features.double().cpu()
        mean = features.mean(0)
        covariance = (features - mean).T @ (features - mean) / len(features)
        values, vectors = torch.linalg.eigh(covariance)
        root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
        self.real_mean.copy_(mean)
        self.real_trace.copy_(covariance.trace())
        self.real_root.copy_(root)

    def forward(self, features: Tensor) -> Tensor:
        """The distance after this batch [B, D] of generated images, which joins the average."""
        mean, square = features.mean(0), features.T @ features / len(features)
        decay = (self.batches / (self.batches + 1)).clamp_max(self.decay)
        blended_mean = torch.lerp(mean.detach(), self.running_mean, decay)
        blended_square = torch.lerp(square.detach(), self.running_square, decay)
        with torch.no_grad():
            self.running_mean.copy_(blended_mean)
            self.running_square.copy_(blended_square)
            self.batches.add_(1)
        # The values of the average, with the gradient of the batch.
        mean = blended_mean + (mean - mean.detach())
        square = blended_square + (square - square.detach())
        covariance = square - mean[:, None] * mean
        return distance(mean, covariance, self.real_mean, self.real_trace, self.real_root)


class Memory(nn.Module):
    """The moments of each set of features, and the frozen network."""

    def __init__(
        self,
        *,
        resolution: Resolution,
        label_sizes: tuple[int, ...],
        networks: tuple[Network, ...],
        decay: float,
        read_at: int,
    ) -> None:
        super().__init__()
        del resolution, label_sizes
        self.frozen = FrozenFeatures(read_at) if "lite0" in networks else None
        self.moments = nn.ModuleDict({name: Moments(_WIDTHS[name], decay) for name in networks})

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Each set of features [B, D] of images [B, 3, H, W]."""
        found = {}
        if self.frozen is not None:
            found["lite0"] = means(self.frozen(images))
        if "pixels" in self.moments:
            found["pixels"] = averaged_pixels(images)
        return found

    @torch.no_grad()
    def prepare(self, pictures: Callable[[], Iterator[Tensor]]) -> None:
        """Take the moments of the training pictures, [b, 3, H, W] at a time."""
        found: dict[str, list[Tensor]] = {name: [] for name in self.moments}
        for images in pictures():
            for name, features in self.features(images).items():
                found[name].append(features)
        for name, parts in found.items():
            self.moments[name].set_real(torch.cat(parts))  # type: ignore[operator]


def generator_loss(
    inputs: StepInputs,
    memory: Memory,
    *,
    networks: tuple[Network, ...] = ("lite0", "pixels"),
    decay: Fraction = 0.999,
    read_at: Count = 64,
) -> Tensor:
    """The logarithms of the distances by each set of features, summed.

    Their gradient is that of the source's loss, each distance divided by its own value.

    Args:
        inputs: of the step.
        memory: moments of earlier batches and of real images.
        networks: sets of features: `lite0`, the means of Lite0's maps at five strides, and `pixels`,
            the image averaged to 8x8.
        decay: the weight of earlier batches. The average lags behind the generator by 1 / (1 - decay)
            batches, so with a large learning rate it overshoots; a falling rate settles.
        read_at: side in pixels at which Lite0 reads images.
    """
    del decay, read_at
    found = memory.features(inputs.fake)
    distances = torch.stack([memory.moments[name](found[name]) for name in networks])
    return (distances.clamp_min(0) + _SMALL).log().sum()
