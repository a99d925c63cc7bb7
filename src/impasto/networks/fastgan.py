"""The pair of FastGAN (Liu et al. 2021, arXiv:2101.04775): made for some hundred pictures and one GPU.

The generator's large maps are gated, channel by channel, by what its small ones say: the skip-layer
excitation (section 3.1, figure 3). The discriminator is an encoder that must also be able to paint
the real pictures again (section 3.2, figure 4; see objectives/self_supervised.py), so that it keeps
looking at all of a picture instead of learning the few by heart.

Facts from the paper and from the authors' published code where the paper is silent: 3x3 convolutions
after doublings by nearest neighbours, batch norm and gated linear units; every other level has a
second convolution and noise of a learned strength before both of its batch norms; no biases; weights
from N(0, 0.02); spectral norm (Miyato et al. 2018, arXiv:1802.05957) on every convolution of both
players; channels by the side of the maps, as in `_GENERATOR` and `_DISCRIMINATOR`; logits for 5x5
overlapping patches. At 256 pixels and width 64, with latent 256, 29,127,654 weights in the generator
(192 fewer than there, see below) and 10,676,272 in the discriminator.

Where this differs: the published generator also paints a picture of 128 pixels from its maps of that
side, which the discriminator's small branch judges; ours paints one, and the branch judges it pooled,
as it does the real ones. Pictures are pooled by averaging (there every second pixel is left out).
Two decoders, as in the paper (in the code a third one paints from the small branch), and each picture
has a quarter of its own drawn (there one for the whole batch). Below 256 pixels both players leave
out the levels with the largest maps, the small branch one level more and the decoders as many; names
of layers say the side of their maps, so that those of two resolutions fit each other.

Classes, which neither player knows there: the generator is told them by an embedding in every batch
norm (`ConditionalBatchNorm2d`), the discriminator's patches by a projection (`Projection`). The
embedding does not stand beside the latent too: the first batch norm would then keep up the maps'
variance by the classes alone, and in our runs the latent faded until there was one picture a class.

A pixel shuffle leaves the finest pattern, a chessboard of single pixels, to chance, and our generators
painted greys and outlines with it: 32 times as much of it as paintings have, where all coarser patterns
had half as much. `blur` puts a fixed binomial filter behind it (Karras et al. 2019, arXiv:1812.04948,
section 3, after a doubling), which lets none of that pattern pass and all others in part; the
convolution before it learns to make up for that part. Fills and outlines are smoother then; the scores
are better early and no better later (docs/notebook.md).

Nor does the published generator's latent reach further than its first layer. With `self_modulation`
(Chen et al. 2019, arXiv:1810.01365) every batch norm is told it too, so that it can decide of colours
and outlines and not only of what is where.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as with_spectral_norm

from impasto.config import Count
from impasto.errors import ImpastoError
from impasto.networks import Judgement, levels_above
from impasto.networks._conditioning import ConditionalBatchNorm2d, LabelEmbedding, Projection
from impasto.networks._layers import GatedLinearUnit

_GENERATOR = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 1 / 2, 512: 1 / 4, 1024: 1 / 8}
"""Channels of the maps of each side, in widths."""

_DISCRIMINATOR = {8: 8, 16: 4, 32: 2, 64: 1, 128: 1 / 2, 256: 1 / 4, 512: 1 / 8}

_BIG = (8, 32, 128, 512)
"""Sides of the levels with a second convolution."""

_SLOPE = 0.2  # of LeakyReLU


def _channels(width: int, share: float) -> int:
    return max(1, int(width * share))


def _initialise(network: nn.Module, *, spectral_norm: bool) -> None:
    """Draw the weights as the authors do, and put spectral norm on them."""
    for module in list(network.modules()):
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if spectral_norm:
                with_spectral_norm(module)


def _check(resolution: int) -> int:
    """How often 8 doubles to the resolution.

    Raises:
        ImpastoError: none of the pictures that this family makes.
    """
    if resolution > 1024:
        raise ImpastoError(
            f"network 'fastgan' makes pictures of 16, 32, ... to 1024 pixels, not {resolution}; "
            "choose one of these with --set resolution"
        )
    return levels_above(resolution, 8, "fastgan")


def _pool(images: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(images, images.shape[3] // side)


class Excitation(nn.Sequential):
    """Small maps [B, I, h, w] to a factor in (0, 1) for each channel of large ones, [B, O, 1, 1]
    (section 3.1, equation 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(inputs, outputs, 4, bias=False),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.Sigmoid(),
        )


class Gated(nn.Sequential):
    """A convolution to 2C channels, noise, batch norm, and a gated linear unit back to C.

    Noise is one value a position for all channels, times a learned strength that begins at 0; in
    training only, since a seed names a picture.
    """

    def __init__(self, convolution: nn.Module, channels: int, dim: int, *, noise: bool) -> None:
        # In a Sequential, whose batch norm can be folded into the convolution for sampling.
        super().__init__()
        self.convolution = convolution
        norm = ConditionalBatchNorm2d(2 * channels, dim) if dim else nn.BatchNorm2d(2 * channels)
        self.norm = norm
        self.gate = GatedLinearUnit()
        self.noise = nn.Parameter(torch.zeros(1)) if noise else None

    def forward(self, maps: Tensor, embedding: Tensor | None = None) -> Tensor:
        maps = self.convolution(maps)
        if self.noise is not None and self.training:
            # In the maps' own precision, or mixed precision would end here.
            maps = maps + self.noise.to(maps.dtype) * torch.randn_like(maps[:, :1])
        maps = self.norm(maps) if embedding is None else self.norm(maps, embedding)
        gated: Tensor = self.gate(maps)
        return gated


class Block(nn.Module):
    """A level of the generator: maps [B, I, h, w] to [B, O, 2h, 2w].

    Args:
        big: whether it has a second convolution, and, with `noise`, noise.
        dim: E of what the batch norms are told, 0 for nothing.
    """

    def __init__(self, inputs: int, outputs: int, dim: int = 0, *, big: bool, noise: bool) -> None:
        super().__init__()

        def layer(channels: int) -> Gated:
            convolution = nn.Conv2d(channels, 2 * outputs, 3, padding=1, bias=False)
            return Gated(convolution, outputs, dim, noise=big and noise)

        self.first = layer(inputs)
        self.second = layer(outputs) if big else None

    def forward(self, maps: Tensor, embedding: Tensor | None = None) -> Tensor:
        # In two steps: `_layers.Doubling` is no faster with so few channels and so small a batch.
        maps = self.first(F.interpolate(maps, scale_factor=2), embedding)
        return maps if self.second is None else self.second(maps, embedding)


class Generator(nn.Module):
    """Latent and label to a picture.

    Args:
        latent_dim: Z.
        resolution: H, a power of two from 16 to 1024.
        label_sizes: classes of each label field, any number of fields or none.
        width: `ngf`, channels of the maps of side 128; see `_GENERATOR` for the others.
        embedding: values of the label's embedding, which batch norms are told; without label
            fields there is none.
        big: whether every other level has its second convolution and its noise.
        excite: whether the maps of side s gate those of 16s.
        noise: whether levels with a second convolution add noise while training.
        pixel_shuffle: whether the last doubling is a convolution to 12 channels at half the side
            and a pixel shuffle (Shi et al. 2016, arXiv:1609.05158), as in networks/lean.py, so that
            nothing wide is computed at full resolution. All maps are then one level smaller, and
            those of side s gate those of 8s.
        blur: whether pictures, before the tanh, are filtered by (1, 2, 1) / 4 in rows and columns.
        spectral_norm: whether convolutions have it.
        self_modulation: whether the batch norms are told the latent too.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: int,
        label_sizes: tuple[int, ...] = (),
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
        levels = _check(resolution) + (0 if pixel_shuffle else 1)
        sides = [4 << level for level in range(levels + 1)]
        channels = {side: _channels(width, _GENERATOR[side]) for side in sides}
        self.embedding = LabelEmbedding(label_sizes, embedding) if label_sizes else None
        self.self_modulation = self_modulation
        dim = (embedding if label_sizes else 0) + (latent_dim if self_modulation else 0)
        self.first = Gated(
            nn.ConvTranspose2d(latent_dim, 2 * channels[4], 4, bias=False),
            channels[4],
            dim,
            noise=False,
        )
        self.blocks = nn.ModuleDict(
            {
                str(side): Block(
                    channels[side // 2], channels[side], dim, big=big and side in _BIG, noise=noise
                )
                for side in sides[1:]
            }
        )
        self.span = 8 if pixel_shuffle else 16
        self.excite = nn.ModuleDict(
            {
                str(side): Excitation(channels[side // self.span], channels[side])
                for side in sides
                if excite and side >= 4 * self.span
            }
        )
        last = nn.Conv2d(channels[sides[-1]], 12 if pixel_shuffle else 3, 3, padding=1, bias=False)
        self.to_rgb = nn.ModuleDict({str(resolution): last})
        self.shuffle = nn.PixelShuffle(2) if pixel_shuffle else nn.Identity()
        self.blur = blur
        _initialise(self, spectral_norm=spectral_norm)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        known = None if self.embedding is None else self.embedding(labels)
        if self.self_modulation:
            known = latents if known is None else torch.cat([known, latents], dim=1)
        maps = self.first(latents[:, :, None, None], known)
        small = {4: maps}
        for name, block in self.blocks.items():
            maps = block(maps, known)
            if name in self.excite:
                maps = maps * self.excite[name](small[int(name) // self.span])
            small[int(name)] = maps
        (last,) = self.to_rgb.values()
        images: Tensor = self.shuffle(last(maps))
        return torch.tanh(_blurred(images) if self.blur else images)


def _blurred(images: Tensor) -> Tensor:
    """The images [B, C, H, W] filtered by (1, 2, 1) / 4 in both directions, their edges repeated: twice
    the mean of neighbours."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, 2, 1), 2, 1)


def _halving(inputs: int, outputs: int, kernel: int = 4) -> list[nn.Module]:
    """A convolution to half the side (to the same with kernel 3, 1), batch norm and LeakyReLU."""
    stride, padding = {4: (2, 1), 3: (1, 1), 1: (1, 0)}[kernel]
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(_SLOPE, inplace=True),
    ]


class ResidualHalving(nn.Module):
    """Maps [B, I, h, w] to [B, O, h/2, w/2]: the mean of two convolutions and of pooling with a 1x1
    one (figure 4)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*_halving(inputs, outputs), *_halving(outputs, outputs, 3))
        self.direct = nn.Sequential(nn.AvgPool2d(2), *_halving(inputs, outputs, 1))

    def forward(self, maps: Tensor) -> Tensor:
        mean: Tensor = (self.main(maps) + self.direct(maps)) / 2
        return mean


class Head(nn.Module):
    """Features [B, C, 8, 8] and labels to logits [B, 25] of overlapping patches.

    Args:
        hidden: channels between; 0 for none.
    """

    def __init__(self, channels: int, hidden: int, label_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*(_halving(channels, hidden, 1) if hidden else []))
        self.logits = nn.Conv2d(hidden or channels, 1, 4, bias=False)
        self.projection = Projection(label_sizes, hidden or channels) if label_sizes else None

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        features = self.hidden(features)
        logits: Tensor = self.logits(features)
        if self.projection is not None:
            # A patch's features are the mean of the 4x4 that its logit is made of.
            logits = logits + self.projection(F.avg_pool2d(features, 4, 1), labels)
        return logits.flatten(1)


class Decoder(nn.Module):
    """Features [B, C, 8, 8] to a picture of `side` pixels, with as little as can do it."""

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
    """A picture to the first maps: of its own side, of 256 where it is larger."""
    if resolution <= 256:
        layers: list[nn.Module] = [nn.Conv2d(3, channels[resolution], 3, 1, 1, bias=False)]
    else:
        layers = [nn.Conv2d(3, channels[resolution // 2], 4, 2, 1, bias=False)]
    layers.append(nn.LeakyReLU(_SLOPE, inplace=True))
    if resolution == 1024:
        layers += _halving(channels[512], channels[256])
    return nn.Sequential(*layers)


class SmallBranch(nn.Module):
    """The picture pooled to `side` pixels, and plain convolutions to logits [B, 25]."""

    def __init__(self, side: int, width: int, label_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.side = side
        sides = [s for s in (64, 32, 16, 8) if s < side]
        channels = {s: _channels(width, _DISCRIMINATOR[s] / 2) for s in sides}
        first = nn.Conv2d(3, channels[sides[0]], 4, 2, 1, bias=False)
        self.from_picture = nn.ModuleDict(
            {str(side): nn.Sequential(first, nn.LeakyReLU(_SLOPE, inplace=True))}
        )
        self.halvings = nn.ModuleDict(
            {
                str(half): nn.Sequential(*_halving(channels[2 * half], channels[half]))
                for half in sides[1:]
            }
        )
        self.head = Head(channels[8], 0, label_sizes)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        maps = _pool(images, self.side)
        for layer in (*self.from_picture.values(), *self.halvings.values()):
            maps = layer(maps)
        logits: Tensor = self.head(maps, labels)
        return logits


class Discriminator(nn.Module):
    """Picture to 25 logits, and from 32 pixels up 25 more of the picture pooled to half its side, 128
    at most. When a term asks for them, the picture and a quarter of it painted again.

    Painted again is the whole picture, pooled as for the small branch, from the features of 8x8; and
    a quarter, drawn anew for each picture, from that quarter of the features of 16x16.

    Args:
        resolution: H, a power of two from 16 to 1024.
        label_sizes: classes of each label field, any number of fields or none.
        width: `ndf`, channels of the maps of side 64; see `_DISCRIMINATOR` for the others.
        spectral_norm: whether convolutions have it.
    """

    def __init__(
        self,
        *,
        resolution: int,
        label_sizes: tuple[int, ...] = (),
        width: Count = 64,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        _check(resolution)
        channels = {side: _channels(width, share) for side, share in _DISCRIMINATOR.items()}
        self.largest = min(resolution, 256)
        sides = [side for side in (128, 64, 32, 16, 8) if side < self.largest]
        self.from_picture = nn.ModuleDict({str(resolution): _from_picture(resolution, channels)})
        self.halvings = nn.ModuleDict(
            {str(side): ResidualHalving(channels[2 * side], channels[side]) for side in sides}
        )
        self.excite = nn.ModuleDict(
            {
                str(side): Excitation(channels[8 * side], channels[side])
                for side in sides
                if 8 * side <= self.largest
            }
        )
        self.head = Head(channels[8], _channels(width, 16), label_sizes)
        half = min(resolution // 2, 128)
        self.small = SmallBranch(half, width, label_sizes) if half >= 16 else None
        self.whole = Decoder(channels[8], half, width)
        self.part = Decoder(channels[16], half, width)
        _initialise(self, spectral_norm=spectral_norm)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        (maps,) = (layer(images) for layer in self.from_picture.values())
        seen = {self.largest: maps}
        for name, halving in self.halvings.items():
            side = int(name)
            maps = halving(maps)
            if name in self.excite:
                maps = maps * self.excite[name](seen[8 * side])
            seen[side] = maps
        realness = [self.head(maps, labels)]
        if self.small is not None:
            realness.append(self.small(images, labels))
        return Judgement(
            torch.cat(realness, dim=1),
            reconstruct=lambda: self._reconstruct(images, seen[8], seen[16]),
        )

    def _reconstruct(
        self, images: Tensor, coarse: Tensor, fine: Tensor
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        """Images and their features of 8x8 and 16x16 to what is painted and what it should be."""
        whole = self.whole(coarse.to(images.dtype))
        # Quarters 0 1 / 2 3, one drawn for each picture; chosen on the device.
        quarters = torch.randint(4, (len(images),), device=images.device)
        part = self.part(_quarter(fine.to(images.dtype), quarters))
        side = whole.shape[3]
        return (whole, _pool(images, side)), (part, _pool(_quarter(images, quarters), side))


def _quarter(maps: Tensor, quarters: Tensor) -> Tensor:
    """Maps [B, C, h, w] to the quarter [B, C, h/2, w/2] of each that [B] numbers by rows."""
    rows = torch.arange(len(maps), device=maps.device)
    tiles = maps.unflatten(3, (2, -1)).unflatten(2, (2, -1))  # [B, C, 2, h/2, 2, w/2]
    return tiles[rows, :, quarters // 2, :, quarters % 2]
