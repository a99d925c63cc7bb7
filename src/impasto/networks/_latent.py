"""A generator in the latent space of a frozen autoencoder (Rombach et al. 2022, arXiv:2112.10752)."""

from torch import Tensor, nn


class LatentGenerator(nn.Module):
    """A generator of latents, and the frozen decoder that turns them into pictures.

    Args:
        generator: makes latents [B, C, h, w].
        decoder: gives images [B, 3, H, W] in [-1, 1] of latents as the encoder gives them.
        scale: factor from those latents to the generator's.
    """

    def __init__(self, generator: nn.Module, decoder: nn.Module, scale: float) -> None:
        super().__init__()
        self.generator = generator
        self.decoder = decoder
        self.scale = scale

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        images: Tensor = self.decoder(self.generator(latents, labels) / self.scale)
        return images

    def denoise(self, noisy: Tensor, *conditions: Tensor) -> Tensor:
        """The latents in noisy ones, by the generator's own method."""
        latents: Tensor = self.generator.denoise(noisy, *conditions)  # type: ignore[operator]
        return latents

    def guided_by(self, guide: nn.Module | None) -> None:
        """Set the generator that guides this one, by its own method."""
        inner = guide.generator if isinstance(guide, LatentGenerator) else guide
        self.generator.guided_by(inner)  # type: ignore[operator]
