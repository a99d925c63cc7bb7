"""A generator in the latent space of a frozen autoencoder (Rombach et al. 2022, arXiv:2112.10752)."""

import torch.nn.functional as F
from torch import Tensor, nn

_DECODED_AROUND = 16
"""Latent positions around a tile that the decoder gets as context; more would not change the tile."""


class LatentGenerator(nn.Module):
    """A generator of latents, and the frozen decoder that turns them into pictures.

    Args:
        generator: makes latents [B, C, h, w].
        decoder: gives images [B, 3, H, W] in [-1, 1] of latents as the encoder gives them.
        scale: the generator's latents are the encoder's times this factor.
    """

    def __init__(self, generator: nn.Module, decoder: nn.Module, scale: float) -> None:
        super().__init__()
        self.generator = generator
        self.decoder = decoder
        self.scale = scale

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        images: Tensor = self.decoder(self.generator(latents, labels) / self.scale)
        return images

    @property
    def canvas_side(self) -> int:
        """The `canvas_side` of the generator; see `networks/__init__.py`."""
        return self.generator.canvas_side  # type: ignore[return-value]

    canvas_margin = None

    def canvas(self, latents: Tensor, labels: Tensor, *, tile: bool = False) -> Tensor:
        """A canvas, by the generator's own method; see `networks/__init__.py`."""
        made: Tensor = self.generator.canvas(latents, labels, tile=tile)  # type: ignore[operator]
        if not tile:
            return self.decoder(made / self.scale)
        # The opposite edges are joined on, so that the decoder gets them as context.
        size = made.shape[2:]
        around = [min(_DECODED_AROUND, side) for side in size]
        widened = F.pad(made, (around[1], around[1], around[0], around[0]), mode="circular")
        images: Tensor = self.decoder(widened / self.scale)
        enlarged = images.shape[2] // widened.shape[2]
        top, left = (enlarged * each for each in around)
        return images[:, :, top : top + enlarged * size[0], left : left + enlarged * size[1]]

    def denoise(self, noisy: Tensor, *conditions: Tensor) -> Tensor:
        """The denoised latents of noisy ones, by the generator's own method."""
        latents: Tensor = self.generator.denoise(noisy, *conditions)  # type: ignore[operator]
        return latents

    def guided_by(self, guide: nn.Module | None) -> None:
        """Set the generator that guides this one, by its own method."""
        inner = guide.generator if isinstance(guide, LatentGenerator) else guide
        self.generator.guided_by(inner)  # type: ignore[operator]
