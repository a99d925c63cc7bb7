"""The pair of the published code of ArtGAN (Tan, Chan, Aguirre and Tanaka, Improved ArtGAN for
conditional synthesis of natural image and artwork, 2019, arXiv:1708.09533): a discriminator that
also paints again what it saw, and a generator that paints larger than the discriminator looks.

Facts from github.com/cs-chan/ArtGAN, `ArtGAN/Style128GANAE.py` and `ArtGAN/nn/layers.py`: every
convolution is 3x3, none has a bias, nor has any linear layer; LeakyReLU 0.2; weights from
N(0, 0.02); doubling is by nearest neighbours before a convolution. For 27 styles at 128 pixels,
judged at 64 (pool 2), with latent 100, 5,022,624 weights in the generator and 15,291,040 in the
discriminator, 6,288,160 of them its decoder.

Where this differs, on purpose:
- batch norm of the generator and of the decoder always uses the batch's statistics there, even when
  a trained model paints; here evaluation uses running statistics, because a seed must name a picture
  whatever else is in its batch;
- the small pictures are means of 2x2 squares, there of 3x3 squares at every second pixel, and real
  ones are pooled the same way here, where they are resized on loading there;
- dropout is on in the generator's turn too, and is off in it there;
- a halving convolution is padded by a pixel on all sides, there on the lower and the right one only.
"""

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import Count, Fraction
from impasto.errors import ImpastoError
from impasto.networks import Judgement, levels_above, one_hot
from impasto.networks._layers import Doubling

_NAME = "artgan_autoencoder"
_SLOPE = 0.2  # of LeakyReLU
_EPS = 1e-3  # of batch norm: the default of the TensorFlow layer that the published code calls


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)


def _followed(convolution: nn.Conv2d) -> list[nn.Module]:
    norm = nn.BatchNorm2d(convolution.out_channels, _EPS)
    return [convolution, norm, nn.LeakyReLU(_SLOPE, inplace=True)]


def _layer(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return _followed(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))


def _doubling(inputs: int, outputs: int) -> list[nn.Module]:
    return _followed(Doubling(inputs, outputs))


def _painting(inputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, 3, 3, padding=1, bias=False), nn.Tanh()]


class Generator(nn.Module):
    """Latent and label to a picture, with one more convolution at half the resolution.

    Channels double from the picture down to 4x4, up to 16 times the width. At 128 pixels these are
    the published ones: 512 at 4x4 and 8x8, then 256, 128, 64 (twice) and 32. A smaller resolution
    drops levels at the wide end, a larger one adds levels of 16 times the width there.

    Args:
        latent_dim: Z.
        resolution: H, a power of two from 16 up.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels at full resolution.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: int,
        label_sizes: tuple[int, ...] = (),
        width: Count = 32,
    ) -> None:
        super().__init__()
        self.label_sizes = label_sizes
        levels = levels_above(resolution, 8, _NAME) + 1  # doublings from 4x4
        channels = [width * min(1 << level, 16) for level in reversed(range(levels + 1))]
        # Batch norm here is one of each of the values, as published, not of each channel.
        values = channels[0] * 4 * 4
        self.first = nn.Sequential(
            nn.Linear(latent_dim + sum(label_sizes), values, bias=False),
            nn.BatchNorm1d(values, _EPS),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Unflatten(1, (channels[0], 4, 4)),
        )
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(channels[:-1]):
            layers += _doubling(inputs, outputs)
        layers += _layer(channels[-2], channels[-2])
        layers += _doubling(channels[-2], channels[-1])
        self.layers = nn.Sequential(*layers, *_painting(width))
        self.apply(_initialise)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        asked = torch.cat([latents, one_hot(labels, self.label_sizes)], dim=1)
        images: Tensor = self.layers(self.first(asked))
        return images


class Discriminator(nn.Module):
    """Picture to classes, realness and the picture painted again; it is shown no label.

    The encoder's widths are bound to the sides of the maps: 8 * width at 4x4, 4 * width at 8x8, where
    a second convolution follows without halving, 2 * width at 16x16, width at 32x32, and so on,
    halving. When pictures of 64 pixels are judged these are the published ones: 128, 256, 512, 512
    and 1024. Larger pictures add levels at the narrow end, smaller ones drop some there. The decoder
    is published as 512 at 4x4, then 256, 128, 64 and 32 at 64x64: half the encoder's widths.

    Features are the encoder's [B, 8 * width, 4, 4].

    Args:
        resolution: H, a power of two from 16 up.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels of the maps of 32x32: of the first layer when pictures of 64 pixels are judged.
        pool: the pictures are made smaller by this factor, as means of squares, before they are
            judged; the reconstruction is of the small ones. At least 16 pixels must remain.
        noise: standard deviation of Gaussian noise on the pictures judged, in training.
        dropout: share of values left out before each halving layer but the first, in training.
        realness: `implicit`: the class 'generated' is not among the K outputs; its logit is fixed at
            0 (Salimans et al. 2016, arXiv:1606.03498, section 5), so D(x) = Z / (Z + 1) with Z the
            sum of exp(class logits), over all label fields, and its logit is log Z. `head`: a linear
            output of its own. Without label fields there is always a head.

    Raises:
        ImpastoError: `pool` leaves no such picture, or `noise` is not a deviation.
    """

    def __init__(
        self,
        *,
        resolution: int,
        label_sizes: tuple[int, ...] = (),
        width: Count = 128,
        pool: Count = 1,
        noise: float = 0.05,
        dropout: Fraction = 0.2,
        realness: Literal["implicit", "head"] = "implicit",
    ) -> None:
        super().__init__()
        pools = [1 << level for level in range(levels_above(resolution, 8, _NAME))]
        if pool not in pools:
            raise ImpastoError(
                f"network '{_NAME}' cannot pool pictures of {resolution} pixels by {pool}; set "
                f"discriminator.pool to {', '.join(str(factor) for factor in pools)}"
            )
        if not 0 <= noise < math.inf:
            raise ImpastoError(f"setting 'discriminator.noise' cannot be {noise}: choose 0 or more")
        self.label_sizes = label_sizes
        self.pool = pool
        self.noise = noise
        levels = levels_above(resolution // pool, 8, _NAME) + 1  # halvings to 4x4
        channels = [max((8 * width) >> level, 1) for level in reversed(range(levels))]
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels[0], 3, 2, 1, bias=False),
            nn.LeakyReLU(_SLOPE, inplace=True),
        ]
        for inputs, outputs in itertools.pairwise(channels[:-1]):
            layers += [nn.Dropout(dropout), *_layer(inputs, outputs, 2)]
        layers += _layer(channels[-2], channels[-2])
        layers += [nn.Dropout(dropout), *_layer(channels[-2], channels[-1], 2)]
        self.encoder = nn.Sequential(*layers)
        painted = [max((4 * width) >> level, 1) for level in range(levels + 1)]
        layers = _layer(channels[-1], painted[0])
        for inputs, outputs in itertools.pairwise(painted):
            layers += _doubling(inputs, outputs)
        self.decoder = nn.Sequential(*layers, *_painting(painted[-1]))
        values = channels[-1] * 4 * 4
        self.classes = nn.Linear(values, sum(label_sizes), bias=False) if label_sizes else None
        headed = realness == "head" or not label_sizes
        self.head = nn.Linear(values, 1, bias=False) if headed else None
        self.apply(_initialise)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        del labels
        seen = images if self.pool == 1 else F.avg_pool2d(images, self.pool)
        if self.training and self.noise:
            seen = seen + self.noise * torch.randn_like(seen)
        features = self.encoder(seen)
        values = features.flatten(1)
        logits = None if self.classes is None else self.classes(values)
        if self.head is not None:
            realness = self.head(values)
        else:
            assert logits is not None
            # A sum of exponentials, which bfloat16 is too coarse for.
            realness = logits.float().logsumexp(dim=1, keepdim=True)
        return Judgement(
            realness,
            None if logits is None else logits.split(self.label_sizes, dim=1),
            features,
            self.decoder(features),
        )
