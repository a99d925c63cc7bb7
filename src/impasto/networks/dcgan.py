"""The networks of DCGAN (Radford, Metz and Chintala 2015, arXiv:1511.06434).

Sizes are those of PyTorch's DCGAN tutorial, which the Japanese-art and WikiArt works start from.
At 64 pixels and width 64 each network has five layers. The generator has 3,576,704 weights
(latent 100), the discriminator 2,765,568. Other resolutions have more or fewer of the widest
layers.
"""

from typing import Literal

from torch import Tensor, nn

from impasto.config import Count
from impasto.networks import Judgement, refuse_labels
from impasto.networks._canvas import placed_sequence
from impasto.networks._start import start_of
from impasto.resolution import Resolution

_SLOPE = 0.2  # of LeakyReLU, section 3 of the paper


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), as in section 4 of the paper; batch norm's scales from N(1, 0.02),
    as in the tutorial."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """Latent to an image by transposed convolutions, with batch norm after all but the last.

    Args:
        latent_dim: Z.
        resolution: a power of two from 8 up, or a rectangle.
        label_sizes: must be empty; the network is unconditional.
        width: channels before the last layer; each smaller level has twice as many.
        activation: `relu`, as in the paper, or `leaky_relu`, as in version 2 of the Japanese-art
            work.
        batch_norm: whether batch norm follows the transposed convolutions. Without it they have
            biases.
    """

    canvas_side = 4
    canvas_margin = 1

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        width: Count = 64,
        activation: Literal["relu", "leaky_relu"] = "relu",
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        refuse_labels(label_sizes, "dcgan")
        start = start_of(resolution, "dcgan")
        levels = start.doublings

        def layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            kernel, padding = (start[:2], 0) if stride == 1 else ((4, 4), 1)
            return nn.Sequential(
                nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, bias=not batch_norm),
                nn.BatchNorm2d(outputs) if batch_norm else nn.Identity(),
                nn.ReLU(inplace=True)
                if activation == "relu"
                else nn.LeakyReLU(_SLOPE, inplace=True),
            )

        channels = [width << level for level in reversed(range(levels))]
        self.layers = nn.Sequential(
            layer(latent_dim, channels[0], 1),
            *(layer(c, c // 2, 2) for c in channels[:-1]),
            nn.Sequential(nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()),
        )
        self.apply(_initialise)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        del labels
        images: Tensor = self.layers(latents[:, :, None, None])
        return images

    def canvas(self, latents: Tensor, labels: Tensor) -> Tensor:
        """A canvas of a field of latents [B, Z, h, w]."""
        del labels
        images: Tensor = self.layers[1:](placed_sequence(self.layers[0], latents))
        return images


class Discriminator(nn.Module):
    """Image to one logit by strided convolutions, the mirror of the generator.

    Batch norm follows all convolutions but the first and the last. The sigmoid is part of the
    loss, where it is computed without overflow.

    Args:
        resolution: a power of two from 8 up, or a rectangle.
        label_sizes: must be empty; the network is unconditional.
        width: channels after the first layer; each smaller level has twice as many.
        pooling: whether maps are halved by the mean of 2x2 squares, after 3x3 convolutions of
            stride 1. The paper replaces pooling by strided 4x4 convolutions.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        width: Count = 64,
        pooling: bool = False,
    ) -> None:
        super().__init__()
        refuse_labels(label_sizes, "dcgan")
        start = start_of(resolution, "dcgan")
        levels = start.doublings

        def halving(inputs: int, outputs: int) -> nn.Module:
            if not pooling:
                return nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
            return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.AvgPool2d(2))

        def layer(inputs: int) -> nn.Sequential:
            return nn.Sequential(
                halving(inputs, inputs * 2),
                nn.BatchNorm2d(inputs * 2),
                nn.LeakyReLU(_SLOPE, inplace=True),
            )

        self.layers = nn.Sequential(
            nn.Sequential(halving(3, width), nn.LeakyReLU(_SLOPE, inplace=True)),
            *(layer(width << level) for level in range(levels - 1)),
            nn.Conv2d(width << (levels - 1), 1, start[:2], 1, 0, bias=False),
        )
        self.apply(_initialise)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        del labels
        return Judgement(self.layers(images).flatten(1))
