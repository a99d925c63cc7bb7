"""The networks of FastGAN (Liu et al. 2021, arXiv:2101.04775), made for a few hundred images and
one GPU.

In the generator, small maps gate the channels of large ones: the skip-layer excitation (section
3.1, figure 3). The discriminator is an encoder trained to reconstruct the real images too
(section 3.2, figure 4; see objectives/self_supervised.py), so that it encodes whole images
instead of memorising details.

Facts from the paper, and from the authors' published code where the paper is silent:
- 3x3 convolutions after nearest-neighbour upsampling, batch norm and gated linear units;
- every other level has a second convolution, and noise of a learned strength before both of its
  batch norms;
- no biases; weights from N(0, 0.02);
- spectral norm (Miyato et al. 2018, arXiv:1802.05957) on all convolutions of both networks;
- channels by the side of the maps, as in `_GENERATOR` and `_DISCRIMINATOR`;
- logits for 5x5 overlapping patches.

At 256 pixels and width 64, with latent 256, the generator has 29,127,654 weights (192 fewer than
there, see below) and the discriminator 10,676,272.

Differences:
- The published generator has a second output of 128 pixels, computed from its maps of that side,
  for the discriminator's small branch. Here the generator has one output. The small branch gets
  it pooled, like the real images.
- Images are pooled by averaging. There every second pixel is left out.
- There are two decoders, as in the paper. The code has a third one from the small branch.
- Each image has a random quarter of its own. There it is one for the whole batch.
- A rectangle's layers have the names and channels of those of the square with about as many pixels,
  and its number of patches is another.
- Below 256 pixels both networks leave out the levels with the largest maps, the small branch one
  level more and the decoders as many. Layers are named by the side of their maps, so models of
  two resolutions share the layers of the same name.

The published networks are unconditional. Here the generator is conditioned on labels by
conditional batch norm everywhere (`ConditionalBatchNorm2d`), the discriminator's patches by a
projection (`Projection`). The label embedding is not concatenated to the latent as well: then the
first batch norm could keep the maps' variance by the classes alone, and in our runs the latent
lost its influence until each class had one image.

A pixel shuffle does not constrain the finest pattern, a chessboard of single pixels. Our
generators made outlines and greys with it: 32 times as much of it as paintings have, and half as
much of all coarser patterns. `blur` adds a fixed binomial filter after the shuffle (Karras et al.
2019, arXiv:1812.04948, section 3, after upsampling). It removes that pattern and attenuates all
others; the convolution before it learns to compensate. Areas and outlines are smoother then.
Scores are better early and no better later (docs/notebook.md).

In the published generator the latent is an input of the first layer only. With `self_modulation`
(Chen et al. 2019, arXiv:1810.01365) every batch norm is conditioned on the latent too. Then the
latent controls colours and outlines and not only the composition.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as with_spectral_norm

from impasto.config import Count
from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.networks._canvas import placed, spread
from impasto.networks._conditioning import LabelEmbedding, Projection
from impasto.networks._fastgan_layers import (
    SLOPE,
    Block,
    Excitation,
    Gated,
    ResidualHalving,
    Starts,
    blurred,
    halving,
    pool,
    quarter,
)
from impasto.networks._start import Start, bucket_maps, start_of
from impasto.resolution import Resolution, square_of

_GENERATOR = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 1 / 2, 512: 1 / 4, 1024: 1 / 8}
"""Channels of the maps of each side, in multiples of the width."""

_DISCRIMINATOR = {8: 8, 16: 4, 32: 2, 64: 1, 128: 1 / 2, 256: 1 / 4, 512: 1 / 8}
"""Channels of the maps of each side, in multiples of the width."""

_BIG = (8, 32, 128, 512)
"""Sides of the levels with a second convolution."""


def _channels(width: int, share: float) -> int:
    return max(1, int(width * share))


def _initialise(network: nn.Module, *, spectral_norm: bool) -> None:
    """Draw the weights as in the authors' code, and add spectral norm."""
    for module in list(network.modules()):
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if spectral_norm:
                with_spectral_norm(module)


def _start(resolution: Resolution) -> tuple[Start, int]:
    """The smallest maps, and the side of the square that gives the picture's layers their names.

    Raises:
        ImpastoError: a resolution that this family does not support.
    """
    start = start_of(resolution, "fastgan", least=16)
    side = start.side << start.doublings
    if side > 1024:
        raise ImpastoError(
            f"network 'fastgan' makes pictures of 16, 32, ... to 1024 pixels, not {resolution}; "
            "choose one of these with --set resolution"
        )
    if start.side > 8:
        raise ImpastoError(
            f"network 'fastgan' makes rectangles whose sides are multiples of {side // 8}, not "
            f"{resolution}; choose one of these with --set resolution"
        )
    return start, side


class Generator(nn.Module):
    """Latent and label to an image.

    Args:
        latent_dim: Z.
        resolution: a power of two from 16 to 1024, or a rectangle of about as many pixels.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels of the maps of side 128 (`ngf`); see `_GENERATOR` for the others.
        embedding: values of the label embedding that batch norms are conditioned on. Unused
            without label fields.
        big: whether every other level has its second convolution and its noise.
        excite: whether the maps of side s gate those of 16s.
        noise: whether levels with a second convolution add noise in training.
        pixel_shuffle: whether the last upsampling is a convolution to 12 channels at half the
            side and a pixel shuffle (Shi et al. 2016, arXiv:1609.05158), as in networks/lean.py.
            Then no wide layer runs at full resolution, all maps are one level smaller, and those
            of side s gate those of 8s.
        blur: whether images, before the tanh, are filtered by (1, 2, 1) / 4 in rows and columns.
        spectral_norm: whether convolutions have spectral norm.
        self_modulation: whether batch norms are conditioned on the latent too.
        buckets: all sizes that are made, `resolution` among them, if there are several; see `paint_as`.
            Each has first maps of its own, and all share the layers after them.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        buckets: tuple[Resolution, ...] = (),
        width: Count = 64,
        embedding: Count = 128,
        big: bool = True,
        excite: bool = True,
        noise: bool = True,
        pixel_shuffle: bool = False,
        blur: bool = False,
        spectral_norm: bool = True,
        self_modulation: bool = False,
    ) -> None:
        super().__init__()
        start, side = _start(square_of(resolution) if buckets else resolution)
        self.maps = {str(each): bucket_maps(each, buckets, "fastgan") for each in buckets}
        """Height and width of the maps of each level of each of several sizes."""
        if not buckets:
            self.canvas_side = 4
        levels = start.doublings + (0 if pixel_shuffle else 1)
        sides = [start.side << level for level in range(levels)]
        channels = {side: _channels(width, _GENERATOR[side]) for side in sides}
        self.embedding = LabelEmbedding(label_sizes, embedding) if label_sizes else None
        self.self_modulation = self_modulation
        dim = (embedding if label_sizes else 0) + (latent_dim if self_modulation else 0)
        first = partial(nn.ConvTranspose2d, latent_dim, 2 * channels[start.side], bias=False)
        maps = {name: first(sizes[0]) for name, sizes in self.maps.items()}
        convolution = Starts(maps, str(resolution)) if buckets else first(start[:2])
        self.first = Gated(convolution, channels[start.side], dim, noise=False)
        self.blocks = nn.ModuleDict(
            {
                str(side): Block(
                    channels[side // 2], channels[side], dim, big=big and side in _BIG, noise=noise
                )
                for side in sides[1:]
            }
        )
        self.smallest = start.side
        self.span = 8 if pixel_shuffle else 16
        self.excite = nn.ModuleDict(
            {
                str(side): Excitation(channels[side // self.span], channels[side])
                for side in sides
                if excite and side >= start.side * self.span
            }
        )
        last = nn.Conv2d(channels[sides[-1]], 12 if pixel_shuffle else 3, 3, padding=1, bias=False)
        self.to_rgb = nn.ModuleDict({str(side): last})
        self.shuffle = nn.PixelShuffle(2) if pixel_shuffle else nn.Identity()
        self.blur = blur
        if self_modulation:
            self.levels = len(sides)
            self.level_sides = tuple(sides)
        _initialise(self, spectral_norm=spectral_norm)

    def paint_as(self, size: Resolution) -> None:
        """Make pictures of this one of the buckets from now on.

        Raises:
            ImpastoError: it is none of them.
        """
        if str(size) not in self.maps:
            raise ImpastoError(f"{size} is none of the sizes {', '.join(self.maps)}")
        self.first.convolution.chosen = str(size)  # type: ignore[assignment]

    def _conditions(self, latents: Tensor, labels: Tensor) -> list[Tensor | None]:
        """The conditions [B, E] of the batch norms of the first layer and of each block; None for
        unconditional ones."""
        label = None if self.embedding is None else self.embedding(labels)
        if not self.self_modulation:
            return [label] * (1 + len(self.blocks))
        several = latents.ndim in (3, 5)
        each = latents.unbind(1) if several else [latents] * self.levels
        return [one if label is None else torch.cat([label, one], dim=1) for one in each]

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Images of latents [B, Z]; with self-modulation also of [B, levels, Z], one for the first
        layer and one for each block."""
        condition, *conditions = self._conditions(latents, labels)
        first = latents[:, 0] if latents.ndim == 3 else latents
        return self._images(self.first(first[:, :, None, None], condition), conditions)

    @property
    def canvas_margin(self) -> int:
        """See `networks/__init__.py`. Factors of small maps that have got factors themselves depend on
        more positions than one picture has."""
        return 1 if len(self.excite) < 2 else 2

    def canvas(self, latents: Tensor, labels: Tensor) -> Tensor:
        """A canvas of fields [B, Z, h, w], or [B, levels, Z, h, w], and [B, K, h, w]."""
        condition, *conditions = self._conditions(latents, labels)
        first = latents[:, 0] if latents.ndim == 5 else latents
        maps = placed(self.first.convolution.weight, first)  # type: ignore[arg-type]
        return self._images(self.first.gated(maps, condition), conditions, canvas=True)

    def _images(
        self, maps: Tensor, conditions: list[Tensor | None], *, canvas: bool = False
    ) -> Tensor:
        """The layers after the first maps: blocks, excitation and the conversion to images."""
        small = {self.smallest: maps}
        sizes: Sequence[tuple[int, int] | None] = [None] * len(self.blocks)
        if self.maps:
            sizes = self.maps[str(self.first.convolution.chosen)][1 : 1 + len(self.blocks)]
        levels = zip(self.blocks.items(), conditions, sizes, strict=True)
        for (name, block), condition, size in levels:
            maps = block(maps, condition, size)
            if name in self.excite:
                side = int(name) // self.span
                excite = self.excite[name]
                if canvas:
                    factors = spread(excite.at_positions(small[side], side // 4), maps)  # type: ignore[operator]
                else:
                    factors = excite(small[side])
                maps = maps * factors
            small[int(name)] = maps
        (last,) = self.to_rgb.values()
        images: Tensor = self.shuffle(last(maps))
        return torch.tanh(blurred(images) if self.blur else images)


class Head(nn.Module):
    """Features [B, C, h, w], 8x8 for squares, and labels to logits of overlapping patches, [B, 25].

    Args:
        channels: C.
        hidden: channels of a 1x1 convolution before the logits; 0 for none.
        label_sizes: classes of each label field.
    """

    def __init__(self, channels: int, hidden: int, label_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*(halving(channels, hidden, 1) if hidden else []))
        self.logits = nn.Conv2d(hidden or channels, 1, 4, bias=False)
        self.projection = Projection(label_sizes, hidden or channels) if label_sizes else None

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        features = self.hidden(features)
        logits: Tensor = self.logits(features)
        if self.projection is not None:
            # A patch's features are the mean of the 4x4 features that its logit is computed from.
            logits = logits + self.projection(F.avg_pool2d(features, 4, 1), labels)
        return logits.flatten(1)


class Decoder(nn.Module):
    """Features of 8x8 to an image of `side` pixels, with few layers."""

    def __init__(self, channels: int, side: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict()
        for level in (level for level in (16, 32, 64, 128) if level <= side):
            outputs = _channels(width, _GENERATOR[level] / 2)
            self.blocks[str(level)] = Block(channels, outputs, big=False, noise=False)
            channels = outputs
        last = nn.Conv2d(channels, 3, 3, padding=1, bias=False)
        self.to_rgb = nn.ModuleDict({str(side): last})

    def forward(self, maps: Tensor) -> Tensor:
        for layer in (*self.blocks.values(), *self.to_rgb.values()):
            maps = layer(maps)
        return torch.tanh(maps)


def _from_picture(resolution: int, channels: dict[int, int]) -> nn.Sequential:
    """An image to the first maps, of the image's side, at most 256."""
    if resolution <= 256:
        layers: list[nn.Module] = [nn.Conv2d(3, channels[resolution], 3, 1, 1, bias=False)]
    else:
        layers = [nn.Conv2d(3, channels[resolution // 2], 4, 2, 1, bias=False)]
    layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    if resolution == 1024:
        layers += halving(channels[512], channels[256])
    return nn.Sequential(*layers)


class SmallBranch(nn.Module):
    """The image averaged down by `factor` to `side` pixels, and plain convolutions to logits [B, 25]."""

    def __init__(self, side: int, factor: int, width: int, label_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.factor = factor
        sides = [s for s in (64, 32, 16, 8) if s < side]
        channels = {s: _channels(width, _DISCRIMINATOR[s] / 2) for s in sides}
        first = nn.Conv2d(3, channels[sides[0]], 4, 2, 1, bias=False)
        self.from_picture = nn.ModuleDict(
            {str(side): nn.Sequential(first, nn.LeakyReLU(SLOPE, inplace=True))}
        )
        self.halvings = nn.ModuleDict(
            {
                str(half): nn.Sequential(*halving(channels[2 * half], channels[half]))
                for half in sides[1:]
            }
        )
        self.head = Head(channels[8], 0, label_sizes)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        maps = F.avg_pool2d(images, self.factor)
        for layer in (*self.from_picture.values(), *self.halvings.values()):
            maps = layer(maps)
        logits: Tensor = self.head(maps, labels)
        return logits


class Discriminator(nn.Module):
    """Image to 25 logits, and from 32 pixels up 25 more of the image pooled to half its side, 128
    pixels at most. Of rectangles the numbers differ a little: 15 for 192x256.

    `Judgement.reconstruct` gives two reconstructions: the whole image, pooled as for the small
    branch, from the features of 8x8, and a quarter, drawn for each image, from that quarter of
    the features of 16x16.

    Args:
        resolution: a power of two from 16 to 1024, or a rectangle of about as many pixels.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels of the maps of side 64 (`ndf`); see `_DISCRIMINATOR` for the others.
        spectral_norm: whether convolutions have spectral norm.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        width: Count = 64,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        _, side = _start(resolution)
        channels = {side: _channels(width, share) for side, share in _DISCRIMINATOR.items()}
        self.largest = min(side, 256)
        sides = [half for half in (128, 64, 32, 16, 8) if half < self.largest]
        self.from_picture = nn.ModuleDict({str(side): _from_picture(side, channels)})
        self.halvings = nn.ModuleDict(
            {str(half): ResidualHalving(channels[2 * half], channels[half]) for half in sides}
        )
        self.excite = nn.ModuleDict(
            {
                str(small): Excitation(channels[8 * small], channels[small])
                for small in sides
                if 8 * small <= self.largest
            }
        )
        self.head = Head(channels[8], _channels(width, 16), label_sizes)
        half = min(side // 2, 128)
        self.small = SmallBranch(half, side // half, width, label_sizes) if half >= 16 else None
        self.whole = Decoder(channels[8], half, width)
        self.part = Decoder(channels[16], half, width)
        _initialise(self, spectral_norm=spectral_norm)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        (maps,) = (layer(images) for layer in self.from_picture.values())
        levels = {self.largest: maps}
        for name, layer in self.halvings.items():
            side = int(name)
            maps = layer(maps)
            if name in self.excite:
                maps = maps * self.excite[name](levels[8 * side])
            levels[side] = maps
        realness = [self.head(maps, labels)]
        if self.small is not None:
            realness.append(self.small(images, labels))
        return Judgement(
            torch.cat(realness, dim=1),
            reconstruct=lambda: self._reconstruct(images, levels[8], levels[16]),
        )

    def _reconstruct(
        self, images: Tensor, coarse: Tensor, fine: Tensor
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        """Pairs of a reconstruction and its target.

        Args:
            images: [B, 3, H, W].
            coarse: their features of 8x8.
            fine: their features of 16x16.
        """
        whole = self.whole(coarse.to(images.dtype))
        # Quarters 0 1 / 2 3, one drawn for each image, on the device.
        quarters = torch.randint(4, (len(images),), device=images.device)
        part = self.part(quarter(fine.to(images.dtype), quarters))
        width = whole.shape[3]
        return (whole, pool(images, width)), (part, pool(quarter(images, quarters), width))
