"""Narrow networks for two CPU cores: few operations an image, so that many steps fit in minutes.

The generator upsamples by nearest neighbours and a 3x3 convolution with batch norm and a gated
linear unit, as in FastGAN (Liu et al. 2021, arXiv:2101.04775, section 3.1 and appendix). Its last
upsampling is a pixel shuffle (Shi et al. 2016, arXiv:1609.05158), so no wide layer runs at full
resolution.

The discriminator has the layers of DCGAN, narrower, with spectral norm (Miyato et al. 2018,
arXiv:1802.05957) in place of batch norm and a minibatch deviation channel (Karras et al. 2018,
arXiv:1710.10196, section 3) before its last layers.
"""

import itertools

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from impasto.config import Count
from impasto.networks import Judgement, refuse_labels
from impasto.networks._canvas import placed_sequence
from impasto.networks._layers import Deviation, GatedLinearUnit
from impasto.networks._start import start_of
from impasto.resolution import Resolution


def _channels(widest: Count, narrowest: Count, levels: int) -> list[int]:
    """Channels of `levels` levels: they halve from `widest` down to no less than `narrowest`."""
    return [max(widest >> level, narrowest) for level in range(levels)]


class Generator(nn.Module):
    """Latent to an image.

    Args:
        latent_dim: Z.
        resolution: a power of two from 16 up, or a rectangle.
        label_sizes: must be empty; the network is unconditional.
        widest: channels at 4x4; they halve at each doubling of the resolution.
        narrowest: the fewest channels.
    """

    canvas_side = 4
    canvas_margin = 1

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        widest: Count = 256,
        narrowest: Count = 32,
    ) -> None:
        super().__init__()
        refuse_labels(label_sizes, "lean")
        start = start_of(resolution, "lean", least=16)
        channels = _channels(widest, narrowest, start.doublings)  # up to half the resolution

        def doubling(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Upsample(scale_factor=2),
                nn.Conv2d(inputs, outputs * 2, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs * 2),
                GatedLinearUnit(),
            )

        self.first = nn.Sequential(
            nn.ConvTranspose2d(latent_dim, channels[0] * 2, start[:2], bias=False),
            nn.BatchNorm2d(channels[0] * 2),
            GatedLinearUnit(),
        )
        self.doublings = nn.Sequential(*(doubling(a, b) for a, b in itertools.pairwise(channels)))
        self.last = nn.Sequential(
            nn.Conv2d(channels[-1], 12, 3, padding=1), nn.PixelShuffle(2), nn.Tanh()
        )

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        del labels
        images: Tensor = self.last(self.doublings(self.first(latents[:, :, None, None])))
        return images

    def canvas(self, latents: Tensor, labels: Tensor) -> Tensor:
        """A canvas of a field of latents [B, Z, h, w]."""
        del labels
        images: Tensor = self.last(self.doublings(placed_sequence(self.first, latents)))
        return images


class Discriminator(nn.Module):
    """Image to one logit.

    Args:
        resolution: a power of two from 16 up, or a rectangle.
        label_sizes: must be empty; the network is unconditional.
        narrowest: channels after the first layer; they double at each halving of the resolution.
        widest: the most channels.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        narrowest: Count = 32,
        widest: Count = 256,
    ) -> None:
        super().__init__()
        refuse_labels(label_sizes, "lean")
        start = start_of(resolution, "lean")
        channels = [min(narrowest << level, widest) for level in range(start.doublings)]
        layers: list[nn.Module] = []
        for inputs, outputs in zip([3, *channels], channels, strict=False):
            layers += [
                spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.halvings = nn.Sequential(*layers)
        self.deviation = Deviation()
        self.last = nn.Sequential(
            spectral_norm(nn.Conv2d(channels[-1] + 1, channels[-1], 3, padding=1)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(channels[-1], 1, start[:2])),
        )

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        del labels
        maps = self.halvings(images)
        return Judgement(self.last(self.deviation(maps)).flatten(1), features=maps)
