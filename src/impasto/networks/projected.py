"""A discriminator on the features of a frozen pretrained network.

Source: Sauer et al. 2021, "Projected GANs Converge Faster" (arXiv:2111.01007).
EfficientNet-Lite0, trained to classify photographs, gives maps at several strides, as in their
published code. Random fixed convolutions mix the channels of the maps (section 3.2, cross-channel
mixing) and add coarse maps to finer ones (cross-scale mixing), so that no part of the features is
easier to match than the rest. A small discriminator a stride, the head, learns to tell real from
generated images. There is no generator of this name: the paper trains FastGAN's.

On small collections of paintings, training on the features alone loses the palette, because the
frozen network largely ignores colour. `pixel_width` adds a discriminator on the pixels.

At 256 pixels and more the frozen network is most of the cost. `read_at` and `crop` share it out: the
whole picture is read reduced, and one small square of it as it is.
"""

import itertools
import math
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from impasto.config import Count
from impasto.errors import ImpastoError
from impasto.features._efficientnet_lite import STAGE_CHANNELS
from impasto.features._layers import hold
from impasto.features.lite0 import load_frozen
from impasto.networks import Judgement
from impasto.networks._conditioning import Projection
from impasto.networks._frozen_features import resized
from impasto.networks._layers import Deviation
from impasto.networks._start import bucket_maps, start_of
from impasto.resolution import (
    Resolution,
    in_proportion,
    resolution_of,
    short_side,
    square_of,
    width_and_height,
)

_PUBLISHED_SIDE = 224
_ENOUGH = 8
"""Heads halve maps until their side is below this: to 4, for powers of two."""


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, *, batch_norm: bool, spectral: bool = True
) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=not batch_norm)
    if spectral:
        spectral_norm(convolution)
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True))


class _Mixing(nn.Module):
    """Random fixed mixing of the maps of several strides. Its weights are buffers and are saved.

    The maps of each stride go through a 1x1 convolution. From the coarsest on, each then goes
    through a 3x3 convolution to the width of the next finer maps, is upsampled (bilinear) and
    added to them. The convolution comes before the upsampling, where it costs a quarter.

    Args:
        widths: channels after mixing, by stride, the finest first.
        cross_scale: whether coarse maps are added to finer ones.
    """

    def __init__(self, widths: dict[int, int], *, cross_scale: bool) -> None:
        super().__init__()
        self.channels = nn.ModuleDict()
        self.scales = nn.ModuleDict()
        for stride, width in widths.items():
            self.channels[str(stride)] = self._fixed(STAGE_CHANNELS[stride], width, 1)
        if cross_scale:
            for fine, coarse in itertools.pairwise(widths):
                self.scales[str(coarse)] = self._fixed(widths[coarse], widths[fine], 3)
        hold(self, persistent=True)

    @staticmethod
    def _fixed(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
        convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        # There is no activation between these layers, so this gain keeps the variance of the maps.
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
        return convolution

    def forward(self, maps: dict[int, Tensor]) -> dict[int, Tensor]:
        mixed = {stride: self.channels[str(stride)](each) for stride, each in maps.items()}
        if not self.scales:
            return mixed
        for fine, coarse in reversed(list(itertools.pairwise(mixed))):
            coarser = self.scales[str(coarse)](mixed[coarse])
            size = mixed[fine].shape[-2:]
            mixed[fine] = mixed[fine] + F.interpolate(coarser, size, mode="bilinear")
        return mixed


class _HeadOutput(NamedTuple):
    """The output of a head before label conditioning."""

    logits: Tensor
    """[B, 1, t, t]."""
    features: Tensor
    """[B, C, u, u]. The projection is averaged over positions where the logits have one position.
    """
    projection: Projection | None

    def with_labels(self, labels: Tensor) -> Tensor:
        """Logits [B, 1, t, t] conditioned on labels [B, F]."""
        if self.projection is None:
            return self.logits
        term: Tensor = self.projection(self.features, labels)
        if term.shape != self.logits.shape:
            term = term.mean((2, 3), keepdim=True)
        return self.logits + term


class _Head(nn.Module):
    """Maps [B, C, s, s] to logits [B, 1, t, t], one a position of the halved maps. The trunk's
    layers are named by the side of their input maps.

    Args:
        channels: C.
        side: s.
        width: channels of the last maps; they double at each halving before.
        label_sizes: classes of each label field.
        batch_norm: after each convolution but the last.
        deviation: adds a minibatch deviation channel before the last convolution.
    """

    def __init__(
        self,
        channels: int,
        side: int,
        width: int,
        label_sizes: tuple[int, ...],
        *,
        batch_norm: bool,
        deviation: bool,
    ) -> None:
        super().__init__()
        halvings = 0
        while side >> halvings >= _ENOUGH:
            halvings += 1
        self.trunk = nn.ModuleDict()
        for level in range(halvings):
            outputs = max(1, width >> (halvings - 1 - level))
            layer = _convolution(channels, outputs, 4, 2, batch_norm=batch_norm)
            self.trunk[str(side >> level)] = layer
            channels = outputs
        if not halvings:  # without this layer, the logits would be linear in frozen features
            self.trunk[str(side)] = _convolution(channels, width, 3, 1, batch_norm=batch_norm)
        self.deviation = Deviation() if deviation else None
        self.last = spectral_norm(nn.Conv2d(width + deviation, 1, 3, padding=1))
        self.projection = Projection(label_sizes, width) if label_sizes else None

    def forward(self, maps: Tensor) -> _HeadOutput:
        for layer in self.trunk.values():
            maps = layer(maps)
        logits: Tensor = self.last(maps if self.deviation is None else self.deviation(maps))
        return _HeadOutput(logits, maps, self.projection)


def _heads(side: int, widths: dict[int, int], head_width: int, **options: Any) -> nn.ModuleDict:
    """A head for the maps of each stride, of pictures of this side; options are those of `_Head`."""
    heads = nn.ModuleDict()
    for stride, channels in widths.items():
        heads[str(stride)] = _Head(channels, side // stride, head_width, **options)
    return heads


class _Pixels(nn.Module):
    """Images [B, 3, H, W] to a logit [B, 1, 1, 1], with layers named by the side of their input
    maps (of a rectangle, see `networks.Start`).

    It is the network of `lean.py`, or with batch norm that of `dcgan.py` with a minibatch
    deviation.

    Args:
        resolution: of the images.
        width: channels of maps of 32 pixels and more; they double at each halving below.
        label_sizes: classes of each label field.
        deviation: adds a minibatch deviation channel before the last two convolutions.
        batch_norm: after all convolutions but the first and the last, in place of spectral norm.
        buckets: all sizes of the images, if there are several; each has a last layer of its own.
    """

    def __init__(
        self,
        resolution: Resolution,
        width: int,
        label_sizes: tuple[int, ...],
        *,
        deviation: bool,
        batch_norm: bool,
        buckets: tuple[Resolution, ...] = (),
    ) -> None:
        super().__init__()

        def layer(
            inputs: int, outputs: int, kernel: int, stride: int, *, first: bool = False
        ) -> nn.Sequential:
            norm, spectral = batch_norm and not first, not batch_norm
            return _convolution(inputs, outputs, kernel, stride, batch_norm=norm, spectral=spectral)

        self.from_rgb = nn.ModuleDict()
        self.halvings = nn.ModuleDict()
        side, channels = square_of(resolution), 3
        halvings = side.bit_length() - 3  # down to 4
        while side > 4:
            outputs = width * max(1, 64 // side)
            layers = self.halvings if self.from_rgb else self.from_rgb
            layers[str(side)] = layer(channels, outputs, 4, 2, first=not self.from_rgb)
            side, channels = side // 2, outputs
        self.deviation = Deviation() if deviation else None
        self.joint = layer(channels + deviation, channels, 3, 1)
        lasts = {}
        for size in buckets or (resolution,):
            wide, high = (length >> halvings for length in width_and_height(size))
            last = nn.Conv2d(channels, 1, (high, wide))
            lasts[f"{wide}x{high}"] = last if batch_norm else spectral_norm(last)
        self.last = nn.ModuleDict(lasts) if buckets else lasts[f"{wide}x{high}"]
        self.projection = Projection(label_sizes, channels) if label_sizes else None

    def forward(self, images: Tensor) -> _HeadOutput:
        maps = images
        for layer in (*self.from_rgb.values(), *self.halvings.values()):
            maps = layer(maps)
        maps = self.joint(maps if self.deviation is None else self.deviation(maps))
        last = self.last
        if isinstance(last, nn.ModuleDict):
            last = last[f"{maps.shape[3]}x{maps.shape[2]}"]
        return _HeadOutput(last(maps), maps, self.projection)


def _random_squares(images: Tensor, side: int) -> Tensor:
    """A square of so many pixels a side of each image [B, 3, H, W], at a place of its own."""
    count, _, height, width = images.shape
    # Drawn on the CPU, so that no device has to be waited for.
    rows = torch.randint(height - side + 1, (count,), device="cpu").tolist()
    columns = torch.randint(width - side + 1, (count,), device="cpu").tolist()
    squares = (
        image[:, row : row + side, column : column + side]
        for image, row, column in zip(images, rows, columns, strict=True)
    )
    return torch.stack(list(squares))


def _check(
    read_at: int, levels: list[int], pixel_width: int, crop: int | None, resolution: Resolution
) -> None:
    """Refuse settings that do not fit the feature network.

    Raises:
        ImpastoError: with what to choose.
    """
    if read_at < 32 or read_at % 32:
        raise ImpastoError(
            f"discriminator.read_at is {read_at}; it must be 32, 64, 96, ... or null"
        )
    if not levels or not set(levels) <= STAGE_CHANNELS.keys():
        raise ImpastoError(f"discriminator.levels is {levels}; choose some of 2, 4, 8, 16, 32")
    if pixel_width < 0:
        raise ImpastoError(f"discriminator.pixel_width is {pixel_width}; it must be 0 or more")
    if crop is not None and (crop < 32 or crop % 32 or crop >= short_side(resolution)):
        raise ImpastoError(
            f"discriminator.crop is {crop}; it must be null, or 32, 64, 96, ... below the "
            f"resolution, {resolution}"
        )


class Discriminator(nn.Module):
    """Image to the logits of all heads. All heads have the same weight in the mean of the logits.

    A head gives one logit a position. The logits of heads with fewer positions are repeated, so
    that all heads give equally many. The defaults are the published settings. The way mixed maps
    are added up and a head's last layer differ from the published code.

    Args:
        resolution: a power of two from 32 up, or a rectangle.
        label_sizes: classes of each label field; each head is conditioned on them by projection.
        read_at: side of the frozen network's input, a multiple of 32. Images are upsampled
            bilinearly or reduced by averaging. By default the images' side, but at least 224, the
            side that the network was trained with (as published). Cost grows with its square: 64 is
            for images of 64 pixels on a CPU. Rectangles keep their proportions: they are read at
            about as many pixels as such a square has.
        crop: side of a square of each image that is read as it is, unreduced, by heads of its own;
            null for none. The square lies at random in training, in the middle otherwise.
        levels: strides of the maps that have heads: some of 2, 4, 8, 16, 32.
        mixing: `cross-scale` (channels and scales), `cross-channel` or `none`.
        channels: channels of the finest mixed maps.
        expand: whether mixed maps of each coarser stride have twice as many channels.
        head_width: channels of each head's last maps.
        batch_norm: whether heads have batch norm.
        deviation: whether each head has a minibatch deviation channel.
        pixel_width: channels of a further discriminator on the pixels; 0 for none.
        pixel_deviation: whether it has a minibatch deviation channel.
        pixel_batch_norm: whether it has batch norm in place of spectral norm. With spectral norm
            it has little effect beside the heads (docs/notebook.md).
        buckets: all sizes of the images, `resolution` among them, if there are several. They share all
            layers but the last of the discriminator on the pixels.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        buckets: tuple[Resolution, ...] = (),
        read_at: int | None = None,
        crop: int | None = None,
        levels: tuple[int, ...] = (4, 8, 16, 32),
        mixing: Literal["cross-scale", "cross-channel", "none"] = "cross-scale",
        channels: Count = 64,
        expand: bool = True,
        head_width: Count = 512,
        batch_norm: bool = True,
        deviation: bool = False,
        pixel_width: int = 0,
        pixel_deviation: bool = True,
        pixel_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if buckets:
            bucket_maps(resolution, buckets, "projected")
        else:
            start_of(resolution, "projected", least=32)
        self.read_at = max(_PUBLISHED_SIDE, square_of(resolution)) if read_at is None else read_at
        self.levels = sorted(set(levels))
        self.crop = crop
        for size in buckets or (resolution,):
            _check(self.read_at, self.levels, pixel_width, crop, size)
        self.features = load_frozen()
        widths = {stride: STAGE_CHANNELS[stride] for stride in self.levels}
        self.mixing: _Mixing | None = None
        if mixing != "none":
            widths = {
                stride: channels << number if expand else channels
                for number, stride in enumerate(self.levels)
            }
            self.mixing = _Mixing(widths, cross_scale=mixing == "cross-scale")
        heads = partial(
            _heads,
            widths=widths,
            head_width=head_width,
            label_sizes=label_sizes,
            batch_norm=batch_norm,
            deviation=deviation,
        )
        self.heads = heads(square_of(in_proportion(resolution, self.read_at)))
        self.crop_heads = None if crop is None else heads(crop)
        self.pixels = (
            _Pixels(
                resolution,
                pixel_width,
                label_sizes,
                deviation=pixel_deviation,
                batch_norm=pixel_batch_norm,
                buckets=buckets,
            )
            if pixel_width
            else None
        )

    def train(self, mode: bool = True) -> "Discriminator":
        """Set training mode; the frozen network stays in evaluation mode."""
        super().train(mode)
        self.features.eval()
        return self

    def project(self, images: Tensor) -> dict[int, Tensor]:
        """The heads' input by stride: the frozen network's maps of images [B, 3, H, W], mixed."""
        size = resolution_of(images.shape[3], images.shape[2])
        return self._mixed_maps(resized(images, in_proportion(size, self.read_at)))

    def square(self, images: Tensor) -> Tensor:
        """The square of each image [B, 3, H, W] that `crop` asks for."""
        assert self.crop is not None
        if self.training:
            return _random_squares(images, self.crop)
        top, left = ((side - self.crop) // 2 for side in images.shape[2:])
        return images[:, :, top : top + self.crop, left : left + self.crop]

    def _mixed_maps(self, images: Tensor) -> dict[int, Tensor]:
        wanted = [stride for stride in STAGE_CHANNELS if stride <= self.levels[-1]]
        stages = dict(zip(wanted, self.features.stages(images, len(wanted)), strict=True))
        maps = {stride: stages[stride] for stride in self.levels}
        return maps if self.mixing is None else self.mixing(maps)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        outputs = [self.heads[str(stride)](maps) for stride, maps in self.project(images).items()]
        if self.crop_heads is not None:
            cropped = self._mixed_maps(self.square(images))
            outputs += [self.crop_heads[str(stride)](maps) for stride, maps in cropped.items()]
        if self.pixels is not None:
            outputs.append(self.pixels(images))

        def realness(labels: Tensor) -> Tensor:
            # Each side divides the largest, so each logit is repeated equally often.
            largest = max((output.logits.shape[2:] for output in outputs), key=math.prod)
            logits = (F.interpolate(output.with_labels(labels), largest) for output in outputs)
            return torch.cat([each.flatten(1) for each in logits], dim=1)

        return Judgement(realness(labels), realness_under=realness)
