"""Features of images by a frozen network, with gradients, for terms of the objective."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.features._efficientnet_lite import STAGE_CHANNELS
from impasto.features.lite0 import load_frozen
from impasto.resolution import Resolution, in_proportion, resolution_of, width_and_height

CHANNELS = STAGE_CHANNELS
"""Channels of the maps at each stride."""
WIDTH = sum(CHANNELS.values())
"""Channels of all of Lite0's stages together: 512."""
PIXEL_SIDE = 8
PIXEL_WIDTH = 3 * PIXEL_SIDE**2


def resized(images: Tensor, size: Resolution) -> Tensor:
    """Images [B, 3, H, W] enlarged (bilinear) or averaged down to a size; the same images if they have
    it."""
    width, height = width_and_height(size)
    if images.shape[-1] > width:
        return F.interpolate(images, (height, width), mode="area")
    if images.shape[-1] < width:
        return F.interpolate(images, (height, width), mode="bilinear")
    return images


class FrozenFeatures(nn.Module):
    """Lite0's maps at five strides. The weights are not part of the state dict.

    Args:
        read_at: side in pixels that images are averaged or enlarged to before they are read.
            Rectangles keep their proportions and are read at about as many pixels.
    """

    def __init__(self, read_at: int) -> None:
        super().__init__()
        self.read_at = read_at
        self.network = load_frozen().eval()

    def train(self, mode: bool = True) -> "FrozenFeatures":
        """Set training mode; the frozen network stays in evaluation mode."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images [B, 3, H, W] in [-1, 1] to maps [B, C, h, w], the finest first."""
        size = in_proportion(resolution_of(images.shape[3], images.shape[2]), self.read_at)
        return self.network.stages(resized(images, size))


def means(maps: Sequence[Tensor]) -> Tensor:
    """The mean of each channel of all stages' maps: [B, 512]."""
    return torch.cat([each.mean((2, 3)) for each in maps], dim=1)


def averaged_pixels(images: Tensor) -> Tensor:
    """Images averaged down to 8x8, as vectors [B, 192]."""
    return F.interpolate(images, (PIXEL_SIDE, PIXEL_SIDE), mode="area").flatten(1)


def stage_statistics(maps: Sequence[Tensor]) -> list[Tensor]:
    """For each stage, [B, 6 C]: every channel's mean, standard deviation and means of the four
    quarters."""
    found = []
    for each in maps:
        # A constant map has no gradient of its deviation; the small number keeps it finite.
        deviation = (each.var((2, 3), correction=0) + 1e-6).sqrt()
        quarters = F.adaptive_avg_pool2d(each, 2).flatten(1)
        found.append(torch.cat([each.mean((2, 3)), deviation, quarters], dim=1))
    return found
