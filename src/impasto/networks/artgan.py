"""The networks of ArtGAN (Tan et al. 2017, arXiv:1702.03410) as described in Marin Moreno's
report (ArtGAN: artwork synthesis with conditional categorical GANs, INF473V project, 2020,
section 2.1).

Both networks have two parts. The discriminator's encoder maps an image to features [B, 8 * width,
H/8, W/8], which its classifier evaluates. The generator's zNet maps a latent and a label to
features of the same shape, which its decoder maps to an image. So Dec(Enc(x)) is an image again.

The report gives the layers, the places of batch norm, the activations and the size of the
features, 512 x 8 x 8 at 64 pixels. It does not give the rest. Chosen here:
- 4x4 kernels where a layer halves or doubles, as in DCGAN, and 3x3 kernels elsewhere;
- channels that double up to the features and once more at 4x4, as in the authors' later code
  (1024 there, github.com/cs-chan/ArtGAN);
- no biases in convolutions;
- weights from N(0, 0.02), as in DCGAN.

At 64 pixels and width 64, with latent 100 and 10 classes, the generator has 12,032,896 weights
and the discriminator 10,410,763.

At other resolutions encoder and decoder have the same layers, with features H/8 x W/8. The zNet
starts from 4x4 maps of 16 * width channels and doubles up to the features: once at 64 pixels,
twice at 128, and so on. At 32 and 16 pixels the zNet is a single layer from the latent to 8 *
width maps, of 4x4 and of 2x2. The discriminator's fully connected layer has an input of H/16 x
W/16.

The report names deeper networks as future work, without a design. With `depth` n, n
convolutions stand in place of each, but for the generator's last: the first is as above, the
others are 3x3 convolutions between maps of the same shape, with batch norm. They come after the
first in the same block, so layers keep their names, and a deeper network can take over the weights
of a shallower one.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import Count, Fraction
from impasto.networks import Judgement, one_hot
from impasto.networks._canvas import placed_sequence
from impasto.networks._start import levels_above

_SLOPE = 0.2  # of LeakyReLU, section 3 of the report


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """Latent and label to an image: transposed convolutions, with batch norm after all but the
    last.

    The report ends in a sigmoid, for images in [0, 1]. Here images are in [-1, 1], so the last
    activation is tanh, the same function on that scale: tanh(x) = 2 sigmoid(2x) - 1.

    Args:
        latent_dim: Z.
        resolution: H, a power of two from 16 up.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels before the last layer; the features have 8 times as many.
        depth: convolutions in place of each but the last.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: int,
        label_sizes: tuple[int, ...] = (),
        width: Count = 64,
        depth: Count = 1,
    ) -> None:
        super().__init__()
        self.label_sizes = label_sizes
        self.features = 8 * width
        levels = levels_above(resolution, 8, "artgan")  # the features have sides of 1 << levels

        def normed(
            inputs: int, outputs: int, kernel: int, stride: int, padding: int
        ) -> list[nn.Module]:
            return [
                nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]

        def layer(
            inputs: int, outputs: int, kernel: int, stride: int, padding: int
        ) -> nn.Sequential:
            parts = normed(inputs, outputs, kernel, stride, padding)
            for _ in range(depth - 1):
                parts += normed(outputs, outputs, 3, 1, 1)
            return nn.Sequential(*parts)

        self.canvas_side = min(4, 1 << levels)
        # At each level `depth` convolutions, at twice the side half as far, and one more of 3x3.
        self.canvas_margin = math.ceil((2 * depth + 1) / self.canvas_side)
        doublings = max(levels - 2, 0)
        channels = [16 * width] * doublings + [8 * width]
        self.z_net = nn.Sequential(
            layer(latent_dim + sum(label_sizes), channels[0], self.canvas_side, 1, 0),
            *(layer(16 * width, outputs, 4, 2, 1) for outputs in channels[1:]),
        )
        self.decoder = nn.Sequential(
            layer(8 * width, 4 * width, 3, 1, 1),
            layer(4 * width, 2 * width, 4, 2, 1),
            layer(2 * width, width, 4, 2, 1),
            nn.Sequential(nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()),
        )
        self.apply(_initialise)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        inputs = torch.cat([latents, one_hot(labels, self.label_sizes)], dim=1)
        images: Tensor = self.decoder(self.z_net(inputs[:, :, None, None]))
        return images

    def canvas(self, latents: Tensor, labels: Tensor) -> Tensor:
        """A canvas of fields [B, Z, h, w] and [B, K, h, w]."""
        maps = placed_sequence(self.z_net[0], torch.cat([latents, labels], dim=1))
        images: Tensor = self.decoder(self.z_net[1:](maps))
        return images

    def decode(self, features: Tensor) -> Tensor:
        """Features [B, 8 * width, H/8, W/8], such as the discriminator's, to images [B, 3, H, W].

        Batch norms use the statistics of these features, in evaluation mode too. They do not
        update their running statistics, which are those of zNet's features and are used when
        sampling.

        Raises:
            ValueError: features with another number of channels.
        """
        if features.shape[1] != self.features:
            raise ValueError(
                f"the decoder takes features of {self.features} channels, not {features.shape[1]}: "
                "set generator.width and discriminator.width to the same value"
            )
        maps = features
        for layer in self.decoder:
            assert isinstance(layer, nn.Sequential)
            for part in layer:
                if isinstance(part, nn.BatchNorm2d):
                    maps = F.batch_norm(
                        maps, None, None, part.weight, part.bias, training=True, eps=part.eps
                    )
                else:
                    maps = part(maps)
        return maps


class Discriminator(nn.Module):
    """Image to K+1 logits, the last of them of the class 'generated'. It is not conditioned on
    labels.

    Five convolutions, the first four of them the encoder, with batch norm after all but the
    first. A fully connected layer follows, to the K classes of all label fields and the class
    'generated'. Each has a sigmoid of its own, which is part of the loss.

    Class logits are the first K outputs, field by field. Realness is minus the last one:
    sigmoid(realness) = 1 - P(generated). Without label fields there is only the last output.
    Features are the encoder's output.

    Args:
        resolution: H, a power of two from 16 up.
        label_sizes: classes of each label field, any number of fields or none.
        width: channels after the first layer; the features have 8 times as many.
        dropout: probability of dropout before the fifth convolution and before the fully
            connected layer, in training. The encoder's features have no dropout, because the
            decoder uses them. The report names dropout as future work, without a place.
        depth: convolutions in place of each.
    """

    def __init__(
        self,
        *,
        resolution: int,
        label_sizes: tuple[int, ...] = (),
        width: Count = 64,
        dropout: Fraction = 0.0,
        depth: Count = 1,
    ) -> None:
        super().__init__()
        self.label_sizes = label_sizes
        levels = levels_above(resolution, 8, "artgan")

        def normed(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
            return [
                nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(_SLOPE, inplace=True),
            ]

        def more(channels: int) -> list[nn.Module]:
            return [part for _ in range(depth - 1) for part in normed(channels, channels, 3, 1)]

        def layer(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
            return nn.Sequential(*normed(inputs, outputs, kernel, stride), *more(outputs))

        self.encoder = nn.Sequential(
            nn.Sequential(
                nn.Conv2d(3, width, 4, 2, 1, bias=False),
                nn.LeakyReLU(_SLOPE, inplace=True),
                *more(width),
            ),
            layer(width, 2 * width, 4, 2),
            layer(2 * width, 4 * width, 4, 2),
            layer(4 * width, 8 * width, 3, 1),
        )
        side = 1 << (levels - 1)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            layer(8 * width, 16 * width, 4, 2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(16 * width * side**2, sum(label_sizes) + 1),
        )
        self.apply(_initialise)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        del labels
        features = self.encoder(images)
        *classes, generated = self.classifier(features).split((*self.label_sizes, 1), dim=1)
        return Judgement(-generated, tuple(classes) or None, features)
