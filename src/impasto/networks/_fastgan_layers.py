"""The layers that both networks of FastGAN are made of; see `fastgan.py` for their sources."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks._conditioning import ConditionalBatchNorm2d
from impasto.networks._layers import GatedLinearUnit

SLOPE = 0.2  # of LeakyReLU


class Excitation(nn.Sequential):
    """Small maps [B, I, h, w] to a factor in (0, 1) for each channel of large maps, [B, O, 1, 1]
    (section 3.1, equation 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(inputs, outputs, 4, bias=False),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.Sigmoid(),
        )

    def at_positions(self, maps: Tensor, size: int) -> Tensor:
        """The factors at every position of the first maps of a canvas, [B, O, h, w], for small maps [B,
        I, h * size, w * size]: the mean over the four nearest windows of 4x4 positions, as large as a
        picture, that lie within the canvas."""
        pooling, *layers = self
        del pooling
        factors = F.avg_pool2d(maps, size)
        for layer in layers:
            factors = layer(factors)
        # Windows lie between positions; beyond the last of them is the last itself.
        return F.avg_pool2d(F.pad(factors, (2, 2, 2, 2), mode="replicate"), 2, 1)


class Gated(nn.Sequential):
    """A convolution to 2C channels, noise, batch norm, and a gated linear unit back to C.

    Noise is one value a position for all channels, times a learned strength that is 0 at
    initialisation. It is added in training only, so that a seed always gives the same image.

    Args:
        convolution: from the input to 2C channels.
        channels: C.
        dim: E of the embedding that batch norm is conditioned on; 0 for plain batch norm.
        noise: whether there is noise.
    """

    def __init__(self, convolution: nn.Module, channels: int, dim: int, *, noise: bool) -> None:
        # A Sequential, so that sampling can fold the batch norm into the convolution.
        super().__init__()
        self.convolution = convolution
        norm = ConditionalBatchNorm2d(2 * channels, dim) if dim else nn.BatchNorm2d(2 * channels)
        self.norm = norm
        self.gate = GatedLinearUnit()
        self.noise = nn.Parameter(torch.zeros(1)) if noise else None

    def forward(self, maps: Tensor, embedding: Tensor | None = None) -> Tensor:
        return self.gated(self.convolution(maps), embedding)

    def gated(self, maps: Tensor, embedding: Tensor | None) -> Tensor:
        """The layers after the convolution, on its output [B, 2C, h, w]."""
        if self.noise is not None and self.training:
            # In the maps' precision: float32 noise would end mixed precision here.
            maps = maps + self.noise.to(maps.dtype) * torch.randn_like(maps[:, :1])
        maps = self.norm(maps) if embedding is None else self.norm(maps, embedding)
        gated: Tensor = self.gate(maps)
        return gated


class Starts(nn.Module):
    """Latents [B, Z, 1, 1] to the first maps of one of several sizes, each by a convolution of its own.

    Args:
        convolutions: by the name of the size.
        chosen: the name of the size that is made at first.
    """

    def __init__(self, convolutions: dict[str, nn.ConvTranspose2d], chosen: str) -> None:
        super().__init__()
        self.sizes = nn.ModuleDict(convolutions)
        self.chosen = chosen

    def forward(self, latents: Tensor) -> Tensor:
        maps: Tensor = self.sizes[self.chosen](latents)
        return maps


class Block(nn.Module):
    """A level of the generator: maps [B, I, h, w] to [B, O, 2h, 2w].

    Args:
        inputs: I.
        outputs: O.
        dim: E of the embedding that batch norms are conditioned on; 0 for plain batch norm.
        big: whether there is a second convolution, and, with `noise`, noise.
        noise: whether a level with a second convolution adds noise in training.
    """

    def __init__(self, inputs: int, outputs: int, dim: int = 0, *, big: bool, noise: bool) -> None:
        super().__init__()

        def layer(channels: int) -> Gated:
            convolution = nn.Conv2d(channels, 2 * outputs, 3, padding=1, bias=False)
            return Gated(convolution, outputs, dim, noise=big and noise)

        self.first = layer(inputs)
        self.second = layer(outputs) if big else None

    def forward(
        self,
        maps: Tensor,
        embedding: Tensor | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Doubled maps, cut to `size` if it is given."""
        # Two steps: `_layers.Doubling` is no faster with these few channels and small batches.
        maps = F.interpolate(maps, scale_factor=2)
        if size is not None:
            maps = maps[:, :, : size[0], : size[1]]
        maps = self.first(maps, embedding)
        return maps if self.second is None else self.second(maps, embedding)


def halving(inputs: int, outputs: int, kernel: int = 4) -> list[nn.Module]:
    """A convolution to half the side (to the same side with kernel 3 or 1), batch norm and
    LeakyReLU."""
    stride, padding = {4: (2, 1), 3: (1, 1), 1: (1, 0)}[kernel]
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(SLOPE, inplace=True),
    ]


class ResidualHalving(nn.Module):
    """Maps [B, I, h, w] to [B, O, h/2, w/2]: the mean of two convolutions and of pooling with a
    1x1 convolution (figure 4)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*halving(inputs, outputs), *halving(outputs, outputs, 3))
        self.direct = nn.Sequential(nn.AvgPool2d(2), *halving(inputs, outputs, 1))

    def forward(self, maps: Tensor) -> Tensor:
        mean: Tensor = (self.main(maps) + self.direct(maps)) / 2
        return mean


def pool(images: Tensor, width: int) -> Tensor:
    """Images [B, C, H, W] averaged down to this width, in proportion."""
    return F.avg_pool2d(images, images.shape[3] // width)


def blurred(images: Tensor) -> Tensor:
    """Images [B, C, H, W] filtered by (1, 2, 1) / 4 in both directions, with replicated edges.

    The filter is the mean of neighbours, applied twice.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, 2, 1), 2, 1)


def quarter(maps: Tensor, quarters: Tensor) -> Tensor:
    """Crop a quarter [B, C, h/2, w/2] of each of the maps [B, C, h, w].

    Args:
        maps: the maps.
        quarters: [B], which quarter of each: 0 and 1 above, 2 and 3 below.
    """
    rows = torch.arange(len(maps), device=maps.device)
    tiles = maps.unflatten(3, (2, -1)).unflatten(2, (2, -1))  # [B, C, 2, h/2, 2, w/2]
    return tiles[rows, :, quarters // 2, :, quarters % 2]
