"""The networks of GANGogh (Jones and Bonafilia 2017, github.com/rkjones4/GANGogh), conditioned on
classes.

Facts from its published code (`GANgogh.py`): 5x5 convolutions; labels that gate every level of
the generator as in the conditional PixelCNN (van den Oord et al. 2016, arXiv:1606.05328, equation
4); a critic with layer norm and two heads, one for realness and one for the class. At 64 pixels
and width 64, with latent 128 and 14 classes, the generator has 14,623,171 weights (3,670,016 of
them for the labels' gates) and the critic 4,431,247.

Differences, none of which changes what the networks can express:
- Weights are drawn from a normal distribution of standard deviation 0.02. There it is a uniform
  one of the same deviation.
- The halves of a level are its first and last channels. There they are the even and odd ones.
- Transposed convolutions before batch norm have no bias, since batch norm would cancel it.
- A halving convolution is padded by two pixels on all sides. There, with TensorFlow's `SAME`, it is
  padded by one pixel above and left and by two below and right. A transposed one is cropped by two
  pixels above and left and one below and right, there the other way round. So maps are shifted by
  a pixel.

Other resolutions have more or fewer of the widest levels, with at most 8 times the width.
"""

import itertools

import torch
from torch import Tensor, nn

from impasto.config import Count
from impasto.networks import ClassHead, Judgement, one_hot
from impasto.networks._canvas import placed, placed_linear, spread
from impasto.networks._start import levels_above

_SLOPE = 0.2  # of LeakyReLU


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _channels(width: int, levels: int) -> list[int]:
    """Channels of `levels` levels: they halve down to `width`, starting from at most 8 times it."""
    return [width * min(1 << level, 8) for level in reversed(range(levels))]


class Gate(nn.Module):
    """sigmoid(a + c) * tanh(b + d), with a and b the halves of the maps, c and d linear in the
    label.

    Args:
        channels: C of the result; the maps have 2C.
        side: h = w of the maps.
        classes: K, of all label fields together. With 0, c and d are left out.
        per_position: whether c and d have a value at every position. Otherwise one value a channel.
        bias: whether the linear layer of c and d has a bias.
    """

    def __init__(
        self, channels: int, side: int, classes: int, *, per_position: bool, bias: bool
    ) -> None:
        super().__init__()
        spread = side if per_position else 1
        self.shape = (spread, spread, 2 * channels)
        self.label = nn.Linear(classes, 2 * channels * spread**2, bias=bias) if classes else None

    def forward(self, maps: Tensor, one_hots: Tensor) -> Tensor:
        """Maps [B, 2C, h, w] and one-hot labels [B, K], or a field of class weights, to [B, C, h, w]."""
        if self.label is not None and one_hots.ndim == 4:
            maps = maps + self._at_positions(spread(one_hots, maps))
        elif self.label is not None:
            # In channels last, the maps' memory format, which makes the addition faster.
            maps = maps + self.label(one_hots).unflatten(1, self.shape).permute(0, 3, 1, 2)
        a, b = maps.chunk(2, dim=1)
        return torch.sigmoid(a) * torch.tanh(b)

    def _at_positions(self, field: Tensor) -> Tensor:
        """c and d at all positions of a canvas, for class weights [B, K, h, w]."""
        assert self.label is not None
        # Values are in the order (y, x, channel).
        weight = self.label.weight.unflatten(0, self.shape).permute(3, 2, 0, 1)
        bias = None
        if self.label.bias is not None:
            bias = self.label.bias.unflatten(0, self.shape).permute(2, 0, 1)
        return placed(weight, field, bias)


class Generator(nn.Module):
    """Latent and label to an image. The label gates every level but the last.

    Args:
        latent_dim: Z.
        resolution: H, a power of two from 8 up.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels before the last layer; each smaller level has twice as many, at most 8
            times.
        condition_upto: largest side of maps where the label's gate has weights of its own at
            every position, as published (all levels at 64 pixels). Larger maps have one value a
            channel. At 256 pixels the last two gated levels, 64x64 with 2 * 128 channels and
            128x128 with 2 * 64, would otherwise need 3,145,728 weights a class. With 14 classes
            that is more than all convolutions together, and the composition is decided on the
            small maps.
        global_conditioning: whether the label gates every level. Otherwise the label is an input
            beside the latent only, and gates depend on the maps alone.
    """

    canvas_side = 4
    canvas_margin = 1

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: int,
        label_sizes: tuple[int, ...] = (),
        width: Count = 64,
        condition_upto: Count = 32,
        global_conditioning: bool = True,
    ) -> None:
        super().__init__()
        self.label_sizes = label_sizes
        classes = sum(label_sizes)
        channels = _channels(width, levels_above(resolution, 4, "gangogh"))
        first = 2 * channels[0]
        self.layers = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Linear(latent_dim + classes, first * 4 * 4),
                    nn.Unflatten(1, (first, 4, 4)),
                    nn.BatchNorm2d(first),
                )
            ]
        )
        for inputs, outputs in itertools.pairwise(channels):
            doubling = nn.ConvTranspose2d(inputs, 2 * outputs, 5, 2, 2, 1, bias=False)
            self.layers.append(nn.Sequential(doubling, nn.BatchNorm2d(2 * outputs)))
        self.gates = nn.ModuleList(
            Gate(
                outputs,
                4 << level,
                classes if global_conditioning else 0,
                per_position=4 << level <= condition_upto,
                bias=level > 0,  # as published
            )
            for level, outputs in enumerate(channels)
        )
        self.last = nn.Sequential(nn.ConvTranspose2d(width, 3, 5, 2, 2, 1), nn.Tanh())
        self.apply(_initialise)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        one_hots = one_hot(labels, self.label_sizes)
        return self._images(self.layers[0](torch.cat([latents, one_hots], dim=1)), one_hots)

    def canvas(self, latents: Tensor, labels: Tensor) -> Tensor:
        """A canvas of fields [B, Z, h, w] and [B, K, h, w]. Gates with weights of their own at every
        position repeat them with each picture."""
        layers = self.layers[0]
        assert isinstance(layers, nn.Sequential)
        linear, _, norm = layers
        assert isinstance(linear, nn.Linear)
        maps = placed_linear(linear, 4, torch.cat([latents, labels], dim=1))
        return self._images(norm(maps), labels)

    def _images(self, maps: Tensor, one_hots: Tensor) -> Tensor:
        """The layers after the first one: from its maps to images."""
        first, *gates = self.gates
        maps = first(maps, one_hots)
        for layer, gate in zip(self.layers[1:], gates, strict=True):
            maps = gate(layer(maps), one_hots)
        images: Tensor = self.last(maps)
        return images


class Discriminator(nn.Module):
    """A critic with a second head that classifies. It is not conditioned on labels.

    Layer norm follows all convolutions but the first: over all values of one image, with a scale
    and a shift a channel, as in the code of the improved Wasserstein GAN (Gulrajani et al. 2017,
    arXiv:1704.00028) that GANGogh builds on. Batch norm would make the outputs of a batch depend
    on each other, while the gradient penalty is defined for single images.

    Args:
        resolution: H, a power of two from 8 up.
        label_sizes: classes of each label field. Without any there is no second head.
        width: channels after the first layer; each smaller level has twice as many, at most 8
            times.
    """

    def __init__(
        self, *, resolution: int, label_sizes: tuple[int, ...] = (), width: Count = 64
    ) -> None:
        super().__init__()
        channels = _channels(width, levels_above(resolution, 4, "gangogh"))[::-1]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 5, 2, 2), nn.LeakyReLU(_SLOPE, inplace=True)]
        for inputs, outputs in itertools.pairwise(channels):
            layers += [
                nn.Conv2d(inputs, outputs, 5, 2, 2),
                nn.GroupNorm(1, outputs),
                nn.LeakyReLU(_SLOPE, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.realness = nn.Linear(channels[-1] * 4 * 4, 1)
        self.classes = ClassHead(channels[-1] * 4 * 4, label_sizes)
        self.apply(_initialise)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        del labels
        features = self.layers(images)
        return Judgement(self.realness(features), self.classes(features))
