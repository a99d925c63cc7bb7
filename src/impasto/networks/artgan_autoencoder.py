"""The networks of ArtGAN's published code (Tan, Chan, Aguirre and Tanaka, Improved ArtGAN for
conditional synthesis of natural image and artwork, 2019, arXiv:1708.09533).

The discriminator also reconstructs its input. The generator's resolution can be higher than that
of the discriminator's input.

Facts from github.com/cs-chan/ArtGAN, `ArtGAN/Style128GANAE.py` and `ArtGAN/nn/layers.py`: all
convolutions are 3x3; convolutions and linear layers have no bias; LeakyReLU 0.2; weights from
N(0, 0.02); nearest-neighbour upsampling before a convolution. With 27 styles at 128 pixels, a
discriminator input of 64 pixels (pool 2) and latent 100, the generator has 5,022,624 weights and
the discriminator 15,291,040, of which 6,288,160 are its decoder's.

Intended differences:
- Batch norm of the generator and of the decoder always uses the batch's statistics there, even
  when sampling. Here evaluation uses running statistics, because a seed must give the same image
  whatever else is in its batch.
- Images are pooled by the mean of 2x2 squares. There it is the mean of 3x3 squares at every
  second pixel. Real images are pooled the same way here; there they are resized when loaded.
- Dropout is also on in generator updates. There it is off in them.
- A halving convolution is padded by one pixel on all sides. There it is padded at the lower and
  the right edge only.
"""

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import Count, Fraction
from impasto.errors import ImpastoError
from impasto.networks import Judgement, one_hot
from impasto.networks._canvas import placed
from impasto.networks._layers import Doubling
from impasto.networks._start import levels_above

_NAME = "artgan_autoencoder"
_SLOPE = 0.2  # of LeakyReLU
_EPS = 1e-3  # of batch norm: the default of the TensorFlow layer that the published code calls


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)


def _with_norm(convolution: nn.Conv2d) -> list[nn.Module]:
    norm = nn.BatchNorm2d(convolution.out_channels, _EPS)
    return [convolution, norm, nn.LeakyReLU(_SLOPE, inplace=True)]


def _layer(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return _with_norm(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))


def _doubling(inputs: int, outputs: int) -> list[nn.Module]:
    return _with_norm(Doubling(inputs, outputs))


def _to_image(inputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, 3, 3, padding=1, bias=False), nn.Tanh()]


class Generator(nn.Module):
    """Latent and label to an image, with one more convolution at half the resolution.

    Channels double from the image down to 4x4, up to 16 times the width. At 128 pixels they are
    the published ones: 512 at 4x4 and 8x8, then 256, 128, 64 (twice) and 32. A lower resolution
    has fewer of the widest levels, a higher one has more levels of 16 times the width.

    Args:
        latent_dim: Z.
        resolution: H, a power of two from 16 up.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels at full resolution.
    """

    canvas_side = 4
    canvas_margin = 1

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
        # As published, this batch norm is over single values, not over channels.
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
        self.layers = nn.Sequential(*layers, *_to_image(width))
        self.apply(_initialise)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        inputs = torch.cat([latents, one_hot(labels, self.label_sizes)], dim=1)
        images: Tensor = self.layers(self.first(inputs))
        return images

    def canvas(self, latents: Tensor, labels: Tensor) -> Tensor:
        """A canvas of fields [B, Z, h, w] and [B, K, h, w]."""
        linear, norm, activation, shape = self.first
        # Batch norm scales and shifts each value of the linear layer.
        assert isinstance(linear, nn.Linear)
        assert isinstance(norm, nn.BatchNorm1d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight, shift = linear.weight * scale[:, None], norm.bias - norm.running_mean * scale
        inputs = torch.cat([latents, labels], dim=1)
        maps = placed(shape(weight.T), inputs, shape(shift[None])[0])
        images: Tensor = self.layers(activation(maps))
        return images


class Discriminator(nn.Module):
    """Image to class logits, realness and a reconstruction. It is not conditioned on labels.

    The encoder's widths depend on the side of the maps: 8 * width at 4x4, 4 * width at 8x8, where
    a second convolution follows without halving, 2 * width at 16x16, width at 32x32, and so on,
    halving. With an input of 64 pixels they are the published ones: 128, 256, 512, 512 and 1024.
    Larger inputs have more narrow levels, smaller inputs fewer. The decoder's published widths
    are 512 at 4x4, then 256, 128, 64 and 32 at 64x64: half the encoder's.

    Features are the encoder's [B, 8 * width, 4, 4].

    Args:
        resolution: H, a power of two from 16 up.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels of the maps of 32x32, the first layer's with an input of 64 pixels.
        pool: factor that images are reduced by, as means of squares, before the encoder. The
            reconstruction is of the reduced images. At least 16 pixels must remain.
        noise: standard deviation of Gaussian noise added to the encoder's input in training.
        dropout: probability of dropout before each halving layer but the first, in training.
        realness: `implicit`: the class 'generated' has no output of its own; its logit is fixed
            at 0 (Salimans et al. 2016, arXiv:1606.03498, section 5). So D(x) = Z / (Z + 1) with Z
            the sum of exp(class logits) over all label fields, and realness is log Z. `head`:
            realness has a linear output of its own. Without label fields there is always a head.

    Raises:
        ImpastoError: `pool` leaves fewer than 16 pixels, or `noise` is negative or infinite.
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
        decoded = [max((4 * width) >> level, 1) for level in range(levels + 1)]
        layers = _layer(channels[-1], decoded[0])
        for inputs, outputs in itertools.pairwise(decoded):
            layers += _doubling(inputs, outputs)
        self.decoder = nn.Sequential(*layers, *_to_image(decoded[-1]))
        values = channels[-1] * 4 * 4
        self.classes = nn.Linear(values, sum(label_sizes), bias=False) if label_sizes else None
        headed = realness == "head" or not label_sizes
        self.head = nn.Linear(values, 1, bias=False) if headed else None
        self.apply(_initialise)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        del labels
        inputs = images if self.pool == 1 else F.avg_pool2d(images, self.pool)
        if self.training and self.noise:
            inputs = inputs + self.noise * torch.randn_like(inputs)
        features = self.encoder(inputs)
        values = features.flatten(1)
        logits = None if self.classes is None else self.classes(values)
        if self.head is not None:
            realness = self.head(values)
        else:
            assert logits is not None
            # In float32: bfloat16 is too coarse for a sum of exponentials.
            realness = logits.float().logsumexp(dim=1, keepdim=True)
        return Judgement(
            realness,
            None if logits is None else logits.split(self.label_sizes, dim=1),
            features,
            self.decoder(features),
        )
