"""The residual networks of R3GAN, without normalisation (Huang et al. 2024, arXiv:2501.05441,
section 3).

There is one stage of residual blocks for each side of maps. A block is a 1x1 convolution to
`expansion` times the channels, a grouped 3x3 one, and a 1x1 one back. A bias and a leaky ReLU
follow the first two.

In place of normalisation, weights are initialised as in Fixup (Zhang et al. 2019,
arXiv:1901.09321, section 3). The last convolution of each block is zero, so blocks are the
identity at initialisation. The others are scaled by L^(-1/4), with L the number of all blocks, as
for branches of three layers. Maps are doubled and halved bilinearly. Where channels change too, a
1x1 convolution changes them on the smaller maps.

Default sizes are the paper's, except the width, which is a quarter of its 768: full width up to
32 pixels, then half at each doubling; expansion 2, in groups of 16 channels (a cardinality of 96
at the paper's width); two blocks a stage. At the paper's width, 256 pixels and latent 64, the
generator has 23,057,952 weights, the paper's 23.06 million, and the discriminator 23,009,568.

Differences:
- The generator ends in a tanh, since its images are in [-1, 1] by contract. The paper's is linear.
- The paper's resampling filter is [1, 2, 1]. Here it is centred between pixels, [1, 3, 3, 1],
  which equals [1, 2, 1] after nearest-neighbour doubling or before a mean of 2x2. So a mirrored
  image gives mirrored maps.
- The discriminator adds the projection of the label to an unconditional logit (Miyato and Koyama
  2018, arXiv:1802.05637, equation 3), so that images of unknown class have a realness too. The
  label embedding has as many values as there are features. The paper has the projection alone.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import Count
from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.networks._canvas import placed
from impasto.networks._conditioning import LabelEmbedding, Projection
from impasto.networks._start import start_of
from impasto.resolution import Resolution

_SLOPE = 0.2  # of leaky ReLU
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))  # of a layer before it, so that it keeps the variance


def _initialise(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    """Weights from N(0, gain^2 / fan-in) (He et al. 2015, arXiv:1502.01852), biases zero."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _plain(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution without bias and activation."""
    layer = nn.Conv2d(inputs, outputs, 1, bias=False)
    _initialise(layer)
    return layer


class Block(nn.Module):
    """Residual block of three convolutions, the identity at initialisation. Maps [B, C, h, w]
    keep their shape.

    Args:
        channels: C.
        expansion: channels inside the block, in multiples of C.
        group_width: channels of a group of the 3x3 convolution. With fewer than two such groups
            it is not grouped.
        scale: factor of the initial weights of the first two convolutions.

    Raises:
        ImpastoError: the channels inside the block cannot be divided into such groups.
    """

    def __init__(self, channels: int, expansion: int, group_width: int, scale: float) -> None:
        super().__init__()
        between = channels * expansion
        groups = between // group_width if between >= 2 * group_width else 1
        if between % group_width and groups > 1:
            raise ImpastoError(
                f"network 'r3gan' has stages of {channels} channels with these settings, whose "
                f"{between} in blocks do not divide into groups of {group_width}; choose another "
                "width, expansion or group_width"
            )
        self.expand = nn.Conv2d(channels, between, 1)
        self.mix = nn.Conv2d(between, between, 3, padding=1, groups=groups)
        self.contract = nn.Conv2d(between, channels, 1, bias=False)
        _initialise(self.expand, _GAIN * scale)
        _initialise(self.mix, _GAIN * scale)
        nn.init.zeros_(self.contract.weight)

    def forward(self, maps: Tensor) -> Tensor:
        added = F.leaky_relu(self.expand(maps), _SLOPE, inplace=True)
        added = F.leaky_relu(self.mix(added), _SLOPE, inplace=True)
        return maps + self.contract(added)


def _doubled(maps: Tensor) -> Tensor:
    """Maps [B, C, h, w] upsampled bilinearly to [B, C, 2h, 2w]."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


class Halving(nn.Module):
    """Maps [B, C, h, w] to [B, C, h/2, w/2]: the filter [1, 2, 1] / 4 in each direction, then the
    mean of 2x2, with zeros beyond the edge.

    Except at the edge, it is a quarter of the transpose of bilinear doubling.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        channels = maps.shape[1]
        kernel = self.kernel.expand(channels, 1, 4, 4)
        return F.conv2d(maps, kernel, stride=2, padding=1, groups=channels)


class _Stages(nn.Module):
    """The residual blocks of both networks by the side of their maps (of a rectangle, see `Start`).

    Layers are named by side, so that models of different resolutions share those of the same name.
    """

    def __init__(
        self,
        resolution: Resolution,
        width: int,
        full_width_upto: int,
        blocks: int,
        expansion: int,
        group_width: int,
    ) -> None:
        super().__init__()
        self.start = start_of(resolution, "r3gan")
        self.sides = [self.start.side << level for level in range(self.start.doublings + 1)]
        self.channels = [
            max(width * full_width_upto // max(side, full_width_upto), 1) for side in self.sides
        ]
        scale = (len(self.sides) * blocks) ** -0.25
        self.blocks = nn.ModuleDict(
            {
                str(side): nn.Sequential(
                    *(Block(channels, expansion, group_width, scale) for _ in range(blocks))
                )
                for side, channels in zip(self.sides, self.channels, strict=True)
            }
        )


class Generator(_Stages):
    """Latent and label to an image. A linear layer scales a learned 4x4 pattern a channel (of a
    rectangle one of its smallest maps); stages follow.

    Args:
        latent_dim: Z.
        resolution: a power of two from 8 up, or a rectangle.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels of the first stages.
        full_width_upto: largest side of maps with full width; above, channels halve at each
            doubling.
        blocks: residual blocks a stage.
        expansion: channels inside a block, in multiples of its own.
        group_width: channels of a group of a block's 3x3 convolution.
        embedding: values of the label embedding that is concatenated to the latent.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        width: Count = 192,
        full_width_upto: Count = 32,
        blocks: Count = 2,
        expansion: Count = 2,
        group_width: Count = 16,
        embedding: Count = 64,
    ) -> None:
        super().__init__(resolution, width, full_width_upto, blocks, expansion, group_width)
        self.embedding = LabelEmbedding(label_sizes, embedding) if label_sizes else None
        self.strengths = nn.Linear(
            latent_dim + (embedding if label_sizes else 0), self.channels[0], bias=False
        )
        _initialise(self.strengths)
        self.patterns = nn.Parameter(
            torch.randn(self.channels[0], self.start.height, self.start.width)
        )
        self.changes = nn.ModuleDict(
            {
                str(side): _plain(inputs, outputs)
                for side, (inputs, outputs) in zip(
                    self.sides[1:], itertools.pairwise(self.channels), strict=True
                )
                if inputs != outputs
            }
        )
        self.to_rgb = nn.ModuleDict({str(self.sides[-1]): _plain(self.channels[-1], 3)})
        self.canvas_side = 4
        # A position depends on 1 for each block, on half as many at twice the side, ..., and on 1, 1/2,
        # ... more for doubling.
        self.canvas_margin = math.ceil((2 * blocks + 2) / 4)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        if self.embedding is not None:
            latents = torch.cat([latents, self.embedding(labels)], dim=1)
        return self._images(self.strengths(latents)[:, :, None, None] * self.patterns)

    def canvas(self, latents: Tensor, labels: Tensor) -> Tensor:
        """A canvas of fields [B, Z, h, w] and [B, K, h, w]."""
        if self.embedding is not None:
            latents = torch.cat([latents, self.embedding(labels)], dim=1)
        return self._images(
            placed(self.strengths.weight.T[:, :, None, None] * self.patterns, latents)
        )

    def _images(self, maps: Tensor) -> Tensor:
        for side, blocks in self.blocks.items():
            if side in self.changes:
                maps = self.changes[side](maps)
            maps = blocks(maps if side == str(self.start.side) else _doubled(maps))
        (to_rgb,) = self.to_rgb.values()
        images: Tensor = torch.tanh(to_rgb(maps))
        return images


class Discriminator(_Stages):
    """Image to one logit: the mirror of the generator, down to a learned 4x4 pattern a channel
    that weights the last maps.

    Args:
        resolution: a power of two from 8 up, or a rectangle.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels of the last stages.
        full_width_upto: largest side of maps with full width; above, channels halve at each
            doubling.
        blocks: residual blocks a stage.
        expansion: channels inside a block, in multiples of its own.
        group_width: channels of a group of a block's 3x3 convolution.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        width: Count = 192,
        full_width_upto: Count = 32,
        blocks: Count = 2,
        expansion: Count = 2,
        group_width: Count = 16,
    ) -> None:
        super().__init__(resolution, width, full_width_upto, blocks, expansion, group_width)
        self.from_rgb = nn.ModuleDict({str(self.sides[-1]): _plain(3, self.channels[-1])})
        self.halving = Halving()
        self.changes = nn.ModuleDict(
            {
                str(side): _plain(inputs, outputs)
                for side, (outputs, inputs) in zip(
                    self.sides, itertools.pairwise(self.channels), strict=False
                )
                if inputs != outputs
            }
        )
        last = self.channels[0]
        self.patterns = nn.Conv2d(last, last, self.start[:2], groups=last, bias=False)
        self.realness = nn.Linear(last, 1, bias=False)
        _initialise(self.patterns)
        _initialise(self.realness)
        self.projection = Projection(label_sizes, last) if label_sizes else None

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        (from_rgb,) = self.from_rgb.values()
        maps = from_rgb(images)
        for side in map(str, reversed(self.sides)):
            if side not in self.from_rgb:
                maps = self.halving(maps)
            if side in self.changes:
                maps = self.changes[side](maps)
            maps = self.blocks[side](maps)
        features = self.patterns(maps)
        realness: Tensor = self.realness(features.flatten(1))
        if self.projection is not None:
            realness = realness + self.projection(features, labels).flatten(1)
        return Judgement(realness, features=maps)
